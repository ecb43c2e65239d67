//! How often each magnitude occurs, relative to the scale of its class.

use super::PHASES;
use super::fit::Labelling;
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

/// Counts of one class, by exponent and top mantissa bits less those of the class's octave.
#[derive(Debug, Clone)]
pub(super) struct Histogram(pub(super) [u32; BINS + 2]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BINS + 2])
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
        let (mut bits, mut used) = (0.0, 0);
        for &count in self.0.iter().filter(|c| **c > 0) {
            bits -= f64::from(count) * (f64::from(count) / n as f64).log2();
            used += 1;
        }
        bits + TABLE_BITS + f64::from(used) * SYMBOL_BITS + f64::from(self.0[FAR]) * ESCAPE_BITS
    }

    /// The ideal code length of these counts under the frequencies of `of`, in bits.
    pub(super) fn cost_under(&self, of: &Self) -> f64 {
        let n = of.total() as f64 + 1.0;
        let mut bits = f64::from(self.0[FAR]) * ESCAPE_BITS;
        for (&count, &frequency) in self.0.iter().zip(&of.0).filter(|(c, _)| **c > 0) {
            // What the table lacks is escaped.
            bits += f64::from(count)
                * if frequency > 0 { (n / f64::from(frequency)).log2() } else { n.log2() + ESCAPE_BITS };
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
    /// Counts every `stride`th row of the matrix.
    pub(super) fn count(matrix: &Matrix, labels: &Labelling, stride: usize) -> Self {
        let (low, high) = labels.range();
        let first = low.div_euclid(PHASES) * PHASES;
        let mut classes = vec![Histogram::default(); (high - first + 1) as usize];
        let base = base_of(matrix);
        for row in (0..matrix.rows()).step_by(stride) {
            let (column, elements) = matrix.row(row);
            let row_class = labels.rows[row];
            if labels.columns.is_empty() {
                let octave = row_class.div_euclid(PHASES);
                let counts = &mut classes[(row_class - first) as usize].0;
                elements.iter().for_each(|&high| counts[bin_of(high, octave, base)] += 1);
                continue;
            }
            for (&high, &label) in elements.iter().zip(&labels.columns[column..]) {
                let class = row_class + label;
                let counts = &mut classes[(class - first) as usize].0;
                counts[bin_of(high, class.div_euclid(PHASES), base)] += 1;
            }
        }
        Self { first, classes }
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

/// Bin of exponent field 0 in octave 0.
fn base_of(matrix: &Matrix) -> i32 {
    let bias = (1 << (matrix.format.exponent_bits() - 1)) - 1;
    (BELOW - bias) << BIN_BITS
}

fn bin_of(high: u16, octave: i32, base: i32) -> usize {
    let y = i32::from((high & !SIGN) >> (TOP - BIN_BITS));
    let bin = y + base - (octave << BIN_BITS);
    if (0..BINS as i32).contains(&bin) {
        bin as usize
    } else if y == 0 {
        ZEROS
    } else {
        FAR
    }
}
