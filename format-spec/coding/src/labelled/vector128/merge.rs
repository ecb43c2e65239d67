//! Putting elements of 2 and 4 bytes together.

use super::EXPAND_WORDS;
use super::instructions::*;
use super::symbols::BYTES;
use crate::labelled::merge::{Planes, Run, raw_count};
use crate::labelled::symbols::MINUS;

/// Elements put together at a time.
const ELEMENTS: usize = 16;
/// Half of them: words of a register. Fields of eight elements are whole bytes, so all halves lie alike.
const HALF: usize = ELEMENTS / 2;

impl Run<'_> {
    /// Writes elements of 2 bytes while the planes can be read by vectors; returns how many.
    pub(in crate::labelled) fn merge_words_vector128(
        &self,
        planes: &mut Planes<'_>,
        highs: &[u16],
        out: &mut [u8],
    ) -> usize {
        let width = self.low_bits as usize;
        // A field must lie within two bytes.
        if width > 9 {
            return 0;
        }
        let (low, signs) = planes.vector_windows();
        let mut signs = Signs { plane: signs, at: planes.sign_at % 8 };
        let fields = Fields::<2>::new(planes.low_at % 8, width);
        let high_place = self.low_bits + self.zeros;
        let mut done = 0;
        for (highs, out) in highs.as_chunks().0.iter().zip(out.as_chunks_mut::<{ 2 * ELEMENTS }>().0) {
            let Some((both, low)) = self.next_group(highs, &mut signs, low, done) else { break };
            for ((signs, (low, high)), out) in
                both.into_iter().zip(low.into_iter().zip(halves(highs))).zip(out.as_chunks_mut().0)
            {
                let field = multiply16(permute(load(low), fields.bytes), fields.factors);
                let field = up16(down16(field, 16 - self.low_bits), self.zeros);
                let magnitude = up16(and_not(high, splat16(MINUS)), high_place);
                store(out, or(or(magnitude, field), signs));
            }
            done += ELEMENTS;
        }
        self.advance_vector128(planes, done);
        done
    }

    /// Writes elements of 4 bytes while the planes can be read by vectors; returns how many.
    pub(in crate::labelled) fn merge_double_words_vector128(
        &self,
        planes: &mut Planes<'_>,
        highs: &[u16],
        out: &mut [u8],
    ) -> usize {
        let width = self.low_bits as usize;
        // A field must lie within four bytes.
        if width > 25 {
            return 0;
        }
        let offset = planes.low_at % 8;
        let (low, signs) = planes.vector_windows();
        let mut signs = Signs { plane: signs, at: planes.sign_at % 8 };
        // The second four of eight elements begin in another byte, at another bit.
        let second = offset + 4 * width;
        let fields = [Fields::<4>::new(offset, width), Fields::<4>::new(second % 8, width)];
        let high_place = self.low_bits + self.zeros;
        let mut done = 0;
        for (highs, out) in highs.as_chunks().0.iter().zip(out.as_chunks_mut::<{ 4 * ELEMENTS }>().0) {
            let at = (done / HALF * width, second / 8);
            let four = |at: usize| low.get(at..).and_then(<[u8]>::first_chunk::<BYTES>);
            let (Some(a), Some(b)) = (four(at.0), four(at.0 + at.1)) else { break };
            let (Some(c), Some(d)) = (four(at.0 + width), four(at.0 + width + at.1)) else { break };
            let Some(both) = self.signs(highs, &mut signs, done) else { break };
            let out = out.as_chunks_mut::<{ 4 * HALF }>().0;
            for (((signs, high), low), out) in
                both.into_iter().zip(halves(highs)).zip([[a, b], [c, d]]).zip(out)
            {
                let magnitudes = widen16(and_not(high, splat16(MINUS)));
                let parts = magnitudes.into_iter().zip(widen16(signs)).zip(low.into_iter().zip(&fields));
                for (((magnitude, signs), (low, fields)), out) in parts.zip(out.as_chunks_mut().0) {
                    let field = multiply32(permute(load(low), fields.bytes), fields.factors);
                    let field = up32(down32(field, 32 - self.low_bits), self.zeros);
                    store(out, or(or(up32(magnitude, high_place), field), up32(signs, 16)));
                }
            }
            done += ELEMENTS;
        }
        self.advance_vector128(planes, done);
        done
    }

    /// The signs of the elements from `done` on, and where the low bits of each half of them begin.
    #[inline(always)]
    fn next_group<'p>(
        &self,
        highs: &[u16; ELEMENTS],
        signs: &mut Signs<'_>,
        low: &'p [u8],
        done: usize,
    ) -> Option<([Register; 2], [&'p [u8; BYTES]; 2])> {
        let width = self.low_bits as usize;
        let first = done / HALF * width;
        let low = [low.get(first..)?.first_chunk()?, low.get(first + width..)?.first_chunk()?];
        Some((self.signs(highs, signs, done)?, low))
    }

    /// The signs of the elements from `done` on, as [`MINUS`] or 0; `None` near the plane's end.
    #[inline(always)]
    fn signs(&self, highs: &[u16; ELEMENTS], signs: &mut Signs<'_>, done: usize) -> Option<[Register; 2]> {
        let biases = self.biases.get(done..).and_then(<[i8]>::first_chunk::<ELEMENTS>);
        let Some(biases) = biases else {
            // No column is biased, or too few elements are left.
            return if self.biases.is_empty() { Some([signs.next(8)?, signs.next(8)?]) } else { None };
        };
        let raw = set_of_bytes(equal8(load(&biases.map(|bias| bias as u8)), splat8(0)));
        let mut next = |raw: u32, high: Register| {
            let expand = load(&EXPAND_WORDS[raw as usize % EXPAND_WORDS.len()]);
            let raw = permute(signs.next(raw.count_ones() as usize)?, expand);
            Some(or(raw, and(high, splat16(MINUS))))
        };
        let [first, second] = halves(highs);
        Some([next(raw & 0xFF, first)?, next(raw >> 8, second)?])
    }

    /// Moves past the plane bits of `done` elements.
    fn advance_vector128(&self, planes: &mut Planes<'_>, done: usize) {
        planes.low_at += done * self.low_bits as usize;
        planes.sign_at += self.biases.get(..done).map_or(done, raw_count);
    }
}

