//! The rANS stream of a labelled chunk, from its last symbol to its first.

use super::classes::{Classes, ESCAPE, SIGN_BIASES, SIGN_PRECISION, SYMBOLS, SignCosts, ZERO};
#[cfg(target_arch = "x86_64")]
use super::encode_avx2::Step;
use super::encode_tables::{EncodeTables, Entry, sign_entries};
use super::prefix::{Code, PrefixCode};
use super::take_apart::{GROUP, Parts};
use super::vector::Level;
use crate::bits::BitSink;
use crate::error::{Result, invalid};

/// What coding the symbols gives, beside the states.
pub(super) struct Stream {
    /// In the order of a decoder.
    pub(super) words: Vec<u16>,
    /// The high parts that are escaped, in the order of the elements.
    pub(super) escapes: Vec<u16>,
}

/// What is coded so far: words, written from the end of a buffer down, and escapes.
pub(super) struct Words {
    buffer: Vec<u16>,
    /// Where the next one goes.
    free: usize,
    /// The last one first.
    escapes: Vec<u16>,
}

/// Words that may be written at once, valid or not.
const SPARE: usize = 8;

impl Words {
    /// Room for `count` words.
    fn new(count: usize) -> Self {
        Self { buffer: vec![0; count + SPARE], free: count + SPARE - 1, escapes: Vec::new() }
    }

    /// Moves the low half of a state out if it has no room for a symbol; at most as many times as there is room for words.
    #[inline]
    fn shrink(&mut self, x: u32, entry: &Entry) -> u32 {
        // Without a branch, which would be taken as a coin falls.
        let over = entry.overflows(x);
        self.buffer[self.free] = x as u16;
        self.free -= usize::from(over);
        x >> (16 * u32::from(over))
    }

    /// Where the next words go, the next one last.
    #[inline]
    pub(super) fn next_lanes(&mut self) -> &mut [u16] {
        &mut self.buffer[self.free + 1 - SPARE..=self.free]
    }

    /// After `count` of them were written.
    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.free -= count;
    }

    fn finish(mut self) -> Stream {
        self.escapes.reverse();
        Stream { words: self.buffer[self.free + 1..].to_vec(), escapes: self.escapes }
    }
}

/// A chunk that is coded.
pub(super) struct Chunk<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) classes: &'a Classes,
    pub(super) parts: &'a Parts,
    /// The sign bias of each element; empty: none.
    pub(super) biases: &'a [i8],
}

