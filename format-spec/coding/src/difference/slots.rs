//! A table's slots, for decoding and for encoding (`SPEC.md` section 7.6.2).

use crate::alias::Layout;
use crate::labelled::buckets_of;
use crate::table::Table;

/// Frequencies sum to 2^12.
pub(super) const PRECISION: u32 = 12;
pub(super) const SLOTS: usize = 1 << PRECISION;
/// Symbols are below this.
pub(super) const SYMBOLS: usize = 64;
/// Slots of a bucket, as bits.
pub(super) const PLACE_BITS: u32 = PRECISION - SYMBOLS.ilog2();

/// The most tables there may be.
pub(super) const MAX_TABLES: usize = 64;
/// Buckets of that many tables.
pub(super) const ALL_BUCKETS: usize = MAX_TABLES * SYMBOLS;

/// The buckets of a table's slots, packed as those of labelled floats. All tables that there may be are 32 KiB: slots one by one would be
/// a megabyte, and most of the time would go to waiting for them.
pub(super) type Buckets = [u64; SYMBOLS];

fn layout(freqs: &[u16; SYMBOLS]) -> Layout {
    Layout::new(freqs, SYMBOLS, 1 << PLACE_BITS)
}

/// The buckets of a table of precision 12 whose values are below 64.
pub(super) fn buckets(table: &Table) -> Buckets {
    let freqs = freqs(table);
    buckets_of(&layout(&freqs), &freqs, PRECISION).map(|bucket| bucket.packed())
}

/// The frequency of each symbol.
pub(super) fn freqs(table: &Table) -> [u16; SYMBOLS] {
    let mut freqs = [0; SYMBOLS];
    for (&value, &freq) in table.values().iter().zip(table.freqs()) {
        freqs[usize::from(value) % SYMBOLS] = freq;
    }
    freqs
}

/// A table as an encoder uses it.
#[derive(Debug)]
pub(super) struct RankTable {
    /// Frequency, and where the symbol's slots start.
    pub(super) symbols: [(u32, u32); SYMBOLS],
    slots: Vec<u16>,
}

impl RankTable {
    /// The slots of such a table by symbol and rank.
    pub(super) fn new(table: &Table) -> Self {
        let freqs = freqs(table);
        let mut start = 0;
        let symbols = freqs.map(|freq| {
            let first = start;
            start += u32::from(freq);
            (u32::from(freq), first)
        });
        let mut slots = vec![0u16; SLOTS];
        layout(&freqs).for_each_slot(|slot, symbol, rank| {
            slots[(symbols[symbol % SYMBOLS].1 + rank) as usize % SLOTS] = slot as u16;
        });
        Self { symbols, slots }
    }

    /// The slot of rank `rank` of a symbol whose slots start at `start`.
    pub(super) fn slot(&self, start: u32, rank: u32) -> u32 {
        u32::from(self.slots[(start + rank) as usize % SLOTS])
    }
}
