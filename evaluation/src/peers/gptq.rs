//! Errors that are made up for in later columns.

use super::Grid;
use rayon::prelude::*;

/// Rows that go through the columns together, so that a row of the factor is read once for all of them.
const ROWS: usize = 8;
/// Share of the mean diagonal that is added to it.
const DAMPING: f64 = 0.01;

/// What the error of a column means for those after it: M[k][j] = R[k][j] / R[j][j], k < j, with H = R R^T, R upper triangular. Then the
/// target of column j is w_j + sum over k < j of e_k M[k][j], e_k = w_k - its quantised value: the same as GPTQ's updates by the
/// Cholesky factor of the inverse.
pub(super) struct Feedback {
    n: usize,
    /// Row after row.
    next: Vec<f32>,
}

impl Feedback {
    /// Of a Gram matrix of `n` columns; `None` if no token reached the layer.
    pub(super) fn new(gram: &[f32], n: usize) -> Option<Self> {
        if gram.len() != n * n {
            return None;
        }
        let mean = (0..n).map(|i| f64::from(gram[i * n + i])).sum::<f64>() / n as f64;
        if !(mean > 0.0 && mean.is_finite()) {
            return None;
        }
        // Flipped, so that the factor is lower triangular: L[i][j] stands for R[n-1-i][n-1-j].
        let mut l = vec![0f64; n * n];
        for i in 0..n {
            for j in 0..=i {
                l[i * n + j] = f64::from(gram[(n - 1 - i) * n + n - 1 - j]);
            }
            l[i * n + i] += DAMPING * mean;
        }
        factor(&mut l, n)?;
        let mut next = vec![0f32; n * n];
        for k in 0..n {
            for j in k + 1..n {
                let (row, column) = (n - 1 - k, n - 1 - j);
                next[k * n + j] = (l[row * n + column] / l[column * n + column]) as f32;
            }
        }
        Some(Self { n, next })
    }

    /// Puts quantised rows in the place of `weights`.
    pub(super) fn quantise(&self, weights: &mut [f32], bits: u32, group: usize) {
        let n = self.n;
        weights.par_chunks_mut(ROWS * n).for_each(|rows| {
            // Targets; the weights become errors, then what is stored.
            let mut targets = rows.to_vec();
            let mut grids = vec![Grid { step: 0.0, zero: 0.0, most: 0.0 }; rows.len() / n];
            for j in 0..n {
                let next = &self.next[j * n + j + 1..(j + 1) * n];
                for (row, grid) in grids.iter_mut().enumerate() {
                    let target = &mut targets[row * n..(row + 1) * n];
                    if j.is_multiple_of(group) {
                        *grid = Grid::of(&target[j..(j + group).min(n)], bits);
                    }
                    let stored = grid.nearest(target[j]);
                    let error = rows[row * n + j] - stored;
                    rows[row * n + j] = stored;
                    target[j + 1..].iter_mut().zip(next).for_each(|(t, m)| *t += error * m);
                }
            }
        });
    }
}

/// The lower Cholesky factor, in place; `None` if the matrix is not positive.
fn factor(a: &mut [f64], n: usize) -> Option<()> {
    for j in 0..n {
        let (above, below) = a.split_at_mut((j + 1) * n);
        let row = &mut above[j * n..];
        let rest = row[j] - row[..j].iter().map(|v| v * v).sum::<f64>();
        if !(rest > 0.0 && rest.is_finite()) {
            return None;
        }
        let diagonal = rest.sqrt();
        row[j] = diagonal;
        let row = &row[..j];
        below.par_chunks_mut(n).with_min_len(16).for_each(|other| {
            let dot: f64 = dot(&other[..j], row);
            other[j] = (other[j] - dot) / diagonal;
        });
    }
    Some(())
}

/// In eight sums, which the compiler makes a vector of.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0f64; 8];
    let (a8, a1) = a.as_chunks::<8>();
    let (b8, b1) = b.as_chunks::<8>();
    for (a, b) in a8.iter().zip(b8) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f64>() + a1.iter().zip(b1).map(|(a, b)| a * b).sum::<f64>()
}
