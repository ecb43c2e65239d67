//! rANS streams of symbols whose classes are known one run after another, for codings that are not of matrices.

use super::classes::{Classes, ZERO};
use super::encode_symbols::code_keys;
use super::payload::{MAX_LANES, STATE_START, put_states, take_states};
use super::symbols::Symbols;
use super::vector::Level;
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
