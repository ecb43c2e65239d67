//! Putting elements of 2 and 4 bytes together with AVX-512; same results as `merge.rs`, which ends what is left over here.
#![allow(unsafe_code)]

use super::avx2_merge::Signs;
use super::avx512_instructions::*;
use super::merge::{Planes, Run};
use super::symbols::MINUS;

/// Bytes of a plane that must be there to read a vector of it.
const VECTOR: usize = 64;

/// Reads fields of `width` bits, one after another from bit `offset` of a byte, to elements of `BYTES` bytes.
struct Fields {
    /// Which bytes each element's field lies in.
    bytes: __m512i,
    /// How far it must come down.
    shifts: __m512i,
    mask: __m512i,
}

impl Fields {
    #[inline]
    #[cfg_attr(not(test), target_feature(enable = "avx512f"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    fn new<const BYTES: usize>(width: usize, offset: usize) -> Self {
        let (mut bytes, mut shifts, mut mask) = ([0u8; 64], [0u8; 64], [0u8; 64]);
        for i in 0..64 / BYTES {
            let bit = offset + i * width;
            for byte in 0..BYTES {
                bytes[i * BYTES + byte] = (bit / 8 + byte) as u8;
                mask[i * BYTES + byte] = (((1u64 << width) - 1) >> (8 * byte)) as u8;
            }
            shifts[i * BYTES] = (bit % 8) as u8;
        }
        Self { bytes: load(&bytes), shifts: load(&shifts), mask: load(&mask) }
    }
}

#[inline]
#[cfg_attr(not(test), target_feature(enable = "avx512f"))]
#[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
fn load(bytes: &[u8; VECTOR]) -> __m512i {
    // SAFETY: 64 bytes are read from an array of 64.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

impl Run<'_> {
    /// Writes elements of 2 bytes while the planes can be read by vectors; returns how many.
    #[cfg_attr(not(test), target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi,bmi2,popcnt"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    pub(super) fn merge_words_avx512(&self, planes: &mut Planes<'_>, highs: &[u16], out: &mut [u8]) -> usize {
        const ELEMENTS: usize = 32;
        let width = self.low_bits as usize;
        // A field must lie within two bytes.
        if width > 9 {
            return 0;
        }
        let (low, signs) = planes.vector_windows();
        let fields = Fields::new::<2>(width, planes.low_at % 8);
        let mut signs = Signs { plane: signs, at: planes.sign_at % 8 };
        let high_place = _mm_cvtsi32_si128((self.low_bits + self.zeros) as i32);
        let zeros = _mm_cvtsi32_si128(self.zeros as i32);
        let sign = _mm512_set1_epi16(MINUS as i16);
        let mut done = 0;
        let groups = highs.as_chunks::<ELEMENTS>().0.iter().zip(out.as_chunks_mut::<VECTOR>().0);
        for (index, (highs, out)) in groups.enumerate() {
            let Some(low) = low.get(index * width * ELEMENTS / 8..).and_then(|low| low.first_chunk()) else {
                break;
            };
            let raw = self.raw_elements::<ELEMENTS>(done);
            let Some(minus) = signs.next(raw) else { break };
            // SAFETY: 64 bytes are read from an array of 32 words.
            let high = unsafe { _mm512_loadu_si512(highs.as_ptr().cast()) };
            let low = _mm512_srlv_epi16(_mm512_permutexvar_epi8(fields.bytes, load(low)), fields.shifts);
            let low = _mm512_sll_epi16(_mm512_and_si512(low, fields.mask), zeros);
            let coded = _mm512_and_si512(high, sign);
            let magnitude = _mm512_sll_epi16(_mm512_andnot_si512(sign, high), high_place);
            let signs = _mm512_mask_mov_epi16(coded, minus, sign);
            // All three or-ed.
            let value = _mm512_ternarylogic_epi32::<0xFE>(magnitude, low, signs);
            // SAFETY: 64 bytes are written to an array of 64.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), value) };
            done += ELEMENTS;
        }
        self.advance(planes, done);
        done
    }

    /// Writes elements of 4 bytes while the planes can be read by vectors; returns how many.
    #[cfg_attr(not(test), target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi,bmi2,popcnt"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    pub(super) fn merge_double_words_avx512(
        &self,
        planes: &mut Planes<'_>,
        highs: &[u16],
        out: &mut [u8],
    ) -> usize {
        const ELEMENTS: usize = 16;
        let width = self.low_bits as usize;
        // A field must lie within four bytes.
        if width > 25 {
            return 0;
        }
        let (low, signs) = planes.vector_windows();
        let fields = Fields::new::<4>(width, planes.low_at % 8);
        let mut signs = Signs { plane: signs, at: planes.sign_at % 8 };
        let high_place = _mm_cvtsi32_si128((self.low_bits + self.zeros) as i32);
        let zeros = _mm_cvtsi32_si128(self.zeros as i32);
        let mut done = 0;
        let groups = highs.as_chunks::<ELEMENTS>().0.iter().zip(out.as_chunks_mut::<VECTOR>().0);
        for (index, (highs, out)) in groups.enumerate() {
            let Some(low) = low.get(index * width * ELEMENTS / 8..).and_then(|low| low.first_chunk()) else {
                break;
            };
            let raw = self.raw_elements::<ELEMENTS>(done);
            let Some(minus) = signs.next(raw) else { break };
            // SAFETY: 32 bytes are read from an array of 16 words.
            let high = _mm512_cvtepu16_epi32(unsafe { _mm256_loadu_si256(highs.as_ptr().cast()) });
            let low = _mm512_srlv_epi32(_mm512_permutexvar_epi8(fields.bytes, load(low)), fields.shifts);
            let low = _mm512_sll_epi32(_mm512_and_si512(low, fields.mask), zeros);
            let coded = _mm512_slli_epi32::<16>(_mm512_and_si512(high, _mm512_set1_epi32(i32::from(MINUS))));
            let magnitude =
                _mm512_sll_epi32(_mm512_andnot_si512(_mm512_set1_epi32(i32::from(MINUS)), high), high_place);
            let signs = _mm512_mask_mov_epi32(coded, minus as __mmask16, _mm512_set1_epi32(i32::MIN));
            let value = _mm512_ternarylogic_epi32::<0xFE>(magnitude, low, signs);
            // SAFETY: 64 bytes are written to an array of 64.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), value) };
            done += ELEMENTS;
        }
        self.advance(planes, done);
        done
    }
}
