//! The rANS stream of a labelled chunk, from its last symbol to its first.

use super::classes::{Classes, ESCAPE, SIGN_PRECISION, SYMBOLS, SignCosts};
use super::encode_tables::{EncodeTables, Entry, sign_entries};
use super::take_apart::{GROUP, Parts};
use crate::error::{Result, invalid};

/// What coding the symbols gives, beside the states.
pub(super) struct Stream {
    /// In the order of a decoder.
    pub(super) words: Vec<u16>,
    /// The high parts that are escaped, in the order of the elements.
    pub(super) escapes: Vec<u16>,
}

/// Words, written from the end of a buffer down.
struct Words {
    buffer: Vec<u16>,
    /// Where the next one goes.
    free: usize,
}

impl Words {
    /// Room for `count` words.
    fn new(count: usize) -> Self {
        Self { buffer: vec![0; count + 1], free: count }
    }

    /// Moves the low half of a state out if it has no room for a symbol; at most `count` times.
    #[inline]
    fn shrink(&mut self, x: u32, entry: &Entry) -> u32 {
        // Without a branch, which would be taken as a coin falls.
        let over = entry.overflows(x);
        self.buffer[self.free] = x as u16;
        self.free -= usize::from(over);
        x >> (16 * u32::from(over))
    }

    fn finish(mut self) -> Vec<u16> {
        self.buffer.drain(..=self.free);
        self.buffer
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
    /// Codes the symbols in as many lanes as there are states; leaves in these what a decoder starts with.
    ///
    /// # Errors
    /// If an element must be escaped and its table lacks the escape.
    pub(super) fn code(&self, states: &mut [u32]) -> Result<Stream> {
        let keys = &self.parts.keys;
        let tables = self.classes.encode_tables();
        let precision = self.classes.precision();
        let signs = self.classes.signs().filter(|_| !self.biases.is_empty());
        let signs = signs.map(|costs| Signs::new(costs, self.classes));
        let mut words = Words::new(keys.len() * if signs.is_some() { 2 } else { 1 });
        let mut escapes = Vec::new();
        let lanes = states.len();
        for (step, keys) in keys.chunks(lanes).enumerate().rev() {
            let first = step * lanes;
            if let Some(signs) = &signs {
                self.code_signs(signs, tables, first, &mut states[..keys.len()], &mut words);
            }
            for (lane, (state, &key)) in states.iter_mut().zip(keys).enumerate().rev() {
                let mut entry = &tables.entries[usize::from(key)];
                if entry.freq == 0 {
                    let high = self.high(first + lane);
                    let (symbol, special) = tables.special(key, high);
                    if symbol == ESCAPE {
                        if special.freq == 0 {
                            return Err(invalid("a table lacks the escape that it needs"));
                        }
                        escapes.push(high);
                    }
                    entry = special;
                }
                let x = words.shrink(*state, entry);
                let (quotient, rank) = entry.divide(x, precision);
                *state = quotient << precision | u32::from(tables.slots[entry.place(rank)]);
            }
        }
        escapes.reverse();
        Ok(Stream { words: words.finish(), escapes })
    }

    /// Codes the signs of the elements from `first` on, one in each lane, that are in biased columns.
    fn code_signs(
        &self,
        signs: &Signs<'_>,
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
            let commoner = signs.commoner(bias, symbol);
            let minus = self.parts.signs[at / GROUP] >> (at % GROUP) & 1 == 1;
            let (freq, start) =
                if minus == (bias < 0) { (commoner, 0) } else { ((1 << SIGN_PRECISION) - commoner, commoner) };
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

/// How coded signs are coded.
struct Signs<'a> {
    costs: &'a SignCosts,
    octaves: [u8; SYMBOLS],
    entries: [Entry; 1 << SIGN_PRECISION],
}

impl<'a> Signs<'a> {
    fn new(costs: &'a SignCosts, classes: &Classes) -> Self {
        Self { costs, octaves: classes.sign_octaves(), entries: sign_entries() }
    }

    /// How often, out of 128, the sign of a symbol in a column with this bias is the commoner one.
    fn commoner(&self, bias: i8, symbol: u8) -> u32 {
        let octave = self.octaves[usize::from(symbol)];
        self.costs.commoner[usize::from(bias.unsigned_abs() - 1)][usize::from(octave)].into()
    }
}
