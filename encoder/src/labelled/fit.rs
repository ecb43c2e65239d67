//! Fitting scales to rows and columns.
//!
//! The mean of |w| is the scale: its relative error from n normal weights is 0.756 / sqrt(n), less than half of that of the mean
//! logarithm, and heavy tails spoil it less than the root mean square.

use mcodec_coding::labelled::CLASSES;

use super::histogram::ByClass;
use super::log2::log2;
use super::matrix::Matrix;
use super::sums::Magnitudes;
use super::{PHASES, Settings};

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
    let (Some(&low), Some(&high)) = (list.iter().min(), list.iter().max()) else { return 0.0 };
    if low == high {
        return 0.0;
    }
    let mut counts = vec![0u32; (high - low) as usize + 1];
    list.iter().for_each(|value| counts[(value - low) as usize] += 1);
    let counts = counts.into_iter().filter(|&count| count > 0).map(f64::from);
    let n = list.len() as f64;
    counts.map(|c| c * log2(n / c)).sum::<f64>() * 1.08 + 16.0
}

/// Fits labels to a matrix: none, of rows, of columns, or of both, whichever codes it shortest.
#[must_use]
pub(crate) fn label(matrix: &Matrix, effort: u8) -> Labelling {
    let settings = Settings::of(effort);
    let fit = Fit::new(matrix, &settings);
    let mut best = (f64::INFINITY, Labelling { rows: Vec::new(), columns: Vec::new(), biases: Vec::new() });
    for &mode in fit.modes() {
        let labels = fit.labels(mode);
        let cost = ByClass::count(matrix, &labels, settings.mode_sample).phase_cost() + labels.cost();
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
    magnitudes: Magnitudes,
    /// The mean of each row.
    row_means: Vec<f32>,
    /// Only every so many rows are looked at while columns are fitted.
    row_stride: usize,
    refits: usize,
}

impl<'m> Fit<'m> {
    fn new(matrix: &'m Matrix, settings: &Settings) -> Self {
        let magnitudes = Magnitudes::new(matrix.format, matrix.range);
        let mean = |row| {
            let (_, elements) = matrix.row(row);
            magnitudes.sum(elements) / elements.len().max(1) as f32
        };
        let row_means = (0..matrix.rows()).map(mean).collect();
        let row_stride = (matrix.rows() / settings.fitted_rows.max(1)).max(1);
        Self { matrix, magnitudes, row_means, row_stride, refits: settings.refits }
    }

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
        let of_rows = |row: usize| matrix.row(row).1.len() as f32;
        let mean = || {
            let n: f64 = (0..matrix.rows()).map(|row| f64::from(of_rows(row))).sum();
            let sum =
                self.row_means.iter().enumerate().map(|(row, &s)| f64::from(s * of_rows(row))).sum::<f64>();
            (sum / n.max(1.0)) as f32
        };
        let (rows, columns) = match mode {
            Mode::Plain => (quantised(&vec![mean(); matrix.rows()]), Vec::new()),
            Mode::Rows => (quantised(&self.row_means), Vec::new()),
            Mode::Columns => {
                let columns = quantised(&self.column_means(None));
                // Columns have all of the scale.
                (vec![0; matrix.rows()], columns)
            }
            Mode::Both => self.both(),
        };
        within_reach(rows, columns)
    }

    /// Labels of rows and columns, fitted to each other: at first as scales, then to each other's labels, which makes good what
    /// rounding these took away.
    fn both(&self) -> (Vec<i32>, Vec<i32>) {
        let rows = self.scaled_row_means(&self.column_means(Some(&self.row_means)), self.row_stride);
        let mut columns = quantised(&self.column_means(Some(&rows)));
        let mut rows = quantised(&self.scaled_row_means(&scales(&columns), 1));
        for _ in 0..self.refits {
            columns = quantised(&self.column_means(Some(&scales(&rows))));
            rows = quantised(&self.scaled_row_means(&scales(&columns), 1));
        }
        (rows, columns)
    }

    /// The mean of |w| / column scale of every `stride`th row; 0 for the others.
    fn scaled_row_means(&self, columns: &[f32], stride: usize) -> Vec<f32> {
        let inverse: Vec<f32> = columns.iter().map(|&t| if t > 0.0 { 1.0 / t } else { 0.0 }).collect();
        let mut means = vec![0.0; self.matrix.rows()];
        for row in (0..means.len()).step_by(stride) {
            let (column, elements) = self.matrix.row(row);
            means[row] =
                self.magnitudes.sum_scaled(elements, &inverse[column..]) / elements.len().max(1) as f32;
        }
        means
    }

    /// The mean of |w| / row scale (none: 1) of every column, over every so many rows.
    fn column_means(&self, rows: Option<&[f32]>) -> Vec<f32> {
        let matrix = self.matrix;
        let mut sums = vec![0.0f32; matrix.columns];
        for row in (0..matrix.rows()).step_by(self.row_stride) {
            let scale = rows.map_or(1.0, |rows| rows[row]);
            if scale > 0.0 && scale.is_finite() {
                let (column, elements) = matrix.row(row);
                self.magnitudes.add_columns(elements, 1.0 / scale, &mut sums[column..]);
            }
        }
        let counts = matrix.column_counts(self.row_stride);
        sums.iter().zip(counts).map(|(sum, count)| sum / count.max(1) as f32).collect()
    }
}

/// The labels, brought within the range that a set can have, the least column label 0.
fn within_reach(mut rows: Vec<i32>, mut columns: Vec<i32>) -> Labelling {
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

/// The scales that labels stand for.
fn scales(labels: &[i32]) -> Vec<f32> {
    labels.iter().map(|&label| (f64::from(label) / f64::from(PHASES)).exp2() as f32).collect()
}

/// Scales in quarter octaves. Zeros get the least label.
fn quantised(scales: &[f32]) -> Vec<i32> {
    let known = |scale: &f32| *scale > 0.0 && scale.is_finite();
    let label = |scale: f32| (log2(scale.into()) * f64::from(PHASES)).round() as i32;
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
