//! Coded signs.

use super::instructions::*;
use super::symbols::{BYTES, REGISTERS, STEP, quarters, refill};
use crate::labelled::classes::{CLASSES, SIGN_OCTAVES, SIGN_PRECISION, ZERO};
use crate::labelled::symbols::{STEP_WORDS, Symbols};

/// For each four bytes of a register: the bytes as double words.
const QUARTER: [[u8; BYTES]; 4] = spread(1);
/// The same, each byte four times.
const QUARTER_FULL: [[u8; BYTES]; 4] = spread(4);

/// Each byte `times` times, and zeros.
const fn spread(times: usize) -> [[u8; BYTES]; 4] {
    let mut all = [[0x80; BYTES]; 4];
    let mut at = 0;
    while at < 4 * BYTES {
        if at % 4 < times {
            all[at / BYTES][at % BYTES] = (at / 4) as u8;
        }
        at += 1;
    }
    all
}

/// Decodes the signs of biased columns.
pub(super) struct SignDecoder {
    /// How often out of 128 the commoner sign comes, by 8 * (degree - 1) + octave: the first eight degrees, then the others.
    commoner: [[Register; 4]; 2],
    /// The mantissa bits in a symbol.
    top: u32,
    top_mask: Register,
    /// What is octave 0 at most.
    first_octave: Register,
}

impl SignDecoder {
    pub(super) fn new(symbols: &Symbols<'_>) -> Self {
        let mut commoner = [[0; CLASSES]; 2];
        for (all, of_degree) in
            commoner.as_flattened_mut().chunks_exact_mut(SIGN_OCTAVES).zip(&symbols.commoner)
        {
            all.copy_from_slice(of_degree);
        }
        let top = symbols.classes.top();
        let first_octave = symbols.classes.signs().map_or(0, |signs| signs.first_octave);
        Self {
            commoner: commoner.each_ref().map(quarters),
            top,
            top_mask: splat8(0xFF >> top),
            first_octave: splat8(first_octave),
        }
    }

    /// How often the commoner sign comes, of 16 elements; anything where the column is not biased.
    #[inline(always)]
    fn commoner(&self, bias: Register, symbols: Register) -> Register {
        let octave = and(down16(symbols, self.top), self.top_mask);
        let octave = least8(less8(octave, self.first_octave), splat8(SIGN_OCTAVES as u8 - 1));
        // The zero and the escape count as octave 0.
        let octave = and_not(octave, greater8(symbols, splat8(ZERO - 1)));
        // Degrees are at most 14.
        let degree = less8(magnitude8(bias), splat8(1));
        let index = or(up16(degree, SIGN_OCTAVES.ilog2()), octave);
        let in_half = and(index, splat8(CLASSES as u8 - 1));
        let [first, second] = self.commoner.each_ref().map(|half| look_up(half, in_half));
        select(greater8(index, splat8(CLASSES as u8 - 1)), second, first)
    }

    /// Decodes the signs of a step's elements in biased columns; all ones in lanes that are minus.
    #[inline(always)]
    pub(super) fn decode(
        &self,
        x: &mut [Register; REGISTERS],
        biases: &[i8; STEP],
        symbols: &[Register; STEP / BYTES],
        window: &[[u8; 2]; STEP_WORDS],
        used: &mut usize,
    ) -> [Register; REGISTERS] {
        let mut minus = [splat8(0); REGISTERS];
        let groups = biases.as_chunks::<BYTES>().0.iter().zip(symbols);
        let registers = x.as_chunks_mut::<4>().0.iter_mut().zip(minus.as_chunks_mut::<4>().0);
        for ((biases, &symbols), (x, minus)) in groups.zip(registers) {
            let bias = load(&biases.map(|bias| bias as u8));
            let commoner = self.commoner(bias, symbols);
            let (is_raw, is_plus) = (equal8(bias, splat8(0)), greater8(bias, splat8(0)));
            for (quarter, (x, minus)) in x.iter_mut().zip(minus).enumerate() {
                let full = load(&QUARTER_FULL[quarter]);
                let is_coded = equal32(permute(is_raw, full), splat32(0));
                let commoner = permute(commoner, load(&QUARTER[quarter]));
                let (next, is_commoner) = sign(*x, commoner);
                *x = refill(select(is_coded, next, *x), is_coded, window, used);
                // The commoner sign is minus if the bias is.
                *minus = and(xor(is_commoner, permute(is_plus, full)), is_coded);
            }
        }
        minus
    }
}

/// The states after a sign, and whether it is the commoner one.
#[inline(always)]
fn sign(x: Register, commoner: Register) -> (Register, Register) {
    let slot = and(x, splat32((1 << SIGN_PRECISION) - 1));
    let is_commoner = greater32(commoner, slot);
    let rest = sub32(splat32(1 << SIGN_PRECISION), commoner);
    let freq = select(is_commoner, commoner, rest);
    let rank = sub32(slot, and_not(commoner, is_commoner));
    (add32(multiply32(freq, down32(x, SIGN_PRECISION)), rank), is_commoner)
}
