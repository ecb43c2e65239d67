//! How often each magnitude occurs, relative to the scale of its class.

use std::collections::HashMap;

use super::PHASES;
use super::fit::Labelling;
use super::log2::log2;
use super::matrix::{Matrix, SIGN, TOP};

/// Octaves below and above a class's own that are told apart.
pub(super) const BELOW: i32 = 16;
pub(super) const ABOVE: i32 = 16;
/// Mantissa bits of a bin.
pub(super) const BIN_BITS: u32 = 2;
/// Bins of a class, then one for zeros and one for all that is out of reach.
pub(super) const BINS: usize = ((BELOW + ABOVE) << BIN_BITS) as usize;
pub(super) const ZEROS: usize = BINS;
pub(super) const FAR: usize = BINS + 1;
const COUNTS: usize = BINS + 2;
/// Elements whose places are found at once.
const RUN: usize = 512;

/// Counts of one class, by exponent and top mantissa bits less those of the class's octave.
#[derive(Debug, Clone)]
pub(super) struct Histogram(pub(super) [u32; COUNTS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; COUNTS])
    }
}

impl Histogram {
    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|&c| u64::from(c)).sum()
    }

    /// Adds counts whose class lies `octaves` octaves higher than its place here.
    pub(super) fn add(&mut self, other: &Self, octaves: i32) {
        let shift = octaves << BIN_BITS;
        for (bin, &count) in other.0[..BINS].iter().enumerate().filter(|(_, c)| **c > 0) {
            let to = bin as i32 + shift;
            let to = if (0..BINS as i32).contains(&to) { to as usize } else { FAR };
            self.0[to] += count;
        }
        self.0[ZEROS] += other.0[ZEROS];
        self.0[FAR] += other.0[FAR];
    }

    /// The ideal code length, in bits, of these counts under their own frequencies, and what a table of them would take.
    pub(super) fn cost(&self) -> f64 {
        let n = self.total();
        if n == 0 {
            return 0.0;
        }
        let counts = self.0.iter().map(|&count| f64::from(count));
        let bits = n as f64 * log2(n as f64) - counts.map(|c| c * log2(c.max(1.0))).sum::<f64>();
        let used = self.0.iter().filter(|c| **c > 0).count() as f64;
        bits + TABLE_BITS + used * SYMBOL_BITS + f64::from(self.0[FAR]) * ESCAPE_BITS
    }

    /// The ideal code length of these counts under the frequencies of `of`, in bits.
    pub(super) fn cost_under(&self, of: &Self) -> f64 {
        let log_n = log2(of.total() as f64 + 1.0);
        let mut bits = f64::from(self.0[FAR]) * ESCAPE_BITS;
        for (&count, &frequency) in self.0.iter().zip(&of.0).filter(|(c, _)| **c > 0) {
            // What the table lacks is escaped.
            bits += f64::from(count)
                * if frequency > 0 { log_n - log2(frequency.into()) } else { log_n + ESCAPE_BITS };
        }
        bits
    }
}

/// About what a table takes by itself, and for each symbol.
const TABLE_BITS: f64 = 40.0;
const SYMBOL_BITS: f64 = 4.5;
/// What an escape takes besides its symbol.
pub(super) const ESCAPE_BITS: f64 = 10.0;

/// Counts by class.
#[derive(Debug, Clone, Default)]
pub(super) struct ByClass {
    /// The least class that occurs, a multiple of [`PHASES`].
    pub(super) first: i32,
    pub(super) classes: Vec<Histogram>,
}

impl ByClass {
    /// Counts about `sample` elements of the matrix, in whole rows; each counts for as many as there are for it.
    pub(super) fn count(matrix: &Matrix, labels: &Labelling, sample: usize) -> Self {
        let (low, high) = labels.range();
        let first = low.div_euclid(PHASES) * PHASES;
        let mut counts = vec![0u32; (high - first + 1) as usize * COUNTS];
        let stride = (matrix.highs.len() / sample.max(1)).max(1);
        let mut patterns: HashMap<i32, Pattern> = HashMap::new();
        let mut places = [0u16; RUN];
        for row in (0..matrix.rows()).step_by(stride) {
            let (column, elements) = matrix.row(row);
            let label = labels.rows[row];
            let pattern = patterns
                .entry(label)
                .or_insert_with(|| Pattern::new(matrix, label - first, first, &labels.columns));
            for (at, run) in elements.chunks(RUN).enumerate() {
                pattern.places(run, column + at * RUN, &mut places);
                places[..run.len()].iter().for_each(|&place| counts[usize::from(place)] += 1);
            }
        }
        let scaled = |counts: &[u32; COUNTS]| Histogram(counts.map(|count| count * stride as u32));
        Self { first, classes: counts.as_chunks().0.iter().map(scaled).collect() }
    }

    /// The classes of each phase together.
    pub(super) fn phases(&self) -> [Histogram; PHASES as usize] {
        let mut phases: [Histogram; PHASES as usize] = Default::default();
        for (class, histogram) in self.classes.iter().enumerate() {
            phases[class % PHASES as usize].add(histogram, 0);
        }
        phases
    }

    /// Code length with a table for each phase.
    pub(super) fn phase_cost(&self) -> f64 {
        self.phases().iter().map(Histogram::cost).sum()
    }
}

/// Where the elements of a row with some label are counted.
struct Pattern {
    /// For each column, or all: what is added to exponent and top mantissa bits (modulo 2^16) for the bin, and the class's first place.
    columns: Vec<(u16, u16)>,
    same: bool,
}

impl Pattern {
    fn new(matrix: &Matrix, row: i32, first: i32, columns: &[i32]) -> Self {
        let bias = (1 << (matrix.format.exponent_bits() - 1)) - 1;
        let of = |label: &i32| {
            let class = row + label;
            let octave = (first + class).div_euclid(PHASES);
            // Bin of exponent field 0.
            let zero = (BELOW - bias - octave) << BIN_BITS;
            (zero as u16, class as u16 * COUNTS as u16)
        };
        match columns {
            [] => Self { columns: vec![of(&0)], same: true },
            columns => Self { columns: columns.iter().map(of).collect(), same: false },
        }
    }

    /// The places of a run of elements from column `column` on.
    fn places(&self, run: &[u16], column: usize, places: &mut [u16; RUN]) {
        let place = |high: u16, (zero, first): (u16, u16)| {
            let y = (high & !SIGN) >> (TOP - BIN_BITS);
            let bin = y.wrapping_add(zero);
            let other = if y == 0 { ZEROS as u16 } else { FAR as u16 };
            first + if bin < BINS as u16 { bin } else { other }
        };
        if self.same {
            let of_all = self.columns[0];
            places.iter_mut().zip(run).for_each(|(at, &high)| *at = place(high, of_all));
        } else {
            let columns = &self.columns[column..column + run.len()];
            places.iter_mut().zip(run).zip(columns).for_each(|((at, &high), &of)| *at = place(high, of));
        }
    }
}
