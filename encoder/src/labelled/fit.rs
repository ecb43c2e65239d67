//! Fitting scales to rows and columns.
//!
//! The mean of |w| is the scale: its relative error from n normal weights is 0.756 / sqrt(n), less than half of that of the mean
//! logarithm, and heavy tails spoil it less than the root mean square.

use std::collections::HashMap;

use mcodec_coding::labelled::CLASSES;

use super::histogram::ByClass;
use super::matrix::{Matrix, SIGN};
use super::{PHASES, Settings};

/// Rounds of fitting rows and columns to each other.
const ROUNDS: usize = 4;
/// Rows looked at while columns are fitted.
const SAMPLED_ROWS: usize = 4096;
/// The widest range of the sums of labels; a set's classes begin at a whole octave.
const MAX_SPAN: i32 = CLASSES as i32 - PHASES;

/// Scales in quarter octaves: an element's class is the sum of its row's and its column's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Labelling {
    /// One for each row that the matrix touches.
    pub(super) rows: Vec<i32>,
    /// One for each column, the least 0; empty: all 0.
    pub(super) columns: Vec<i32>,
    /// One for each column: how its signs are biased. Empty: not at all.
    pub(super) biases: Vec<i8>,
}

impl Labelling {
    /// The least and the greatest class.
    pub(super) fn range(&self) -> (i32, i32) {
        let low = self.rows.iter().copied().min().unwrap_or(0);
        let high = self.rows.iter().copied().max().unwrap_or(0);
        (low, high + self.columns.iter().copied().max().unwrap_or(0))
    }

    /// About what the labels take in a file, in bits.
    fn cost(&self) -> f64 {
        entropy(&self.rows) + entropy(&self.columns)
    }
}

/// The code length of a list under its own frequencies, and a little for the frequencies.
fn entropy(list: &[i32]) -> f64 {
    let mut counts: HashMap<i32, f64> = HashMap::new();
    list.iter().for_each(|&value| *counts.entry(value).or_default() += 1.0);
    if counts.len() < 2 {
        return 0.0;
    }
    // Sorted, so that the sum does not depend on the map's order.
    let mut counts: Vec<f64> = counts.into_values().collect();
    counts.sort_unstable_by(f64::total_cmp);
    let n = list.len() as f64;
    counts.iter().map(|c| c * (n / c).log2()).sum::<f64>() * 1.08 + 16.0
}

/// Fits labels to a matrix: none, of rows, of columns, or of both, whichever codes it shortest.
#[must_use]
pub(crate) fn label(matrix: &Matrix, effort: u8) -> Labelling {
    let settings = Settings::of(effort);
    let fit = Fit { matrix, magnitudes: matrix.magnitudes() };
    let stride = (matrix.highs.len() / settings.sample.max(1)).max(1);
    let sampled = matrix.rows().div_ceil(stride).max(1);
    let weight = matrix.rows() as f64 / sampled as f64;
    let mut best = (f64::INFINITY, Labelling { rows: Vec::new(), columns: Vec::new(), biases: Vec::new() });
    for &mode in fit.modes() {
        let labels = fit.labels(mode);
        let cost = ByClass::count(matrix, &labels, stride).phase_cost() * weight + labels.cost();
        if cost < best.0 {
            best = (cost, labels);
        }
    }
    best.1
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    Rows,
    Columns,
    Both,
}

struct Fit<'m> {
    matrix: &'m Matrix,
    magnitudes: Vec<f32>,
}

