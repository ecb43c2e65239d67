//! Sets of Gaussians under static tables, by interleaved rANS (`SPEC.md` section 7.15): a little larger than under mixed contexts, and much
//! faster to read.

use super::area::Area;
use super::numbers::Numbers;
use super::set::{GaussianSet, Image, MAX_GAUSSIANS, check, code_set};
use super::static_tables::{Kind, PRECISION, Tables, tables};
use crate::error::{CodingError, Result, corrupt, invalid, truncated};
use crate::varint::{put, take};

/// States of the stream; symbols take turns.
const LANES: usize = 2;
/// Where states start, and their lower bound.
const STATE_START: u32 = 1 << 16;
/// Bits that tell how long an escape is, and the greatest length.
const ESCAPE_LENGTH_BITS: u32 = 5;
const MOST_ESCAPE: u32 = 25;

/// Writes sets one after another.
#[derive(Debug)]
pub struct FastEncoder<'a> {
    image: &'a Image,
    below: GaussianSet,
    out: Writer,
}

impl<'a> FastEncoder<'a> {
    /// An encoder that has written nothing.
    #[must_use]
    pub fn new(image: &'a Image) -> Self {
        Self { image, below: GaussianSet::default(), out: Writer::default() }
    }

    /// The next set lies over these Gaussians, as [`super::SetCoder::lay_over`].
    pub fn lay_over(&mut self, below: GaussianSet) {
        self.below = below;
    }

    /// Writes a set in canonical form (see [`super::canonical`]).
    ///
    /// # Errors
    /// [`CodingError::Invalid`] if it is not, or has Gaussians outside of `area` or too many.
    pub fn encode(&mut self, area: &Area, set: &GaussianSet) -> Result<()> {
        check(self.image, set)?;
        let below = core::mem::take(&mut self.below);
        let written = code_set(self.image, &below, area, &mut self.out, (Some(set), MAX_GAUSSIANS), None)?;
        if written != *set {
            return Err(invalid("set of Gaussians that is not in canonical form"));
        }
        Ok(())
    }

    /// The payload.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out.finish(tables())
    }

    /// Table and symbol of all that was written: for training.
    #[must_use]
    pub fn symbols(&self) -> &[(u16, u8)] {
        &self.out.symbols
    }

    /// Bits that were written as they are.
    #[must_use]
    pub fn raw_bits(&self) -> usize {
        self.out.raw_bits
    }
}

/// Reads sets one after another.
#[derive(Debug)]
pub struct FastDecoder<'a, 'p> {
    image: &'a Image,
    below: GaussianSet,
    input: Reader<'p>,
}

impl<'a, 'p> FastDecoder<'a, 'p> {
    /// A decoder of what [`FastEncoder::finish`] gave.
    ///
    /// # Errors
    /// If the payload's head is cut off or malformed.
    pub fn new(image: &'a Image, payload: &'p [u8]) -> Result<Self> {
        Ok(Self { image, below: GaussianSet::default(), input: Reader::new(payload)? })
    }

    /// The next set lies over these Gaussians, as [`super::SetCoder::lay_over`].
    pub fn lay_over(&mut self, below: GaussianSet) {
        self.below = below;
    }

    /// Reads a set of at most `most` Gaussians.
    ///
    /// # Errors
    /// [`CodingError::Corrupt`] for what no encoder writes, [`CodingError::TooLarge`] above `most` Gaussians.
    pub fn decode(&mut self, area: &Area, most: usize) -> Result<GaussianSet> {
        let below = core::mem::take(&mut self.below);
        let set = code_set(self.image, &below, area, &mut self.input, (None, most.min(MAX_GAUSSIANS)), None);
        // What a stream that is cut off leaves behind is the cause of all that seems wrong after it.
        match self.input.failure.take() {
            Some(failure) => Err(failure),
            None => set,
        }
    }

    /// After the last set.
    ///
    /// # Errors
    /// If something is left of the payload.
    pub fn finish(self) -> Result<()> {
        self.input.finish()
    }
}

/// How numbers become symbols and raw bits.
trait Symbols {
    /// The symbol given, or the one that is read.
    fn symbol(&mut self, table: u16, symbol: u8) -> u8;
    fn bits(&mut self, value: u32, count: u32) -> u32;
    fn check(&self) -> Result<()>;

