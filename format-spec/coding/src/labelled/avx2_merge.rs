//! Putting elements of 2 and 4 bytes together with AVX2; same results as `merge.rs`, which ends what is left over here.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::merge::{Planes, Run, raw_count};
use super::symbols::MINUS;

/// Bytes of a plane that must be there to read a half register of it.
const HALF: usize = 16;

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 2 * HALF]) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 32.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// The bytes of `plane` from `low` and from `high` on, as the halves of a register.
#[inline]
#[target_feature(enable = "avx2")]
fn load_halves(plane: &[u8], low: usize, high: usize) -> Option<__m256i> {
    let low: &[u8; HALF] = plane.get(low..)?.first_chunk()?;
    let high: &[u8; HALF] = plane.get(high..)?.first_chunk()?;
    // SAFETY: 16 bytes are read from arrays of 16.
    Some(unsafe { _mm256_loadu2_m128i(high.as_ptr().cast(), low.as_ptr().cast()) })
}

impl Run<'_> {
    /// Writes elements of 2 bytes while the planes can be read by vectors; returns how many.
    #[target_feature(enable = "avx2,bmi2,popcnt")]
    pub(super) fn merge_words_avx2(&self, planes: &mut Planes<'_>, highs: &[u16], out: &mut [u8]) -> usize {
        const ELEMENTS: usize = 16;
        let width = self.low_bits as usize;
        // A field must lie within two bytes.
        if width > 9 {
            return 0;
        }
        let offset = planes.low_at % 8;
        let (low, signs) = planes.vector_windows();
        let (mut bytes, mut factors) = ([0u8; 32], [0u8; 32]);
        for i in 0..ELEMENTS {
            let bit = offset + i % 8 * width;
            bytes[2 * i] = (bit / 8) as u8;
            bytes[2 * i + 1] = (bit / 8 + 1) as u8;
            // Multiplied, the field's highest bit is the word's.
            let factor = if width == 0 { 0 } else { 1u16 << (16 - width - bit % 8) };
            factors[2 * i..2 * i + 2].copy_from_slice(&factor.to_le_bytes());
        }
        let (bytes, factors) = (load(&bytes), load(&factors));
        let down = _mm_cvtsi32_si128(16 - width as i32);
        let high_place = _mm_cvtsi32_si128((self.low_bits + self.zeros) as i32);
        let zeros = _mm_cvtsi32_si128(self.zeros as i32);
        let lane_bits = _mm256_setr_epi16(
            1,
            2,
            4,
            8,
            16,
            32,
            64,
            128,
            256,
            512,
            1024,
            2048,
            4096,
            8192,
            16_384,
            i16::MIN,
        );
        let sign = _mm256_set1_epi16(MINUS as i16);
        let mut signs = Signs { plane: signs, at: planes.sign_at % 8 };
        let mut done = 0;
        let groups = highs.as_chunks::<ELEMENTS>().0.iter().zip(out.as_chunks_mut::<{ 2 * HALF }>().0);
        for (index, (highs, out)) in groups.enumerate() {
            let Some(low) = load_halves(low, 2 * width * index, 2 * width * index + width) else { break };
            let Some(minus) = signs.next(self.raw_elements::<ELEMENTS>(done)) else { break };
            // SAFETY: 32 bytes are read from an array of 16 words.
            let high = unsafe { _mm256_loadu_si256(highs.as_ptr().cast()) };
            let low = _mm256_mullo_epi16(_mm256_shuffle_epi8(low, bytes), factors);
            let low = _mm256_sll_epi16(_mm256_srl_epi16(low, down), zeros);
            let magnitude = _mm256_sll_epi16(_mm256_andnot_si256(sign, high), high_place);
            let minus = _mm256_and_si256(_mm256_set1_epi16(minus as i16), lane_bits);
            let raw = _mm256_and_si256(_mm256_cmpeq_epi16(minus, lane_bits), sign);
            let signs = _mm256_or_si256(raw, _mm256_and_si256(high, sign));
            let value = _mm256_or_si256(_mm256_or_si256(magnitude, low), signs);
            // SAFETY: 32 bytes are written to an array of 32.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), value) };
            done += ELEMENTS;
        }
        self.advance(planes, done);
        done
    }

    /// Writes elements of 4 bytes while the planes can be read by vectors; returns how many.
    #[target_feature(enable = "avx2,bmi2,popcnt")]
    pub(super) fn merge_double_words_avx2(
        &self,
        planes: &mut Planes<'_>,
        highs: &[u16],
        out: &mut [u8],
    ) -> usize {
        const ELEMENTS: usize = 8;
        let width = self.low_bits as usize;
        // A field must lie within four bytes.
        if width > 25 {
            return 0;
        }
        let offset = planes.low_at % 8;
        let (low, signs) = planes.vector_windows();
        let second = (offset + 4 * width) / 8;
        let (mut bytes, mut shifts, mut mask) = ([0u8; 32], [0u8; 32], [0u8; 32]);
        for i in 0..ELEMENTS {
            let bit = offset + i * width - if i < 4 { 0 } else { 8 * second };
            for byte in 0..4 {
                bytes[4 * i + byte] = (bit / 8 + byte) as u8;
                mask[4 * i + byte] = (((1u64 << width) - 1) >> (8 * byte)) as u8;
            }
            shifts[4 * i] = (bit % 8) as u8;
        }
        let (bytes, shifts, mask) = (load(&bytes), load(&shifts), load(&mask));
        let high_place = _mm_cvtsi32_si128((self.low_bits + self.zeros) as i32);
        let zeros = _mm_cvtsi32_si128(self.zeros as i32);
        let lane_bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let minus_word = _mm256_set1_epi32(MINUS.into());
        let mut signs = Signs { plane: signs, at: planes.sign_at % 8 };
        let mut done = 0;
        let groups = highs.as_chunks::<ELEMENTS>().0.iter().zip(out.as_chunks_mut::<{ 2 * HALF }>().0);
        for (index, (highs, out)) in groups.enumerate() {
            let Some(low) = load_halves(low, width * index, width * index + second) else { break };
            let Some(minus) = signs.next(self.raw_elements::<ELEMENTS>(done)) else { break };
            // SAFETY: 16 bytes are read from an array of 8 words.
            let high = _mm256_cvtepu16_epi32(unsafe { _mm_loadu_si128(highs.as_ptr().cast()) });
            let low = _mm256_srlv_epi32(_mm256_shuffle_epi8(low, bytes), shifts);
            let low = _mm256_sll_epi32(_mm256_and_si256(low, mask), zeros);
            let magnitude = _mm256_sll_epi32(_mm256_andnot_si256(minus_word, high), high_place);
            let minus = _mm256_and_si256(_mm256_set1_epi32(minus as i32), lane_bits);
            let raw = _mm256_slli_epi32::<31>(_mm256_cmpeq_epi32(minus, lane_bits));
            let signs = _mm256_or_si256(raw, _mm256_slli_epi32::<16>(_mm256_and_si256(high, minus_word)));
            let value = _mm256_or_si256(_mm256_or_si256(magnitude, low), signs);
            // SAFETY: 32 bytes are written to an array of 32.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), value) };
            done += ELEMENTS;
        }
        self.advance(planes, done);
        done
    }

    /// Which of the `COUNT` (at most 32) elements from `at` on have raw signs, as bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn raw_elements<const COUNT: usize>(&self, at: usize) -> u32 {
        let all = u32::MAX >> (32 - COUNT);
        let Some(biases) = self.biases.get(at..).filter(|biases| !biases.is_empty()) else { return all };
        let mut padded = [0; 32];
        let biases = match biases.first_chunk() {
            Some(biases) => biases,
            None => {
                padded[..biases.len()].copy_from_slice(biases);
                &padded
            }
        };
        // SAFETY: 32 bytes are read from an array of 32.
        let bias = unsafe { _mm256_loadu_si256(biases.as_ptr().cast()) };
        _mm256_movemask_epi8(_mm256_cmpeq_epi8(bias, _mm256_setzero_si256())) as u32 & all
    }

    /// Moves past the plane bits of `done` elements.
    pub(super) fn advance(&self, planes: &mut Planes<'_>, done: usize) {
        planes.low_at += done * self.low_bits as usize;
        let biases = self.biases.get(..done);
        planes.sign_at += biases.map_or(done, raw_count);
    }
}

/// The next raw signs of a plane, spread to the lanes that are not biased.
pub(super) struct Signs<'p> {
    pub(super) plane: &'p [u8],
    /// Bit of the plane.
    pub(super) at: usize,
}

impl Signs<'_> {
    /// The signs of up to 32 lanes, of which those in `raw` have one; `None` near the plane's end.
    #[inline]
    #[target_feature(enable = "bmi2,popcnt")]
    pub(super) fn next(&mut self, raw: u32) -> Option<u32> {
        let window = self.plane.get(self.at / 8..)?.first_chunk()?;
        let bits = u64::from_le_bytes(*window) >> (self.at % 8);
        self.at += raw.count_ones() as usize;
        // Lanes that are not in `raw` get nothing, at either end.
        Some(_pdep_u32(bits as u32, raw))
    }
}
