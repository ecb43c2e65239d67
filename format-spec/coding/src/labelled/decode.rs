//! Reading labelled chunks.

use super::SharedObjects;
use super::classes::{CLASSES, Classes, ESCAPE, SIGN_BIASES, SIGN_OCTAVES, SIGN_PRECISION, SYMBOLS, ZERO};
use super::merge::{Planes, merge};
use super::payload::{Block, MAX_LANES, STATE_BITS, STATE_START};
use super::vector::{Level, MAX_VECTOR_TABLES};
use crate::bits::BitSource;
use crate::error::{Result, corrupt, truncated};

/// Elements decoded at a time: their classes and symbols stay in the first-level cache. A multiple of all lane counts.
pub(super) const GROUP: usize = 4096;

/// Words that a step of all lanes uses at most: one for each magnitude and one for each sign.
pub(super) const STEP_WORDS: usize = 2 * MAX_LANES;

/// Set in an exponent-and-top-mantissa value where the sign was decoded and is minus.
pub(super) const MINUS: u16 = 1 << 15;

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
    let level = level.min(Level::detect());
    let block = Block::parse(payload, shared, out.len())?;
    let mut symbols = Symbols::new(&block, level);
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

/// The labels of a group of elements.
struct Scratch {
    classes: [u8; GROUP],
    biases: [i8; GROUP],
}

impl Default for Scratch {
    fn default() -> Self {
        Self { classes: [0; GROUP], biases: [0; GROUP] }
    }
}

/// Goes through the classes and biases of a block's elements in order.
struct Labelled<'b> {
    block: &'b Block<'b>,
    row: usize,
    column: usize,
}

impl<'b> Labelled<'b> {
    fn new(block: &'b Block<'b>) -> Self {
        Self::at(block, 0)
    }

    fn at(block: &'b Block<'b>, element: usize) -> Self {
        let place = block.first_column + element;
        Self { block, row: place / block.columns, column: place % block.columns }
    }

    /// The classes and biases (none: all 0) of the next `count` elements.
    fn fill<'s>(&mut self, count: usize, scratch: &'s mut Scratch) -> (&'s [u8], &'s [i8]) {
        let Scratch { classes, biases } = scratch;
        let (columns, bias_of) = (self.block.column_classes(), self.block.biases());
        let mut at = 0;
        while at < count {
            let run = (self.block.columns - self.column).min(count - at);
            let row = self.block.rows[self.row].class;
            let target = &mut classes[at..at + run];
            match columns.get(self.column..self.column + run) {
                Some(labels) => target.iter_mut().zip(labels).for_each(|(class, label)| *class = row + label),
                None => target.fill(row),
            }
            if let Some(labels) = bias_of.get(self.column..self.column + run) {
                biases[at..at + run].copy_from_slice(labels);
            }
            at += run;
            self.column += run;
            if self.column == self.block.columns {
                (self.row, self.column) = (self.row + 1, 0);
            }
        }
        (&classes[..count], if bias_of.is_empty() { &[] } else { &biases[..count] })
    }
}

/// Decodes the rANS stream of a block.
pub(super) struct Symbols<'b> {
    classes: &'b Classes,
    level: Level,
    pub(super) precision: u32,
    pub(super) tables: [u8; CLASSES],
    pub(super) offsets: [u16; CLASSES],
    pub(super) high_mask: u16,
    high_bits: u32,
    pub(super) sign_octaves: [u8; SYMBOLS],
    pub(super) commoner: [[u8; SIGN_OCTAVES]; SIGN_BIASES],
    pub(super) states: [u32; MAX_LANES],
    lanes: usize,
    pub(super) words: &'b [[u8; 2]],
    escapes: BitSource<'b>,
    escapes_left: usize,
    is_absorbed: bool,
}

impl<'b> Symbols<'b> {
    fn new(block: &Block<'b>, level: Level) -> Self {
        let classes = block.classes;
        Self {
            classes,
            level,
            precision: classes.precision(),
            tables: classes.table_numbers(),
            offsets: classes.offsets(),
            high_mask: (1 << classes.high_bits()) - 1,
            high_bits: classes.high_bits(),
            sign_octaves: classes.sign_octaves(),
            commoner: classes.signs().map_or([[64; SIGN_OCTAVES]; SIGN_BIASES], |signs| signs.commoner),
            states: block.states,
            lanes: block.lanes,
            words: block.words,
            escapes: BitSource::new(block.escapes),
            escapes_left: block.escape_count,
            is_absorbed: block.is_absorbed,
        }
    }

    /// Decodes the next elements' exponents and top mantissa bits, with [`MINUS`] where a coded sign is minus. All calls but the last
    /// ask for a multiple of the lanes.
    fn decode(&mut self, classes: &[u8], biases: &[i8], highs: &mut [u16]) -> Result<()> {
        let mut at = self.decode_steps(classes, biases, highs)?;
        while at < highs.len() {
            let end = (at + self.lanes).min(highs.len());
            let biases = if biases.is_empty() { biases } else { &biases[at..end] };
            self.step(&classes[at..end], biases, &mut highs[at..end])?;
            at = end;
        }
        Ok(())
    }

