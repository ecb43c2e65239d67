//! Weights to codes: by rounding alone, or with the error of each column made up for in the columns after it.

use super::factor::Factor;
use super::kernels::{Column, ROWS, Steps, round_columns, round_row};
use crate::{Device, Result};
use mcodec_coding::codes::step;
use rayon::prelude::*;

impl Device {
    /// As [`round_rows`], on a GPU if there is one, with the same codes.
    pub(super) fn round(&self, weights: &[f32], rows: &[i16], columns: &[i16]) -> Result<Vec<i32>> {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = self.open()? {
            let made = {
                // One matrix after another, which bounds what is on the GPU.
                let _turn = self.turn();
                mcodec_gpu::rounding::round(&gpu, weights, rows, columns)
            };
            if let Some(codes) = self.or_cpu(made)? {
                return Ok(codes);
            }
        }
        Ok(round_rows(weights, rows, columns))
    }
}

/// The codes of `weights` (whole rows of `columns` each) under step exponents of rows and columns, each the nearest.
fn round_rows(weights: &[f32], rows: &[i16], columns: &[i16]) -> Vec<i32> {
    let n = columns.len();
    let steps: [Vec<f32>; 4] =
        std::array::from_fn(|phase| columns.iter().map(|c| step(c + phase as i16)).collect());
    let mut codes = vec![0; weights.len()];
    let all = codes.par_chunks_mut(n).zip(weights.par_chunks(n)).zip(rows);
    all.with_min_len(ROWS).for_each(|((codes, weights), row)| {
        round_row(weights, &steps[(row & 3) as usize], step(row & !3), codes);
    });
    codes
}

/// As [`round_rows`], with the errors of each column made up for in those after it.
pub(super) fn round_with_feedback(
    weights: &[f32],
    rows: &[i16],
    columns: &[i16],
    factor: &Factor,
) -> Vec<i32> {
    let n = columns.len();
    let mut codes = vec![0; weights.len()];
    let columns: Vec<(usize, f32)> = columns.iter().map(|c| ((c & 3) as usize, step(c & !3))).collect();
    let blocks = codes.par_chunks_mut(ROWS * n).zip(weights.par_chunks(ROWS * n)).zip(rows.par_chunks(ROWS));
    blocks.for_each(|((codes, weights), rows)| {
        round_block(weights, rows, columns.clone(), factor, codes);
    });
    codes
}

/// As [`round_with_feedback`], of the matrix turned: errors are made up for in the rows after them.
pub(super) fn round_turned(weights: &[f32], rows: &[i16], columns: &[i16], factor: &Factor) -> Vec<i32> {
    let turned = transposed(weights, columns.len());
    transposed(&round_with_feedback(&turned, columns, rows, factor), rows.len())
}

/// The columns of a matrix, of so many, as rows.
pub(super) fn transposed<T: Copy>(of: &[T], columns: usize) -> Vec<T> {
    (0..columns).flat_map(|c| of.iter().skip(c).step_by(columns.max(1)).copied()).collect()
}

/// Rows of one block side by side: a column of them is one run of memory.
fn round_block(
    weights: &[f32],
    rows: &[i16],
    columns: Vec<(usize, f32)>,
    factor: &Factor,
    codes: &mut [i32],
) {
    let n = columns.len();
    // Rows that are not there have steps of one, and no one reads their codes.
    let steps_at = |phase: usize| -> Column {
        std::array::from_fn(|i| rows.get(i).map_or(1.0, |row| step(row + phase as i16)))
    };
    let steps = Steps { rows: std::array::from_fn(steps_at), columns };
    let mut side_by_side = vec![[0f32; ROWS]; n];
    for (lane, weights) in weights.chunks(n).enumerate() {
        side_by_side.iter_mut().zip(weights).for_each(|(column, weight)| column[lane] = *weight);
    }
    let mixing = |block: usize| factor.block(block);
    round_columns(&mut side_by_side, &steps, &mixing, &mut |j, column: &[i32; ROWS]| {
        for (row, code) in codes.chunks_mut(n).zip(column) {
            row[j] = *code;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(count: usize) -> Vec<f32> {
        // Mixed, so that the errors of a row do not cancel by themselves.
        let mixed = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let weight = |i: usize| (mixed(i) ^ mixed(i) >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
        (0..count).map(|i| weight(i) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    fn alike(n: usize) -> (Vec<f32>, Factor) {
        // Inputs that nearly agree: what one column gets wrong the others can make up for.
        let gram: Vec<f32> = (0..n * n).map(|i| if i % (n + 1) == 0 { 1.0 } else { 0.9 }).collect();
        let factor = Factor::new(&gram, n, 0.01).unwrap();
        (gram, factor)
    }

    #[test]
    fn feedback_lowers_the_error_that_counts() {
        let (rows, n) = (40, 48);
        let weights = weights(rows * n);
        let (gram, factor) = alike(n);
        let (row_steps, columns) = (vec![-4; rows], vec![0; n]);
        let error = |codes: &[i32]| -> f64 {
            let rows = codes.chunks(n).zip(weights.chunks(n));
            rows.map(|(codes, weights)| {
                let e: Vec<f64> =
                    codes.iter().zip(weights).map(|(c, w)| f64::from(w - *c as f32 * step(-4))).collect();
                (0..n * n).map(|i| e[i / n] * e[i % n] * f64::from(gram[i])).sum::<f64>()
            })
            .sum()
        };
        let plain = error(&round_rows(&weights, &row_steps, &columns));
        let fed_back = error(&round_with_feedback(&weights, &row_steps, &columns, &factor));
        assert!(fed_back < plain / 3.0, "{fed_back} {plain}");
    }

    #[test]
    fn codes_are_those_of_the_plain_formula() {
        // Neither the rows nor the columns fill their blocks.
        let (rows, n) = (37, 50);
        let weights = weights(rows * n);
        let (_, factor) = alike(n);
        let row_steps: Vec<i16> = (0..rows as i16).map(|i| i % 7 - 13).collect();
        let columns: Vec<i16> = (0..n as i16).map(|j| 3 - j % 9).collect();
        let mut plain = vec![0; rows * n];
        let mut fed_back = vec![0; rows * n];
        for i in 0..rows {
            let mut errors = vec![0f32; n];
            for j in 0..n {
                let (w, d) = (weights[i * n + j], step(row_steps[i] + columns[j]));
                plain[i * n + j] = (w / d).round_ties_even() as i32;
                let mix = factor.block(j / 4);
                // Products of whole tiles come first, as in the kernel.
                let (before, own) = errors[..j].split_at(j / 4 * 4);
                let mut sum = 0f32;
                for (k, e) in before.iter().enumerate() {
                    sum += e * mix[k][j % 4];
                }
                for (k, e) in own.iter().enumerate() {
                    sum += e * mix[before.len() + k][j % 4];
                }
                let code = ((w + sum) / d).round_ties_even();
                errors[j] = w - code * d;
                fed_back[i * n + j] = code as i32;
            }
        }
        assert!(round_rows(&weights, &row_steps, &columns) == plain);
        assert!(round_with_feedback(&weights, &row_steps, &columns, &factor) == fed_back);
        let turned = round_turned(&transposed(&weights, n), &columns, &row_steps, &factor);
        assert!(transposed(&turned, rows) == fed_back);
    }
}
