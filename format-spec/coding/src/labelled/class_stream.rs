//! rANS streams of symbols whose classes are known one run after another, for codings that are not of matrices.

use super::classes::{CLASSES, Classes, SYMBOLS, ZERO};
use super::encode_symbols::{Chunk, Stream, code_keys};
use super::float_format::FloatFormat;
use super::payload::{MAX_LANES, STATE_BITS, STATE_START, put_states, take_states};
use super::symbols::Symbols;
use super::take_apart::Parts;
use super::vector::Level;
use crate::bits::{BitSink, BitSource};
use crate::error::{CodingError, Result, corrupt, invalid};
use crate::rans::MAX_LANES_LOG2;
use crate::varint::take_u8;

/// Symbols that mean themselves are below this.
pub(crate) const PLAIN_SYMBOLS: u8 = ZERO;

/// Codes `symbols`, each below [`PLAIN_SYMBOLS`], under their classes: lanes, states, words.
///
/// # Errors
/// If a table lacks a symbol.
pub(crate) fn encode_classed(
    classes: &Classes,
    symbols: &[u8],
    class_of: &[u8],
    lanes_log2: u8,
) -> Result<Vec<u8>> {
    let tables = classes.classes();
    let key =
        |(symbol, class): (&u8, &u8)| u16::from(tables[usize::from(*class)].table) * 64 + u16::from(*symbol);
    let keys: Vec<u16> = symbols.iter().zip(class_of).map(key).collect();
    if lanes_log2 > MAX_LANES_LOG2 || keys.len() != symbols.len() {
        return Err(invalid("symbols and classes of a stream"));
    }
    let mut states = [STATE_START; MAX_LANES];
    let states = &mut states[..1 << lanes_log2];
    let words = code_keys(classes, &keys, states)?;
    let mut out = vec![lanes_log2];
    put_states(&mut out, states);
    out.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    Ok(out)
}

/// Decodes what [`encode_classed`] made.
pub(crate) struct ClassedDecoder<'a> {
    symbols: Symbols<'a>,
    lanes: usize,
}

impl<'a> ClassedDecoder<'a> {
    /// Starts on a stream that fills `bytes`.
    ///
    /// # Errors
    /// If its head is malformed.
    pub(crate) fn new(classes: &'a Classes, bytes: &'a [u8]) -> Result<Self> {
        let mut rest = bytes;
        let log = take_u8(&mut rest, "lanes")?;
        if log > MAX_LANES_LOG2 {
            return Err(CodingError::Unsupported { what: "rANS lane code", id: log.into() });
        }
        let lanes = 1 << log;
        let (states, _) = take_states(&mut rest, lanes)?;
        let (words, half) = rest.as_chunks::<2>();
        if !half.is_empty() {
            return Err(corrupt("rANS stream ends in half a word"));
        }
        Ok(Self { symbols: Symbols::of_stream(classes, Level::detect(), (states, lanes), words), lanes })
    }

