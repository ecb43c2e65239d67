//! The labelled decoder with AVX2: 64 lanes in eight registers, slots gathered from memory. Same results as `decode.rs`, which ends
//! what is left over here.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::classes::{CLASSES, SIGN_BIASES, SIGN_PRECISION, SYMBOLS, ZERO};
use super::decode::{GROUP, MINUS, STEP_WORDS, Symbols};
use super::payload::MAX_LANES;
use crate::error::Result;

/// Elements of a step.
const STEP: usize = MAX_LANES;
/// Lanes of a register.
const LANES: usize = 8;
/// A table's first slot is a number of 16 bits.
pub(super) const MAX_TABLES: usize = 16;

/// For each set of lanes, which of the next words each lane of the set takes.
static WORD_OF_LANE: [[u8; LANES]; 256] = {
    let mut all = [[0; LANES]; 256];
    let mut set = 0;
    while set < 256 {
        let (mut lane, mut next) = (0, 0);
        while lane < LANES {
            all[set][lane] = next;
            next += (set >> lane & 1) as u8;
            lane += 1;
        }
        set += 1;
    }
    all
};

/// How often the commoner sign comes, by degree of bias and symbol.
type SignTable = [u32; SIGN_BIASES * SYMBOLS];

impl Symbols<'_> {
    /// Decodes as many whole steps as there are words for, for certain; returns the elements done.
    ///
    /// There are 64 lanes, at most 16 tables, at most 4096 elements, and as many classes; biases are as many, or none.
    #[target_feature(enable = "avx2,bmi2,popcnt")]
    pub(super) fn decode_avx2(
        &mut self,
        slots: &[u32],
        classes: &[u8],
        biases: &[i8],
        highs: &mut [u16],
    ) -> Result<usize> {
        match self.precision {
            10 => self.gather::<10>(slots, classes, biases, highs),
            11 => self.gather::<11>(slots, classes, biases, highs),
            _ => self.gather::<12>(slots, classes, biases, highs),
        }
    }

    #[target_feature(enable = "avx2,bmi2,popcnt")]
    fn gather<const PRECISION: u32>(
        &mut self,
        slots: &[u32],
        classes: &[u8],
        biases: &[i8],
        highs: &mut [u16],
    ) -> Result<usize> {
        // Offset in the low half, first slot in the high half.
        let mut of_class = [0u32; CLASSES];
        for (class, place) in of_class.iter_mut().enumerate() {
            let first = u32::from(self.tables[class]) << PRECISION;
            assert!(first as usize + (1 << PRECISION) <= slots.len(), "a class's table is there");
            *place = u32::from(self.offsets[class]) | first << 16;
        }
        let mut places = [0u32; GROUP];
        for (place, &class) in places.iter_mut().zip(classes) {
            *place = of_class[usize::from(class) % CLASSES];
        }
        let signs: Option<SignTable> = (!biases.is_empty()).then(|| self.sign_table());
        let slot_mask = _mm256_set1_epi32((1 << PRECISION) - 1);
        let high_mask = _mm256_set1_epi32(self.high_mask.into());
        let mut x = [_mm256_setzero_si256(); 8];
        for (x, states) in x.iter_mut().zip(self.states.as_chunks::<LANES>().0) {
            *x = load(states);
        }
        let mut done = 0;
        for (places, highs) in places.as_chunks::<STEP>().0.iter().zip(highs.as_chunks_mut::<STEP>().0) {
            let Some(window) = self.words.first_chunk::<STEP_WORDS>() else { break };
            let mut used = 0;
            let mut found = [_mm256_setzero_si256(); 8];
            let mut values = [_mm256_setzero_si256(); 8];
            let mut greatest = _mm256_setzero_si256();
            for (i, places) in places.as_chunks::<LANES>().0.iter().enumerate() {
                let place = load(places);
                let at = _mm256_add_epi32(_mm256_and_si256(x[i], slot_mask), _mm256_srli_epi32::<16>(place));
                let ix = store(at);
                // SAFETY: the first slot of each class's table has 2^PRECISION slots from it on, as asserted above.
                let g = |i: usize| unsafe { *slots.get_unchecked(ix[i] as usize) as i32 };
                let slot = _mm256_setr_epi32(g(0), g(1), g(2), g(3), g(4), g(5), g(6), g(7));
                let symbol = _mm256_and_si256(slot, _mm256_set1_epi32(63));
                let freq = _mm256_and_si256(_mm256_srli_epi32::<6>(slot), _mm256_set1_epi32(0x1FFF));
                let product = _mm256_mullo_epi32(freq, down::<PRECISION>(x[i]));
                let next = _mm256_add_epi32(product, _mm256_srli_epi32::<19>(slot));
                x[i] = refill(next, _mm256_set1_epi32(-1), window, &mut used);
                let offset = _mm256_and_si256(place, _mm256_set1_epi32(0xFFFF));
                values[i] = _mm256_and_si256(_mm256_add_epi32(symbol, offset), high_mask);
                found[i] = symbol;
                greatest = _mm256_max_epi32(greatest, symbol);
            }
            for (i, highs) in highs.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                let both = _mm256_packus_epi32(values[2 * i], values[2 * i + 1]);
                // SAFETY: 32 bytes are written to an array of 16 words.
                unsafe {
                    _mm256_storeu_si256(highs.as_mut_ptr().cast(), _mm256_permute4x64_epi64::<0xD8>(both));
                }
            }
            let special = _mm256_cmpgt_epi32(greatest, _mm256_set1_epi32(i32::from(ZERO) - 1));
            if _mm256_movemask_epi8(special) != 0 {
                let mut symbols = [0u8; STEP];
                for (symbols, found) in symbols.as_chunks_mut::<LANES>().0.iter_mut().zip(&found) {
                    *symbols = store(*found).map(|symbol| symbol as u8);
                }
                self.patch(&symbols, highs)?;
            }
            if let (Some(signs), Some(biases)) =
                (&signs, biases[biases.len().min(done)..].first_chunk::<STEP>())
            {
                let minus = decode_signs(&mut x, signs, biases, &found, window, &mut used);
                for (high, minus) in highs.iter_mut().zip(minus.as_flattened()) {
                    *high |= *minus as u16 & MINUS;
                }
            }
            self.words = &self.words[used..];
            done += STEP;
        }
        for (x, states) in x.into_iter().zip(self.states.as_chunks_mut::<LANES>().0) {
            *states = store(x);
        }
        // Elements beyond the classes given were padding.
        Ok(done)
    }

    fn sign_table(&self) -> SignTable {
        core::array::from_fn(|i| {
            let octave = usize::from(self.sign_octaves[i % SYMBOLS]);
            u32::from(self.commoner[i / SYMBOLS][octave])
        })
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &[u32; LANES]) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 8 words.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(value: __m256i) -> [u32; LANES] {
    let mut words = [0; LANES];
    // SAFETY: 32 bytes are written to an array of 8 words.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) };
    words
}

