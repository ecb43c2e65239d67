//! Classes of rows and columns, from the codes, and how often each symbol comes under each class.

use mcodec_coding::codes::{low_bits, symbol_of};
use rayon::prelude::*;

/// Classes there are: spreads of 2^-4.5 to 2^15 steps.
pub(super) const CLASS_COUNT: usize = 40;
/// Class of codes with a spread of one step.
const UNIT: i16 = 9;
/// Rows that are summed together, so that sums do not depend on threads.
const ROWS: usize = 64;
/// Keeps logarithms of nothing finite.
const FLOOR: f64 = 1e-3;

/// Classes of a matrix of codes; the sum of both, within 0 and [`CLASS_COUNT`], is an element's.
pub(super) struct Spread {
    pub(super) rows: Vec<i16>,
    pub(super) columns: Vec<i16>,
}

impl Spread {
    /// Fits classes to `codes`, in rows of `n`.
    pub(super) fn fit(codes: &[i32], n: usize) -> Self {
        let m = codes.len() / n.max(1);
        let (mut a, mut b) = (vec![0f64; m], vec![0f64; n]);
        for _ in 0..3 {
            let scale: Vec<f32> = b.iter().map(|b| (-2.0 * b).exp2() as f32).collect();
            a.par_iter_mut().zip(codes.par_chunks(n)).for_each(|(a, codes)| {
                let energy = energy(codes, &scale) / n as f64;
                *a = 0.5 * (energy + FLOOR).log2();
            });
            let scale: Vec<f32> = a.iter().map(|a| (-2.0 * a).exp2() as f32).collect();
            let blocks: Vec<Vec<f32>> = codes
                .par_chunks(ROWS * n)
                .zip(scale.par_chunks(ROWS))
                .map(|(codes, scale)| {
                    let mut sums = vec![0f32; n];
                    for (codes, scale) in codes.chunks(n).zip(scale) {
                        for (sum, &code) in sums.iter_mut().zip(codes) {
                            *sum += (code as f32) * (code as f32) * scale;
                        }
                    }
                    sums
                })
                .collect();
            for (j, b) in b.iter_mut().enumerate() {
                let sum: f64 = blocks.iter().map(|sums| f64::from(sums[j])).sum();
                *b = 0.5 * (sum / m.max(1) as f64 + FLOOR).log2();
            }
            let mean = b.iter().sum::<f64>() / n.max(1) as f64;
            b.iter_mut().for_each(|b| *b -= mean);
            a.iter_mut().for_each(|a| *a += mean);
        }
        let halves = |v: &f64| (2.0 * v).round() as i16;
        Self { rows: a.iter().map(|a| halves(a) + UNIT).collect(), columns: b.iter().map(halves).collect() }
    }
}

fn energy(codes: &[i32], scale: &[f32]) -> f64 {
    let mut sums = [0f32; 8];
    let (codes8, codes_rest) = codes.as_chunks::<8>();
    let (scale8, scale_rest) = scale.as_chunks::<8>();
    for (codes, scale) in codes8.iter().zip(scale8) {
        for i in 0..8 {
            let code = codes[i] as f32;
            sums[i] += code * code * scale[i];
        }
    }
    let rest: f32 = codes_rest.iter().zip(scale_rest).map(|(&c, s)| c as f32 * c as f32 * s).sum();
    sums.iter().map(|&s| f64::from(s)).sum::<f64>() + f64::from(rest)
}

/// How often each symbol comes under each class, and the bits that are stored beside symbols.
#[derive(Clone)]
pub(super) struct Counts {
    pub(super) symbols: Vec<[u64; 64]>,
    pub(super) packed_bits: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { symbols: vec![[0; 64]; CLASS_COUNT], packed_bits: 0 }
    }
}

impl Counts {
    /// Of `codes`, in rows of `n`, each counted `times` times.
    pub(super) fn of(codes: &[i32], n: usize, spread: &Spread, times: u64) -> Self {
        let blocks = codes.par_chunks(ROWS * n).zip(spread.rows.par_chunks(ROWS));
        let count = |(codes, rows): (&[i32], &[i16])| {
            let mut counts = Self::default();
            for (codes, row) in codes.chunks(n).zip(rows) {
                for (&code, column) in codes.iter().zip(&spread.columns) {
                    let class = (row + column).clamp(0, CLASS_COUNT as i16 - 1) as usize;
                    let symbol = symbol_of(code.unsigned_abs(), class);
                    counts.symbols[class][usize::from(symbol)] += times;
                    let low = low_bits(class) + u32::from(code != 0);
                    let escape = if symbol == 63 { 11 } else { 0 };
                    counts.packed_bits += u64::from(low + escape) * times;
                }
            }
            counts
        };
        blocks.map(count).reduce(Self::default, Self::plus)
    }

    pub(super) fn plus(mut self, other: Self) -> Self {
        for (mine, theirs) in self.symbols.iter_mut().zip(&other.symbols) {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        self.packed_bits += other.packed_bits;
        self
    }
}
