//! The rANS stream: 64 lanes in sixteen registers.

use super::EXPAND_HALVES;
use super::instructions::*;
use super::signs::SignDecoder;
use crate::error::Result;
use crate::labelled::classes::{CLASSES, ZERO};
use crate::labelled::payload::MAX_LANES;
use crate::labelled::symbols::{MINUS, STEP_WORDS, Symbols};

/// Elements of a step.
pub(super) const STEP: usize = MAX_LANES;
/// Lanes of a register.
const LANES: usize = 4;
/// Registers of all states.
pub(super) const REGISTERS: usize = STEP / LANES;
/// Bytes of a register.
pub(super) const BYTES: usize = 16;

impl Symbols<'_> {
    /// Decodes as many whole steps as there are words for, for certain; returns the elements done.
    ///
    /// There are 64 lanes, and exponents of at most 8 bits; classes are as many as elements, biases as many, or none.
    pub(in crate::labelled) fn decode_vector128(
        &mut self,
        classes: &[u8],
        biases: &[i8],
        highs: &mut [u16],
    ) -> Result<usize> {
        match self.precision {
            10 => self.steps_vector128::<10>(classes, biases, highs),
            11 => self.steps_vector128::<11>(classes, biases, highs),
            _ => self.steps_vector128::<12>(classes, biases, highs),
        }
    }

    fn steps_vector128<const PRECISION: u32>(
        &mut self,
        classes: &[u8],
        biases: &[i8],
        highs: &mut [u16],
    ) -> Result<usize> {
        let slots = self.classes.slots();
        let signs = (!biases.is_empty()).then(|| SignDecoder::new(self));
        let labels = Labels::new(self);
        let mut x = [splat32(0); REGISTERS];
        for (x, states) in x.iter_mut().zip(self.states.as_chunks().0) {
            *x = load_doubles(states);
        }
        let mut done = 0;
        for (classes, highs) in classes.as_chunks::<STEP>().0.iter().zip(highs.as_chunks_mut::<STEP>().0) {
            let Some(window) = self.words.first_chunk::<STEP_WORDS>() else { break };
            let mut used = 0;
            let mut first_slots = [splat32(0); REGISTERS];
            if !labels.is_single {
                labels.first_slots::<PRECISION>(classes, &mut first_slots);
            }
            let mut symbols = [splat32(0); REGISTERS];
            for ((x, symbol), first_slot) in x.iter_mut().zip(&mut symbols).zip(first_slots) {
                let place = and(*x, splat32((1 << PRECISION) - 1));
                let slot = |at: u32| slots.get(at as usize).copied().unwrap_or_default();
                let slot = of_four(to_four(or(place, first_slot)).map(slot));
                *symbol = and(slot, splat32(63));
                let freq = and(down32(slot, 6), splat32(0x1FFF));
                let next = add32(multiply32(freq, down32(*x, PRECISION)), down32(slot, 19));
                *x = refill(next, splat32(u32::MAX), window, &mut used);
            }
            let symbols = to_bytes(&symbols);
            if labels.high_parts(classes, &symbols, highs) {
                let mut found = [0; STEP];
                found.as_chunks_mut().0.iter_mut().zip(symbols).for_each(|(to, bytes)| store(to, bytes));
                self.patch(&found, highs)?;
            }
            if let (Some(signs), Some(biases)) =
                (&signs, biases[biases.len().min(done)..].first_chunk::<STEP>())
            {
                let minus = signs.decode(&mut x, biases, &symbols, window, &mut used);
                for (highs, minus) in highs.as_chunks_mut().0.iter_mut().zip(minus.as_chunks::<2>().0) {
                    let minus = and(narrow32(minus[0], minus[1]), splat16(MINUS));
                    store_words(highs, or(load_words(highs), minus));
                }
            }
            self.words = &self.words[used..];
            done += STEP;
        }
        for (x, states) in x.into_iter().zip(self.states.as_chunks_mut().0) {
            store_doubles(states, x);
        }
        Ok(done)
    }
}

/// Brings those of the `lanes` that fell below 2^16 back above it with the window's next words.
#[inline(always)]
pub(super) fn refill(
    x: Register,
    lanes: Register,
    window: &[[u8; 2]; STEP_WORDS],
    used: &mut usize,
) -> Register {
    let low = and(equal32(down32(x, 16), splat32(0)), lanes);
    let (set, count) = set_of_doubles(low);
    // There are words for all, so that zeros are never taken.
    let next = window.get(*used..).and_then(<[_]>::first_chunk).copied();
    *used += count;
    let words =
        permute(load_half(&next.unwrap_or_default()), load(&EXPAND_HALVES[set % EXPAND_HALVES.len()]));
    or(select(low, up32(x, 16), x), words)
}

/// The low bytes of 64 double words, in order.
#[inline(always)]
fn to_bytes(symbols: &[Register; REGISTERS]) -> [Register; STEP / BYTES] {
    let mut bytes = [splat32(0); STEP / BYTES];
    for (bytes, four) in bytes.iter_mut().zip(symbols.as_chunks::<4>().0) {
        *bytes = narrow16(narrow32(four[0], four[1]), narrow32(four[2], four[3]));
    }
    bytes
}

/// What classes stand for, in registers.
struct Labels {
    octaves: [Register; 4],
    tables: [Register; 4],
    is_single: bool,
    top: u32,
    high_mask: Register,
}

impl Labels {
    fn new(symbols: &Symbols<'_>) -> Self {
        let top = symbols.classes.top();
        Self {
            octaves: quarters(&symbols.offsets.map(|offset| (offset >> top) as u8)),
            tables: quarters(&symbols.tables),
            is_single: symbols.classes.tables().len() == 1,
            top,
            high_mask: splat16(symbols.high_mask),
        }
    }

    /// The first slots of the elements' tables.
    #[inline(always)]
    fn first_slots<const PRECISION: u32>(&self, classes: &[u8; STEP], first: &mut [Register; REGISTERS]) {
        for (classes, first) in classes.as_chunks().0.iter().zip(first.as_chunks_mut::<4>().0) {
            let words = widen8(look_up(&self.tables, load(classes)));
            for (words, first) in words.into_iter().zip(first.as_chunks_mut().0) {
                *first = widen16(words).map(|table| up32(table, PRECISION));
            }
        }
    }

    /// Writes what symbols stand for; whether any is the zero or the escape.
    #[inline(always)]
    fn high_parts(
        &self,
        classes: &[u8; STEP],
        symbols: &[Register; STEP / BYTES],
        highs: &mut [u16; STEP],
    ) -> bool {
        let mut special = splat8(0);
        let groups = classes.as_chunks().0.iter().zip(highs.as_chunks_mut::<BYTES>().0);
        for ((classes, highs), &symbols) in groups.zip(symbols) {
            special = or(special, greater8(symbols, splat8(ZERO - 1)));
            let octaves = widen8(look_up(&self.octaves, load(classes)));
            let parts = octaves.into_iter().zip(widen8(symbols));
            for ((octaves, symbols), highs) in parts.zip(highs.as_chunks_mut().0) {
                store_words(highs, and(add16(symbols, up16(octaves, self.top)), self.high_mask));
            }
        }
        set_of_bytes(special) != 0
    }
}

/// A table of 64 bytes that is looked up 16 at a time.
pub(super) fn quarters(table: &[u8; CLASSES]) -> [Register; 4] {
    let mut quarters = [splat8(0); 4];
    quarters.iter_mut().zip(table.as_chunks().0).for_each(|(quarter, bytes)| *quarter = load(bytes));
    quarters
}