    /// A number under a table whose last symbol says that it is that, or more.
    fn escaped(&mut self, value: u32, (kind, context): (Kind, usize)) -> Result<u32> {
        let most = kind.symbols(context) - 1;
        let symbol = u32::from(self.symbol(kind.table(context), value.min(most) as u8));
        self.check()?;
        if symbol < most {
            return Ok(symbol);
        }
        let beyond = value.wrapping_sub(most).saturating_add(1);
        let length = self.bits(beyond.checked_ilog2().unwrap_or(0), ESCAPE_LENGTH_BITS);
        if length > MOST_ESCAPE {
            return Err(corrupt("number of a Gaussian too large"));
        }
        let rest = self.bits(beyond, length) & ((1 << length) - 1) | 1 << length;
        Ok(most + rest - 1)
    }

    fn signed(&mut self, value: i32, table: (Kind, usize)) -> Result<i32> {
        let folded = ((value << 1) ^ (value >> 31)) as u32;
        let folded = self.escaped(folded, table)?;
        Ok((folded >> 1) as i32 ^ -((folded & 1) as i32))
    }
}

impl<T: Symbols> Numbers for T {
    fn raw(&mut self, value: u32, count: u32) -> u32 {
        self.bits(value, count)
    }

    fn octave(&mut self, value: u32, _: usize) -> u32 {
        self.bits(value, 4)
    }

    fn first(&mut self, value: u32, count: u32, _: usize, balance: usize) -> u32 {
        let table = Kind::First.table((count as usize - 1) * 5 + balance);
        u32::from(self.symbol(table, value as u8)).min(count)
    }

    fn quotient(&mut self, value: i32, _: usize, balance: usize) -> Result<i32> {
        self.signed(value, (Kind::Quotient, balance))
    }

    fn sum(&mut self, value: u32, [_, average, distance]: [usize; 3]) -> Result<u32> {
        self.escaped(value, (Kind::Sum, distance / 33 / 2 * 17 + (average / 4).min(16)))
    }

    fn difference(&mut self, value: u32, [sum, difference, _]: [usize; 3]) -> Result<u32> {
        self.escaped(value, (Kind::Difference, (difference & 15) / 3 * 16 + (sum / 4).min(15)))
    }

    fn angle(&mut self, value: u32, bits: u32, [class, _, _]: [usize; 3]) -> u32 {
        let context = (class / 8 - 1) * 5 + class % 8;
        u32::from(self.symbol(Kind::Angle.table(context), value as u8)) & ((1 << bits) - 1)
    }

    fn colour(&mut self, value: i32, role: usize, [spread, before, ..]: [usize; 4]) -> Result<i32> {
        let before = match before / 2 % 16 {
            0 => 0,
            1..3 => 1,
            3..5 => 2,
            5..9 => 3,
            _ => 4,
        };
        self.signed(value, (Kind::Colour, (role * 16 + spread / 5) * 5 + before))
    }
}

/// Collects what is written.
#[derive(Debug, Default)]
struct Writer {
    symbols: Vec<(u16, u8)>,
    raw: Vec<u8>,
    raw_bits: usize,
}

impl Symbols for Writer {
    fn symbol(&mut self, table: u16, symbol: u8) -> u8 {
        self.symbols.push((table, symbol));
        symbol
    }

