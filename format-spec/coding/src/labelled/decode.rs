//! Reading labelled chunks.

use super::SharedObjects;
use super::labels_of_elements::{Labelled, Scratch};
use super::merge::{Planes, merge};
use super::payload::Block;
use super::prefix_symbols::PrefixSymbols;
use super::symbols::Symbols;
use super::vector::Level;
use crate::error::Result;

/// Elements decoded at a time: their classes and symbols stay in the first-level cache. A multiple of all lane counts.
pub(super) const GROUP: usize = 4096;

/// Decodes the payload of a chunk of coding 2 into `out`, whose length is the chunk's decoded length. Stored chunks (form 0) are
/// the caller's.
///
/// Scratch memory is a constant and what the labels of the chunk's rows take. After an error the content of `out` is unspecified.
///
/// # Errors
/// Any breach of section 7.4; [`crate::CodingError::MissingTable`] if `shared` lacks what the chunk names.
pub fn decode(payload: &[u8], shared: &(impl SharedObjects + ?Sized), out: &mut [u8]) -> Result<()> {
    decode_at(Level::detect(), payload, shared, out)
}

/// As [`decode`], with no more vector instructions than `level`, which the machine must have: for tests and measurements.
///
/// # Errors
/// As [`decode`].
pub fn decode_at(
    level: Level,
    payload: &[u8],
    shared: &(impl SharedObjects + ?Sized),
    out: &mut [u8],
) -> Result<()> {
    let level = level.available();
    let block = Block::parse(payload, shared, out.len())?;
    let mut symbols = Coded::new(&block, level);
    let (mut scratch, mut highs) = (Scratch::default(), [0; GROUP]);
    let mut planes = Planes::new(&block);
    // Groups whose plane bits the states hold until the end.
    let mut pending: Vec<u16> = Vec::new();
    let mut pending_start = None;
    let mut cursor = Labelled::new(&block);
    let size = block.classes.format().bytes();
    for start in (0..block.len).step_by(GROUP) {
        let count = GROUP.min(block.len - start);
        let (classes, biases) = cursor.fill(count, &mut scratch);
        let highs = &mut highs[..count];
        symbols.decode(classes, biases, highs)?;
        if pending_start.is_none() && planes.have(count, biases) {
            let out = &mut out[start * size..(start + count) * size];
            merge(&block, &mut planes, &[], start, highs, biases, out, level);
        } else {
            pending_start.get_or_insert(start);
            pending.extend_from_slice(highs);
        }
    }
    let absorbed = symbols.finish()?;
    if let Some(first) = pending_start {
        let mut cursor = Labelled::at(&block, first);
        for (group, highs) in pending.chunks(GROUP).enumerate() {
            let start = first + group * GROUP;
            let (_, biases) = cursor.fill(highs.len(), &mut scratch);
            let out = &mut out[start * size..(start + highs.len()) * size];
            merge(&block, &mut planes, &absorbed, start, highs, biases, out, level);
        }
    }
    planes.finish(&absorbed)
}

/// What gives the symbols.
enum Coded<'b> {
    Rans(Box<Symbols<'b>>),
    Prefix(Box<PrefixSymbols<'b>>),
}

impl<'b> Coded<'b> {
    fn new(block: &'b Block<'b>, level: Level) -> Self {
        if block.classes.is_prefix() {
            Self::Prefix(Box::new(PrefixSymbols::new(block)))
        } else {
            Self::Rans(Box::new(Symbols::new(block, level)))
        }
    }

    fn decode(&mut self, classes: &[u8], biases: &[i8], highs: &mut [u16]) -> Result<()> {
        match self {
            Self::Rans(symbols) => symbols.decode(classes, biases, highs),
            Self::Prefix(symbols) => symbols.decode(classes, highs),
        }
    }

    fn finish(self) -> Result<Vec<u8>> {
        match self {
            Self::Rans(symbols) => symbols.finish(),
            Self::Prefix(symbols) => symbols.finish().map(|()| Vec::new()),
        }
    }
}
