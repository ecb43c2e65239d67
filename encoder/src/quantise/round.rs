//! Weights to codes: by rounding alone, or with the error of each column made up for in the columns after it.

use super::factor::Factor;
use mcodec_coding::codes::{MAX_CODE, step};
use rayon::prelude::*;

/// Rows that go through the columns together.
const LANES: usize = 32;

/// The codes of `weights` (whole rows of `columns` each) under step exponents of rows and columns.
pub(super) fn round_rows(
    weights: &[f32],
    rows: &[i16],
    columns: &[i16],
    factor: Option<&Factor>,
) -> Vec<i32> {
    let n = columns.len();
    let mut codes = vec![0; weights.len()];
    let blocks =
        codes.par_chunks_mut(LANES * n).zip(weights.par_chunks(LANES * n)).zip(rows.par_chunks(LANES));
    blocks.for_each(|((codes, weights), rows)| match factor {
        Some(factor) => with_feedback(weights, rows, columns, factor, codes),
        None => {
            for ((codes, weights), row) in codes.chunks_mut(n).zip(weights.chunks(n)).zip(rows) {
                for ((code, weight), column) in codes.iter_mut().zip(weights).zip(columns) {
                    *code = nearest(*weight, step(row + column));
                }
            }
        }
    });
    codes
}

fn nearest(value: f32, step: f32) -> i32 {
    let most = MAX_CODE as f32;
    (value / step).round_ties_even().clamp(-most, most) as i32
}

/// Rows of one block side by side: a column of them is one run of memory.
fn with_feedback(weights: &[f32], rows: &[i16], columns: &[i16], factor: &Factor, codes: &mut [i32]) {
    let n = columns.len();
    let mut errors = vec![[0f32; LANES]; n];
    for j in 0..n {
        let mut sums = [0f32; LANES];
        for (errors, &mix) in errors.iter().zip(factor.column(j)) {
            for lane in 0..LANES {
                sums[lane] += errors[lane] * mix;
            }
        }
        for (lane, &row) in rows.iter().enumerate() {
            let weight = weights[lane * n + j];
            let step = step(row + columns[j]);
            let code = nearest(weight + sums[lane], step);
            codes[lane * n + j] = code;
            errors[j][lane] = weight - code as f32 * step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_lowers_the_error_that_counts() {
        let (rows, n) = (40, 48);
        // Mixed, so that the errors of a row do not cancel by themselves.
        let mixed = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let weight = |i: usize| (mixed(i) ^ mixed(i) >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
        let weights: Vec<f32> = (0..rows * n).map(|i| weight(i) as f32 / (1 << 23) as f32 - 1.0).collect();
        // Inputs that nearly agree: what one column gets wrong the others can make up for.
        let gram: Vec<f32> = (0..n * n).map(|i| if i % (n + 1) == 0 { 1.0 } else { 0.9 }).collect();
        let factor = Factor::new(&gram, n, 0.01).unwrap();
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
        let plain = error(&round_rows(&weights, &row_steps, &columns, None));
        let fed_back = error(&round_rows(&weights, &row_steps, &columns, Some(&factor)));
        assert!(fed_back < plain / 3.0, "{fed_back} {plain}");
    }
}