impl Fit<'_> {
    fn modes(&self) -> &'static [Mode] {
        match (self.matrix.rows() > 1, self.matrix.has_columns) {
            (false, _) => &[Mode::Plain],
            (true, false) => &[Mode::Plain, Mode::Rows],
            // A few rows say nothing of a column.
            (true, true) if self.matrix.rows() < 8 => &[Mode::Plain, Mode::Rows],
            (true, true) => &[Mode::Plain, Mode::Rows, Mode::Columns, Mode::Both],
        }
    }

    fn labels(&self, mode: Mode) -> Labelling {
        let matrix = self.matrix;
        let mut columns = vec![1.0f32; matrix.columns];
        match mode {
            Mode::Plain | Mode::Rows => {}
            Mode::Columns => columns = self.column_means(&[]),
            Mode::Both => {
                for _ in 0..ROUNDS {
                    let rows = self.row_means(&columns, self.row_stride());
                    columns = self.column_means(&rows);
                }
            }
        }
        let mut rows = self.row_means(&columns, 1);
        if matches!(mode, Mode::Plain | Mode::Columns) {
            let n: f64 = (0..matrix.rows()).map(|row| matrix.row(row).1.len() as f64).sum();
            let sum: f64 =
                rows.iter().enumerate().map(|(row, &s)| f64::from(s) * matrix.row(row).1.len() as f64).sum();
            rows.fill((sum / n.max(1.0)) as f32);
        }
        let mut rows = quantised(&rows);
        let mut columns =
            if matches!(mode, Mode::Columns | Mode::Both) { quantised(&columns) } else { Vec::new() };
        let (of_rows, of_columns) = (span(&rows), span(&columns));
        if of_rows + of_columns > MAX_SPAN {
            let of_columns = of_columns.min((MAX_SPAN / 2).max(MAX_SPAN - of_rows));
            narrow(&mut columns, of_columns);
            narrow(&mut rows, MAX_SPAN - of_columns);
        }
        let least = columns.iter().copied().min().unwrap_or(0);
        columns.iter_mut().for_each(|label| *label -= least);
        rows.iter_mut().for_each(|label| *label += least);
        Labelling { rows, columns, biases: Vec::new() }
    }

    fn row_stride(&self) -> usize {
        (self.matrix.rows() / SAMPLED_ROWS).max(1)
    }

    /// The mean of |w| / column scale of every `stride`th row; 0 for the others.
    fn row_means(&self, columns: &[f32], stride: usize) -> Vec<f32> {
        let inverse: Vec<f32> = columns.iter().map(|&t| if t > 0.0 { 1.0 / t } else { 0.0 }).collect();
        let mut means = vec![0.0; self.matrix.rows()];
        for row in (0..means.len()).step_by(stride) {
            let (column, elements) = self.matrix.row(row);
            let mut sums = [0.0f32; 4];
            for (i, (&high, &inverse)) in elements.iter().zip(&inverse[column..]).enumerate() {
                sums[i % 4] += self.magnitude(high) * inverse;
            }
            means[row] = sums.iter().sum::<f32>() / elements.len().max(1) as f32;
        }
        means
    }

    /// The mean of |w| / row scale of every column, over sampled rows; empty `rows`: all 1.
    fn column_means(&self, rows: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0f32; self.matrix.columns];
        let mut counts = vec![0.0f32; self.matrix.columns];
        for row in (0..self.matrix.rows()).step_by(self.row_stride()) {
            let scale = rows.get(row).copied().unwrap_or(1.0);
            if scale <= 0.0 {
                continue;
            }
            let (column, elements) = self.matrix.row(row);
            let inverse = 1.0 / scale;
            for ((&high, sum), count) in elements.iter().zip(&mut sums[column..]).zip(&mut counts[column..]) {
                *sum += self.magnitude(high) * inverse;
                *count += 1.0;
            }
        }
        sums.iter().zip(&counts).map(|(sum, count)| sum / count.max(1.0)).collect()
    }

    fn magnitude(&self, high: u16) -> f32 {
        self.magnitudes[usize::from(high & !SIGN)]
    }
}

/// Scales in quarter octaves. Zeros get the least label.
fn quantised(scales: &[f32]) -> Vec<i32> {
    let known = |scale: &f32| *scale > 0.0 && scale.is_finite();
    let label = |scale: f32| (f64::from(scale).log2() * f64::from(PHASES)).round() as i32;
    let least = scales.iter().filter(|s| known(s)).map(|&s| label(s)).min().unwrap_or(0);
    scales.iter().map(|s| if known(s) { label(*s) } else { least }).collect()
}

fn span(labels: &[i32]) -> i32 {
    match (labels.iter().min(), labels.iter().max()) {
        (Some(low), Some(high)) => high - low,
        _ => 0,
    }
}

/// Brings labels within a span around their median.
fn narrow(labels: &mut [i32], span: i32) {
    let mut sorted = labels.to_vec();
    sorted.sort_unstable();
    let Some(&median) = sorted.get(sorted.len() / 2) else { return };
    let low = median - span / 2;
    labels.iter_mut().for_each(|label| *label = (*label).clamp(low, low + span));
}