    /// Decodes what vector instructions can; returns the elements done.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    fn decode_steps(&mut self, classes: &[u8], biases: &[i8], highs: &mut [u16]) -> Result<usize> {
        let classes_of = self.classes;
        let tables = classes_of.tables().len();
        if self.lanes != MAX_LANES {
            return Ok(0);
        }
        if self.level >= Level::Avx512 && tables <= MAX_VECTOR_TABLES {
            // SAFETY: the level says that the machine has these instructions.
            return unsafe { self.decode_avx512(classes_of.byte_tables(), classes, biases, highs) };
        }
        if self.level >= Level::Avx2 && tables <= super::avx2::MAX_TABLES {
            // SAFETY: as above.
            return unsafe { self.decode_avx2(classes_of.slots(), classes, biases, highs) };
        }
        Ok(0)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn decode_steps(&mut self, _: &[u8], _: &[i8], _: &mut [u16]) -> Result<usize> {
        Ok(0)
    }

    /// Decodes one step: an element of each lane.
    fn step(&mut self, classes: &[u8], biases: &[i8], highs: &mut [u16]) -> Result<()> {
        let mut padded = [[0; 2]; STEP_WORDS];
        let window = match self.words.first_chunk() {
            Some(window) => window,
            None => {
                padded[..self.words.len()].copy_from_slice(self.words);
                &padded
            }
        };
        let mut symbols = [0u8; MAX_LANES];
        let mut used = 0;
        let mask = (1u32 << self.precision) - 1;
        let mut special = false;
        let slots = self.classes.slots();
        for (((state, symbol), high), &class) in
            self.states.iter_mut().zip(&mut symbols).zip(&mut *highs).zip(classes)
        {
            let class = usize::from(class) % CLASSES;
            let slot = slots[(usize::from(self.tables[class]) << self.precision) + (*state & mask) as usize];
            let found = (slot & 63) as u8;
            let x = ((slot >> 6) & 0x1FFF).wrapping_mul(*state >> self.precision).wrapping_add(slot >> 19);
            *state = refill(x, window, &mut used);
            *symbol = found;
            *high = self.offsets[class].wrapping_add(found.into()) & self.high_mask;
            special |= found >= ZERO;
        }
        if special {
            self.patch(&symbols, highs)?;
        }
        for (((state, symbol), high), &bias) in
            self.states.iter_mut().zip(&symbols).zip(&mut *highs).zip(biases)
        {
            if bias == 0 {
                continue;
            }
            let degree = usize::from(bias.unsigned_abs() - 1) % SIGN_BIASES;
            let octave = usize::from(self.sign_octaves[usize::from(*symbol) % SYMBOLS]) % SIGN_OCTAVES;
            let commoner = u32::from(self.commoner[degree][octave]);
            let slot = *state & ((1 << SIGN_PRECISION) - 1);
            let rarer = slot >= commoner;
            let (freq, rank) =
                if rarer { ((1 << SIGN_PRECISION) - commoner, slot - commoner) } else { (commoner, slot) };
            *state = refill(freq * (*state >> SIGN_PRECISION) + rank, window, &mut used);
            if rarer != (bias < 0) {
                *high |= MINUS;
            }
        }
        self.words = self.words.get(used..).ok_or(truncated("rANS words"))?;
        Ok(())
    }

    /// Sets what zeros and escapes stand for.
    pub(super) fn patch(&mut self, symbols: &[u8; MAX_LANES], highs: &mut [u16]) -> Result<()> {
        for (high, &symbol) in highs.iter_mut().zip(symbols) {
            match symbol {
                ZERO => *high = 0,
                ESCAPE => {
                    self.escapes_left =
                        self.escapes_left.checked_sub(1).ok_or(corrupt("more escapes than stated"))?;
                    *high = self.escapes.take(self.high_bits)? as u16;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends the stream; the plane bytes that the states hold.
    fn finish(self) -> Result<Vec<u8>> {
        if !self.words.is_empty() {
            return Err(corrupt("rANS stream has words left over"));
        }
        if self.escapes_left > 0 {
            return Err(corrupt("fewer escapes than stated"));
        }
        self.escapes.finish()?;
        let states = &self.states[..self.lanes];
        if !self.is_absorbed {
            let ended = states.iter().all(|&state| state == STATE_START);
            return if ended {
                Ok(Vec::new())
            } else {
                Err(corrupt("rANS stream does not end in its first state"))
            };
        }
        let bytes = STATE_BITS * self.lanes / 8;
        let mut held = Vec::with_capacity(bytes + 1);
        let (mut waiting, mut bits) = (0u64, 0);
        for &state in states {
            if state >> STATE_BITS == 0 {
                return Err(corrupt("rANS stream does not end in a state that holds plane bits"));
            }
            waiting |= u64::from(state & !(1 << STATE_BITS)) << bits;
            bits += STATE_BITS;
            while bits >= 8 {
                held.push(waiting as u8);
                waiting >>= 8;
                bits -= 8;
            }
        }
        if waiting != 0 {
            return Err(corrupt("states not filled with zero bits"));
        }
        Ok(held)
    }
}

/// Brings a state back above 2^16 with the next word of the window, if it fell below.
#[inline(always)]
fn refill(x: u32, window: &[[u8; 2]; STEP_WORDS], used: &mut usize) -> u32 {
    let low = x < STATE_START;
    let refilled = x << 16 | u32::from(u16::from_le_bytes(window[*used % STEP_WORDS]));
    *used += usize::from(low);
    if low { refilled } else { x }
}
