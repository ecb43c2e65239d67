//! Which members share their columns' factors.

use super::Settings;
use super::fit::Labels;
use super::lowrank::{Components, components};
use super::matrix::Member;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The least rows and columns of a matrix that a predictor is fitted to.
const LEAST_SIDE: usize = 16;
/// Elements above which a stack is not made: columns' factors are then a small part of all.
const MOST_STACKED: usize = 1 << 22;
/// Stacks that a further member is tried with.
const OPEN: usize = 6;
/// Bits that a factor takes, about.
const FACTOR_BITS: f64 = 2.8;
/// The part of the gain by a smaller residual that rounding of the weights leaves.
const GAIN: f64 = 0.6;

/// Members whose rows are one below the other.
#[derive(Debug, Clone)]
pub(super) struct Stack {
    /// Numbers of the members, in order.
    pub(super) members: Vec<usize>,
    pub(super) columns: usize,
    pub(super) first_column: usize,
    pub(super) has_columns: bool,
    /// Whether a predictor may be fitted.
    pub(super) predicts: bool,
}

impl Stack {
    fn of(at: usize, member: &Member<'_>) -> Self {
        let predicts = member.is_rectangle() && member.rows() >= LEAST_SIDE && member.columns >= LEAST_SIDE;
        Self {
            members: vec![at],
            columns: member.columns,
            first_column: member.first_column,
            has_columns: member.has_columns,
            predicts,
        }
    }

    /// The differences of all members.
    pub(super) fn values(&self, members: &[&Member<'_>]) -> Vec<f32> {
        let mut values = Vec::new();
        self.members.iter().for_each(|&at| members[at].differences(&mut values));
        values
    }
}

/// Stacks of members: each alone, or with those beside it that repay it.
pub(super) fn stacks(members: &[&Member<'_>], settings: &Settings) -> Vec<Stack> {
    let mut by_key: BTreeMap<(String, usize, usize), Vec<usize>> = BTreeMap::new();
    let mut all: Vec<Stack> = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let stack = Stack::of(at, member);
        if stack.predicts && !settings.ranks.is_empty() {
            let key = (place_of(member.name), member.columns, member.format.bytes());
            by_key.entry(key).or_default().push(at);
        } else {
            all.push(stack);
        }
    }
    let groups: Vec<Vec<usize>> = by_key.into_values().collect();
    let joined: Vec<Vec<Stack>> = groups.par_iter().map(|group| join(members, group, settings)).collect();
    all.extend(joined.into_iter().flatten());
    all.sort_by_key(|stack| stack.members[0]);
    all
}

/// The name without its last part that is not the kind of parameter: tensors with one input are neighbours.
fn place_of(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('.').collect();
    let kind = if parts.len() > 1 && matches!(parts.last(), Some(&("weight" | "bias"))) {
        parts.pop()
    } else {
        None
    };
    parts.pop();
    format!("{}/{}", parts.join("."), kind.unwrap_or_default())
}

/// Joins members where one set of columns' factors serves them better than several.
fn join(members: &[&Member<'_>], group: &[usize], settings: &Settings) -> Vec<Stack> {
    let mut all: Vec<(Stack, f64)> = Vec::new();
    for &at in group {
        let own = Stack::of(at, members[at]);
        if group.len() == 1 || members[at].len() > MOST_STACKED {
            all.push((own, 0.0));
            continue;
        }
        let own_gain = gain(&own, members, settings);
        let mut best = (0.0, None);
        for (number, (stack, known)) in all.iter().enumerate().rev().take(OPEN) {
            let elements: usize = stack.members.iter().map(|&m| members[m].len()).sum();
            if elements + members[at].len() > MOST_STACKED {
                continue;
            }
            let mut both = stack.clone();
            both.members.push(at);
            let gain = gain(&both, members, settings);
            if gain - known - own_gain > best.0 {
                best = (gain - known - own_gain, Some((number, gain)));
            }
        }
        match best.1 {
            Some((number, gain)) => {
                all[number].0.members.push(at);
                all[number].1 = gain;
            }
            None => all.push((own, own_gain)),
        }
    }
    all.into_iter().map(|(stack, _)| stack).collect()
}

/// About what a predictor saves, in bits.
fn gain(stack: &Stack, members: &[&Member<'_>], settings: &Settings) -> f64 {
    let values = stack.values(members);
    let labels = Labels::fit(&values, stack.columns, 0, true);
    let z = scaled(&values, &labels, stack.columns);
    let rank = settings.ranks.iter().copied().max().unwrap_or(0);
    let found = components(&z, stack.columns, rank, 1, None);
    let energy: f64 = z.iter().map(|x| f64::from(x * x)).sum();
    best_gain(&found, energy, z.len(), stack.columns)
}

fn best_gain(found: &Components, energy: f64, elements: usize, columns: usize) -> f64 {
    let (mut left, mut best) = (energy, 0.0f64);
    for (k, strength) in found.strengths.iter().enumerate() {
        left -= f64::from(strength * strength);
        if left <= 0.0 {
            break;
        }
        let factors = (k + 1) as f64 * (elements / columns.max(1) + columns) as f64;
        let gain = GAIN * elements as f64 / 2.0 * (energy / left).log2() - FACTOR_BITS * factors;
        best = best.max(gain);
    }
    best
}

/// Differences over the scales of their rows and columns; rows are whole.
pub(super) fn scaled(values: &[f32], labels: &Labels, columns: usize) -> Vec<f32> {
    let (rows, of_columns) = labels.inverse_scales(columns);
    let mut z = Vec::with_capacity(values.len());
    for (row, scale) in values.chunks(columns).zip(rows) {
        z.extend(row.iter().zip(&of_columns).map(|(value, column)| value * scale * column));
    }
    z
}
