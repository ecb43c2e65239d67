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
pub(super) fn left_vectors(columns: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    let seen = columns.first().map_or(0, Vec::len);
    let mut all = turned(columns, seen);
    let least = all.first().map_or(0.0, |(most, _)| most * NOTHING);
    for (value, vector) in &mut all {
        let scale = if *value > least { value.recip() } else { 0.0 };
        vector.iter_mut().for_each(|v| *v *= scale);
    }
    all
}

/// As [`left_vectors`], of a matrix of `rows`; there are as many vectors as rows, and all are orthonormal: they are the rotations themselves.
pub(super) fn left_vectors_of_rows(rows: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    let (count, seen) = (rows.len(), rows.first().map_or(0, Vec::len));
    let with_place = |(at, mut row): (usize, Vec<f64>)| {
        row.extend((0..count).map(|place| f64::from(u8::from(place == at))));
        row
    };
    let mut all = turned(rows.into_iter().enumerate().map(with_place).collect(), seen);
    for (_, vector) in &mut all {
        vector.drain(..seen);
    }
    all
}

/// Turns columns in pairs until their first `seen` numbers are orthogonal; by falling length of these.
fn turned(mut columns: Vec<Vec<f64>>, seen: usize) -> Vec<(f64, Vec<f64>)> {
    let odd = columns.len() % 2 == 1;
    if odd {
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
            turned |= pairs.par_iter_mut().map(|(a, b)| rotate(a, b, seen)).reduce(|| false, |x, y| x | y);
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
    if odd {
        // What was added meets only products of nothing, so it is still all zero.
        let nothing = columns.iter().position(|c| c.iter().all(|v| *v == 0.0));
        nothing.map(|at| columns.remove(at));
    }
    let length = |c: &[f64]| dot(&c[..seen], &c[..seen]).sqrt();
    let mut all: Vec<(f64, Vec<f64>)> = columns.into_iter().map(|c| (length(&c), c)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (_, vector) in &mut all {
        let own = if vector.len() > seen { &vector[seen..] } else { &vector[..] };
        let greatest = own.iter().copied().fold(0.0, |m: f64, v| if v.abs() > m.abs() { v } else { m });
        if greatest < 0.0 {
            vector.iter_mut().for_each(|v| *v = -*v);
        }
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

/// Makes the first `seen` numbers of two columns orthogonal; whether they were not.
fn rotate(a: &mut [f64], b: &mut [f64], seen: usize) -> bool {
    let (head_a, head_b) = (&a[..seen], &b[..seen]);
    let (aa, bb, ab) = (dot(head_a, head_a), dot(head_b, head_b), dot(head_a, head_b));
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
            let by_rows = (0..rows).map(|r| matrix.iter().map(|column| column[r]).collect()).collect();
            let again = left_vectors_of_rows(by_rows);
            assert_eq!(again.len(), rows);
            for (i, a) in again.iter().enumerate() {
                for (j, b) in again.iter().enumerate() {
                    let wanted = f64::from(u8::from(i == j));
                    assert!((dot(&a.1, &b.1) - wanted).abs() < 1e-12, "{rows} {columns}: {i} {j}");
                }
            }
            for (a, b) in found.iter().zip(&again).filter(|(a, _)| a.0 > 1e-6) {
                assert!((a.0 - b.0).abs() < 1e-9 * found[0].0, "{rows} {columns}: {} {}", a.0, b.0);
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
