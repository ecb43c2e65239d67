//! The rANS stream of a labelled block: high parts, and the signs of biased columns.

use super::classes::{CLASSES, Classes, ESCAPE, SIGN_BIASES, SIGN_OCTAVES, SIGN_PRECISION, SYMBOLS, ZERO};
use super::payload::{Block, MAX_LANES, STATE_BITS, STATE_START};
use super::vector::Level;
use crate::bits::BitSource;
use crate::error::{Result, corrupt, truncated};

/// Words that a step of all lanes uses at most: one for each magnitude and one for each sign.
pub(super) const STEP_WORDS: usize = 2 * MAX_LANES;

/// Set in a high part where the sign was decoded and is minus.
pub(super) const MINUS: u16 = 1 << 15;

/// Where the elements of a class find their symbols, and what symbol 0 stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// High part of symbol 0.
    pub(super) offset: u16,
    /// First slot of the table: there are at most 16 tables of 2^12.
    pub(super) first_slot: u16,
}

impl Place {
    /// The places of all classes.
    pub(super) fn of_all(classes: &Classes) -> [Self; CLASSES] {
        let (tables, offsets) = (classes.table_numbers(), classes.offsets());
        core::array::from_fn(|class| Self {
            offset: offsets[class],
            first_slot: u16::from(tables[class]) << classes.precision(),
        })
    }
}

/// Decodes the rANS stream of a block.
pub(super) struct Symbols<'b> {
    pub(super) classes: &'b Classes,
    level: Level,
    pub(super) precision: u32,
    pub(super) tables: [u8; CLASSES],
    pub(super) offsets: [u16; CLASSES],
    pub(super) high_mask: u16,
    pub(super) places: [Place; CLASSES],
    pub(super) sign_octaves: [u8; SYMBOLS],
    pub(super) commoner: [[u8; SIGN_OCTAVES]; SIGN_BIASES],
    pub(super) states: [u32; MAX_LANES],
    lanes: usize,
    pub(super) words: &'b [[u8; 2]],
    escapes: Escapes<'b>,
    is_absorbed: bool,
}

/// High parts that are written in full.
pub(super) struct Escapes<'b> {
    source: BitSource<'b>,
    left: usize,
    high_bits: u32,
}

impl<'b> Escapes<'b> {
    pub(super) fn new(block: &Block<'b>) -> Self {
        let (left, high_bits) = (block.escape_count, block.classes.high_bits());
        Self { source: BitSource::new(block.escapes), left, high_bits }
    }

    /// Of a stream that has none.
    fn none() -> Self {
        Self { source: BitSource::new(&[]), left: 0, high_bits: 0 }
    }