/// How fields of one width are taken out of bytes, into words of `SIZE` bytes.
struct Fields<const SIZE: usize> {
    /// Which bytes each word takes.
    bytes: Register,
    /// Multiplied by these, a field's highest bit is the word's.
    factors: Register,
}

impl<const SIZE: usize> Fields<SIZE> {
    /// The first field begins at bit `offset` of the first byte.
    fn new(offset: usize, width: usize) -> Self {
        let (mut bytes, mut factors) = ([0; BYTES], [0; BYTES]);
        for i in 0..BYTES / SIZE {
            let bit = offset + i * width;
            let factor = if width == 0 { 0 } else { 1u32 << (8 * SIZE - width - bit % 8) };
            for byte in 0..SIZE {
                bytes[SIZE * i + byte] = (bit / 8 + byte) as u8;
                factors[SIZE * i + byte] = (factor >> (8 * byte)) as u8;
            }
        }
        Self { bytes: load(&bytes), factors: load(&factors) }
    }
}

#[inline(always)]
fn halves(highs: &[u16; ELEMENTS]) -> [Register; 2] {
    let mut both = [splat8(0); 2];
    both.iter_mut().zip(highs.as_chunks().0).for_each(|(half, highs)| *half = load_words(highs));
    both
}

/// The next raw signs of a plane.
struct Signs<'p> {
    plane: &'p [u8],
    /// Bit of the plane.
    at: usize,
}

impl Signs<'_> {
    /// The next eight signs as [`MINUS`] or 0, `used` of which are taken; `None` near the plane's end.
    #[inline(always)]
    fn next(&mut self, used: usize) -> Option<Register> {
        let two = self.plane.get(self.at / 8..)?.first_chunk()?;
        let bits = splat16(u16::from_le_bytes(*two) >> (self.at % 8));
        self.at += used;
        let lane_bits = load_words(&[1, 2, 4, 8, 16, 32, 64, 128]);
        Some(and(equal16(and(bits, lane_bits), lane_bits), splat16(MINUS)))
    }
}
