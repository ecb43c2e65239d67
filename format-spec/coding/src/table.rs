//! Frequency tables (`SPEC.md` section 7.3).

use crate::alias::Layout;
use crate::bits::{BitSink, BitSource};
use crate::error::{CodingError, Result, corrupt, invalid, truncated};
use crate::levels::{self, FIRST_EG, MAX_LEVEL, STEP_EG};
use crate::rans::{DecodeTable, EncodeTable};

/// The least and the greatest precision P of a table.
const PRECISIONS: core::ops::RangeInclusive<u8> = 10..=15;

/// The most symbols a table may have.
const MAX_SYMBOLS: usize = 256;

/// The EG parameter of the first value in a table, and of each further one.
const FIRST_VALUE_EG: u32 = 4;
const VALUE_EG: u32 = 0;

/// A frequency table: which symbol values occur, and how often out of 2^P.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    precision: u8,
    bucket_code: u8,
    values: Vec<u16>,
    levels: Vec<u8>,
    freqs: Vec<u16>,
    byte_len: usize,
}

impl Table {
    /// The table for values that occur `counts` times: levels are fitted so that table plus data are short.
    ///
    /// `values` must ascend strictly; values with a count of 0 are left out. `precision` is P, 10 to 15. On one
    /// platform the same arguments always give the same table.
    ///
    /// # Errors
    /// [`CodingError::Invalid`] if lengths differ, values do not ascend, precision is out of range, or the number of
    /// values that occur is not 1 to 256.
    pub fn from_counts(values: &[u16], counts: &[u64], precision: u8) -> Result<Self> {
        if values.len() != counts.len() {
            return Err(invalid("table values and counts differ in length"));
        }
        let used = || values.iter().zip(counts).filter(|(_, count)| **count > 0);
        let counts: Vec<u64> = used().map(|(_, count)| *count).collect();
        if counts.is_empty() || counts.len() > MAX_SYMBOLS {
            return Err(invalid("a table holds 1 to 256 values"));
        }
        if !PRECISIONS.contains(&precision) {
            return Err(invalid("table precision is 10 to 15"));
        }
        let values = used().map(|(value, _)| *value).collect();
        Self::from_levels(values, levels::fit(&counts, precision), precision)
    }

    /// The table with these levels (0 to 127 each), one for each of `values`.
    ///
    /// # Errors
    /// [`CodingError::Invalid`] as for [`Table::from_counts`]; [`CodingError::Corrupt`] if the levels leave no
    /// room for every symbol.
    pub fn from_levels(values: Vec<u16>, levels: Vec<u8>, precision: u8) -> Result<Self> {
        if values.is_empty() || values.len() > MAX_SYMBOLS || values.len() != levels.len() {
            return Err(invalid("a table holds 1 to 256 values with a level each"));
        }
        if !values.is_sorted_by(|a, b| a < b) || levels.iter().any(|&level| level > MAX_LEVEL) {
            return Err(invalid("table values must ascend, levels be at most 127"));
        }
        if !PRECISIONS.contains(&precision) {
            return Err(invalid("table precision is 10 to 15"));
        }
        let freqs = levels::frequencies(&levels, precision)?;
        let bucket_code = (0..2).find(|code| values.len() <= 64 << code).unwrap_or(2);
        let mut table = Self { precision, bucket_code, values, levels, freqs, byte_len: 0 };
        table.byte_len = table.to_bytes().len();
        Ok(table)
    }

