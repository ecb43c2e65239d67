//! The tables of classes as an encoder uses them.

use super::classes::{BUCKETS, Classes, ESCAPE, SIGN_PRECISION, SYMBOLS, ZERO};

/// How one symbol of one table is coded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    /// ceil(2^(32 + P) / freq). As states are below freq * 2^(32 - P) before they are divided, and freq at most 2^P, the product with
    /// a state neither overflows nor gives anything but the exact quotient.
    reciprocal: u64,
    /// The greatest state that has room for the symbol.
    limit: u32,
    /// 0: the table lacks the symbol.
    pub(super) freq: u16,
    /// Where the symbol's slots start among those of all tables, by rank.
    first: u16,
}

impl Entry {
    /// A symbol of `freq` out of 2^`precision`.
    fn new(freq: u32, precision: u32, first: u32) -> Self {
        if freq == 0 {
            // All zero.
            return Self::default();
        }
        Self {
            reciprocal: (1u64 << (32 + precision)).div_ceil(freq.into()),
            limit: ((u64::from(freq) << (32 - precision)) - 1) as u32,
            freq: freq as u16,
            first: first as u16,
        }
    }

    /// Whether the state `x` must give its low half away first.
    #[inline]
    pub(super) fn overflows(&self, x: u32) -> bool {
        x > self.limit
    }

    /// How many whole times the symbol goes into the state `x`, which does not overflow, and the rank that is left.
    #[inline]
    pub(super) fn divide(&self, x: u32, precision: u32) -> (u32, u32) {
        let quotient = (u64::from(x).wrapping_mul(self.reciprocal) >> (32 + precision)) as u32;
        (quotient, x.wrapping_sub(quotient.wrapping_mul(self.freq.into())))
    }

    /// For vector encoders: frequency in bits 0..13, first place in 13..32, and 2 / frequency as a float; 0 if the table lacks the
    /// symbol.
    pub(super) fn packed(&self) -> u64 {
        if self.freq == 0 {
            return 0;
        }
        let twice_inverse = 2.0 / f32::from(self.freq);
        u64::from(self.freq) | u64::from(self.first) << 13 | u64::from(twice_inverse.to_bits()) << 32
    }

    /// The place, in [`EncodeTables::slots`], of the slot of the symbol's rank `rank`.
    #[inline]
    pub(super) fn place(&self, rank: u32) -> usize {
        usize::from(self.first) + rank as usize
    }
}

/// Entries by table and symbol, slots by table, symbol and rank.
#[derive(Debug)]
pub(super) struct EncodeTables {
    /// [`SYMBOLS`] of each table. Those of [`ZERO`] and [`ESCAPE`] are empty: which of the two it is must be looked at.
    pub(super) entries: Vec<Entry>,
    /// The same, packed.
    pub(super) packed: Box<[u64; BUCKETS]>,
    zeros: Vec<Entry>,
    escapes: Vec<Entry>,
    pub(super) slots: Vec<u16>,
}

impl EncodeTables {
    pub(super) fn new(classes: &Classes) -> Self {
        let precision = classes.precision();
        let mut tables = Self {
            entries: Vec::new(),
            packed: Box::new([0; BUCKETS]),
            zeros: Vec::new(),
            escapes: Vec::new(),
            slots: vec![0; classes.tables().len() << precision],
        };
        for (number, (layout, freqs)) in classes.layouts().enumerate() {
            let mut first = (number << precision) as u32;
            let mut entries = freqs.map(|freq| {
                let entry = Entry::new(freq.into(), precision, first);
                first += u32::from(freq);
                entry
            });
            layout
                .for_each_slot(|slot, symbol, rank| tables.slots[entries[symbol].place(rank)] = slot as u16);
            tables.zeros.push(core::mem::take(&mut entries[usize::from(ZERO)]));
            tables.escapes.push(core::mem::take(&mut entries[usize::from(ESCAPE)]));
            tables.packed.as_chunks_mut().0[number] = entries.each_ref().map(Entry::packed);
            tables.entries.extend(entries);
        }
        tables
    }

    /// What an element is coded as whose own symbol its table lacks: the zero, or the escape (whose entry may be empty too).
    pub(super) fn special(&self, key: u16, high: u16) -> (u8, &Entry) {
        let table = usize::from(key) / SYMBOLS;
        let zero = &self.zeros[table];
        if high == 0 && zero.freq > 0 { (ZERO, zero) } else { (ESCAPE, &self.escapes[table]) }
    }
}

/// Entries of coded signs, by how often they come out of 2^7.
pub(super) fn sign_entries() -> [Entry; 1 << SIGN_PRECISION] {
    core::array::from_fn(|freq| Entry::new(freq as u32, SIGN_PRECISION, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quotients_are_exact(precision in prop_oneof![Just(7u32), 10u32..=12], freq in 1u32..=4096, x in any::<u32>()) {
            let freq = (freq - 1) % (1 << precision) + 1;
            let entry = Entry::new(freq, precision, 0);
            let below = u64::from(freq) << (32 - precision);
            for x in [u64::from(x) % below, below - 1, u64::from(freq), u64::from(freq) - 1, below / u64::from(freq) * u64::from(freq) - 1] {
                let x = (x % below) as u32;
                prop_assert!(!entry.overflows(x));
                prop_assert_eq!(entry.divide(x, precision), (x / freq, x % freq));
            }
            prop_assert!(below > u64::from(u32::MAX) || entry.overflows(below as u32));
        }
    }
}
