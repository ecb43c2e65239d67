//! Label refinement: each row and column takes the label under which its elements are shortest, given the tables.

use mcodec_coding::labelled::{Classes, SYMBOLS, ZERO};

use super::fit::Labelling;
use super::histogram::BIN_BITS;
use super::matrix::{Matrix, SIGN, TOP};

/// How far a label may move in one round.
const REACH: i32 = 2;
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
        let columns = labels.columns.get(column..).unwrap_or_default();
        labels.rows[row] = best(own, first..=last - most_column, |label| {
            let class = |i: usize| label + columns.get(i).copied().unwrap_or(0) - first;
            elements.iter().enumerate().map(|(i, &high)| lengths.of(high, class(i))).sum()
        });
    }
    if labels.columns.is_empty() {
        return;
    }
    let most_row = labels.rows.iter().copied().max().unwrap_or(0);
    let mut costs = vec![[0f32; (2 * REACH + 1) as usize]; matrix.columns];
    for row in 0..matrix.rows() {
        let (column, elements) = matrix.row(row);
        for ((&high, &label), costs) in
            elements.iter().zip(&labels.columns[column..]).zip(&mut costs[column..])
        {
            let class = labels.rows[row] + label - first;
            for (step, cost) in (-REACH..).zip(costs) {
                *cost += lengths.of(high, class + step);
            }
        }
    }
    for (label, costs) in labels.columns.iter_mut().zip(&costs) {
        let own = *label;
        *label = best(own, 0..=last - most_row, |label| costs[(label - own + REACH) as usize]);
    }
}

fn best(own: i32, allowed: std::ops::RangeInclusive<i32>, cost: impl Fn(i32) -> f32) -> i32 {
    let mut best = (f32::INFINITY, own);
    for label in (own - REACH..=own + REACH).filter(|label| allowed.contains(label)) {
        let cost = cost(label) + STEP_BITS * (label - own).abs() as f32;
        if cost < best.0 {
            best = (cost, label);
        }
    }
    best.1
}

/// Code lengths by class and symbol.
struct Lengths {
    /// By table and symbol; where a symbol is escaped, what the escape takes.
    tables: Vec<[f32; SYMBOLS]>,
    escapes: Vec<f32>,
    classes: Vec<(usize, u16)>,
    mask: u16,
}

impl Lengths {
    fn new(classes: &Classes) -> Self {
        let precision = classes.precision() as f32;
        let (mut tables, mut escapes) = (Vec::new(), Vec::new());
        for table in classes.tables() {
            let mut lengths = [f32::INFINITY; SYMBOLS];
            for (&value, &freq) in table.values().iter().zip(table.freqs()) {
                lengths[usize::from(value) % SYMBOLS] = precision - f32::from(freq).log2();
            }
            let escape = lengths[SYMBOLS - 1].min(2.0 * precision) + classes.high_bits() as f32;
            lengths.iter_mut().for_each(|length| *length = length.min(escape));
            tables.push(lengths);
            escapes.push(escape);
        }
        let of = |c: &mcodec_coding::labelled::Class| (usize::from(c.table), c.octaves << BIN_BITS);
        let mask = (1 << classes.high_bits()) - 1;
        Self { tables, escapes, classes: classes.classes().iter().map(of).collect(), mask }
    }

    fn of(&self, high: u16, class: i32) -> f32 {
        let Some(&(table, offset)) = usize::try_from(class).ok().and_then(|class| self.classes.get(class))
        else {
            return f32::INFINITY;
        };
        let y = (high & !SIGN) >> (TOP - BIN_BITS);
        let symbol = y.wrapping_sub(offset) & self.mask;
        if symbol < u16::from(ZERO) {
            self.tables[table][usize::from(symbol)]
        } else if y == 0 {
            self.tables[table][usize::from(ZERO)]
        } else {
            self.escapes[table]
        }
    }
}