    /// Reads the table at the front of `bytes`; also the number of bytes it takes.
    ///
    /// # Errors
    /// Any breach of section 7.3: truncation, reserved bits, ranges, values that do not fit 16 bits.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let [head, last_symbol, string @ ..] = bytes else { return Err(truncated("table")) };
        let precision = (head & 15) + 8;
        let bucket_code = head >> 4 & 3;
        if !PRECISIONS.contains(&precision) {
            return Err(CodingError::Unsupported { what: "table precision", id: precision.into() });
        }
        if bucket_code > 2 {
            return Err(CodingError::Unsupported { what: "table bucket code", id: bucket_code.into() });
        }
        if head >> 6 != 0 {
            return Err(corrupt("reserved bits of a table"));
        }
        let count = usize::from(*last_symbol) + 1;
        if count > 64 << bucket_code {
            return Err(corrupt("more symbols than buckets in a table"));
        }
        let mut source = BitSource::new(string);
        let values = take_values(&mut source, count)?;
        let levels = take_levels(&mut source, count)?;
        let byte_len = 2 + source.finish()?;
        let freqs = levels::frequencies(&levels, precision)?;
        Ok((Self { precision, bucket_code, values, levels, freqs, byte_len }, byte_len))
    }

    /// The table as section 7.3 writes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![(self.precision - 8) | self.bucket_code << 4, (self.values.len() - 1) as u8];
        let mut sink = BitSink::default();
        let mut expected = None;
        for &value in &self.values {
            match expected {
                None => sink.put_eg(value.into(), FIRST_VALUE_EG),
                Some(expected) => sink.put_eg(u32::from(value) - expected, VALUE_EG),
            }
            expected = Some(u32::from(value) + 1);
        }
        let mut previous = None;
        for level in self.levels.iter().map(|&level| i32::from(level)) {
            match previous {
                None => sink.put_eg(level as u32, FIRST_EG),
                Some(previous) => sink.put_eg(levels::zigzag(level - previous), STEP_EG),
            }
            previous = Some(level);
        }
        bytes.extend(sink.into_bytes());
        bytes
    }

    /// The length of [`Table::to_bytes`], in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.byte_len
    }

    /// What coding `counts[i]` symbols of each `values[i]` under this table costs, in bits, without the table and
    /// without states. Infinite if a value that occurs is not in the table. `values` must ascend.
    #[must_use]
    pub fn cost_bits(&self, values: &[u16], counts: &[u64]) -> f64 {
        let mut own = self.values.iter().zip(&self.freqs).peekable();
        let mut bits = 0.0;
        for (&value, &count) in values.iter().zip(counts).filter(|(_, count)| **count > 0) {
            while own.next_if(|(have, _)| **have < value).is_some() {}
            match own.peek() {
                Some((have, freq)) if **have == value => {
                    bits += count as f64 * (f64::from(self.precision) - f64::from(**freq).log2());
                }
                _ => return f64::INFINITY,
            }
        }
        bits
    }

    /// The table in the form a decoder looks slots up in: 2^P entries of 8 bytes.
    #[must_use]
    pub fn decoder(&self) -> DecodeTable {
        DecodeTable::new(self)
    }

    /// The table in the form an encoder looks values up in.
    #[must_use]
    pub fn encoder(&self) -> EncodeTable {
        EncodeTable::new(self)
    }

    /// The symbol values, ascending.
    #[must_use]
    pub fn values(&self) -> &[u16] {
        &self.values
    }

    /// The frequency of each of [`Table::values`]; they sum to 2^P.
    #[must_use]
    pub fn freqs(&self) -> &[u16] {
        &self.freqs
    }

    /// P: frequencies sum to 2^P.
    #[must_use]
    pub fn precision(&self) -> u8 {
        self.precision
    }

    /// How many buckets the alias layout has: 64, 128 or 256.
    #[must_use]
    pub fn buckets(&self) -> usize {
        64 << self.bucket_code
    }

    /// The alias layout of the slots.
    pub(crate) fn layout(&self) -> Layout {
        let buckets = self.buckets();
        Layout::new(&self.freqs, buckets, (1 << self.precision) / buckets as u32)
    }
}

/// Reads ascending values.
fn take_values(source: &mut BitSource<'_>, count: usize) -> Result<Vec<u16>> {
    let mut values = Vec::with_capacity(count);
    let mut value = source.take_eg(FIRST_VALUE_EG)?;
    loop {
        values.push(u16::try_from(value).map_err(|_| corrupt("table value above 16 bits"))?);
        if values.len() == count {
            return Ok(values);
        }
        // Both parts are below 2^21.
        value += source.take_eg(VALUE_EG)? + 1;
    }
}

/// Reads levels.
fn take_levels(source: &mut BitSource<'_>, count: usize) -> Result<Vec<u8>> {
    let mut levels = Vec::with_capacity(count);
    let mut level = source.take_eg(FIRST_EG)? as i32;
    loop {
        match u8::try_from(level) {
            Ok(level) if level <= MAX_LEVEL => levels.push(level),
            _ => return Err(corrupt("table level above 127")),
        }
        if levels.len() == count {
            return Ok(levels);
        }
        level += levels::unzigzag(source.take_eg(STEP_EG)?);
    }
}
