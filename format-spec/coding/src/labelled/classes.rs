//! Classes: which table the elements of a class use, and by how many octaves it is shifted (`SPEC.md` section 7.4.2).

use std::sync::OnceLock;

use super::encode_tables::EncodeTables;
use super::float_format::FloatFormat;
use super::lists;
use super::prefix::PrefixCode;
use super::vector::{ByteTables, buckets};
use crate::alias::Layout;
use crate::error::{CodingError, Result, corrupt, invalid};
use crate::table::Table;
use crate::varint::take_u8;

/// The most classes there may be.
pub const CLASSES: usize = 64;
/// The most tables there may be.
pub const TABLES: usize = 16;
/// Symbols of a table: [`ZERO`], [`ESCAPE`], and those before them, which count from the class's shift.
pub const SYMBOLS: usize = 64;
/// Buckets of that many tables.
pub(super) const BUCKETS: usize = TABLES * SYMBOLS;
/// The symbol of magnitudes whose exponent and top mantissa bits are all zero.
pub const ZERO: u8 = 62;
/// The symbol of magnitudes that are written in full.
pub const ESCAPE: u8 = 63;
/// Degrees of sign bias.
pub const SIGN_BIASES: usize = MAX_BIAS as usize;
/// Octaves, relative to the class, that sign probabilities tell apart.
pub const SIGN_OCTAVES: usize = 8;

pub(super) const MAX_BIAS: i32 = 14;
/// Sign probabilities are out of 2^7.
pub(super) const SIGN_PRECISION: u32 = 7;
/// The most mantissa bits in a symbol.
const MAX_TOP: u8 = 3;
const PRECISIONS: core::ops::RangeInclusive<u8> = 10..=12;
const HAS_SIGNS: u8 = 1;
const HAS_CODES: u8 = 2;
/// What there is room for of prefix codes: as tables of 12 bits.
pub(super) const PREFIX_ENTRIES: usize = TABLES << 12;

/// What a class stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Class {
    /// Which table.
    pub table: u8,
    /// What symbol 0 has as its exponent field, below 2^exponent bits.
    pub octaves: u16,
}

/// Probabilities of coded signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignCosts {
    /// Symbols below `first_octave + 1` octaves count as octave 0, each further octave as one more.
    pub first_octave: u8,
    /// By degree of bias (from 1) and octave: out of 128, how often the sign is the commoner one; 1 to 127.
    pub commoner: [[u8; SIGN_OCTAVES]; SIGN_BIASES],
}

/// Tables and shifts that the chunks of any number of tensors share.
#[derive(Debug)]
pub struct Classes {
    format: FloatFormat,
    /// Mantissa bits in a symbol.
    top: u8,
    precision: u8,
    classes: Vec<Class>,
    /// Either these or `codes`.
    tables: Vec<Table>,
    codes: Vec<PrefixCode>,
    signs: Option<SignCosts>,
    prefix_entries: OnceLock<Box<[u16; PREFIX_ENTRIES]>>,
    slots: OnceLock<Vec<u32>>,
    byte_tables: OnceLock<ByteTables>,
    buckets: OnceLock<Box<[u64; BUCKETS]>>,
    encode_tables: OnceLock<EncodeTables>,
}

impl Clone for Classes {
    fn clone(&self) -> Self {
        Self {
            format: self.format,
            top: self.top,
            precision: self.precision,
            classes: self.classes.clone(),
            tables: self.tables.clone(),
            codes: self.codes.clone(),
            signs: self.signs.clone(),
            prefix_entries: OnceLock::new(),
            slots: OnceLock::new(),
            byte_tables: OnceLock::new(),
            buckets: OnceLock::new(),
            encode_tables: OnceLock::new(),
        }
    }
}

impl PartialEq for Classes {
    fn eq(&self, other: &Self) -> bool {
        (self.format, self.top, self.precision) == (other.format, other.top, other.precision)
            && (&self.classes, &self.tables, &self.codes, &self.signs)
                == (&other.classes, &other.tables, &other.codes, &other.signs)
    }
}

impl Eq for Classes {}

