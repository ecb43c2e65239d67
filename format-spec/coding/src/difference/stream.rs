//! rANS streams whose symbols are each under a table of their own (`SPEC.md` section 7.6.2).

use super::slots::{ALL_BUCKETS, Buckets, MAX_TABLES, PLACE_BITS, PRECISION, RankTable, SYMBOLS};
use crate::error::{CodingError, Result, corrupt, invalid, truncated};
use crate::labelled::Level;
use crate::rans::MAX_LANES_LOG2;
use crate::varint::{self, take_bytes, take_u8};

const STATE_START: u32 = 1 << 16;
const MAX_LANES: usize = 1 << MAX_LANES_LOG2;

/// A stream being decoded, and the bits stored beside it.
pub(super) struct Stream<'a> {
    states: [u32; MAX_LANES],
    pub(super) lanes: usize,
    next: usize,
    words: &'a [[u8; 2]],
    used: usize,
    pub(super) plane: &'a [u8],
}

impl<'a> Stream<'a> {
    /// Without symbols.
    pub(super) const EMPTY: Self =
        Self { states: [STATE_START; MAX_LANES], lanes: 1, next: 0, words: &[], used: 0, plane: &[] };

    /// Reads plane length, lanes, states, plane and words, which fill `bytes`.
    pub(super) fn parse(mut bytes: &'a [u8]) -> Result<Self> {
        let rest = &mut bytes;
        let plane = varint::take(rest)?;
        let lanes_log2 = take_u8(rest, "lanes")?;
        if lanes_log2 > MAX_LANES_LOG2 {
            return Err(CodingError::Unsupported { what: "rANS lane code", id: lanes_log2.into() });
        }
        let lanes = 1 << lanes_log2;
        let mut states = [STATE_START; MAX_LANES];
        let heads = take_bytes(rest, 4 * lanes as u64, "rANS states")?;
        for (state, bytes) in states.iter_mut().zip(heads.as_chunks::<4>().0) {
            *state = u32::from_le_bytes(*bytes);
            if *state < STATE_START {
                return Err(corrupt("rANS state below 2^16"));
            }
        }
        let plane = take_bytes(rest, plane, "plane")?;
        let (words, half) = rest.as_chunks::<2>();
        if !half.is_empty() {
            return Err(corrupt("rANS stream ends in half a word"));
        }
        Ok(Self { states, lanes, next: 0, words, used: 0, plane })
    }

    /// The next symbol, under the table with these buckets.
    #[inline(always)]
    pub(super) fn symbol(&mut self, buckets: &Buckets) -> u8 {
        let state = &mut self.states[self.next % MAX_LANES];
        self.next = (self.next + 1) & (self.lanes - 1);
        let (number, place) = (*state >> PLACE_BITS & (SYMBOLS as u32 - 1), *state & ((1 << PLACE_BITS) - 1));
        let bucket = buckets[number as usize];
        // Arithmetic, not a choice that the compiler may make a branch of: it would be taken as a coin falls.
        let other = u32::from(place >= u32::from(bucket as u8));
        let symbol = ((bucket & 0xFF00 | u64::from(number)) >> (8 * other)) as u8;
        let freq = (bucket >> (32 + 16 * other)) as u16;
        let rank = place.wrapping_add_signed(i32::from((bucket >> 16) as i16) * other as i32);
        let x = u32::from(freq).wrapping_mul(*state >> PRECISION).wrapping_add(rank);
        *state = if x < STATE_START {
            // Words that are missing are noticed at the end.
            let word = self.words.get(self.used).copied().unwrap_or_default();
            self.used += 1;
            x << 16 | u32::from(u16::from_le_bytes(word))
        } else {
            x
        };
        symbol
    }

    /// Decodes what vector instructions can; returns the symbols done.
    #[allow(unsafe_code)]
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    fn vector_symbols(
        &mut self,
        level: Level,
        buckets: &[u64; ALL_BUCKETS],
        tables: &[u8],
        symbols: &mut [u8],
    ) -> usize {
        #[cfg(target_arch = "x86_64")]
        if level >= Level::Avx2
            && self.lanes == super::avx2::LANES
            && let Some(states) = self.states.first_chunk_mut::<{ super::avx2::LANES }>()
        {
            let next = self.next % states.len();
            states.rotate_left(next);
            let words = self.words.get(self.used..).unwrap_or_default();
            // SAFETY: the level says that the machine has these instructions.
            let (done, used) = unsafe { super::avx2::symbols(states, words, buckets, tables, symbols) };
            states.rotate_right(next);
            self.used += used;
            return done;
        }
        0
    }

    /// The next symbols, under the tables of these numbers.
    pub(super) fn symbols(
        &mut self,
        level: Level,
        buckets: &[u64; ALL_BUCKETS],
        tables: &[u8],
        symbols: &mut [u8],
    ) {
        let done = self.vector_symbols(level, buckets, tables, symbols);
        for (symbol, &table) in symbols.iter_mut().zip(tables).skip(done) {
            let start = usize::from(table) % MAX_TABLES;
            *symbol = self.symbol(&buckets.as_chunks().0[start]);
        }
    }

    /// Ends the stream.
    pub(super) fn finish(&self) -> Result<()> {
        if self.used > self.words.len() {
            return Err(truncated("rANS words"));
        }
        if self.used < self.words.len() {
            return Err(corrupt("rANS stream has words left over"));
        }
        if self.states[..self.lanes].iter().any(|&state| state != STATE_START) {
            return Err(corrupt("rANS stream does not end in its first state"));
        }
        Ok(())
    }

    /// Bytes of states, of the plane, and of words.
    pub(super) fn byte_lens(&self) -> (u64, u64, u64) {
        (4 * self.lanes as u64, self.plane.len() as u64, 2 * self.words.len() as u64)
    }
}

/// A symbol to be coded: its table's number, and itself.
pub(super) type Coded = (u8, u8);

/// Appends plane length, lanes, states, plane and words.
pub(super) fn put(
    out: &mut Vec<u8>,
    coded: &[Coded],
    table: impl Fn(u8) -> Option<&'static RankTable>,
    own: &[RankTable],
    lanes_log2: u8,
    plane: &[u8],
) -> Result<()> {
    if lanes_log2 > MAX_LANES_LOG2 {
        return Err(invalid("there are up to 64 lanes"));
    }
    let lanes = 1usize << lanes_log2;
    let mut states = [STATE_START; MAX_LANES];
    // The last word emitted comes first.
    let mut words: Vec<u16> = Vec::with_capacity(coded.len() / 2);
    for (i, &(number, symbol)) in coded.iter().enumerate().rev() {
        let table = own.get(usize::from(number)).or_else(|| table(number)).ok_or(invalid("table"))?;
        let (freq, start) = table.symbols.get(usize::from(symbol)).copied().unwrap_or_default();
        if freq == 0 {
            return Err(invalid("a symbol is not in its table"));
        }
        let state = &mut states[i & (lanes - 1)];
        let mut x = *state;
        if x >> (32 - PRECISION) >= freq {
            words.push(x as u16);
            x >>= 16;
        }
        *state = (x / freq) << PRECISION | table.slot(start, x % freq);
    }
    varint::put(out, plane.len() as u64);
    out.push(lanes_log2);
    out.extend(states[..lanes].iter().flat_map(|state| state.to_le_bytes()));
    out.extend_from_slice(plane);
    out.extend(words.iter().rev().flat_map(|word| word.to_le_bytes()));
    Ok(())
}
