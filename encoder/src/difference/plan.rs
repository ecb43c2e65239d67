//! The choice for all members of a segment.

use super::Settings;
use super::candidate::{Candidate, candidates};
use super::matrix::Member;
use super::stack::{Stack, stacks};
use super::tables::tables_for;
use mcodec_coding::Result;
use mcodec_coding::difference::{CONTEXTS, Columns, Tables};
use rayon::prelude::*;

/// Rounds of choosing under tables and making tables of the choice.
const ROUNDS: usize = 4;
/// The rank that the first tables are made of.
const FIRST_RANK: usize = 16;
/// What a symbol takes that a table lacks: an escape.
const ESCAPED: f32 = 28.0;

/// How the members of a segment are coded.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Of all of them.
    pub(crate) tables: Tables,
    stacks: Vec<(Stack, Candidate)>,
    /// Of each member: its stack, and its first row in it.
    places: Vec<(usize, usize)>,
}

impl Plan {
    /// The stack of a member.
    pub(crate) fn stack_of(&self, member: usize) -> usize {
        self.places[member].0
    }

    /// Labels and factors of the columns of a stack, if it has any, and how many members use them.
    pub(crate) fn columns(&self, stack: usize) -> Option<(&Columns, usize)> {
        let (stack, chosen) = &self.stacks[stack];
        chosen.columns.as_ref().map(|columns| (columns, stack.members.len()))
    }

    /// Labels and factors of the rows of a member.
    pub(super) fn rows(&self, member: usize, rows: std::ops::Range<usize>) -> (&[i32], &[i16]) {
        let (stack, first) = self.places[member];
        let chosen = &self.stacks[stack].1;
        let rows = first + rows.start..first + rows.end;
        let rank = chosen.rank();
        (&chosen.row_labels[rows.clone()], &chosen.row_factors[rows.start * rank..rows.end * rank])
    }
}

/// Chooses labels, predictors and tables for `members`.
///
/// # Errors
/// [`mcodec_coding::CodingError`] if something does not fit, which would be a defect.
pub(crate) fn plan(members: &[&Member<'_>], effort: u8) -> Result<Plan> {
    let settings = Settings::of(effort);
    let stacks = stacks(members, &settings);
    let mut tried: Vec<Vec<Candidate>> =
        stacks.par_iter().map(|stack| candidates(stack, members, &settings)).collect::<Result<_>>()?;
    let first = |all: &Vec<Candidate>| {
        let far = |c: &Candidate| c.rank().abs_diff(FIRST_RANK);
        (0..all.len()).min_by_key(|&at| far(&all[at])).unwrap_or(0)
    };
    let mut chosen: Vec<usize> = tried.iter().map(first).collect();
    for _ in 0..ROUNDS {
        let costs: Vec<f32> = pooled(&tried, &chosen)?.costs().into_iter().flatten().collect();
        let costs: Vec<f32> = costs.into_iter().map(|c| c.min(ESCAPED)).collect();
        let best = |all: &Vec<Candidate>| {
            let cost: Vec<f64> = all.iter().map(|c| c.cost(&costs)).collect();
            (0..all.len()).min_by(|&a, &b| cost[a].total_cmp(&cost[b])).unwrap_or(0)
        };
        let next: Vec<usize> = tried.par_iter().map(best).collect();
        if next == chosen {
            break;
        }
        chosen = next;
    }
    let tables = pooled(&tried, &chosen)?;
    let mut places = vec![(0, 0); members.len()];
    for (number, stack) in stacks.iter().enumerate() {
        let mut row = 0;
        for &member in &stack.members {
            places[member] = (number, row);
            row += members[member].rows();
        }
    }
    let chosen = tried.iter_mut().zip(chosen).map(|(all, at)| all.swap_remove(at));
    let stacks = stacks.into_iter().zip(chosen).collect();
    Ok(Plan { tables, stacks, places })
}

/// Tables of what is chosen.
fn pooled(tried: &[Vec<Candidate>], chosen: &[usize]) -> Result<Tables> {
    let mut counts = vec![[0u64; 64]; CONTEXTS];
    for (all, &at) in tried.iter().zip(chosen) {
        for &(place, n) in &all[at].counts {
            counts[usize::from(place) / 64][usize::from(place) % 64] += u64::from(n);
        }
    }
    tables_for(&counts)
}
