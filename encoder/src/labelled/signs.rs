//! Signs: columns whose weights have a mean code them in less than a bit.

use mcodec_coding::labelled::{Classes, SIGN_BIASES, SIGN_OCTAVES, SignCosts};

use super::fit::Labelling;
use super::log2::log2;
use super::matrix::{Matrix, SIGN, TOP};

/// Odds of a degree of bias, as a natural logarithm.
const DEGREE: f64 = 0.35;
/// About what a bias takes in the list of labels, in bits; and the probabilities, once.
const LABEL_BITS: f64 = 3.0;
const PROBABILITIES_BITS: f64 = 500.0;
/// Sign probabilities are out of this.
const WHOLE: f64 = 128.0;

/// The biases of a matrix's columns, if coding signs by them saves more than `least` bits.
pub(super) fn biases(matrix: &Matrix, least: f64, sampled_rows: usize) -> Vec<i8> {
    if !matrix.has_columns || matrix.rows() < 8 {
        return Vec::new();
    }
    let stride = (matrix.rows() / sampled_rows.max(1)).max(1);
    let mut minus = vec![0u32; matrix.columns];
    for row in (0..matrix.rows()).step_by(stride) {
        let (column, elements) = matrix.row(row);
        elements.iter().zip(&mut minus[column..]).for_each(|(high, minus)| *minus += u32::from(high >> 15));
    }
    let counts = matrix.column_counts(stride);
    let mut saved = -PROBABILITIES_BITS - LABEL_BITS * matrix.columns as f64;
    let mut all = Vec::with_capacity(matrix.columns);
    for (&minus, &count) in minus.iter().zip(&counts) {
        let (n, m) = (f64::from(count), f64::from(minus));
        let odds = ((n - m + 1.0) / (m + 1.0)).ln();
        let bias = (odds / DEGREE).round().clamp(-(SIGN_BIASES as f64), SIGN_BIASES as f64) as i8;
        if bias != 0 {
            let p = (m + 0.5) / (n + 1.0);
            saved += n * stride as f64 * (1.0 + p * log2(p) + (1.0 - p) * log2(1.0 - p));
        }
        all.push(bias);
    }
    if saved > least { all } else { Vec::new() }
}

/// How often signs are the commoner one, by degree and octave.
#[derive(Debug, Clone)]
pub(super) struct SignCounts {
    commoner: [[u64; SIGN_OCTAVES]; SIGN_BIASES],
    all: [[u64; SIGN_OCTAVES]; SIGN_BIASES],
}

impl Default for SignCounts {
    fn default() -> Self {
        Self { commoner: [[0; SIGN_OCTAVES]; SIGN_BIASES], all: [[0; SIGN_OCTAVES]; SIGN_BIASES] }
    }
}

impl SignCounts {
    /// Counts the signs in biased columns. `classes` says which octave of its class each weight is in; class 0 is `first`.
    pub(super) fn add(
        &mut self,
        matrix: &Matrix,
        labels: &Labelling,
        classes: &Classes,
        first: i32,
        first_octave: u8,
        stride: usize,
    ) {
        for row in (0..matrix.rows()).step_by(stride) {
            let (column, elements) = matrix.row(row);
            for (i, &high) in elements.iter().enumerate() {
                let bias = labels.biases[column + i];
                if bias == 0 {
                    continue;
                }
                let label = labels.columns.get(column + i).copied().unwrap_or(0);
                let class = classes
                    .classes()
                    .get((labels.rows[row] + label - first) as usize)
                    .copied()
                    .unwrap_or_default();
                let octave = i32::from((high & !SIGN) >> TOP) - i32::from(class.octaves);
                // What lies below the window is escaped, which counts as octave 0.
                let octave = (octave - i32::from(first_octave)).clamp(0, SIGN_OCTAVES as i32 - 1) as usize;
                let degree = usize::from(bias.unsigned_abs() - 1);
                self.all[degree][octave] += 1;
                self.commoner[degree][octave] += u64::from((high & SIGN != 0) == (bias < 0));
            }
        }
    }

    /// The probabilities; where little was seen, near those that the degree implies.
    pub(super) fn costs(&self, first_octave: u8) -> SignCosts {
        let mut costs = SignCosts { first_octave, commoner: [[64; SIGN_OCTAVES]; SIGN_BIASES] };
        for (degree, row) in costs.commoner.iter_mut().enumerate() {
            let prior = 1.0 / (1.0 + (-DEGREE * (degree as f64 + 1.0)).exp());
            for (octave, p) in row.iter_mut().enumerate() {
                let (commoner, all) = (self.commoner[degree][octave] as f64, self.all[degree][octave] as f64);
                let share = (commoner + 4.0 * prior) / (all + 4.0);
                *p = (share * WHOLE).round().clamp(1.0, WHOLE - 1.0) as u8;
            }
        }
        costs
    }
}
