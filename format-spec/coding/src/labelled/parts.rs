//! A labelled payload taken apart, for decoders elsewhere: on a GPU.

use super::SharedObjects;
use super::classes::{Classes, SYMBOLS};
use super::labels::ColumnLabels;
use super::payload::{Block, MAX_LANES};
use crate::alias::Layout;
use crate::error::Result;

/// A payload whose head, labels and lengths are sound (`SPEC.md` section 7.4.4). What its stream says is not known yet.
#[derive(Debug)]
pub struct Parts<'a> {
    block: Block<'a>,
}

impl<'a> Parts<'a> {
    /// Takes the payload of a chunk of `decoded_len` bytes apart. Memory is what the labels of the chunk's rows take.
    ///
    /// # Errors
    /// As [`super::decode`], for all but the stream, the escapes and what fills the planes.
    pub fn parse(
        payload: &'a [u8],
        shared: &'a (impl SharedObjects + ?Sized),
        decoded_len: usize,
    ) -> Result<Self> {
        Block::parse(payload, shared, decoded_len).map(|block| Self { block })
    }

    /// The classes that the chunk names.
    #[must_use]
    pub fn classes(&self) -> &'a Classes {
        self.block.classes
    }

    /// The labels of the columns; none: all 0.
    #[must_use]
    pub fn column_labels(&self) -> Option<&ColumnLabels> {
        self.block.labels()
    }

    /// Elements, one at least.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.block.len
    }

    /// Elements of a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.block.columns
    }

    /// Column of the first element.
    #[must_use]
    pub fn first_column(&self) -> usize {
        self.block.first_column
    }

    /// Of each row that has elements of the chunk: its class, and how many trailing zero bits of its elements are not stored.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (u8, u8)> + '_ {
        self.block.rows.iter().map(|row| (row.class, row.zeros))
    }

    /// First state of each lane, 2^16 or more; their number is a power of two up to 64. None if symbols are prefix codes.
    #[must_use]
    pub fn states(&self) -> &[u32] {
        let count = if self.block.classes.is_prefix() { 0 } else { self.block.lanes.min(MAX_LANES) };
        self.block.states.get(..count).unwrap_or_default()
    }

    /// Words of the stream, little-endian.
    #[must_use]
    pub fn words(&self) -> &'a [[u8; 2]] {
        self.block.words
    }

    /// The low plane, to a byte, and the sign plane, without the bytes that the last states hold.
    #[must_use]
    pub fn planes(&self) -> &'a [u8] {
        self.block.planes
    }

    /// Whether the last states hold the last bytes of the planes.
    #[must_use]
    pub fn is_absorbed(&self) -> bool {
        self.block.is_absorbed
    }

    /// High parts of escaped elements, packed.
    #[must_use]
    pub fn escapes(&self) -> &'a [u8] {
        self.block.escapes
    }

    /// How many elements escape.
    #[must_use]
    pub fn escape_count(&self) -> usize {
        self.block.escape_count
    }
}

/// How the slots of a bucket are divided (`SPEC.md` section 7.3, with the buckets of 7.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// Its first slots belong to the symbol of its number, ranks from 0.
    pub own: u8,
    /// Frequency of the own symbol.
    pub own_frequency: u16,
    /// Symbol of its other slots.
    pub other: u8,
    /// Frequency of the other symbol.
    pub other_frequency: u16,
    /// Added to a slot's place in the bucket: its rank among the other symbol's slots, modulo 2^16.
    pub other_rank: u16,
}

impl Classes {
    /// The buckets of every table, as a decoder looks slots up.
    pub fn bucket_tables(&self) -> impl Iterator<Item = [Bucket; SYMBOLS]> + '_ {
        let precision = self.precision();
        self.layouts().map(move |(layout, freqs)| buckets_of(&layout, &freqs, precision))
    }
}

/// The buckets of a table, whose frequencies sum to 2^`precision`.
pub(crate) fn buckets_of(layout: &Layout, freqs: &[u16; SYMBOLS], precision: u32) -> [Bucket; SYMBOLS] {
    let bucket_slots = 1u32 << (precision - SYMBOLS.ilog2());
    let mut buckets = [Bucket::default(); SYMBOLS];
    for ((bucket, &freq), (own, symbol, first)) in buckets.iter_mut().zip(freqs).zip(layout.buckets()) {
        (bucket.own, bucket.own_frequency) = (own as u8, freq);
        if own < bucket_slots {
            (bucket.other, bucket.other_frequency) = (symbol as u8, freqs[symbol % SYMBOLS]);
            bucket.other_rank = (first as u16).wrapping_sub(own as u16);
        }
    }
    buckets
}

impl Bucket {
    /// From bit 0: how many of its slots are its own symbol's (8 bits), the symbol of the others (8), what is added to a slot's place in
    /// it for its rank among those of that symbol (16, two's complement), the frequencies of the bucket's own symbol (16) and of the
    /// other (16).
    pub(crate) fn packed(&self) -> u64 {
        let [own, other] = [self.own, self.other].map(u64::from);
        let words = [self.other_rank, self.own_frequency, self.other_frequency].map(u64::from);
        own | other << 8 | words[0] << 16 | words[1] << 32 | words[2] << 48
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;
    use crate::labelled::{Class, FloatFormat};

    #[test]
    fn buckets_say_what_slots_say() {
        for precision in 10..=12 {
            let values: Vec<u16> = (0..60).collect();
            let some = |factor: u64| {
                let counts: Vec<u64> = (0..60).map(|v| 1 + (v * factor) % 977).collect();
                Table::from_counts(&values, &counts, precision).unwrap()
            };
            let one = Table::from_counts(&[7], &[1], precision).unwrap();
            let tables = vec![some(1), some(31), some(353), one];
            let class = vec![Class::default()];
            let classes = Classes::new(FloatFormat::Bf16, 2, class, tables, None).unwrap();
            for (slots, buckets) in classes.slots().chunks(1 << precision).zip(classes.bucket_tables()) {
                for (i, &slot) in slots.iter().enumerate() {
                    let (number, place) = (i >> (precision - 6), i % (1 << (precision - 6)));
                    let bucket = buckets[number];
                    let found = if place < usize::from(bucket.own) {
                        number as u32 | u32::from(bucket.own_frequency) << 6 | (place as u32) << 19
                    } else {
                        let rank = bucket.other_rank.wrapping_add(place as u16);
                        u32::from(bucket.other)
                            | u32::from(bucket.other_frequency) << 6
                            | u32::from(rank) << 19
                    };
                    assert_eq!(found, slot);
                }
            }
        }
    }
}
