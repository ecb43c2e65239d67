//! Fitting scales to the rows and columns of differences.

/// Rounds of fitting rows and columns to each other.
const ROUNDS: usize = 4;
/// Labels per octave of scale.
const PHASES: f64 = 4.0;
/// The widest range of column labels.
const COLUMN_SPAN: i32 = 63;
/// Rows that did not change are this far below the least of the others: their elements then have contexts of their own.
const UNCHANGED: i32 = 40;
/// Labels of rows lie within this, either way.
const LIMIT: i32 = 16_000;

/// Scales in quarter octaves: an element's is the sum of its row's and its column's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) rows: Vec<i32>,
    /// One for each column, the least 0; empty: all 0.
    pub(super) columns: Vec<u8>,
}

impl Labels {
    /// Fits labels to the magnitudes of `values`, in rows of `columns` that begin in column `first`.
    pub(super) fn fit(values: &[f32], columns: usize, first: usize, with_columns: bool) -> Self {
        let mut t = vec![1.0f32; columns];
        let count = (first + values.len()).div_ceil(columns);
        let mut s = vec![0.0f32; count];
        for _ in 0..if with_columns { ROUNDS } else { 0 } {
            row_means(values, columns, first, &t, &mut s);
            column_means(values, columns, first, &s, &mut t);
        }
        row_means(values, columns, first, &t, &mut s);
        let mut own = if with_columns { quantised(&t) } else { Vec::new() };
        let mut sorted = own.clone();
        sorted.sort_unstable();
        // Around the median: a column that hardly changed must not squeeze the others.
        let low = sorted.get(sorted.len() / 2).map_or(0, |median| median - COLUMN_SPAN / 2);
        own.iter_mut().for_each(|label| *label = (*label).clamp(low, low + COLUMN_SPAN));
        let least = own.iter().copied().min().unwrap_or(0);
        let known: Vec<Option<i32>> = s.iter().map(|&s| label_of(s)).collect();
        let lowest = known.iter().flatten().copied().min().unwrap_or(0);
        let rows = known
            .iter()
            .map(|label| (label.unwrap_or(lowest - UNCHANGED) + least).clamp(-LIMIT, LIMIT))
            .collect();
        Self { rows, columns: own.iter().map(|label| (label - least) as u8).collect() }
    }

    /// The scale that each element is divided by, inverted: of the rows and of the columns.
    pub(super) fn inverse_scales(&self, columns: usize) -> (Vec<f32>, Vec<f32>) {
        let inverse = |label: i32| f64::powf(2.0, -f64::from(label) / PHASES) as f32;
        let rows = self.rows.iter().map(|&label| inverse(label)).collect();
        let own = if self.columns.is_empty() {
            vec![1.0; columns]
        } else {
            self.columns.iter().map(|&label| inverse(label.into())).collect()
        };
        (rows, own)
    }
}

/// The label of a scale, if it is one.
fn label_of(scale: f32) -> Option<i32> {
    let known = scale > 0.0 && scale.is_finite();
    known.then(|| (f64::from(scale).log2() * PHASES).round() as i32)
}

/// Labels of columns; those without change get the least.
fn quantised(scales: &[f32]) -> Vec<i32> {
    let known: Vec<Option<i32>> = scales.iter().map(|&s| label_of(s)).collect();
    let least = known.iter().flatten().copied().min().unwrap_or(0);
    known.into_iter().map(|label| label.unwrap_or(least)).collect()
}

/// Rows as slices, with the column of the first element of each.
pub(super) fn rows_of(values: &[f32], columns: usize, first: usize) -> impl Iterator<Item = (usize, &[f32])> {
    let head = (columns - first).min(values.len());
    let (head, rest) = values.split_at(head);
    std::iter::once((first, head)).chain(rest.chunks(columns).map(|row| (0, row)))
}

fn row_means(values: &[f32], columns: usize, first: usize, t: &[f32], s: &mut [f32]) {
    let inverse: Vec<f32> = t.iter().map(|&t| if t > 0.0 { 1.0 / t } else { 0.0 }).collect();
    for ((column, row), mean) in rows_of(values, columns, first).zip(s) {
        let mut sums = [0.0f32; 8];
        let (chunks, rest) = row.as_chunks::<8>();
        let (scales, rest_scales) = inverse[column..column + row.len()].as_chunks::<8>();
        for (chunk, scales) in chunks.iter().zip(scales) {
            for ((sum, value), scale) in sums.iter_mut().zip(chunk).zip(scales) {
                *sum += value.abs() * scale;
            }
        }
        let tail: f32 = rest.iter().zip(rest_scales).map(|(value, scale)| value.abs() * scale).sum();
        *mean = (sums.iter().sum::<f32>() + tail) / row.len().max(1) as f32;
    }
}

fn column_means(values: &[f32], columns: usize, first: usize, s: &[f32], t: &mut [f32]) {
    t.fill(0.0);
    let mut counts = vec![0.0f32; columns];
    for ((column, row), &scale) in rows_of(values, columns, first).zip(s) {
        if scale <= 0.0 {
            continue;
        }
        let inverse = 1.0 / scale;
        for ((value, sum), count) in row.iter().zip(&mut t[column..]).zip(&mut counts[column..]) {
            *sum += value.abs() * inverse;
            *count += 1.0;
        }
    }
    t.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= count.max(1.0));
}
