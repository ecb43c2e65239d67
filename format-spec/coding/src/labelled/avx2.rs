//! The labelled decoder with AVX2: 64 lanes in eight registers, buckets of the alias tables read one by one. Same results as
//! `symbols.rs`, which ends what is left over here.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::avx2_signs::SignDecoder;
use super::classes::{BUCKETS, CLASSES, SYMBOLS, ZERO};
use super::payload::MAX_LANES;
use super::symbols::{MINUS, STEP_WORDS, Symbols};
use crate::error::Result;

/// Elements of a step.
pub(super) const STEP: usize = MAX_LANES;
/// Lanes of a register.
pub(crate) const LANES: usize = 8;

/// Does something for the number of each register of a step, without a loop.
macro_rules! for_each_register {
    ($i:ident, $body:block) => {
        for_each_register!($i, $body, 0 1 2 3 4 5 6 7)
    };
    ($i:ident, $body:block, $($number:literal)*) => {$({
        let $i = $number;
        $body
    })*};
}
pub(super) use for_each_register;

/// For each set of lanes, which bytes of the next words each lane of the set takes; the others take zeros.
pub(crate) static BYTES_OF_LANE: [[u8; 2 * LANES]; 256] = {
    let mut all = [[0x80; 2 * LANES]; 256];
    let mut set = 0;
    while set < 256 {
        let (mut lane, mut next) = (0, 0);
        while lane < LANES {
            if set >> lane & 1 == 1 {
                (all[set][2 * lane], all[set][2 * lane + 1]) = (next, next + 1);
                next += 2;
            }
            lane += 1;
        }
        set += 1;
    }
    all
};

impl Symbols<'_> {
    /// Decodes as many whole steps as there are words for, for certain; returns the elements done.
    ///
    /// There are 64 lanes, and exponents of at most 8 bits; classes are as many as elements, biases as many, or none.
    #[target_feature(enable = "avx2,bmi2,popcnt")]
    pub(super) fn decode_avx2(
        &mut self,
        buckets: &[u64; BUCKETS],
        classes: &[u8],
        biases: &[i8],
        highs: &mut [u16],
    ) -> Result<usize> {
        match self.precision {
            10 => self.steps_avx2::<10>(buckets, classes, biases, highs),
            11 => self.steps_avx2::<11>(buckets, classes, biases, highs),
            _ => self.steps_avx2::<12>(buckets, classes, biases, highs),
        }
    }

    #[target_feature(enable = "avx2,bmi2,popcnt")]
    fn steps_avx2<const PRECISION: u32>(
        &mut self,
        buckets: &[u64; BUCKETS],
        classes: &[u8],
        biases: &[i8],
        highs: &mut [u16],
    ) -> Result<usize> {
        let signs = (!biases.is_empty()).then(|| SignDecoder::new(self));
        let labels = Labels::new(self);
        let mut x = [_mm256_setzero_si256(); STEP / LANES];
        for (x, states) in x.iter_mut().zip(self.states.as_chunks::<LANES>().0) {
            *x = load(states);
        }
        let mut done = 0;
        for (classes, highs) in classes.as_chunks::<STEP>().0.iter().zip(highs.as_chunks_mut::<STEP>().0) {
            let Some(window) = self.words.first_chunk::<STEP_WORDS>() else { break };
            let mut used = 0;
            let mut at = [[0; LANES]; STEP / LANES];
            for (x, at) in x.iter().zip(&mut at) {
                store(at, bucket::<PRECISION>(*x));
            }
            if !labels.is_single {
                labels.add_tables(classes, &mut at);
            }
            let mut symbols = [_mm256_setzero_si256(); STEP / LANES];
            for_each_register!(i, {
                (x[i], symbols[i]) = decode::<PRECISION>(x[i], look_up(buckets, &at[i]));
            });
            x = refill(x, [_mm256_set1_epi32(-1); STEP / LANES], window, &mut used);
            let symbols = to_bytes(&symbols);
            if labels.high_parts(classes, &symbols, highs) {
                let mut found = [0; STEP];
                for (found, symbols) in found.as_chunks_mut().0.iter_mut().zip(symbols) {
                    store_bytes(found, symbols);
                }
                self.patch(&found, highs)?;
            }
            if let (Some(signs), Some(biases)) =
                (&signs, biases[biases.len().min(done)..].first_chunk::<STEP>())
            {
                let minus = signs.decode(&mut x, biases, &symbols, window, &mut used);
                for (highs, minus) in highs.as_chunks_mut().0.iter_mut().zip(minus.as_chunks().0) {
                    set_minus(highs, minus);
                }
            }
            self.words = &self.words[used..];
            done += STEP;
        }
        for (x, states) in x.into_iter().zip(self.states.as_chunks_mut::<LANES>().0) {
            store(states, x);
        }
        Ok(done)
    }
}

