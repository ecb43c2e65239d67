//! Singular vectors by one-sided Jacobi rotations: short, accurate, and the same whatever the number of threads.

use rayon::prelude::*;

/// Sweeps at most; a handful is the rule.
const SWEEPS: usize = 30;
/// Columns whose cosine is below this are orthogonal.
const ORTHOGONAL: f64 = 1e-12;
/// What is smaller than this share of the greatest singular value is nothing.
const NOTHING: f64 = 1e-10;

/// Left singular vectors of a matrix of `columns`, by falling singular values, each with its own; vectors of what is nothing are zero.
/// The greatest number of each is positive.
pub(super) fn left_vectors(mut columns: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    if columns.len() % 2 == 1 {
        columns.push(vec![0.0; columns.first().map_or(0, Vec::len)]);
    }
    let n = columns.len();
    for _ in 0..SWEEPS {
        let mut turned = false;
        // A tournament: each round every column meets another, the first stays and the others move on.
        for _ in 1..n.max(2) {
            let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = (0..n / 2)
                .map(|i| (std::mem::take(&mut columns[i]), std::mem::take(&mut columns[n - 1 - i])))
                .collect();
            turned |= pairs.par_iter_mut().map(|(a, b)| rotate(a, b)).reduce(|| false, |x, y| x | y);
            for (i, (a, b)) in pairs.into_iter().enumerate() {
                (columns[i], columns[n - 1 - i]) = (a, b);
            }
            if n > 2 {
                columns[1..].rotate_right(1);
            }
        }
        if !turned {
            break;
        }
    }
    let mut all: Vec<(f64, Vec<f64>)> = columns.into_iter().map(|c| (dot(&c, &c).sqrt(), c)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let least = all.first().map_or(0.0, |(most, _)| most * NOTHING);
    for (value, vector) in &mut all {
        let greatest = vector.iter().copied().fold(0.0, |m: f64, v| if v.abs() > m.abs() { v } else { m });
        let scale = if *value > least { value.recip().copysign(greatest) } else { 0.0 };
        vector.iter_mut().for_each(|v| *v *= scale);
    }
    all
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let ((a8, a_rest), (b8, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a8.iter().zip(b8) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// Makes two columns orthogonal; whether they were not.
fn rotate(a: &mut [f64], b: &mut [f64]) -> bool {
    let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
    if ab == 0.0 || ab.abs() <= ORTHOGONAL * (aa * bb).sqrt() {
        return false;
    }
    let zeta = (bb - aa) / (2.0 * ab);
    let t = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let c = t.hypot(1.0).recip();
    let s = c * t;
    for (a, b) in a.iter_mut().zip(b) {
        let (x, y) = (*a, *b);
        *a = c * x - s * y;
        *b = s * x + c * y;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_orthonormal_and_rebuild_the_matrix() {
        for (rows, columns) in [(7, 5), (6, 6), (1, 4), (5, 1), (9, 8)] {
            let at = |r: usize, c: usize| ((r * 31 + c * 17) % 23) as f64 / 7.0 - 1.5;
            let matrix: Vec<Vec<f64>> = (0..columns).map(|c| (0..rows).map(|r| at(r, c)).collect()).collect();
            let found = left_vectors(matrix.clone());
            for pair in found.windows(2) {
                assert!(pair[0].0 >= pair[1].0);
            }
            for (i, a) in found.iter().enumerate() {
                for (j, b) in found.iter().enumerate() {
                    let product = dot(&a.1, &b.1);
                    let wanted = if i == j && a.0 > 1e-9 { 1.0 } else { 0.0 };
                    assert!((product - wanted).abs() < 1e-9, "{rows} {columns}: {i} {j} {product}");
                }
            }
            // What the vectors span is the whole of each column.
            for column in &matrix {
                let mut rest = column.clone();
                for (_, vector) in &found {
                    let share = dot(vector, column);
                    rest.iter_mut().zip(vector).for_each(|(r, v)| *r -= share * v);
                }
                assert!(rest.iter().all(|v| v.abs() < 1e-9), "{rows} {columns}: {rest:?}");
            }
        }
    }
}
