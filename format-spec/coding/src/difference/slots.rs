//! A table's slots, for decoding and for encoding (`SPEC.md` section 7.6.2).

use crate::alias::Layout;
use crate::table::Table;

/// Frequencies sum to 2^12.
pub(super) const PRECISION: u32 = 12;
pub(super) const SLOTS: usize = 1 << PRECISION;
/// Symbols are below this.
pub(super) const SYMBOLS: usize = 64;

/// The slots of a table.
#[derive(Debug, Clone)]
pub(super) struct SlotTable {
    /// Symbol in bits 0..6, frequency in 6..19, rank in 19..32.
    pub(super) slots: Box<[u32; SLOTS]>,
}

impl SlotTable {
    /// The slots of a table of precision 12 whose values are below 64.
    pub(super) fn new(table: &Table) -> Self {
        let freqs = freqs(table);
        let layout = Layout::new(&freqs, SYMBOLS, (SLOTS / SYMBOLS) as u32);
        let mut slots = Box::new([0; SLOTS]);
        layout.for_each_slot(|slot, symbol, rank| {
            if let Some(cell) = slots.get_mut(slot) {
                *cell = symbol as u32 | u32::from(freqs[symbol % SYMBOLS]) << 6 | rank << 19;
            }
        });
        Self { slots }
    }

    /// The same, by symbol and rank.
    pub(super) fn ranks(&self) -> RankTable {
        let mut symbols = [(0u32, 0u32); SYMBOLS];
        for slot in self.slots.iter() {
            symbols[(slot & 63) as usize].0 = slot >> 6 & 0x1FFF;
        }
        let mut start = 0;
        for (freq, first) in &mut symbols {
            *first = start;
            start += *freq;
        }
        let mut slots = vec![0u16; SLOTS];
        for (at, slot) in self.slots.iter().enumerate() {
            slots[(symbols[(slot & 63) as usize].1 + (slot >> 19)) as usize] = at as u16;
        }
        RankTable { symbols, slots }
    }
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
    /// The slot of rank `rank` of a symbol whose slots start at `start`.
    pub(super) fn slot(&self, start: u32, rank: u32) -> u32 {
        u32::from(self.slots[(start + rank) as usize % SLOTS])
    }
}
