//! Coded signs with AVX2.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::avx2::{ByteLookup, LANES, STEP, for_each_register, load_bytes, refill};
use super::classes::{CLASSES, SIGN_OCTAVES, SIGN_PRECISION, ZERO};
use super::symbols::{STEP_WORDS, Symbols};

/// Decodes the signs of biased columns.
pub(super) struct SignDecoder {
    /// How often out of 128 the commoner sign comes, by 8 * (degree - 1) + octave: the first eight degrees, then the others.
    commoner: [ByteLookup; 2],
    /// The mantissa bits in a symbol.
    top: __m128i,
    top_mask: __m256i,
    /// What is octave 0 at most.
    first_octave: __m256i,
}

impl SignDecoder {
    #[inline]
    #[target_feature(enable = "avx2")]
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
            commoner: [ByteLookup::new(&commoner[0]), ByteLookup::new(&commoner[1])],
            top: _mm_cvtsi32_si128(top as i32),
            top_mask: _mm256_set1_epi8((0xFF >> top) as i8),
            first_octave: _mm256_set1_epi8(first_octave as i8),
        }
    }

    /// How often the commoner sign comes, of 32 elements; anything where the column is not biased.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn commoner(&self, bias: __m256i, symbols: __m256i) -> __m256i {
        let octave = _mm256_and_si256(_mm256_srl_epi16(symbols, self.top), self.top_mask);
        let octave = _mm256_subs_epu8(octave, self.first_octave);
        let octave = _mm256_min_epu8(octave, _mm256_set1_epi8(SIGN_OCTAVES as i8 - 1));
        // The zero and the escape count as octave 0.
        let is_special = _mm256_cmpgt_epi8(symbols, _mm256_set1_epi8(ZERO as i8 - 1));
        let octave = _mm256_andnot_si256(is_special, octave);
        // Degrees are at most 14.
        let degree = _mm256_subs_epu8(_mm256_abs_epi8(bias), _mm256_set1_epi8(1));
        let index = _mm256_or_si256(_mm256_slli_epi16::<3>(degree), octave);
        let in_half = _mm256_and_si256(index, _mm256_set1_epi8(63));
        let [first, second] = self.commoner.each_ref().map(|half| half.at(in_half));
        // The bit that tells the halves apart, as the highest.
        _mm256_blendv_epi8(first, second, _mm256_slli_epi16::<1>(index))
    }

    /// Decodes the signs of a step's elements in biased columns; all ones in lanes that are minus.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn decode(
        &self,
        x: &mut [__m256i; STEP / LANES],
        biases: &[i8; STEP],
        symbols: &[__m256i; 2],
        window: &[[u8; 2]; STEP_WORDS],
        used: &mut usize,
    ) -> [__m256i; STEP / LANES] {
        let zero = _mm256_setzero_si256();
        let [mut minus, mut bias, mut commoner] = [[zero; STEP / LANES]; 3];
        let halves = |v: __m256i| [_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v)];
        for (half, biases) in biases.as_chunks::<32>().0.iter().enumerate() {
            let of_half = load_bytes(&biases.map(|bias| bias as u8));
            let [low, high] = halves(of_half);
            let [low_commoner, high_commoner] = halves(self.commoner(of_half, symbols[half]));
            let quarters = [low, _mm_srli_si128::<8>(low), high, _mm_srli_si128::<8>(high)];
            let eighths = [
                low_commoner,
                _mm_srli_si128::<8>(low_commoner),
                high_commoner,
                _mm_srli_si128::<8>(high_commoner),
            ];
            for (i, (bytes, of_commoner)) in quarters.into_iter().zip(eighths).enumerate() {
                bias[4 * half + i] = _mm256_cvtepi8_epi32(bytes);
                commoner[4 * half + i] = _mm256_cvtepu8_epi32(of_commoner);
            }
        }
        let mut is_coded = bias;
        for_each_register!(i, {
            let (next, is_minus) = sign(x[i], bias[i], commoner[i]);
            is_coded[i] = _mm256_cmpgt_epi32(_mm256_abs_epi32(bias[i]), zero);
            x[i] = _mm256_blendv_epi8(x[i], next, is_coded[i]);
            minus[i] = _mm256_and_si256(is_minus, is_coded[i]);
        });
        *x = refill(*x, is_coded, window, used);
        minus
    }
}

/// The states after a sign, and whether it is minus.
#[inline]
#[target_feature(enable = "avx2")]
fn sign(x: __m256i, bias: __m256i, commoner: __m256i) -> (__m256i, __m256i) {
    let slot = _mm256_and_si256(x, _mm256_set1_epi32((1 << SIGN_PRECISION) - 1));
    let is_commoner = _mm256_cmpgt_epi32(commoner, slot);
    let rest = _mm256_sub_epi32(_mm256_set1_epi32(1 << SIGN_PRECISION), commoner);
    let freq = _mm256_blendv_epi8(rest, commoner, is_commoner);
    let rank = _mm256_sub_epi32(slot, _mm256_andnot_si256(is_commoner, commoner));
    let product = _mm256_mullo_epi32(freq, _mm256_srli_epi32::<{ SIGN_PRECISION as i32 }>(x));
    let is_minus = _mm256_xor_si256(is_commoner, _mm256_cmpgt_epi32(bias, _mm256_setzero_si256()));
    (_mm256_add_epi32(product, rank), is_minus)
}
