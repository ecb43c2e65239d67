//! Tables and shifts for counted classes.

use mcodec_coding::labelled::{CLASSES, Class, Classes, ESCAPE, FloatFormat, SignCosts, ZERO};
use mcodec_coding::{Result, Table};

use super::histogram::{BELOW, BIN_BITS, BINS, ByClass, FAR, Histogram, ZEROS};
use super::{PHASES, Settings};

/// Symbols that count from a class's shift.
const WINDOW: usize = ZERO as usize;
/// A symbol whose share of the slots is below this is escaped.
const LEAST_SLOTS: f64 = 0.35;

/// Rounds of [`reassign`].
const REASSIGNMENTS: usize = 4;

/// Classes that use one table.
#[derive(Debug, Clone)]
struct Group {
    /// Where the table's scale lies within an octave, in quarters.
    phase: i32,
    /// Class (counted from the set's first) and the octaves by which its counts were moved up.
    members: Vec<(usize, i32)>,
    counts: Histogram,
    cost: f64,
}

impl Group {
    /// Octaves by which the other's classes move up to meet this group's scale.
    fn shift_of(&self, other: &Self) -> i32 {
        let quarters = other.phase - self.phase;
        if quarters > PHASES / 2 {
            1
        } else if quarters < -(PHASES / 2) {
            -1
        } else {
            0
        }
    }

    fn joined(&self, other: &Self) -> (Histogram, f64) {
        let mut counts = self.counts.clone();
        counts.add(&other.counts, -self.shift_of(other));
        let cost = counts.cost();
        (counts, cost)
    }

    fn join(&mut self, other: &Self) {
        let shift = self.shift_of(other);
        (self.counts, self.cost) = self.joined(other);
        self.members.extend(other.members.iter().map(|&(class, by)| (class, by + shift)));
    }
}

/// What the tables of a set are made of.
#[derive(Debug, Clone)]
pub(super) struct Model {
    groups: Vec<Group>,
    /// Classes there may be.
    count: usize,
}

impl Model {
    /// Groups the classes `counts`, at most 64 of them, into at most as many tables as the settings allow.
    pub(super) fn new(counts: &ByClass, settings: &Settings) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (class, counts) in counts.classes.iter().enumerate().filter(|(_, c)| c.total() > 0) {
            let phase = class as i32 % PHASES;
            groups.push(Group {
                phase,
                members: vec![(class, 0)],
                counts: counts.clone(),
                cost: counts.cost(),
            });
        }
        merge(&mut groups, settings.tables);
        for _ in 0..REASSIGNMENTS {
            reassign(&mut groups, counts);
        }
        Self { groups, count: counts.classes.len() }
    }

    /// The classes, from tables fitted to the counts.
    pub(super) fn classes(
        &self,
        first: i32,
        format: FloatFormat,
        precision: u8,
        signs: Option<SignCosts>,
    ) -> Result<Classes> {
        let bias = (1 << (format.exponent_bits() - 1)) - 1;
        let mask = (1 << format.exponent_bits()) - 1;
        let mut tables = Vec::new();
        let mut known: Vec<(usize, Class, i32)> = Vec::new();
        for group in &self.groups {
            let start = window_start(&group.counts);
            let table = table_of(&group.counts, start, precision)?;
            // Tables fitted to other classes may come out the same.
            let number = tables.iter().position(|t| *t == table).unwrap_or_else(|| {
                tables.push(table);
                tables.len() - 1
            });
            let lowest = bias + (start >> BIN_BITS) as i32 - BELOW;
            for &(class, moved) in &group.members {
                let octave = (first + class as i32).div_euclid(PHASES) + moved + lowest;
                known.push((class, Class { table: number as u8, octaves: 0 }, octave));
            }
        }
        known.sort_unstable_by_key(|k| k.0);
        let of_class = |class: usize| {
            // A class that was not seen is like the nearest one that was.
            let nearest = known.iter().min_by_key(|(seen, ..)| seen.abs_diff(class));
            let (seen, like, octave) = nearest.copied().unwrap_or((class, Class::default(), bias));
            let quarters = class as i32 - seen as i32;
            let octave = octave + (quarters + PHASES / 2).div_euclid(PHASES);
            Class { table: like.table, octaves: (octave & mask) as u16 }
        };
        if tables.is_empty() {
            tables.push(Table::from_counts(&[u16::from(ESCAPE)], &[1], precision)?);
        }
        let classes = (0..self.count.clamp(1, CLASSES)).map(of_class).collect();
        Classes::new(format, BIN_BITS as u8, classes, tables, signs)
    }

    /// The octave of the commonest table's own scale, counted in octaves of symbols.
    pub(super) fn own_octave(&self) -> u8 {
        let group = self.groups.iter().max_by_key(|g| g.counts.total());
        group.map_or(0, |g| (BELOW - (window_start(&g.counts) >> BIN_BITS) as i32).clamp(0, 63) as u8)
    }

    /// Code length of what was counted, tables included, in bits.
    pub(super) fn cost(&self) -> f64 {
        self.groups.iter().map(|g| g.cost).sum::<f64>() + self.count as f64 * 3.0
    }
}

