//! Triangular factors of damped Gram matrices.

use rayon::prelude::*;

/// Columns that are factored together.
const PANEL: usize = 32;

/// An upper triangular R with `R R^T` the damped Gram matrix, as error feedback uses it.
pub(super) struct Factor {
    /// The diagonal of R.
    pub(super) diagonal: Vec<f64>,
    /// `R[k][j] / R[j][j]` for k < j, column after column.
    mixing: Vec<f32>,
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
            let mut lower = vec![0f64; n * n];
            for i in 0..n {
                for j in 0..=i {
                    lower[i * n + j] = f64::from(gram[(n - 1 - i) * n + (n - 1 - j)]);
                }
                lower[i * n + i] += damping * (diagonal[n - 1 - i].max(0.0) + median);
            }
            if cholesky(&mut lower, n) {
                return Some(Self::of_flipped(&lower, n));
            }
            damping *= 2.0;
        }
        None
    }

    fn of_flipped(lower: &[f64], n: usize) -> Self {
        let at = |i: usize, j: usize| lower[(n - 1 - i) * n + (n - 1 - j)];
        let mut mixing = Vec::with_capacity(n * (n - 1) / 2);
        for j in 0..n {
            let inverse = 1.0 / at(j, j);
            mixing.extend((0..j).map(|k| (at(k, j) * inverse) as f32));
        }
        Self { diagonal: (0..n).map(|j| at(j, j)).collect(), mixing }
    }

    /// What the errors of the columns before `j` add to column `j`.
    pub(super) fn column(&self, j: usize) -> &[f32] {
        let start = j * j.saturating_sub(1) / 2;
        &self.mixing[start..start + j]
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        4 * self.mixing.len() + 8 * self.diagonal.len()
    }
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
fn cholesky(a: &mut [f64], n: usize) -> bool {
    for first in (0..n).step_by(PANEL) {
        let end = (first + PANEL).min(n);
        let (above, below) = a.split_at_mut(end * n);
        for i in first..end {
            for j in first..=i {
                let sum = above[i * n + j] - dot(&above[i * n..i * n + j], &above[j * n..j * n + j]);
                if i == j {
                    if sum <= 0.0 || !sum.is_finite() {
                        return false;
                    }
                    above[i * n + i] = sum.sqrt();
                } else {
                    above[i * n + j] = sum / above[j * n + j];
                }
            }
        }
        below.par_chunks_mut(n).for_each(|row| {
            for j in first..end {
                let of = &above[j * n..=j * n + j];
                row[j] = (row[j] - dot(&row[..j], &of[..j])) / of[j];
            }
        });
    }
    true
}

/// The sum of products, in eight sums that do not wait for each other.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    let mut sums = [0f64; 8];
    for (a, b) in a8.iter().zip(b8) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
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
        let r = |k: usize, j: usize| match k.cmp(&j) {
            std::cmp::Ordering::Less => f64::from(factor.column(j)[k]) * factor.diagonal[j],
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