impl Classes {
    /// Classes of floats of `format`, with `top` (0 to 3) mantissa bits in a symbol. All `tables` have the same precision, 10 to 12,
    /// and values below 64.
    ///
    /// # Errors
    /// [`CodingError::Invalid`] if something is out of range or of another length.
    pub fn new(
        format: FloatFormat,
        top: u8,
        classes: Vec<Class>,
        tables: Vec<Table>,
        signs: Option<SignCosts>,
    ) -> Result<Self> {
        let precision = tables.first().map_or(0, Table::precision);
        let counts = (1..=CLASSES).contains(&classes.len()) && (1..=TABLES).contains(&tables.len());
        if !counts || top > MAX_TOP || !PRECISIONS.contains(&precision) {
            return Err(invalid(
                "there are 1 to 64 classes and 1 to 16 tables of precision 10 to 12, with up to 3 mantissa bits",
            ));
        }
        if tables.iter().any(|t| {
            t.precision() != precision || t.values().last().is_none_or(|&v| usize::from(v) >= SYMBOLS)
        }) {
            return Err(invalid("the tables of classes have one precision and 64 symbols"));
        }
        let fits =
            |c: &Class| usize::from(c.table) < tables.len() && c.octaves >> format.exponent_bits() == 0;
        let sound = |s: &SignCosts| {
            s.commoner.iter().flatten().all(|p| (1..=127).contains(p))
                && usize::from(s.first_octave) < SYMBOLS
        };
        if !classes.iter().all(fits) || !signs.as_ref().is_none_or(sound) {
            return Err(invalid("a class or sign probability is out of range"));
        }
        Ok(Self {
            format,
            top,
            precision,
            classes,
            tables,
            codes: Vec::new(),
            signs,
            prefix_entries: OnceLock::new(),
            slots: OnceLock::new(),
            byte_tables: OnceLock::new(),
            buckets: OnceLock::new(),
            encode_tables: OnceLock::new(),
        })
    }

