//! The labelled decoder with AVX2: 64 lanes in eight registers, slots gathered from memory. Same results as `decode.rs`, which ends
//! what is left over here.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::classes::{CLASSES, SIGN_BIASES, SIGN_PRECISION, SYMBOLS, ZERO};
use super::payload::MAX_LANES;
use super::symbols::{MINUS, STEP_WORDS, Symbols};
use crate::error::Result;

/// Elements of a step.
const STEP: usize = MAX_LANES;
/// Lanes of a register.
const LANES: usize = 8;

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
    /// There are 64 lanes, and exponents of at most 8 bits; classes are as many as elements, biases as many, or none.
    #[target_feature(enable = "avx2,bmi2,popcnt")]
    pub(super) fn decode_avx2(
        &mut self,
        slots: &[u32],
        classes: &[u8],
        biases: &[i8],
        highs: &mut [u16],
    ) -> Result<usize> {
        match self.precision {
            10 => self.steps_avx2::<10>(slots, classes, biases, highs),
            11 => self.steps_avx2::<11>(slots, classes, biases, highs),
            _ => self.steps_avx2::<12>(slots, classes, biases, highs),
        }
    }

    #[target_feature(enable = "avx2,bmi2,popcnt")]
    fn steps_avx2<const PRECISION: u32>(
        &mut self,
        slots: &[u32],
        classes: &[u8],
        biases: &[i8],
        highs: &mut [u16],
    ) -> Result<usize> {
        let whole = |table: &u8| (usize::from(*table) + 1) << PRECISION <= slots.len();
        assert!(self.tables.iter().all(whole), "the tables of all classes are there");
        let signs: Option<SignTable> = (!biases.is_empty()).then(|| self.sign_table());
        let octaves =
            ByteLookup::new(&core::array::from_fn(|class| (self.offsets[class] >> self.classes.top()) as u8));
        let tables = ByteLookup::new(&self.tables);
        let is_single = self.classes.tables().len() == 1;
        let precision = _mm_cvtsi32_si128(PRECISION as i32);
        let top = _mm_cvtsi32_si128(self.classes.top() as i32);
        let slot_mask = _mm256_set1_epi32((1 << PRECISION) - 1);
        let high_mask = _mm256_set1_epi16(self.high_mask as i16);
        let mut x = [_mm256_setzero_si256(); 8];
        for (x, states) in x.iter_mut().zip(self.states.as_chunks::<LANES>().0) {
            *x = load(states);
        }
        let mut done = 0;
        for (classes, highs) in classes.as_chunks::<STEP>().0.iter().zip(highs.as_chunks_mut::<STEP>().0) {
            let Some(window) = self.words.first_chunk::<STEP_WORDS>() else { break };
            let mut used = 0;
            // In phases over all lanes, so that what waits for the phase before has something to overlap with.
            let mut at = [[0u32; LANES]; 8];
            if is_single {
                for i in 0..8 {
                    at[i] = store(_mm256_and_si256(x[i], slot_mask));
                }
            } else {
                for (half, classes) in classes.as_chunks::<32>().0.iter().enumerate() {
                    let table = tables.at(load_bytes(classes));
                    let quarters = [_mm256_castsi256_si128(table), _mm256_extracti128_si256::<1>(table)];
                    for i in 0..4 {
                        let bytes = quarters[i / 2];
                        let bytes = if i % 2 == 0 { bytes } else { _mm_srli_si128::<8>(bytes) };
                        let first = _mm256_sll_epi32(_mm256_cvtepu8_epi32(bytes), precision);
                        let slot = _mm256_and_si256(x[4 * half + i], slot_mask);
                        at[4 * half + i] = store(_mm256_or_si256(slot, first));
                    }
                }
            }
            let found = look_up(slots, &at);
            let mut symbols = [_mm256_setzero_si256(); 8];
            for i in 0..8 {
                let slot = load(&found[i]);
                symbols[i] = _mm256_and_si256(slot, _mm256_set1_epi32(63));
                let freq = _mm256_and_si256(_mm256_srli_epi32::<6>(slot), _mm256_set1_epi32(0x1FFF));
                let product = _mm256_mullo_epi32(freq, down::<PRECISION>(x[i]));
                x[i] = _mm256_add_epi32(product, _mm256_srli_epi32::<19>(slot));
            }
            for x in &mut x {
                *x = refill(*x, _mm256_set1_epi32(-1), window, &mut used);
            }
            let mut special = 0;
            let octave = classes.as_chunks::<32>().0;
            let octave = [octaves.at(load_bytes(&octave[0])), octaves.at(load_bytes(&octave[1]))];
            for i in 0..4 {
                let both = _mm256_packus_epi32(symbols[2 * i], symbols[2 * i + 1]);
                let symbol = _mm256_permute4x64_epi64::<0xD8>(both);
                let is_special = _mm256_cmpgt_epi16(symbol, _mm256_set1_epi16(i16::from(ZERO) - 1));
                special |= _mm256_movemask_epi8(is_special);
                let octave = octave[i / 2];
                let bytes = if i % 2 == 0 {
                    _mm256_castsi256_si128(octave)
                } else {
                    _mm256_extracti128_si256::<1>(octave)
                };
                let offset = _mm256_sll_epi16(_mm256_cvtepu8_epi16(bytes), top);
                let high = _mm256_and_si256(_mm256_add_epi16(symbol, offset), high_mask);
                // SAFETY: 32 bytes are written to an array of 64 words, 16 words at a time.
                unsafe { _mm256_storeu_si256(highs.as_mut_ptr().add(16 * i).cast(), high) };
            }
            if special != 0 {
                let found: [u8; STEP] = core::array::from_fn(|i| (found[i / LANES][i % LANES] & 63) as u8);
                self.patch(&found, highs)?;
            }
            if let (Some(signs), Some(biases)) =
                (&signs, biases[biases.len().min(done)..].first_chunk::<STEP>())
            {
                let minus = decode_signs(&mut x, signs, biases, &symbols, window, &mut used);
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
        Ok(done)
    }

    fn sign_table(&self) -> SignTable {
        core::array::from_fn(|i| {
            let octave = usize::from(self.sign_octaves[i % SYMBOLS]);
            u32::from(self.commoner[i / SYMBOLS][octave])
        })
    }
}

/// The slots at `at`, one by one: the machine's own gather is slower where it is made of as many loads.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up(slots: &[u32], at: &[[u32; LANES]; 8]) -> [[u32; LANES]; 8] {
    let mut found = [[0; LANES]; 8];
    for (found, at) in found.as_flattened_mut().iter_mut().zip(at.as_flattened()) {
        // Volatile, so that they are not put together to vectors again by way of the slowest instructions.
        // SAFETY: the index was stored just now; the first slot of each table has 2^PRECISION slots from it on, as asserted
        // before the steps; and `found` is a reference.
        unsafe {
            let at = core::ptr::read_volatile(at) as usize;
            core::ptr::write_volatile(found, *slots.get_unchecked(at));
        }
    }
    found
}

/// A table of 64 bytes that is looked up 32 at a time.
struct ByteLookup([__m256i; 4]);

impl ByteLookup {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(table: &[u8; CLASSES]) -> Self {
        let mut quarters = [_mm256_setzero_si256(); 4];
        for (quarter, bytes) in quarters.iter_mut().zip(table.as_chunks::<16>().0) {
            // SAFETY: 16 bytes are read from an array of 16.
            *quarter = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) });
        }
        Self(quarters)
    }

    /// The bytes at `index`, each below 64.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn at(&self, index: __m256i) -> __m256i {
        let mut found = _mm256_setzero_si256();
        for (number, quarter) in self.0.iter().enumerate() {
            // Indices of another quarter get their highest bit set, which gives zero.
            let index = _mm256_xor_si256(index, _mm256_set1_epi8(16 * number as i8));
            let index = _mm256_adds_epu8(index, _mm256_set1_epi8(0x70));
            found = _mm256_or_si256(found, _mm256_shuffle_epi8(*quarter, index));
        }
        found
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_bytes(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 32.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
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
