//! The dominant components of a matrix, by subspace iteration.

use rayon::prelude::*;

/// Components beyond those that are wanted, so that these converge.
const SPARE: usize = 6;
/// Columns that one task sums up.
const STRIP: usize = 256;

/// The first components U S V' of a matrix, the largest first.
#[derive(Debug, Clone)]
pub(super) struct Components {
    /// Singular values.
    pub(super) strengths: Vec<f32>,
    /// By component, then column: V.
    pub(super) right: Vec<f32>,
}

/// `rank` components of the matrix `z` of rows of `columns`; `start` are those of a matrix like it, if they are known.
///
/// Sums have one order whatever the number of threads.
pub(super) fn components(
    z: &[f32],
    columns: usize,
    rank: usize,
    rounds: usize,
    start: Option<&Components>,
) -> Components {
    let rows = z.len() / columns.max(1);
    let count = (rank + SPARE).min(rows).min(columns);
    let mut right = match start {
        Some(known) if known.right.len() >= count * columns => known.right[..count * columns].to_vec(),
        _ => noise(count * columns),
    };
    let rounds = if start.is_some() { rounds.div_ceil(2) } else { rounds };
    let mut left = Vec::new();
    for _ in 0..=rounds {
        orthogonalise(&mut right, columns);
        left = project(z, &right, columns);
        let mut by_component = transposed(&left, count);
        orthogonalise(&mut by_component, rows);
        left = transposed(&by_component, rows);
        right = back(z, &left, columns, count);
    }
    drop(left);
    rotate(right, columns, count)
}

/// With Q orthonormal and `right` = Z' Q: singular values, and V in their order.
fn rotate(right: Vec<f32>, columns: usize, count: usize) -> Components {
    let dot = |a: usize, b: usize| {
        let rows = (&right[a * columns..(a + 1) * columns], &right[b * columns..(b + 1) * columns]);
        rows.0.iter().zip(rows.1).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
    };
    let mut gram = vec![0.0f64; count * count];
    for a in 0..count {
        for b in 0..=a {
            (gram[a * count + b], gram[b * count + a]) = (dot(a, b), dot(a, b));
        }
    }
    let (values, vectors) = symmetric_eigen(gram, count);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let mut all = Components { strengths: Vec::new(), right: Vec::with_capacity(right.len()) };
    for &at in &order {
        let strength = values[at].max(0.0).sqrt();
        let scale = if strength > 0.0 { 1.0 / strength } else { 0.0 };
        let mut row = vec![0.0f32; columns];
        for (k, source) in right.chunks(columns).enumerate() {
            let weight = (vectors[k * count + at] * scale) as f32;
            row.iter_mut().zip(source).for_each(|(sum, x)| *sum += weight * x);
        }
        all.strengths.push(strength as f32);
        all.right.extend(row);
    }
    all
}

/// Numbers without pattern, the same every time.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

/// Makes the rows of length `len` orthonormal; rows that depend on those before become zero.
fn orthogonalise(rows: &mut [f32], len: usize) {
    let count = rows.len() / len.max(1);
    for at in 0..count {
        let (before, rest) = rows.split_at_mut(at * len);
        let own = &mut rest[..len];
        let first = norm(own);
        // Twice is enough.
        for _ in 0..2 {
            for other in before.chunks(len) {
                let along = dot(own, other);
                own.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
            }
        }
        let left = norm(own);
        let scale = if left > 1e-5 * first { 1.0 / left } else { 0.0 };
        own.iter_mut().for_each(|x| *x *= scale);
    }
}

fn norm(row: &[f32]) -> f32 {
    dot(row, row).sqrt()
}

/// A dot product in eight sums, which vectors of any width can hold.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum::<f32>()
}

/// Z V: by row, then component.
pub(super) fn project(z: &[f32], right: &[f32], columns: usize) -> Vec<f32> {
    z.par_chunks(columns).flat_map_iter(|row| right.chunks(columns).map(move |v| dot(row, v))).collect()
}

/// Z' Y: by component, then column.
fn back(z: &[f32], left: &[f32], columns: usize, count: usize) -> Vec<f32> {
    let strips: Vec<Vec<f32>> = (0..columns)
        .step_by(STRIP)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|from| {
            let width = STRIP.min(columns - from);
            let mut sums = vec![0.0f32; count * width];
            for (row, weights) in z.chunks(columns).zip(left.chunks(count.max(1))) {
                let row = &row[from..from + width];
                for (sums, weight) in sums.chunks_mut(width).zip(weights) {
                    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
                }
            }
            sums
        })
        .collect();
    let mut all = Vec::with_capacity(count * columns);
    for component in 0..count {
        for strip in &strips {
            let width = strip.len() / count.max(1);
            all.extend_from_slice(&strip[component * width..(component + 1) * width]);
        }
    }
    all
}

/// From rows of `width` to rows of the other dimension.
fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    let height = values.len() / width.max(1);
    (0..width).flat_map(|x| (0..height).map(move |y| values[y * width + x])).collect()
}

/// Eigenvalues and (in columns) eigenvectors of a symmetric matrix, by Jacobi's rotations.
fn symmetric_eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    const SWEEPS: usize = 12;
    let mut v = vec![0.0; n * n];
    (0..n).for_each(|i| v[i * n + i] = 1.0);
    for _ in 0..SWEEPS {
        for p in 0..n {
            for q in p + 1..n {
                let off = a[p * n + q];
                if off.abs() <= 1e-14 * (a[p * n + p].abs() + a[q * n + q].abs()) {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (x, y) = (a[k * n + p], a[k * n + q]);
                    (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (a[p * n + k], a[q * n + k]);
                    (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (v[k * n + p], v[k * n + q]);
                    (v[k * n + p], v[k * n + q]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_of_a_known_matrix_are_found() {
        let (rows, columns) = (70, 50);
        let unit = |n: usize, k: usize| -> Vec<f32> {
            let wave = (0..n).map(|i| ((i * k) as f32 * std::f32::consts::PI / n as f32 + 0.3).cos());
            let wave: Vec<f32> = wave.collect();
            let size = norm(&wave);
            wave.into_iter().map(|x| x / size).collect()
        };
        let mut z = vec![0.0; rows * columns];
        for (k, strength) in [(1, 9.0f32), (3, 4.0), (7, 1.0)] {
            let (u, v) = (unit(rows, 2 * k), unit(columns, 2 * k));
            for (i, row) in z.chunks_mut(columns).enumerate() {
                row.iter_mut().zip(&v).for_each(|(z, v)| *z += strength * u[i] * v);
            }
        }
        let found = components(&z, columns, 3, 3, None);
        for (have, want) in found.strengths.iter().zip([9.0, 4.0, 1.0, 0.0]) {
            assert!((have - want).abs() < 0.1, "{:?}", found.strengths);
        }
        let left = project(&z, &found.right[..3 * columns], columns);
        let rest: f32 = z
            .chunks(columns)
            .zip(left.chunks(3))
            .map(|(row, y)| {
                let told: Vec<f32> =
                    (0..columns).map(|j| (0..3).map(|k| y[k] * found.right[k * columns + j]).sum()).collect();
                row.iter().zip(told).map(|(x, t)| (x - t) * (x - t)).sum::<f32>()
            })
            .sum();
        assert!(rest < 1e-4, "{rest}");
        assert!(components(&[0.0; 12], 4, 2, 1, None).strengths.iter().all(|s| *s == 0.0));
    }
}