/// The bucket of each state.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn bucket<const PRECISION: u32>(x: __m256i) -> __m256i {
    let place_bits = _mm_cvtsi32_si128(PRECISION as i32 - SYMBOLS.ilog2() as i32);
    _mm256_and_si256(_mm256_srl_epi32(x, place_bits), _mm256_set1_epi32(SYMBOLS as i32 - 1))
}

/// The low and the high halves of the buckets at `at`, of a power of two.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn look_up<const COUNT: usize>(buckets: &[u64; COUNT], at: &[u32; LANES]) -> (__m256i, __m256i) {
    // Volatile, so that it is read from where it was stored just now: to take it from the register is slower.
    // SAFETY: it is a reference.
    pair_up(at.each_ref().map(|at| &buckets[unsafe { core::ptr::read_volatile(at) } as usize % COUNT]))
}

/// The low and the high halves of eight long words.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn pair_up(words: [&u64; LANES]) -> (__m256i, __m256i) {
    // Four at a time, in an order that a shuffle within halves of a register puts right.
    let four = |[a, b, c, d]: [usize; 4]| {
        let two = |first: usize, second: usize| {
            // SAFETY: 8 bytes are read from words of 8.
            let first = unsafe { _mm_loadl_epi64(core::ptr::from_ref(words[first]).cast()) };
            // SAFETY: as above.
            unsafe { _mm_loadh_pd(_mm_castsi128_pd(first), core::ptr::from_ref(words[second]).cast()) }
        };
        _mm256_castpd_ps(_mm256_set_m128d(two(c, d), two(a, b)))
    };
    let (first, second) = (four([0, 1, 4, 5]), four([2, 3, 6, 7]));
    (
        _mm256_castps_si256(_mm256_shuffle_ps::<0x88>(first, second)),
        _mm256_castps_si256(_mm256_shuffle_ps::<0xDD>(first, second)),
    )
}

/// The states after a symbol (see [`super::vector::buckets`]), and the symbols.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn decode<const PRECISION: u32>(
    x: __m256i,
    (low, high): (__m256i, __m256i),
) -> (__m256i, __m256i) {
    let place_mask = (1 << (PRECISION - SYMBOLS.ilog2())) - 1;
    let place = _mm256_and_si256(x, _mm256_set1_epi32(place_mask));
    let is_own = _mm256_cmpgt_epi32(_mm256_and_si256(low, _mm256_set1_epi32(0xFF)), place);
    let freq = _mm256_blendv_epi8(_mm256_srli_epi32::<16>(high), high, is_own);
    let freq = _mm256_and_si256(freq, _mm256_set1_epi32(0xFFFF));
    let rank = _mm256_add_epi32(place, _mm256_andnot_si256(is_own, _mm256_srai_epi32::<16>(low)));
    let alias = _mm256_and_si256(_mm256_srli_epi32::<8>(low), _mm256_set1_epi32(0xFF));
    let symbol = _mm256_blendv_epi8(alias, bucket::<PRECISION>(x), is_own);
    let down = _mm256_srl_epi32(x, _mm_cvtsi32_si128(PRECISION as i32));
    (_mm256_add_epi32(_mm256_mullo_epi32(freq, down), rank), symbol)
}

/// The low bytes of 64 double words, in order.
#[inline]
#[target_feature(enable = "avx2")]
fn to_bytes(symbols: &[__m256i; STEP / LANES]) -> [__m256i; 2] {
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let [a, b] = symbols.as_chunks::<4>().0 else { return [_mm256_setzero_si256(); 2] };
    [a, b].map(|four| {
        let words = [_mm256_packus_epi32(four[0], four[1]), _mm256_packus_epi32(four[2], four[3])];
        _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words[0], words[1]), order)
    })
}

/// What classes stand for, in registers.
struct Labels {
    octaves: ByteLookup,
    tables: ByteLookup,
    is_single: bool,
    top: __m128i,
    high_mask: __m256i,
}

impl Labels {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(symbols: &Symbols<'_>) -> Self {
        let top = symbols.classes.top();
        Self {
            octaves: ByteLookup::new(&symbols.offsets.map(|offset| (offset >> top) as u8)),
            tables: ByteLookup::new(&symbols.tables),
            is_single: symbols.classes.tables().len() == 1,
            top: _mm_cvtsi32_si128(top as i32),
            high_mask: _mm256_set1_epi16(symbols.high_mask as i16),
        }
    }