    /// Sets what zeros and escapes stand for.
    pub(super) fn patch(&mut self, symbols: impl IntoIterator<Item = u8>, highs: &mut [u16]) -> Result<()> {
        for (high, symbol) in highs.iter_mut().zip(symbols) {
            match symbol {
                ZERO => *high = 0,
                ESCAPE => {
                    self.left = self.left.checked_sub(1).ok_or(corrupt("more escapes than stated"))?;
                    *high = self.source.take(self.high_bits)? as u16;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// All are used.
    pub(super) fn finish(self) -> Result<()> {
        if self.left > 0 {
            return Err(corrupt("fewer escapes than stated"));
        }
        self.source.finish().map(|_| ())
    }
}

impl<'b> Symbols<'b> {
    pub(super) fn new(block: &Block<'b>, level: Level) -> Self {
        let classes = block.classes;
        Self {
            commoner: classes.signs().map_or([[64; SIGN_OCTAVES]; SIGN_BIASES], |signs| signs.commoner),
            escapes: Escapes::new(block),
            is_absorbed: block.is_absorbed,
            ..Self::of_stream(classes, level, (block.states, block.lanes), block.words)
        }
    }

    /// Of a stream of magnitudes alone, in `lanes` lanes.
    pub(super) fn of_stream(
        classes: &'b Classes,
        level: Level,
        (states, lanes): ([u32; MAX_LANES], usize),
        words: &'b [[u8; 2]],
    ) -> Self {
        let (tables, offsets) = (classes.table_numbers(), classes.offsets());
        Self {
            classes,
            level,
            precision: classes.precision(),
            tables,
            offsets,
            places: Place::of_all(classes),
            high_mask: (1 << classes.high_bits()) - 1,
            sign_octaves: classes.sign_octaves(),
            commoner: [[64; SIGN_OCTAVES]; SIGN_BIASES],
            states,
            lanes,
            words,
            escapes: Escapes::none(),
            is_absorbed: false,
        }
    }

    /// With `count` escapes, of as many bits as high parts have; `is_absorbed`: the states hold bytes.
    pub(super) fn with_escapes(self, escapes: &'b [u8], count: usize, is_absorbed: bool) -> Self {
        let high_bits = self.classes.high_bits();
        let escapes = Escapes { source: BitSource::new(escapes), left: count, high_bits };
        Self { escapes, is_absorbed, ..self }
    }

    /// Decodes the high parts of the next elements (at most 4096), with [`MINUS`] where a coded sign is minus. All calls but the last ask
    /// for a multiple of the lanes.
    pub(super) fn decode(&mut self, classes: &[u8], biases: &[i8], highs: &mut [u16]) -> Result<()> {
        let done = self.decode_vectors(classes, biases, highs)?;
        let (classes, biases) = (&classes[done..], biases.get(done..).unwrap_or_default());
        match self.precision {
            _ if done == highs.len() => Ok(()),
            10 => self.steps::<10>(classes, biases, &mut highs[done..]),
            11 => self.steps::<11>(classes, biases, &mut highs[done..]),
            _ => self.steps::<12>(classes, biases, &mut highs[done..]),
        }
    }

    /// Decodes what vector instructions can; returns the elements done.
    #[allow(unsafe_code, unused_variables)]
    fn decode_vectors(&mut self, classes: &[u8], biases: &[i8], highs: &mut [u16]) -> Result<usize> {
        let of = self.classes;
        if self.lanes != MAX_LANES {
            return Ok(0);
        }
        #[cfg(target_arch = "x86_64")]
        if self.level >= Level::Avx512 {
            // SAFETY: the level says that the machine has these instructions.
            return unsafe { self.decode_avx512(of.byte_tables(), classes, biases, highs) };
        }
        if self.level == Level::Scalar || of.format().exponent_bits() > 8 {
            return Ok(0);
        }
        #[cfg(target_arch = "x86_64")]
        if self.level >= Level::Avx2 {
            // SAFETY: as above.
            return unsafe { self.decode_avx2(of.buckets(), classes, biases, highs) };
        }
        #[cfg(any(
            all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"),
            all(target_arch = "wasm32", target_feature = "simd128")
        ))]
        return self.decode_vector128(classes, biases, highs);
        #[allow(unreachable_code)]
        Ok(0)
    }

    /// Decodes step by step: an element of each lane.
    fn steps<const PRECISION: u32>(
        &mut self,
        classes: &[u8],
        biases: &[i8],
        highs: &mut [u16],
    ) -> Result<()> {
        let decoder = Lanes::<PRECISION> {
            slots: self.classes.slots(),
            places: self.places,
            high_mask: self.high_mask,
        };
        let mut padded = [[0; 2]; STEP_WORDS];
        let groups = classes.chunks(self.lanes).zip(highs.chunks_mut(self.lanes));
        for (step, (classes, highs)) in groups.enumerate() {
            let window = match self.words.first_chunk() {
                Some(window) => window,
                None => {
                    padded.fill([0; 2]);
                    padded[..self.words.len()].copy_from_slice(self.words);
                    &padded
                }
            };
            let mut symbols = [0u8; MAX_LANES];
            let mut used = 0;
            let mut greatest = 0;
            if classes.len() == MAX_LANES {
                let lanes = self.states.as_chunks_mut::<8>().0.iter_mut().zip(symbols.as_chunks_mut::<8>().0);
                let elements = classes.as_chunks::<8>().0.iter().zip(highs.as_chunks_mut::<8>().0);
                for ((states, symbols), (classes, highs)) in lanes.zip(elements) {
                    let most = decoder.decode_eight(states, symbols, classes, highs, window, &mut used);
                    greatest = greatest.max(most);
                }
            } else {
                greatest = decoder.decode(&mut self.states, &mut symbols, classes, highs, window, &mut used);
            }
            if greatest >= ZERO {
                self.patch(&symbols, highs)?;
            }
            let biases = biases.get(step * self.lanes..).unwrap_or_default();
            if biases.iter().take(highs.len()).any(|bias| *bias != 0) {
                self.signs(&symbols, biases, highs, window, &mut used);
            }
            self.words = self.words.get(used..).ok_or(truncated("rANS words"))?;
        }
        Ok(())
    }

    /// Decodes the signs of a step's elements in biased columns.
    fn signs(
        &mut self,
        symbols: &[u8; MAX_LANES],
        biases: &[i8],
        highs: &mut [u16],
        window: &[[u8; 2]; STEP_WORDS],
        used: &mut usize,
    ) {
        let lanes = self.states.iter_mut().zip(symbols);
        for ((state, symbol), (high, &bias)) in lanes.zip(highs.iter_mut().zip(biases)) {
            // Without branches, which would be taken as coins fall; what comes of an unbiased column is thrown away.
            let is_coded = bias != 0;
            let degree = usize::from(bias.unsigned_abs().saturating_sub(1)) % SIGN_BIASES;
            let octave = usize::from(self.sign_octaves[usize::from(*symbol) % SYMBOLS]) % SIGN_OCTAVES;
            let commoner = u32::from(self.commoner[degree][octave]);
            let x = *state;
            let slot = x & ((1 << SIGN_PRECISION) - 1);
            let rarer = slot >= commoner;
            let freq = if rarer { (1 << SIGN_PRECISION) - commoner } else { commoner };
            let rank = slot - if rarer { commoner } else { 0 };
            let next = freq * (x >> SIGN_PRECISION) + rank;
            let next = if is_coded { next } else { x };
            // A state of an unbiased column is not low.
            *state = refill(next, window, used);
            *high |= if is_coded & (rarer != (bias < 0)) { MINUS } else { 0 };
        }
    }

    /// As [`Escapes::patch`].
    pub(super) fn patch(&mut self, symbols: &[u8; MAX_LANES], highs: &mut [u16]) -> Result<()> {
        self.escapes.patch(symbols.iter().copied(), highs)
    }

    /// Ends the stream; the plane bytes that the states hold.
    pub(super) fn finish(self) -> Result<Vec<u8>> {
        if !self.words.is_empty() {
            return Err(corrupt("rANS stream has words left over"));
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

/// Decodes one symbol of each of some lanes.
struct Lanes<'t, const PRECISION: u32> {
    slots: &'t [u32],
    places: [Place; CLASSES],
    high_mask: u16,
}

impl<const PRECISION: u32> Lanes<'_, PRECISION> {
    /// Decodes as many elements as there are classes; returns the greatest symbol.
    fn decode(
        &self,
        states: &mut [u32],
        symbols: &mut [u8],
        classes: &[u8],
        highs: &mut [u16],
        window: &[[u8; 2]; STEP_WORDS],
        used: &mut usize,
    ) -> u8 {
        let mut greatest = 0;
        let lanes = states.iter_mut().zip(symbols);
        for ((state, symbol), (high, &class)) in lanes.zip(highs.iter_mut().zip(classes)) {
            (*symbol, *high) = self.decode_one(state, class, window, used);
            greatest = greatest.max(*symbol);
        }
        greatest
    }

    /// The same for eight lanes, without a loop.
    #[inline(always)]
    fn decode_eight(
        &self,
        states: &mut [u32; 8],
        symbols: &mut [u8; 8],
        classes: &[u8; 8],
        highs: &mut [u16; 8],
        window: &[[u8; 2]; STEP_WORDS],
        used: &mut usize,
    ) -> u8 {
        macro_rules! lanes {
            ($($lane:literal)*) => {$(
                (symbols[$lane], highs[$lane]) =
                    self.decode_one(&mut states[$lane], classes[$lane], window, used);
            )*};
        }
        lanes!(0 1 2 3 4 5 6 7);
        symbols.iter().fold(0, |greatest, &symbol| greatest.max(symbol))
    }

    /// The symbol of a lane's element of class `class`, and what it stands for unless it is the zero or the escape.
    #[inline(always)]
    fn decode_one(
        &self,
        state: &mut u32,
        class: u8,
        window: &[[u8; 2]; STEP_WORDS],
        used: &mut usize,
    ) -> (u8, u16) {
        let x = *state;
        let place = self.places[usize::from(class) % CLASSES];
        let at = usize::from(place.first_slot) + (x as usize & ((1 << PRECISION) - 1));
        let slot = self.slots.get(at).copied().unwrap_or_default();
        let symbol = (slot & 63) as u8;
        let next = ((slot >> 6) & 0x1FFF).wrapping_mul(x >> PRECISION).wrapping_add(slot >> 19);
        *state = refill(next, window, used);
        (symbol, place.offset.wrapping_add(symbol.into()) & self.high_mask)
    }
}

/// Brings a state back above 2^16 with the next word of the window, if it fell below.
#[inline(always)]
fn refill(x: u32, window: &[[u8; 2]; STEP_WORDS], used: &mut usize) -> u32 {
    // Arithmetic, not a choice that the compiler may make a branch of: it would be taken as a coin falls.
    let low = u32::from(x < STATE_START);
    let word = u32::from(u16::from_le_bytes(window[*used % STEP_WORDS]));
    *used += low as usize;
    x << (16 * low) | word & low.wrapping_neg()
}