    /// Reads classes that fill `bytes`.
    ///
    /// # Errors
    /// Any breach of section 7.4.2.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        let mut byte = || take_u8(&mut rest, "classes");
        let format = FloatFormat::from_id(byte()?)?;
        let (top, precision) = (byte()?, byte()?);
        let (count, table_count, flags) = (byte()?, byte()?, byte()?);
        if !PRECISIONS.contains(&precision) {
            return Err(CodingError::Unsupported { what: "precision of classes", id: precision.into() });
        }
        let in_range = |n: u8, most| (1..=most).contains(&usize::from(n));
        if top > MAX_TOP
            || !in_range(count, CLASSES)
            || !in_range(table_count, TABLES)
            || flags & !(HAS_SIGNS | HAS_CODES) != 0
            || flags == HAS_SIGNS | HAS_CODES
        {
            return Err(corrupt("head of classes"));
        }
        let count = usize::from(count);
        let used = lists::take(&mut rest, count, 0..=i32::from(table_count) - 1)?;
        let octaves = lists::take(&mut rest, count, 0..=(1 << format.exponent_bits()) - 1)?;
        let classes =
            used.iter().zip(octaves).map(|(&t, o)| Class { table: t as u8, octaves: o as u16 }).collect();
        let (mut tables, mut codes) = (Vec::new(), Vec::new());
        for _ in 0..table_count {
            if flags & HAS_CODES != 0 {
                codes.push(PrefixCode::take(&mut rest, precision)?);
                continue;
            }
            let (table, length) = Table::parse(rest)?;
            rest = &rest[length..];
            if table.precision() != precision
                || table.values().last().is_none_or(|&v| usize::from(v) >= SYMBOLS)
            {
                return Err(corrupt("a table of classes has another precision, or more than 64 symbols"));
            }
            tables.push(table);
        }
        let signs = if flags & HAS_SIGNS == 0 { None } else { Some(SignCosts::take(&mut rest)?) };
        if !rest.is_empty() {
            return Err(corrupt("bytes after classes"));
        }
        Ok(Self {
            format,
            top,
            precision,
            classes,
            tables,
            codes,
            signs,
            prefix_entries: OnceLock::new(),
            slots: OnceLock::new(),
            byte_tables: OnceLock::new(),
            buckets: OnceLock::new(),
            encode_tables: OnceLock::new(),
        })
    }

    /// The classes as section 7.4.2 writes them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let flags =
            if self.signs.is_some() { HAS_SIGNS } else { 0 } | if self.is_prefix() { HAS_CODES } else { 0 };
        let (count, tables) = (self.classes.len() as u8, self.table_count() as u8);
        let mut out = vec![self.format.id(), self.top, self.precision, count, tables, flags];
        lists::put(&mut out, &self.classes.iter().map(|c| i32::from(c.table)).collect::<Vec<_>>());
        lists::put(&mut out, &self.classes.iter().map(|c| i32::from(c.octaves)).collect::<Vec<_>>());
        for table in &self.tables {
            out.extend(table.to_bytes());
        }
        self.codes.iter().for_each(|code| code.put(&mut out));
        if let Some(signs) = &self.signs {
            out.push(signs.first_octave);
            lists::put(&mut out, &signs.commoner.iter().flatten().map(|&p| i32::from(p)).collect::<Vec<_>>());
        }
        out
    }

    /// The type of float.
    #[must_use]
    pub fn format(&self) -> FloatFormat {
        self.format
    }

    /// Mantissa bits in a symbol.
    #[must_use]
    pub fn top(&self) -> u32 {
        self.top.into()
    }

    /// Mantissa bits that are stored as they are, before trailing zeros are taken off.
    #[must_use]
    pub fn low_bits(&self) -> u32 {
        self.format.mantissa_bits() - self.top()
    }

    /// Bits of exponent and top mantissa together.
    #[must_use]
    pub fn high_bits(&self) -> u32 {
        self.format.exponent_bits() + self.top()
    }

    /// Frequencies sum to 2^precision.
    #[must_use]
    pub fn precision(&self) -> u32 {
        self.precision.into()
    }

    /// What each class stands for.
    #[must_use]
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The same classes, whose symbols are prefix codes of at most as many bits as the tables' precision in place of rANS symbols. There
    /// are no coded signs then.
    #[must_use]
    pub fn with_prefix_codes(&self) -> Self {
        let code = |(_, freqs): (Layout, [u16; SYMBOLS])| {
            PrefixCode::from_counts(&freqs.map(u64::from), self.precision)
        };
        let codes = if self.is_prefix() { self.codes.clone() } else { self.layouts().map(code).collect() };
        Self { tables: Vec::new(), codes, signs: None, ..self.clone() }
    }

    /// Whether symbols are prefix codes.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        !self.codes.is_empty()
    }

    /// The prefix codes, if symbols are such, one in the place of each table.
    #[must_use]
    pub fn codes(&self) -> &[PrefixCode] {
        &self.codes
    }

    /// How many tables, or prefix codes, there are.
    #[must_use]
    pub fn table_count(&self) -> usize {
        self.tables.len() + self.codes.len()
    }

    /// What the next bits begin with, by prefix code (of 2^precision each).
    pub(super) fn prefix_entries(&self) -> &[u16; PREFIX_ENTRIES] {
        self.prefix_entries.get_or_init(|| {
            let mut entries = Box::new([0; PREFIX_ENTRIES]);
            for (entries, code) in entries.chunks_exact_mut(1 << self.precision).zip(&self.codes) {
                code.fill(entries);
            }
            entries
        })
    }

    /// The tables; none if symbols are prefix codes.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The probabilities of coded signs.
    #[must_use]
    pub fn signs(&self) -> Option<&SignCosts> {
        self.signs.as_ref()
    }

    /// What symbol 0 of each class has as its exponent and top mantissa bits; 0 beyond the last class.
    pub(super) fn offsets(&self) -> [u16; CLASSES] {
        let mut offsets = [0; CLASSES];
        for (offset, class) in offsets.iter_mut().zip(&self.classes) {
            *offset = class.octaves << self.top;
        }
        offsets
    }

    /// The table of each class; 0 beyond the last class.
    pub(super) fn table_numbers(&self) -> [u8; CLASSES] {
        let mut numbers = [0; CLASSES];
        for (number, class) in numbers.iter_mut().zip(&self.classes) {
            *number = class.table;
        }
        numbers
    }

    /// How each table's slots lie: bucket b is symbol b's.
    pub(super) fn layouts(&self) -> impl Iterator<Item = (Layout, [u16; SYMBOLS])> + '_ {
        self.tables.iter().map(|table| {
            let mut freqs = [0; SYMBOLS];
            for (&value, &freq) in table.values().iter().zip(table.freqs()) {
                freqs[usize::from(value) % SYMBOLS] = freq;
            }
            (Layout::new(&freqs, SYMBOLS, (1 << self.precision) / SYMBOLS as u32), freqs)
        })
    }

    /// Every slot of every table: symbol in bits 0..6, frequency in 6..19, rank in 19..32.
    pub(super) fn slots(&self) -> &[u32] {
        self.slots.get_or_init(|| {
            let mut slots = vec![0; self.tables.len() << self.precision];
            for (slots, (layout, freqs)) in slots.chunks_exact_mut(1 << self.precision).zip(self.layouts()) {
                layout.for_each_slot(|slot, symbol, rank| {
                    slots[slot] = symbol as u32 | u32::from(freqs[symbol]) << 6 | rank << 19;
                });
            }
            slots
        })
    }

    /// The tables as vector decoders look them up.
    pub(super) fn byte_tables(&self) -> &ByteTables {
        self.byte_tables.get_or_init(|| ByteTables::new(self))
    }

    /// The buckets of all tables as vector decoders read them one by one.
    pub(super) fn buckets(&self) -> &[u64; BUCKETS] {
        self.buckets.get_or_init(|| buckets(self))
    }

    /// The tables as an encoder uses them.
    pub(super) fn encode_tables(&self) -> &EncodeTables {
        self.encode_tables.get_or_init(|| EncodeTables::new(self))
    }

    /// The octave of each symbol that sign probabilities are told apart by.
    pub(super) fn sign_octaves(&self) -> [u8; SYMBOLS] {
        let first = self.signs.as_ref().map_or(0, |signs| signs.first_octave);
        let mut octaves = [0; SYMBOLS];
        for (symbol, octave) in octaves.iter_mut().enumerate().take(usize::from(ZERO)) {
            *octave = ((symbol >> self.top) as u8).saturating_sub(first).min(SIGN_OCTAVES as u8 - 1);
        }
        octaves
    }
}

