//! Label refinement: each row and column takes the label under which its elements are shortest, given the tables.

use mcodec_coding::Table;
use mcodec_coding::labelled::{Class, Classes, SYMBOLS, ZERO};

use super::fit::Labelling;
use super::histogram::BIN_BITS;
use super::log2::log2;
use super::matrix::{Matrix, SIGN, TOP};

/// How far a label may move in one round.
const REACH: i32 = 2;
/// Labels that are tried.
const STEPS: usize = 2 * REACH as usize + 1;
/// What a step from the present label costs, in bits.
const STEP_BITS: f32 = 1.5;

/// Moves the labels of the matrix within what the set (whose class 0 is `first`) has classes for.
pub(super) fn refine(matrix: &Matrix, labels: &mut Labelling, classes: &Classes, first: i32) {
    let lengths = Lengths::new(classes);
    let last = first + classes.classes().len() as i32 - 1;
    let most_column = labels.columns.iter().copied().max().unwrap_or(0);
    for row in 0..matrix.rows() {
        let (column, elements) = matrix.row(row);
        let own = labels.rows[row];
        let mut costs = [0f32; STEPS];
        match labels.columns.get(column..) {
            Some(columns) => {
                for (&high, &label) in elements.iter().zip(columns) {
                    let (bin, class) = (lengths.bin(high), own + label - first);
                    for (step, cost) in (-REACH..).zip(&mut costs) {
                        *cost += lengths.of(class + step)[bin];
                    }
                }
            }
            None => {
                let mut counts = [0u32; BINS];
                elements.iter().for_each(|&high| counts[lengths.bin(high)] += 1);
                for (step, cost) in (-REACH..).zip(&mut costs) {
                    let lengths = lengths.of(own - first + step);
                    let used = counts.iter().zip(lengths).filter(|(count, _)| **count > 0);
                    *cost = used.map(|(&count, length)| count as f32 * length).sum();
                }
            }
        }
        labels.rows[row] = best(own, first..=last - most_column, &costs);
    }
    if labels.columns.is_empty() {
        return;
    }
    let most_row = labels.rows.iter().copied().max().unwrap_or(0);
    let mut costs = vec![[0f32; STEPS]; matrix.columns];
    for row in 0..matrix.rows() {
        let (column, elements) = matrix.row(row);
        for ((&high, &label), costs) in
            elements.iter().zip(&labels.columns[column..]).zip(&mut costs[column..])
        {
            let (bin, class) = (lengths.bin(high), labels.rows[row] + label - first);
            for (step, cost) in (-REACH..).zip(costs) {
                *cost += lengths.of(class + step)[bin];
            }
        }
    }
    for (label, costs) in labels.columns.iter_mut().zip(&costs) {
        *label = best(*label, 0..=last - most_row, costs);
    }
}

/// The label that costs least; `costs` are those of the labels around `own`.
fn best(own: i32, allowed: std::ops::RangeInclusive<i32>, costs: &[f32; STEPS]) -> i32 {
    let mut best = (f32::INFINITY, own);
    for (label, cost) in (own - REACH..).zip(costs).filter(|(label, _)| allowed.contains(label)) {
        let cost = cost + STEP_BITS * (label - own).abs() as f32;
        if cost < best.0 {
            best = (cost, label);
        }
    }
    best.1
}

/// Bins of exponent and top mantissa bits that are told apart: the last one stands for all that lies higher.
const BINS: usize = 128;

/// Code lengths by class and high part.
struct Lengths {
    /// For each class, and a few that do not exist before and after them, the length of each bin.
    by_class: Vec<[f32; BINS]>,
    /// The high part of bin 1; what lies lower is in bin 0.
    lowest: u16,
}

impl Lengths {
    fn new(classes: &Classes) -> Self {
        let of_tables: Vec<([f32; SYMBOLS], f32)> =
            classes.tables().iter().map(|t| symbol_lengths(classes, t)).collect();
        let mask = (1u16 << classes.high_bits()) - 1;
        // Offsets may lie below zero, modulo the exponent: those of the lowest classes then count as 0.
        let offset = |class: &Class| class.octaves << BIN_BITS;
        let half = mask / 2 + 1;
        let lowest = classes.classes().iter().map(offset).filter(|&o| o < half + half / 2).min().unwrap_or(0);
        let none = [f32::INFINITY; BINS];
        let mut by_class = vec![none; REACH as usize];
        for class in classes.classes() {
            let (lengths, escape) = &of_tables[usize::from(class.table)];
            by_class.push(core::array::from_fn(|bin| {
                let high = if bin == 0 { 0 } else { lowest.saturating_add(bin as u16 - 1) };
                let symbol = high.wrapping_sub(offset(class)) & mask;
                if symbol < u16::from(ZERO) {
                    lengths[usize::from(symbol)]
                } else if high == 0 {
                    lengths[usize::from(ZERO)]
                } else {
                    *escape
                }
            }));
        }
        by_class.extend([none; REACH as usize]);
        Self { by_class, lowest }
    }

    /// The bin of an element.
    fn bin(&self, high: u16) -> usize {
        let high = (high & !SIGN) >> (TOP - BIN_BITS);
        usize::from((high + 1).saturating_sub(self.lowest)).min(BINS - 1)
    }

    /// The lengths of class `class`, at most [`REACH`] below the first or above the last.
    fn of(&self, class: i32) -> &[f32; BINS] {
        &self.by_class[(class + REACH).clamp(0, self.by_class.len() as i32 - 1) as usize]
    }
}

/// The code length of each symbol of a table, and of an escape; symbols that it lacks are escaped.
fn symbol_lengths(classes: &Classes, table: &Table) -> ([f32; SYMBOLS], f32) {
    let precision = classes.precision() as f32;
    let mut lengths = [f32::INFINITY; SYMBOLS];
    for (&value, &freq) in table.values().iter().zip(table.freqs()) {
        lengths[usize::from(value) % SYMBOLS] = precision - log2(freq.into()) as f32;
    }
    let escape = lengths[SYMBOLS - 1].min(2.0 * precision) + classes.high_bits() as f32;
    lengths.iter_mut().for_each(|length| *length = length.min(escape));
    (lengths, escape)
}