impl Chunk<'_> {
    /// Codes the symbols as prefix codes, in so many bit strings that take turns; gives these and the high parts that are escaped.
    ///
    /// # Errors
    /// As [`Chunk::code`].
    pub(super) fn code_prefix(&self, strings: usize) -> Result<(Vec<Vec<u8>>, Vec<u16>)> {
        let codes: Vec<Code> = self.classes.codes().iter().flat_map(PrefixCode::codes).collect();
        let mut escapes = Vec::new();
        let string = |first: usize| {
            let mut sink = BitSink::with_capacity(self.parts.keys.len() / strings);
            for (i, &key) in self.parts.keys.iter().enumerate().skip(first).step_by(strings) {
                let table = usize::from(key) / SYMBOLS * SYMBOLS;
                let symbol = usize::from(key) % SYMBOLS;
                let mut code = codes[usize::from(key)];
                if symbol >= usize::from(ZERO) || code.length == 0 {
                    let zero = codes[table + usize::from(ZERO)];
                    code = if self.high(i) == 0 && zero.length > 0 {
                        zero
                    } else {
                        escapes.push((i, self.high(i)));
                        codes[table + usize::from(ESCAPE)]
                    };
                    if code.length == 0 {
                        return Err(invalid("a table lacks the escape that it needs"));
                    }
                }
                sink.put(code.bits.into(), code.length.into());
            }
            Ok(sink.into_bytes())
        };
        let strings = (0..strings).map(string).collect::<Result<_>>()?;
        escapes.sort_unstable();
        Ok((strings, escapes.into_iter().map(|(_, high)| high).collect()))
    }

    /// Codes the symbols in as many lanes as there are states; leaves in these what a decoder starts with.
    ///
    /// # Errors
    /// If an element must be escaped and its table lacks the escape.
    pub(super) fn code(&self, level: Level, states: &mut [u32]) -> Result<Stream> {
        let keys = &self.parts.keys;
        let tables = self.classes.encode_tables();
        let signs = self.classes.signs().filter(|_| !self.biases.is_empty());
        let signs = signs.map(|costs| Signs::new(costs, self.classes));
        let mut words = Words::new(keys.len() * if signs.is_some() { 2 } else { 1 });
        let lanes = states.len();
        for (step, keys) in keys.chunks(lanes).enumerate().rev() {
            let states = &mut states[..keys.len()];
            self.code_step(level, tables, (step * lanes, keys, signs.as_ref()), states, &mut words)?;
        }
        Ok(words.finish())
    }

    /// Codes the signs and then the symbols of the elements from `first` on, one in each lane.
    #[allow(unsafe_code)]
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    fn code_step(
        &self,
        level: Level,
        tables: &EncodeTables,
        (first, keys, signs): (usize, &[u16], Option<&Signs>),
        states: &mut [u32],
        words: &mut Words,
    ) -> Result<()> {
        #[cfg(target_arch = "x86_64")]
        if level >= Level::Avx2
            && let (Some(keys), Some(states)) = (keys.first_chunk(), states.first_chunk_mut())
        {
            let biases = self.biases.get(first..).and_then(<[i8]>::first_chunk);
            let step = Step { first, keys, signs: biases.zip(signs) };
            // SAFETY: the machine has what the level stands for.
            return unsafe { self.code_step_avx2(tables, &step, states, words) };
        }
        if let Some(signs) = signs {
            self.code_signs(signs, tables, first, states, words);
        }
        let precision = self.classes.precision();
        for (lane, (state, &key)) in states.iter_mut().zip(keys).enumerate().rev() {
            let mut entry = &tables.entries[usize::from(key)];
            if entry.freq == 0 {
                entry = self.special(tables, key, first + lane, words)?;
            }
            let x = words.shrink(*state, entry);
            let (quotient, rank) = entry.divide(x, precision);
            *state = quotient << precision | u32::from(tables.slots[entry.place(rank)]);
        }
        Ok(())
    }

    /// What element `at` is coded as, whose table lacks its symbol.
    #[cold]
    pub(super) fn special<'t>(
        &self,
        tables: &'t EncodeTables,
        key: u16,
        at: usize,
        words: &mut Words,
    ) -> Result<&'t Entry> {
        let high = self.high(at);
        let (symbol, entry) = tables.special(key, high);
        if symbol == ESCAPE {
            words.escapes.push(high);
        }
        if entry.freq == 0 { Err(invalid("a table lacks the escape that it needs")) } else { Ok(entry) }
    }

    /// Codes the signs of the elements from `first` on, one in each lane, that are in biased columns.
    fn code_signs(
        &self,
        signs: &Signs,
        tables: &EncodeTables,
        first: usize,
        states: &mut [u32],
        words: &mut Words,
    ) {
        for (lane, state) in states.iter_mut().enumerate().rev() {
            let at = first + lane;
            let bias = self.biases[at];
            if bias == 0 {
                continue;
            }
            let key = self.parts.keys[at];
            let symbol = if tables.entries[usize::from(key)].freq > 0 {
                (usize::from(key) % SYMBOLS) as u8
            } else {
                tables.special(key, self.high(at)).0
            };
            let commoner =
                u32::from(signs.by_symbol[usize::from(bias.unsigned_abs() - 1)][usize::from(symbol)]);
            let minus = self.parts.signs[at / GROUP] >> (at % GROUP) & 1 == 1;
            let (freq, start) = if minus == (bias < 0) {
                (commoner, 0)
            } else {
                ((1 << SIGN_PRECISION) - commoner, commoner)
            };
            let entry = &signs.entries[freq as usize];
            let x = words.shrink(*state, entry);
            let (quotient, rank) = entry.divide(x, SIGN_PRECISION);
            *state = quotient << SIGN_PRECISION | (rank + start);
        }
    }

    /// Exponent and top mantissa bits of an element.
    fn high(&self, at: usize) -> u16 {
        let size = self.classes.format().bytes();
        let mut word = [0; 8];
        word[..size].copy_from_slice(&self.bytes[at * size..(at + 1) * size]);
        (u64::from_le_bytes(word) >> self.classes.low_bits()) as u16 & ((1 << self.classes.high_bits()) - 1)
    }
}

/// Codes keys (table * 64 + symbol) that all have entries, in as many lanes as there are states; the words, in the order of a decoder.
///
/// # Errors
/// If a table lacks a symbol.
pub(super) fn code_keys(classes: &Classes, keys: &[u16], states: &mut [u32]) -> Result<Vec<u16>> {
    let (tables, precision) = (classes.encode_tables(), classes.precision());
    let mut words = Words::new(keys.len());
    for keys in keys.chunks(states.len()).rev() {
        for (state, &key) in states.iter_mut().zip(keys).rev() {
            let entry = tables.entries.get(usize::from(key)).filter(|e| e.freq > 0);
            let entry = entry.ok_or(invalid("a table lacks a symbol"))?;
            let x = words.shrink(*state, entry);
            let (quotient, rank) = entry.divide(x, precision);
            *state = quotient << precision | u32::from(tables.slots[entry.place(rank)]);
        }
    }
    Ok(words.finish().words)
}

/// How coded signs are coded.
pub(super) struct Signs {
    /// How often, out of 128, the sign of a symbol in a column of some degree of bias is the commoner one.
    pub(super) by_symbol: [[u16; SYMBOLS]; SIGN_BIASES],
    entries: [Entry; 1 << SIGN_PRECISION],
}

impl Signs {
    fn new(costs: &SignCosts, classes: &Classes) -> Self {
        let octaves = classes.sign_octaves();
        let by_symbol =
            costs.commoner.map(|of_degree| octaves.map(|octave| of_degree[usize::from(octave)].into()));
        Self { by_symbol, entries: sign_entries() }
    }
}