    /// Adds the first buckets of the elements' tables to their buckets.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add_tables(&self, classes: &[u8; STEP], at: &mut [[u32; LANES]; STEP / LANES]) {
        for (classes, at) in classes.as_chunks::<32>().0.iter().zip(at.as_chunks_mut::<4>().0) {
            let table = self.tables.at(load_bytes(classes));
            let halves = [_mm256_castsi256_si128(table), _mm256_extracti128_si256::<1>(table)];
            for (half, at) in halves.into_iter().zip(at.as_chunks_mut::<2>().0) {
                for (bytes, at) in [half, _mm_srli_si128::<8>(half)].into_iter().zip(at) {
                    let first = _mm256_slli_epi32::<{ SYMBOLS.ilog2() as i32 }>(_mm256_cvtepu8_epi32(bytes));
                    let sum = _mm256_or_si256(load(at), first);
                    store(at, sum);
                }
            }
        }
    }

    /// Writes what symbols stand for; whether any is the zero or the escape.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn high_parts(&self, classes: &[u8; STEP], symbols: &[__m256i; 2], highs: &mut [u16; STEP]) -> bool {
        let mut special = 0;
        let groups = classes.as_chunks::<32>().0.iter().zip(highs.as_chunks_mut::<32>().0);
        for ((classes, highs), symbols) in groups.zip(symbols) {
            let octaves = self.octaves.at(load_bytes(classes));
            let is_special = _mm256_cmpgt_epi8(*symbols, _mm256_set1_epi8(ZERO as i8 - 1));
            special |= _mm256_movemask_epi8(is_special);
            let halves = |v: __m256i| [_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v)];
            let parts = halves(octaves).into_iter().zip(halves(*symbols));
            for ((octaves, symbols), highs) in parts.zip(highs.as_chunks_mut::<16>().0) {
                let offsets = _mm256_sll_epi16(_mm256_cvtepu8_epi16(octaves), self.top);
                let sum = _mm256_add_epi16(_mm256_cvtepu8_epi16(symbols), offsets);
                let high = _mm256_and_si256(sum, self.high_mask);
                // SAFETY: 32 bytes are written to an array of 16 words.
                unsafe { _mm256_storeu_si256(highs.as_mut_ptr().cast(), high) };
            }
        }
        special != 0
    }
}

/// Sets [`MINUS`] where the lane of `minus` is all ones.
#[inline]
#[target_feature(enable = "avx2")]
fn set_minus(highs: &mut [u16; 16], minus: &[__m256i; 2]) {
    let both = _mm256_permute4x64_epi64::<0xD8>(_mm256_packs_epi32(minus[0], minus[1]));
    // SAFETY: 32 bytes are read from an array of 16 words.
    let high = unsafe { _mm256_loadu_si256(highs.as_ptr().cast()) };
    let signed = _mm256_or_si256(high, _mm256_and_si256(both, _mm256_set1_epi16(MINUS as i16)));
    // SAFETY: 32 bytes are written to an array of 16 words.
    unsafe { _mm256_storeu_si256(highs.as_mut_ptr().cast(), signed) };
}

/// A table of 64 bytes that is looked up 32 at a time.
pub(super) struct ByteLookup([__m256i; 4]);

impl ByteLookup {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new(table: &[u8; CLASSES]) -> Self {
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
    pub(super) fn at(&self, index: __m256i) -> __m256i {
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
pub(super) fn load_bytes(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 32.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_bytes(bytes: &mut [u8; 32], value: __m256i) {
    // SAFETY: 32 bytes are written to an array of 32.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), value) };
}

#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load(words: &[u32; LANES]) -> __m256i {
    // SAFETY: 32 bytes are read from an array of 8 words.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn store(words: &mut [u32; LANES], value: __m256i) {
    // SAFETY: 32 bytes are written to an array of 8 words.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) };
}

/// Brings those of the `lanes` that fell below 2^16 back above it with the window's next words.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn refill(
    mut x: [__m256i; STEP / LANES],
    lanes: [__m256i; STEP / LANES],
    window: &[[u8; 2]; STEP_WORDS],
    used: &mut usize,
) -> [__m256i; STEP / LANES] {
    let mut low = lanes;
    let mut sets = [0; STEP / LANES];
    for_each_register!(i, {
        let below = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(x[i]), _mm256_setzero_si256());
        low[i] = _mm256_and_si256(below, lanes[i]);
        sets[i] = _mm256_movemask_ps(_mm256_castsi256_ps(low[i])) as usize;
    });
    for_each_register!(i, {
        debug_assert!(*used + LANES <= STEP_WORDS);
        // SAFETY: a step calls this at most twice, for 64 lanes each: `used` is at most 8 times the registers before, which are at most
        // 15, and the window has 128 words.
        let words = unsafe { _mm_loadu_si128(window.as_ptr().add(*used).cast()) };
        // SAFETY: 16 bytes are read from an array of 16.
        let bytes = unsafe { _mm_loadu_si128(BYTES_OF_LANE[sets[i]].as_ptr().cast()) };
        let words = _mm256_cvtepu16_epi32(_mm_shuffle_epi8(words, bytes));
        *used += sets[i].count_ones() as usize;
        let moved = _mm256_sllv_epi32(x[i], _mm256_and_si256(low[i], _mm256_set1_epi32(16)));
        x[i] = _mm256_or_si256(moved, words);
    });
    x
}
