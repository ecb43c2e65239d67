//! How often each symbol of a field occurs.

use std::collections::BTreeMap;

use mcodec_coding::Result;
use mcodec_coding::planes;

use super::split::Field;

/// The widest field that is counted, in bits.
pub(super) const MAX_COUNTED: u8 = 16;

/// Bytes that are counted at a time: whole units of any size.
const RUN: usize = 15 << 10;

/// The counts of one field's symbols.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    /// By symbol; 2^width of them.
    pub(super) counts: Vec<u32>,
}

impl Histogram {
    /// Counts the field's symbols in `bytes`.
    fn count(bytes: &[u8], unit_bits: u8, field: Field) -> Result<Self> {
        let mut counts = vec![0u32; 1 << field.width];
        let mask = counts.len() - 1;
        // A few runs at a time: the symbols of a whole chunk would leave the cache.
        for run in bytes.chunks(RUN) {
            for symbol in planes::symbols(run, unit_bits, field.shift, field.width)? {
                let count = &mut counts[usize::from(symbol) & mask];
                *count = count.saturating_add(1);
            }
        }
        Ok(Self { counts })
    }

    /// The counts of `inner`, a part of the field `outer` that this counts.
    fn part(&self, outer: Field, inner: Field) -> Self {
        let low = inner.shift - outer.shift;
        let mut counts = vec![0u32; 1 << inner.width];
        let mask = counts.len() - 1;
        for (run, total) in self
            .counts
            .chunks(1 << low)
            .map(|run| run.iter().fold(0, |sum: u32, &count| sum.saturating_add(count)))
            .enumerate()
        {
            counts[run & mask] = counts[run & mask].saturating_add(total);
        }
        Self { counts }
    }

    /// Adds the counts of another chunk.
    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
    }

    /// The symbols that occur, ascending, and how often.
    pub(super) fn occurring(&self) -> (Vec<u16>, Vec<u64>) {
        let used = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        used.map(|(symbol, &count)| (symbol as u16, u64::from(count))).unzip()
    }
}

/// The histograms of a chunk, made when first asked for.
pub(super) struct Histograms<'a> {
    bytes: &'a [u8],
    unit_bits: u8,
    made: BTreeMap<Field, Histogram>,
}

impl<'a> Histograms<'a> {
    pub(super) fn new(bytes: &'a [u8], unit_bits: u8) -> Self {
        Self { bytes, unit_bits, made: BTreeMap::new() }
    }

    /// Counts `field` now, so that its parts need no further pass over the bytes.
    pub(super) fn prepare(&mut self, field: Field) -> Result<()> {
        self.of(field).map(drop)
    }

    /// The histogram of `field`, which must be at most [`MAX_COUNTED`] bits wide.
    pub(super) fn of(&mut self, field: Field) -> Result<&Histogram> {
        if !self.made.contains_key(&field) {
            let outer = self.made.iter().find(|(outer, _)| outer.holds(field));
            let histogram = match outer {
                Some((outer, histogram)) => histogram.part(*outer, field),
                None => Histogram::count(self.bytes, self.unit_bits, field)?,
            };
            self.made.insert(field, histogram);
        }
        Ok(&self.made[&field])
    }
}