/// Lets each class take the table and shift under which it is shortest, as k-means does.
fn reassign(groups: &mut Vec<Group>, counts: &ByClass) {
    let tables: Vec<Histogram> = groups.iter().map(|g| g.counts.clone()).collect();
    for group in groups.iter_mut() {
        group.members.clear();
        group.counts = Histogram::default();
    }
    for (class, own) in counts.classes.iter().enumerate().filter(|(_, c)| c.total() > 0) {
        let mut best = (f64::INFINITY, 0, 0, own.clone());
        for shift in [0, -1, 1] {
            let mut moved = Histogram::default();
            moved.add(own, -shift);
            for (number, table) in tables.iter().enumerate() {
                let cost = moved.cost_under(table);
                if cost < best.0 {
                    best = (cost, number, shift, moved.clone());
                }
            }
        }
        let (_, number, shift, moved) = best;
        groups[number].members.push((class, shift));
        groups[number].counts.add(&moved, 0);
    }
    groups.retain(|group| !group.members.is_empty());
    groups.iter_mut().for_each(|group| group.cost = group.counts.cost());
}

/// Joins the pair that costs least, until there are few enough groups and no pair saves bits.
fn merge(groups: &mut Vec<Group>, most: usize) {
    let mut costs: Vec<Vec<f64>> = Vec::new();
    let extra = |a: &Group, b: &Group| a.joined(b).1 - a.cost - b.cost;
    for (i, group) in groups.iter().enumerate() {
        costs.push(groups[..i].iter().map(|other| extra(other, group)).collect());
    }
    while groups.len() > 1 {
        let mut best = (f64::INFINITY, 0, 0);
        for (i, row) in costs.iter().enumerate() {
            for (j, &cost) in row.iter().enumerate() {
                if cost < best.0 {
                    best = (cost, j, i);
                }
            }
        }
        let (cost, into, from) = best;
        if groups.len() <= most && cost >= 0.0 {
            break;
        }
        let gone = groups.remove(from);
        costs.remove(from);
        costs.iter_mut().skip(from).for_each(|row| _ = row.remove(from));
        groups[into].join(&gone);
        for other in 0..groups.len() {
            let (low, high) = (into.min(other), into.max(other));
            if low != high {
                costs[high][low] = extra(&groups[low], &groups[high]);
            }
        }
    }
}

/// The first bin, at an octave, of the window that holds most of the counts.
fn window_start(counts: &Histogram) -> usize {
    let octave = 1 << BIN_BITS;
    let sum =
        |start: usize| counts.0[start..(start + WINDOW).min(BINS)].iter().map(|&c| u64::from(c)).sum::<u64>();
    // Of equals the highest: larger weights than those counted are likelier than smaller ones to come.
    (0..=BINS - WINDOW).step_by(octave).max_by_key(|&start| sum(start)).unwrap_or(0)
}

/// The table of a group whose symbol 0 is bin `start`.
fn table_of(counts: &Histogram, start: usize, precision: u8) -> Result<Table> {
    let total = counts.total().max(1) as f64;
    let least = LEAST_SLOTS * total / f64::from(1u32 << precision);
    let mut escapes = u64::from(counts.0[FAR]);
    let (mut values, mut kept) = (Vec::new(), Vec::new());
    for (bin, &count) in counts.0[..BINS].iter().enumerate().filter(|(_, c)| **c > 0) {
        if bin < start || bin >= start + WINDOW || f64::from(count) < least {
            escapes += u64::from(count);
        } else {
            values.push((bin - start) as u16);
            kept.push(u64::from(count));
        }
    }
    if f64::from(counts.0[ZEROS]) >= least && counts.0[ZEROS] > 0 {
        values.push(ZERO.into());
        kept.push(counts.0[ZEROS].into());
    } else {
        escapes += u64::from(counts.0[ZEROS]);
    }
    values.push(ESCAPE.into());
    kept.push(escapes.max(1));
    Table::from_counts(&values, &kept, precision)
}