    fn bits(&mut self, value: u32, count: u32) -> u32 {
        for place in 0..count {
            if self.raw_bits.is_multiple_of(8) {
                self.raw.push(0);
            }
            let bit = (value >> place & 1) as u8;
            if let Some(last) = self.raw.last_mut() {
                *last |= bit << (self.raw_bits % 8);
            }
            self.raw_bits += 1;
        }
        value
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Writer {
    fn finish(self, tables: &Tables) -> Vec<u8> {
        if self.symbols.is_empty() && self.raw.iter().all(|&byte| byte == 0) {
            return Vec::new();
        }
        let mut states = [STATE_START; LANES];
        let mut words = Vec::new();
        for (i, &(table, symbol)) in self.symbols.iter().enumerate().rev() {
            let (start, frequency) = tables.slots_of(table, symbol);
            let state = &mut states[i % LANES];
            if *state >> (32 - PRECISION) >= frequency {
                words.push(*state as u16);
                *state >>= 16;
            }
            *state = (*state / frequency) << PRECISION | (*state % frequency + start);
        }
        let mut out = Vec::new();
        put(&mut out, self.raw.len() as u64);
        out.extend(self.raw);
        states.iter().for_each(|state| out.extend(state.to_le_bytes()));
        words.iter().rev().for_each(|word| out.extend(word.to_le_bytes()));
        out
    }
}

/// Takes apart what was written.
#[derive(Debug)]
struct Reader<'p> {
    tables: &'static Tables,
    raw: &'p [u8],
    raw_bits: usize,
    states: [u32; LANES],
    lane: usize,
    words: &'p [[u8; 2]],
    /// Nothing was written: all sets are empty.
    is_empty: bool,
    /// The first thing that was wrong.
    failure: Option<CodingError>,
}

impl<'p> Reader<'p> {
    fn new(mut payload: &'p [u8]) -> Result<Self> {
        let is_empty = payload.is_empty();
        let (mut raw, mut states) = (&[][..], [STATE_START; LANES]);
        if !is_empty {
            let length = take(&mut payload)?;
            let length = usize::try_from(length).ok().filter(|&length| length <= payload.len());
            let length = length.ok_or(truncated("raw bits of Gaussians"))?;
            (raw, payload) = payload.split_at(length);
            for state in &mut states {
                let (bytes, rest) = payload.split_first_chunk().ok_or(truncated("states of Gaussians"))?;
                *state = u32::from_le_bytes(*bytes);
                payload = rest;
            }
            if states.iter().any(|&state| state < STATE_START) {
                return Err(corrupt("state of a stream of Gaussians"));
            }
        }
        let (words, odd) = payload.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(corrupt("length of a stream of Gaussians"));
        }
        Ok(Self { tables: tables(), raw, raw_bits: 0, states, lane: 0, words, is_empty, failure: None })
    }

    fn finish(self) -> Result<()> {
        let is_done = self.words.is_empty() && self.states == [STATE_START; LANES];
        let used = self.raw_bits.div_ceil(8) == self.raw.len();
        let padding = self
            .raw
            .last()
            .is_none_or(|last| self.raw_bits.is_multiple_of(8) || last >> (self.raw_bits % 8) == 0);
        if is_done && (used && padding || self.is_empty) {
            return Ok(());
        }
        Err(corrupt("bytes follow the last set of Gaussians"))
    }

    #[cold]
    fn fail(&mut self, what: &'static str) {
        self.failure.get_or_insert(truncated(what));
    }
}

impl Symbols for Reader<'_> {
    #[inline]
    fn symbol(&mut self, table: u16, _: u8) -> u8 {
        let state = self.states[self.lane];
        let (symbol, start, frequency) = self.tables.symbol_at(table, state & ((1 << PRECISION) - 1));
        let mut state = frequency * (state >> PRECISION) + (state & ((1 << PRECISION) - 1)) - start;
        if state < STATE_START {
            match self.words.split_first() {
                Some((word, rest)) => {
                    state = state << 16 | u32::from(u16::from_le_bytes(*word));
                    self.words = rest;
                }
                None => {
                    self.fail("symbols of Gaussians");
                    state = STATE_START;
                }
            }
        }
        self.states[self.lane] = state;
        self.lane = (self.lane + 1) % LANES;
        symbol
    }

    #[inline]
    fn bits(&mut self, _: u32, count: u32) -> u32 {
        if count == 0 || self.is_empty {
            return 0;
        }
        let from = self.raw_bits / 8;
        let mut bytes = [0; 8];
        let near = self.raw.get(from..).unwrap_or_default();
        let near = &near[..near.len().min(8)];
        bytes[..near.len()].copy_from_slice(near);
        if self.raw_bits + count as usize > 8 * self.raw.len() {
            self.fail("raw bits of Gaussians");
            return 0;
        }
        let value = u64::from_le_bytes(bytes) >> (self.raw_bits % 8) & ((1 << count) - 1);
        self.raw_bits += count as usize;
        value as u32
    }

    fn check(&self) -> Result<()> {
        // The failure itself is told when the set is given up.
        if self.failure.is_some() { Err(truncated("symbols of Gaussians")) } else { Ok(()) }
    }
}
