//! Counters of what came of the same surroundings, in a table of hashes.

use super::tables::Tables;

/// Surroundings that are counted.
pub(super) const COUNTERS: usize = 10;
/// Decisions a counter remembers.
const MEMORY: u16 = 120;
/// How much a counter is believed, by the decisions it has seen; in sixteenths.
const TRUST: [i32; 16] = [0, 4, 6, 8, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15];

#[derive(Clone, Copy)]
struct Counter {
    one: u16,
    seen: u16,
}

/// Counters by surroundings and decision.
#[derive(Clone)]
pub(super) struct Counters {
    table: Vec<Counter>,
    mask: u32,
    surroundings: [u32; COUNTERS],
    places: [usize; COUNTERS],
}

impl Counters {
    pub(super) fn new(bits: u32) -> Self {
        Self {
            table: vec![Counter { one: 1 << 15, seen: 0 }; 1 << bits],
            mask: (1 << bits) - 1,
            surroundings: [0; COUNTERS],
            places: [0; COUNTERS],
        }
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&self.table[..])
    }

    /// Says what is around the next number.
    #[inline(always)]
    pub(super) fn surround(&mut self, all: [[u32; 6]; COUNTERS]) {
        for (i, (hash, parts)) in self.surroundings.iter_mut().zip(all).enumerate() {
            let start = (i as u32 + 1).wrapping_mul(0x9E37_79B1);
            *hash = parts
                .iter()
                .fold(start, |hash, &part| (hash ^ part).wrapping_mul(0x85EB_CA6B).rotate_left(13));
        }
    }

    /// What the counters of a decision say, stretched.
    #[inline(always)]
    pub(super) fn look(&mut self, decision: u32, tables: &Tables, inputs: &mut [i32]) {
        let of = self.surroundings.iter().zip(&mut self.places);
        for ((hash, place), input) in of.zip(inputs) {
            let mixed = (hash ^ decision.wrapping_mul(0xC2B2_AE35)).wrapping_mul(0x9E37_79B1);
            *place = ((mixed ^ mixed >> 15) & self.mask) as usize;
            let counter = self.table[*place];
            let one = u32::from(counter.one).max(1);
            let stretched = tables.log2(one) - tables.log2(65_536 - one);
            *input = (stretched * TRUST[usize::from(counter.seen.min(15))]) >> 4;
        }
    }

    /// Counts what the decision was.
    #[inline(always)]
    pub(super) fn learn(&mut self, bit: bool) {
        let target = if bit { 65_535i32 } else { 0 };
        for place in self.places {
            let counter = &mut self.table[place];
            let step = (target - i32::from(counter.one)) * 2 / (2 * i32::from(counter.seen) + 3);
            counter.one = (i32::from(counter.one) + step).clamp(32, 65_504) as u16;
            counter.seen = (counter.seen + 1).min(MEMORY);
        }
    }
}