impl SignCosts {
    fn take(rest: &mut &[u8]) -> Result<Self> {
        let first_octave = take_u8(rest, "classes")?;
        if usize::from(first_octave) >= SYMBOLS {
            return Err(corrupt("first octave of signs"));
        }
        let list = lists::take(rest, SIGN_BIASES * SIGN_OCTAVES, 1..=127)?;
        let mut commoner = [[0; SIGN_OCTAVES]; SIGN_BIASES];
        for (p, value) in commoner.iter_mut().flatten().zip(list) {
            *p = value as u8;
        }
        Ok(Self { first_octave, commoner })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn some(signs: bool) -> Classes {
        let table = |values: Vec<u16>| {
            let counts: Vec<u64> = values.iter().map(|v| u64::from(v % 7) * 100 + 1).collect();
            Table::from_counts(&values, &counts, 11).unwrap()
        };
        let classes = (0..20).map(|k| Class { table: k % 2, octaves: 100 + u16::from(k) / 4 }).collect();
        let commoner = core::array::from_fn(|b| core::array::from_fn(|d| 64 + (b * 4 + d / 2) as u8));
        let signs = signs.then_some(SignCosts { first_octave: 4, commoner });
        Classes::new(
            FloatFormat::Bf16,
            2,
            classes,
            vec![table((5..40).chain([63]).collect()), table((0..64).collect())],
            signs,
        )
        .unwrap()
    }

    #[test]
    fn classes_round_trip() {
        for classes in [some(false), some(true), some(true).with_prefix_codes()] {
            let bytes = classes.to_bytes();
            assert_eq!(Classes::parse(&bytes).unwrap(), classes);
            for cut in 0..bytes.len() {
                assert!(Classes::parse(&bytes[..cut]).is_err());
            }
            assert!(Classes::parse(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn heads_out_of_range_are_refused() {
        let bytes = some(false).to_bytes();
        for (at, value) in
            [(0, 4), (1, 4), (2, 9), (2, 13), (3, 0), (3, 65), (4, 0), (4, 17), (5, 2), (5, 3), (5, 4)]
        {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            assert!(Classes::parse(&bytes).is_err(), "byte {at} = {value}");
        }
    }

    #[test]
    fn every_slot_is_given_out() {
        let classes = some(false);
        for (slots, table) in classes.slots().chunks(1 << 11).zip(classes.tables()) {
            for (&value, &freq) in table.values().iter().zip(table.freqs()) {
                let own: Vec<u32> = slots.iter().filter(|s| **s & 63 == u32::from(value)).copied().collect();
                assert_eq!(own.len(), usize::from(freq));
                let mut ranks: Vec<u32> = own.iter().map(|s| s >> 19).collect();
                ranks.sort_unstable();
                assert!(ranks.iter().copied().eq(0..u32::from(freq)));
            }
        }
    }
}
