//! Triangular factors of damped Gram matrices.
//!
//! In f32: with the damping that is used the matrix, its diagonal scaled to one, is far from singular, and factors are good to 1e-4.

use super::kernels::{TILE, less_products};
use rayon::prelude::*;

/// Columns that are factored together.
const PANEL: usize = 32;
/// Rows that a thread takes at a time.
const ROWS: usize = 16;

/// An upper triangular R with `R R^T` the damped Gram matrix, as error feedback uses it.
pub(super) struct Factor {
    /// The diagonal of R.
    pub(super) diagonal: Vec<f64>,
    /// `R[k][j] / R[j][j]` for k < j, for [`TILE`] columns j together; zeros where k is not below j.
    mixing: Vec<[f32; TILE]>,
}

impl Factor {
    /// Factors `gram` (n x n, row-major) with `damping` times its own diagonal and the median of that added to the diagonal; more where
    /// that does not make it positive. `None` if nothing does.
    pub(super) fn new(gram: &[f32], n: usize, damping: f64) -> Option<Self> {
        let diagonal: Vec<f64> = (0..n).map(|j| f64::from(gram[j * n + j])).collect();
        let median = positive_median(&diagonal)?;
        let mut damping = damping;
        for _ in 0..8 {
            // Rows and columns from the last to the first: the lower factor of that is the upper one of this.
            let mut lower = vec![0f32; n * n];
            for (i, row) in lower.chunks_mut(n).enumerate() {
                let of = &gram[(n - 1 - i) * n..(n - i) * n];
                row[..=i].iter_mut().zip(of.iter().rev()).for_each(|(to, from)| *to = *from);
                let own = diagonal[n - 1 - i];
                row[i] = (own + damping * (own.max(0.0) + median)) as f32;
            }
            if cholesky(&mut lower, n) {
                return Some(Self::of_flipped(&lower, n));
            }
            damping *= 2.0;
        }
        None
    }

    fn of_flipped(lower: &[f32], n: usize) -> Self {
        let at = |i: usize, j: usize| lower[(n - 1 - i) * n + (n - 1 - j)];
        let diagonal: Vec<f64> = (0..n).map(|j| f64::from(at(j, j))).collect();
        let blocks = n.div_ceil(TILE);
        let mut mixing = Vec::with_capacity(start_of(blocks));
        for block in 0..blocks {
            let first = block * TILE;
            let inverse: [f32; TILE] =
                std::array::from_fn(|c| diagonal.get(first + c).map_or(0.0, |d| (1.0 / d) as f32));
            let mix =
                |k: usize, c: usize| if k < first + c && first + c < n { at(k, first + c) } else { 0.0 };
            mixing.extend(
                (0..first + TILE).map(|k| -> [f32; TILE] { std::array::from_fn(|c| mix(k, c) * inverse[c]) }),
            );
        }
        Self { diagonal, mixing }
    }

    /// What the errors of columns from the first on add to the [`TILE`] columns of a block, which are the last of them.
    pub(super) fn block(&self, block: usize) -> &[[f32; TILE]] {
        &self.mixing[start_of(block)..start_of(block + 1)]
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&self.mixing[..]) + 8 * self.diagonal.len()
    }
}

/// Where a block of columns begins among the rows of all blocks.
fn start_of(block: usize) -> usize {
    TILE * block * (block + 1) / 2
}

/// The lower middle one of the values above zero.
pub(super) fn positive_median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
    if median > 0.0 && median.is_finite() {
        return Some(median);
    }
    let positive: Vec<f64> = sorted.into_iter().filter(|v| *v > 0.0 && v.is_finite()).collect();
    positive.get(positive.len().saturating_sub(1) / 2).copied()
}

/// Replaces the lower triangle of `a` (n x n) by its Cholesky factor; false if `a` is not positive.
fn cholesky(a: &mut [f32], n: usize) -> bool {
    let mut across: Vec<[f32; PANEL]> = Vec::new();
    for first in (0..n).step_by(PANEL) {
        let end = (first + PANEL).min(n);
        // The rows of the panel, turned, so that a row's products with all of them are one run of memory.
        across.clear();
        across.resize(first, [0.0; PANEL]);
        for (j, row) in a[first * n..end * n].chunks(n).enumerate() {
            across.iter_mut().zip(row).for_each(|(to, from)| to[j] = *from);
        }
        a[first * n..].par_chunks_mut(ROWS * n).for_each(|rows| less_products(rows, n, &across, end - first));
        let (above, below) = a.split_at_mut(end * n);
        for i in first..end {
            let (done, row) = above.split_at_mut(i * n);
            if !solve(&mut row[first..=i], |j| &done[(first + j) * n + first..]) {
                return false;
            }
        }
        let panel = &above[first * n..];
        below.par_chunks_mut(n).for_each(|row| {
            for j in 0..end - first {
                let of = &panel[j * n + first..=j * n + first + j];
                let sum: f32 = row[first..first + j].iter().zip(of).map(|(a, b)| a * b).sum();
                row[first + j] = (row[first + j] - sum) / of[j];
            }
        });
    }
    true
}

/// Finishes a row of the panel itself, up to its diagonal; false if that is not positive. `of(j)` is row j of the panel.
fn solve<'a>(row: &mut [f32], of: impl Fn(usize) -> &'a [f32]) -> bool {
    let last = row.len() - 1;
    for j in 0..last {
        let other = of(j);
        let sum: f32 = row[..j].iter().zip(other).map(|(a, b)| a * b).sum();
        row[j] = (row[j] - sum) / other[j];
    }
    let square = row[last] - row[..last].iter().map(|v| v * v).sum::<f32>();
    row[last] = square.sqrt();
    square > 0.0 && square.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_multiply_to_the_damped_matrix() {
        let n = 70;
        let x: Vec<f32> =
            (0..200 * n).map(|i| ((i * 7919 % 1009) as f32 / 504.5 - 1.0) * (1.0 + (i % n) as f32)).collect();
        let mut gram = vec![0f32; n * n];
        for i in 0..n {
            for j in 0..n {
                gram[i * n + j] = (0..200).map(|t| x[t * n + i] * x[t * n + j]).sum::<f32>() / 200.0;
            }
        }
        let factor = Factor::new(&gram, n, 0.1).unwrap();
        let diagonal: Vec<f64> = (0..n).map(|j| f64::from(gram[j * n + j])).collect();
        let median = positive_median(&diagonal).unwrap();
        let mix = |k: usize, j: usize| f64::from(factor.block(j / TILE)[k][j % TILE]);
        let r = |k: usize, j: usize| match k.cmp(&j) {
            std::cmp::Ordering::Less => mix(k, j) * factor.diagonal[j],
            std::cmp::Ordering::Equal => factor.diagonal[j],
            std::cmp::Ordering::Greater => 0.0,
        };
        for i in 0..n {
            for j in 0..n {
                let product: f64 = (0..n).map(|t| r(i, t) * r(j, t)).sum();
                let extra = if i == j { 0.1 * (diagonal[i] + median) } else { 0.0 };
                let wanted = f64::from(gram[i * n + j]) + extra;
                assert!((product - wanted).abs() < 1e-3 * (diagonal[i] * diagonal[j]).sqrt(), "{i} {j}");
            }
        }
        assert!(Factor::new(&[0.0; 4], 2, 0.1).is_none());
        assert!(Factor::new(&[1.0, f32::NAN, f32::NAN, 1.0], 2, 0.1).is_none());
    }
}