    /// Lanes: all runs but the last are a multiple of them long.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Decodes a run of symbols of these classes.
    ///
    /// # Errors
    /// If the stream ends, or has an escape.
    pub(crate) fn decode(&mut self, class_of: &[u8], out: &mut [u16]) -> Result<()> {
        self.symbols.decode(class_of, &[], out)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// If something of it is left.
    pub(crate) fn finish(self) -> Result<()> {
        self.symbols.finish().map(|_| ())
    }
}

/// Bits of a number in a stream of numbers.
pub(crate) const NUMBER_BITS: u32 = 11;
/// Lanes of a stream of numbers at most.
pub(crate) const NUMBER_LANES: usize = MAX_LANES;

/// Whether a stream of numbers can be coded under these classes: numbers below [`ZERO`] are then symbols of their own.
pub(crate) fn are_of_numbers(classes: &Classes) -> bool {
    classes.high_bits() == NUMBER_BITS
        && !classes.is_prefix()
        && classes.signs().is_none()
        && classes.classes().iter().all(|class| class.octaves == 0)
}

/// Bytes that the states of so many lanes hold.
pub(crate) fn held_bytes(lanes: usize) -> usize {
    STATE_BITS * lanes / 8
}

/// A coded stream of numbers.
pub(crate) struct NumberStream {
    /// States.
    pub(crate) states: Vec<u8>,
    /// Numbers that are written in full.
    pub(crate) escapes: Vec<u8>,
    /// How many of them there are.
    pub(crate) escape_count: usize,
    /// Words.
    pub(crate) words: Vec<u8>,
}

/// Codes `numbers`, each below 2^11, under their classes; the states hold `held`: [`held_bytes`] of them, or none.
///
/// # Errors
/// If classes are not of numbers, or a table lacks the escape that it needs.
pub(crate) fn encode_numbers(
    classes: &Classes,
    numbers: &[u16],
    class_of: &[u8],
    lanes: usize,
    held: &[u8],
) -> Result<NumberStream> {
    if !are_of_numbers(classes) || numbers.len() != class_of.len() || lanes > MAX_LANES {
        return Err(invalid("classes of a stream of numbers"));
    }
    let tables = classes.table_numbers();
    let key = |(number, class): (&u16, &u8)| {
        let table = usize::from(tables[usize::from(*class) % CLASSES]);
        (table * SYMBOLS) as u16 + (*number).min(ZERO.into())
    };
    // The numbers as the high parts of floats, which is what the coder of floats asks for.
    let format = FloatFormat::Bf16;
    if classes.format() != format {
        return Err(invalid("classes of a stream of numbers"));
    }
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| (n << classes.low_bits()).to_le_bytes()).collect();
    let keys = numbers.iter().zip(class_of).map(key).collect();
    let parts = Parts { keys, low: BitSink::default(), signs: Vec::new() };
    let mut states = [STATE_START; MAX_LANES];
    let states = &mut states[..lanes];
    if !held.is_empty() {
        let mut source = BitSource::new(held);
        let mut left = 8 * held_bytes(lanes);
        for state in states.iter_mut() {
            let bits = left.min(STATE_BITS);
            *state = 1 << STATE_BITS | source.take(bits as u32)?;
            left -= bits;
        }
    }
    let chunk = Chunk { bytes: &bytes, classes, parts: &parts, biases: &[] };
    let Stream { words, escapes } = chunk.code(Level::detect(), states)?;
    let mut out = Vec::new();
    put_states(&mut out, states);
    let mut escaped = BitSink::default();
    escapes.iter().for_each(|&high| escaped.put(high.into(), NUMBER_BITS));
    Ok(NumberStream {
        states: out,
        escapes: escaped.into_bytes(),
        escape_count: escapes.len(),
        words: words.iter().flat_map(|w| w.to_le_bytes()).collect(),
    })
}

/// Decodes what [`encode_numbers`] made.
pub(crate) struct NumberDecoder<'a>(Symbols<'a>);

impl<'a> NumberDecoder<'a> {
    /// Takes the states from `rest`. `held`: they hold bytes.
    ///
    /// # Errors
    /// If the states are malformed.
    pub(crate) fn take_states(rest: &mut &[u8], lanes: usize) -> Result<[u32; NUMBER_LANES]> {
        take_states(rest, lanes).map(|(states, _)| states)
    }

    /// A stream under classes that are of numbers.
    ///
    /// # Errors
    /// If its words are no whole ones.
    pub(crate) fn new(
        classes: &'a Classes,
        level: Level,
        states: ([u32; NUMBER_LANES], usize),
        words: &'a [u8],
        (escapes, escape_count): (&'a [u8], usize),
        held: bool,
    ) -> Result<Self> {
        let (words, half) = words.as_chunks::<2>();
        if !half.is_empty() {
            return Err(corrupt("rANS stream ends in half a word"));
        }
        let symbols = Symbols::of_stream(classes, level, states, words);
        Ok(Self(symbols.with_escapes(escapes, escape_count, held)))
    }

    /// Decodes a run of numbers of these classes, a multiple of the lanes but for the last.
    ///
    /// # Errors
    /// If the stream or the escapes end.
    pub(crate) fn decode(&mut self, class_of: &[u8], out: &mut [u16]) -> Result<()> {
        self.0.decode(class_of, &[], out)
    }

    /// Ends the stream: the bytes that the states hold.
    ///
    /// # Errors
    /// If something of it is left.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        self.0.finish()
    }
}