/// States without their slot.
#[inline]
#[target_feature(enable = "avx2")]
fn down<const PRECISION: u32>(x: __m256i) -> __m256i {
    match PRECISION {
        10 => _mm256_srli_epi32::<10>(x),
        11 => _mm256_srli_epi32::<11>(x),
        _ => _mm256_srli_epi32::<12>(x),
    }
}

/// Brings those of the `lanes` that fell below 2^16 back above it with the window's next words.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn refill(x: __m256i, lanes: __m256i, window: &[[u8; 2]; STEP_WORDS], used: &mut usize) -> __m256i {
    let low = _mm256_and_si256(_mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(x), _mm256_setzero_si256()), lanes);
    let set = _mm256_movemask_ps(_mm256_castsi256_ps(low)) as usize;
    debug_assert!(*used + LANES <= STEP_WORDS);
    // SAFETY: a step refills each of 64 lanes at most twice, 8 lanes at a time: `used` is at most 8 times the calls before, which
    // are at most 15, and the window has 128 words.
    let words = unsafe { _mm_loadu_si128(window.as_ptr().add(*used).cast()) };
    // SAFETY: 8 bytes are read from an array of 8.
    let order = unsafe { _mm_loadl_epi64(WORD_OF_LANE[set].as_ptr().cast()) };
    let words = _mm256_permutevar8x32_epi32(_mm256_cvtepu16_epi32(words), _mm256_cvtepu8_epi32(order));
    *used += set.count_ones() as usize;
    _mm256_blendv_epi8(x, _mm256_or_si256(_mm256_slli_epi32::<16>(x), words), low)
}

/// Decodes the signs of biased columns; all ones in lanes that are minus.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn decode_signs(
    x: &mut [__m256i; 8],
    signs: &SignTable,
    biases: &[i8; STEP],
    symbols: &[__m256i; 8],
    window: &[[u8; 2]; STEP_WORDS],
    used: &mut usize,
) -> [[u32; LANES]; 8] {
    let mut minus = [[0; LANES]; 8];
    let zero = _mm256_setzero_si256();
    for (i, biases) in biases.as_chunks::<LANES>().0.iter().enumerate() {
        if *biases == [0; LANES] {
            continue;
        }
        // SAFETY: 8 bytes are read from an array of 8.
        let bias = _mm256_cvtepi8_epi32(unsafe { _mm_loadl_epi64(biases.as_ptr().cast()) });
        let raw = _mm256_cmpeq_epi32(bias, zero);
        let degree = _mm256_andnot_si256(raw, _mm256_sub_epi32(_mm256_abs_epi32(bias), _mm256_set1_epi32(1)));
        let at = _mm256_add_epi32(_mm256_slli_epi32::<6>(degree), symbols[i]);
        // SAFETY: degrees are below 14 (labels are at most 14 in size) and symbols below 64, and the table has 14 times 64.
        let commoner = unsafe { _mm256_i32gather_epi32::<4>(signs.as_ptr().cast(), at) };
        let slot = _mm256_and_si256(x[i], _mm256_set1_epi32((1 << SIGN_PRECISION) - 1));
        let is_commoner = _mm256_cmpgt_epi32(commoner, slot);
        let rest = _mm256_sub_epi32(_mm256_set1_epi32(1 << SIGN_PRECISION), commoner);
        let freq = _mm256_blendv_epi8(rest, commoner, is_commoner);
        let rank = _mm256_sub_epi32(slot, _mm256_andnot_si256(is_commoner, commoner));
        let product = _mm256_mullo_epi32(freq, _mm256_srli_epi32::<{ SIGN_PRECISION as i32 }>(x[i]));
        let next = _mm256_blendv_epi8(_mm256_add_epi32(product, rank), x[i], raw);
        x[i] = refill(next, _mm256_cmpeq_epi32(raw, zero), window, used);
        let of_sign = _mm256_xor_si256(is_commoner, _mm256_cmpgt_epi32(bias, zero));
        minus[i] = store(_mm256_andnot_si256(raw, of_sign));
    }
    minus
}
