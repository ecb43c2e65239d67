//! A chunk's elements taken apart: what is coded, and what is stored as it is.

use super::classes::{CLASSES, Classes, SYMBOLS, ZERO};
use super::encode::BlockSpec;
use super::float_format::FloatFormat;
use super::labels::ColumnLabels;
use crate::bits::BitSink;
use crate::error::{Result, invalid};

/// Elements whose signs are one word of [`Parts::signs`].
pub(super) const GROUP: usize = 64;

/// A chunk's elements taken apart.
pub(super) struct Parts {
    /// Table * 64 + symbol of each element. Symbol [`ZERO`] stands for all that does not count from the class's shift.
    pub(super) keys: Vec<u16>,
    /// The low mantissa bits.
    pub(super) low: BitSink,
    /// The signs of all elements, 64 in a word.
    pub(super) signs: Vec<u64>,
}

/// An element's bytes.
trait Word: Copy {
    /// Exponent and top mantissa bits.
    fn high(self, low_bits: u32, mask: u16) -> u16;
    fn bits(self) -> u64;
}

macro_rules! word {
    ($($t:ty),*) => {$(
        impl Word for [u8; size_of::<$t>()] {
            #[inline]
            fn high(self, low_bits: u32, mask: u16) -> u16 {
                (<$t>::from_le_bytes(self) >> low_bits) as u16 & mask
            }
            #[inline]
            fn bits(self) -> u64 {
                <$t>::from_le_bytes(self).into()
            }
        }
    )*};
}

word!(u16, u32, u64);

impl Parts {
    /// Takes `bytes` apart, whose length is that of whole elements and goes with `spec`.
    pub(super) fn split(bytes: &[u8], spec: &BlockSpec<'_>, labels: Option<&ColumnLabels>) -> Result<Self> {
        match spec.classes.format() {
            FloatFormat::Bf16 | FloatFormat::F16 => {
                let words = bytes.as_chunks().0;
                let low = short_lows(words, spec)?;
                Ok(Self { keys: keys(words, spec, labels), low, signs: short_signs(words) })
            }
            FloatFormat::F32 => {
                let words: &[[u8; 4]] = bytes.as_chunks().0;
                let low = long_lows(words, spec)?;
                Ok(Self { keys: keys(words, spec, labels), low, signs: long_signs(words, 31) })
            }
            FloatFormat::F64 => {
                let words: &[[u8; 8]] = bytes.as_chunks().0;
                let low = long_lows(words, spec)?;
                Ok(Self { keys: keys(words, spec, labels), low, signs: long_signs(words, 63) })
            }
        }
    }
}

/// What the columns are under one row class.
struct Pattern {
    /// What symbol 0 has as its exponent and top mantissa bits.
    offsets: Vec<u16>,
    /// Table * 64.
    tables: Vec<u16>,
}

impl Pattern {
    fn new(row_class: u8, column_classes: &[u8], classes: &Classes) -> Self {
        let (offsets, tables) = (classes.offsets(), classes.table_numbers());
        let class = |column: &u8| usize::from(row_class + column) % CLASSES;
        Self {
            offsets: column_classes.iter().map(|c| offsets[class(c)]).collect(),
            tables: column_classes.iter().map(|c| u16::from(tables[class(c)]) * SYMBOLS as u16).collect(),
        }
    }
}

fn keys<W: Word>(words: &[W], spec: &BlockSpec<'_>, labels: Option<&ColumnLabels>) -> Vec<u16> {
    let classes = spec.classes;
    let (low_bits, mask) = (classes.low_bits(), (1u16 << classes.high_bits()) - 1);
    let (offsets, tables) = (classes.offsets(), classes.table_numbers());
    let key = |word: W, offset: u16, table: u16| {
        let own = word.high(low_bits, mask).wrapping_sub(offset) & mask;
        table | own.min(ZERO.into())
    };
    let column_classes = labels.map_or(&[][..], ColumnLabels::classes);
    let mut patterns: [Option<Pattern>; CLASSES] = [const { None }; CLASSES];
    let mut keys = Vec::with_capacity(words.len());
    let mut words = words;
    let mut column = spec.first_column;
    for &row_class in spec.row_classes {
        let run = (spec.columns - column).min(words.len());
        let row;
        (row, words) = words.split_at(run);
        if column_classes.is_empty() {
            let class = usize::from(row_class) % CLASSES;
            let (offset, table) = (offsets[class], u16::from(tables[class]) * SYMBOLS as u16);
            keys.extend(row.iter().map(|&word| key(word, offset, table)));
        } else {
            let pattern = patterns[usize::from(row_class) % CLASSES]
                .get_or_insert_with(|| Pattern::new(row_class, column_classes, classes));
            let (offsets, tables) = (&pattern.offsets[column..], &pattern.tables[column..]);
            let labels = offsets.iter().zip(tables);
            keys.extend(row.iter().zip(labels).map(|(&word, (&offset, &table))| key(word, offset, table)));
        }
        column = 0;
    }
    keys
}

const FEW_ZEROS: &str = "a row has fewer trailing zeros than stated";

/// The low bits of two-byte elements. Four at a time are brought together in pairs.
fn short_lows(words: &[[u8; 2]], spec: &BlockSpec<'_>) -> Result<BitSink> {
    let bits = spec.classes.low_bits();
    // Above 8 bits, a pair would reach into where its second half was.
    if bits > 8 || spec.row_zeros.iter().any(|&zeros| zeros > 0) {
        return long_lows(words, spec);
    }
    let mut sink = BitSink::with_capacity((words.len() * bits as usize).div_ceil(8));
    let one = (1u64 << bits) - 1;
    let fours = one * 0x0001_0001_0001_0001;
    let pair = (1u64 << (2 * bits)) - 1;
    let pairs = pair | pair << 32;
    let (groups, rest) = words.as_chunks::<8>();
    for group in groups {
        let together = |four: &[[u8; 2]]| {
            let apart = four_words(four) & fours;
            let paired = (apart | apart >> (16 - bits)) & pairs;
            (paired | paired >> (32 - 2 * bits)) & ((1u64 << (4 * bits)) - 1)
        };
        let (first, second) = (together(&group[..4]), together(&group[4..]));
        if bits <= 7 {
            sink.put_long(first | second << (4 * bits), 8 * bits);
        } else {
            sink.put_long(first, 4 * bits);
            sink.put_long(second, 4 * bits);
        }
    }
    rest.iter().for_each(|&word| sink.put_long(word.bits() & one, bits));
    Ok(sink)
}

/// Four elements, the first lowest.
#[inline]
fn four_words(words: &[[u8; 2]]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(words.as_flattened());
    u64::from_le_bytes(bytes)
}

/// The low bits of longer elements, less the trailing zeros of their rows.
fn long_lows<W: Word>(words: &[W], spec: &BlockSpec<'_>) -> Result<BitSink> {
    let bits = spec.classes.low_bits();
    let one = (1u64 << bits) - 1;
    let mut sink = BitSink::with_capacity((words.len() * bits as usize).div_ceil(8));
    let (mut words, mut column) = (words, spec.first_column);
    for row in 0..spec.row_classes.len() {
        let run;
        (run, words) = words.split_at((spec.columns - column).min(words.len()));
        column = 0;
        let zeros = u32::from(spec.row_zeros.get(row).copied().unwrap_or(0));
        let used = run.iter().fold(0, |used, word| used | word.bits());
        if used & ((1 << zeros) - 1) != 0 {
            return Err(invalid(FEW_ZEROS));
        }
        let width = bits - zeros;
        if width <= 28 {
            let (pairs, rest) = run.as_chunks::<2>();
            for [a, b] in pairs {
                let (a, b) = ((a.bits() & one) >> zeros, (b.bits() & one) >> zeros);
                sink.put_long(a | b << width, 2 * width);
            }
            rest.iter().for_each(|word| sink.put_long((word.bits() & one) >> zeros, width));
        } else {
            run.iter().for_each(|word| sink.put_long((word.bits() & one) >> zeros, width));
        }
    }
    Ok(sink)
}

/// The signs of two-byte elements.
fn short_signs(words: &[[u8; 2]]) -> Vec<u64> {
    words
        .chunks(GROUP)
        .map(|group| {
            let (fours, rest) = group.as_chunks::<4>();
            let mut signs = 0;
            for (i, four) in fours.iter().enumerate() {
                let apart = four_words(four) >> 15 & 0x0001_0001_0001_0001;
                // Each of the four bits is moved by the factor that brings it to its place in bits 48 to 51; nothing else comes there.
                let together = apart.wrapping_mul(1 << 48 | 1 << 33 | 1 << 18 | 1 << 3) >> 48 & 15;
                signs |= together << (4 * i);
            }
            let done = 4 * fours.len();
            rest.iter().enumerate().fold(signs, |signs, (i, &word)| signs | word.bits() >> 15 << (done + i))
        })
        .collect()
}

/// The signs of longer elements, which have them in bit `sign`.
fn long_signs<W: Word>(words: &[W], sign: u32) -> Vec<u64> {
    let signs = |group: &[W]| {
        group.iter().enumerate().fold(0, |signs, (i, word)| signs | (word.bits() >> sign & 1) << i)
    };
    words.chunks(GROUP).map(signs).collect()
}
