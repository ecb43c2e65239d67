//! The symbols of whole steps of 64 lanes, coded with AVX2. Same results as `encode_symbols.rs`, which codes the rest.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::avx2::{LANES, for_each_register, load, pair_up, store};
use super::classes::{BUCKETS, SIGN_PRECISION, SYMBOLS};
use super::encode_symbols::{Chunk, Signs, Words};
use super::encode_tables::EncodeTables;
use super::payload::MAX_LANES;
use crate::error::Result;

const REGISTERS: usize = MAX_LANES / LANES;

/// For each set of lanes, their numbers at the end of a register, in order.
static LANES_AT_END: [[u8; LANES]; 256] = {
    let mut all = [[0; LANES]; 256];
    let mut set = 0usize;
    while set < 256 {
        let (mut lane, mut next) = (0, LANES - set.count_ones() as usize);
        while lane < LANES {
            if set >> lane & 1 == 1 {
                all[set][next] = lane as u8;
                next += 1;
            }
            lane += 1;
        }
        set += 1;
    }
    all
};

/// A step of 64 elements.
pub(super) struct Step<'a> {
    /// Number of the first element.
    pub(super) first: usize,
    pub(super) keys: &'a [u16; MAX_LANES],
    /// The biases of the elements' columns, and how signs are coded under them.
    pub(super) signs: Option<(&'a [i8; MAX_LANES], &'a Signs)>,
}

impl Chunk<'_> {
    /// Codes the signs and then the symbols of a step.
    ///
    /// # Errors
    /// If an element must be escaped and its table lacks the escape.
    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn code_step_avx2(
        &self,
        tables: &EncodeTables,
        step: &Step<'_>,
        states: &mut [u32; MAX_LANES],
        words: &mut Words,
    ) -> Result<()> {
        let mut entries = [_mm256_setzero_si256(); REGISTERS];
        let mut inverses = [_mm256_setzero_ps(); REGISTERS];
        for_each_register!(i, {
            let (entry, inverse) = look_up(&tables.packed, &step.keys.as_chunks().0[i]);
            (entries[i], inverses[i]) = (entry, _mm256_castsi256_ps(inverse));
        });
        if let Some((biases, signs)) = step.signs {
            let minus = self.parts.signs[step.first / MAX_LANES];
            code_signs(signs, biases, minus, (step.keys, &entries), states, words);
        }
        if is_any_zero(&entries) {
            let mut all = [0u64; MAX_LANES];
            for lane in (0..MAX_LANES).rev() {
                all[lane] = tables.packed[usize::from(step.keys[lane]) % BUCKETS];
                if all[lane] == 0 {
                    all[lane] = self.special(tables, step.keys[lane], step.first + lane, words)?.packed();
                }
            }
            let halves = all.map(|entry| [entry as u32, (entry >> 32) as u32]);
            for i in 0..REGISTERS {
                entries[i] = load(&core::array::from_fn(|lane| halves[LANES * i + lane][0]));
                inverses[i] =
                    _mm256_castsi256_ps(load(&core::array::from_fn(|lane| halves[LANES * i + lane][1])));
            }
        }
        match self.classes.precision() {
            10 => code::<10>(tables, &entries, &inverses, states, words),
            11 => code::<11>(tables, &entries, &inverses, states, words),
            _ => code::<12>(tables, &entries, &inverses, states, words),
        }
        Ok(())
    }
}

/// Codes symbols. In phases over all lanes, so that what waits for the phase before has something to overlap with.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn code<const PRECISION: u32>(
    tables: &EncodeTables,
    entries: &[__m256i; REGISTERS],
    inverses: &[__m256; REGISTERS],
    states: &mut [u32; MAX_LANES],
    words: &mut Words,
) {
    let mut x = [_mm256_setzero_si256(); REGISTERS];
    let mut freq = x;
    for_each_register!(i, {
        x[i] = load(&states.as_chunks().0[i]);
        freq[i] = _mm256_and_si256(entries[i], _mm256_set1_epi32(0x1FFF));
    });
    x = shrink::<PRECISION>(x, &freq, &[_mm256_set1_epi32(-1); REGISTERS], words);
    let mut places = [0; MAX_LANES];
    for_each_register!(i, {
        // The quotient is below 2^20, and each of halving, converting, inverting and multiplying is off by at most 2^-24 of it: it is
        // at most one too high or too low.
        let half = _mm256_cvtepi32_ps(_mm256_srli_epi32::<1>(x[i]));
        let quotient = _mm256_cvttps_epi32(_mm256_mul_ps(half, inverses[i]));
        let (quotient, rank) = settle(x[i], quotient, freq[i]);
        x[i] = _mm256_sll_epi32(quotient, _mm_cvtsi32_si128(PRECISION as i32));
        let place = _mm256_add_epi32(_mm256_srli_epi32::<13>(entries[i]), rank);
        store(&mut places.as_chunks_mut::<LANES>().0[i], place);
    });
    for_each_register!(i, {
        let slot = look_up_slots(&tables.slots, &places.as_chunks().0[i]);
        store(&mut states.as_chunks_mut().0[i], _mm256_or_si256(x[i], slot));
    });
}

/// Codes the signs (a bit each of `minus`) of those elements whose columns are biased.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn code_signs(
    signs: &Signs,
    biases: &[i8; MAX_LANES],
    minus: u64,
    (keys, entries): (&[u16; MAX_LANES], &[__m256i; REGISTERS]),
    states: &mut [u32; MAX_LANES],
    words: &mut Words,
) {
    let zero = _mm256_setzero_si256();
    let mut x = [zero; REGISTERS];
    let (mut freq, mut is_coded, mut start) = (x, x, x);
    for_each_register!(i, {
        x[i] = load(&states.as_chunks().0[i]);
        // SAFETY: 8 bytes are read from an array of 8.
        let bias = _mm256_cvtepi8_epi32(unsafe {
            _mm_loadl_epi64(biases.as_chunks::<LANES>().0[i].as_ptr().cast())
        });
        let size = _mm256_abs_epi32(bias);
        is_coded[i] = _mm256_cmpgt_epi32(size, zero);
        let degree = _mm256_max_epi32(_mm256_sub_epi32(size, _mm256_set1_epi32(1)), zero);
        // SAFETY: 16 bytes are read from an array of 8 words.
        let keys = unsafe { _mm_loadu_si128(keys.as_chunks::<LANES>().0[i].as_ptr().cast()) };
        // All that the table lacks counts as the escape does.
        let lacks = _mm256_cmpeq_epi32(entries[i], zero);
        let symbol = _mm256_or_si256(_mm256_cvtepu16_epi32(keys), lacks);
        let symbol = _mm256_and_si256(symbol, _mm256_set1_epi32(SYMBOLS as i32 - 1));
        let at = _mm256_or_si256(_mm256_slli_epi32::<{ SYMBOLS.ilog2() as i32 }>(degree), symbol);
        let mut places = [0; LANES];
        store(&mut places, at);
        let commoner = look_up_slots(signs.by_symbol.as_flattened(), &places);
        let bits = _mm256_set1_epi32((minus >> (LANES * i) & 0xFF) as i32);
        let lane_bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let is_minus = _mm256_cmpeq_epi32(_mm256_and_si256(bits, lane_bits), lane_bits);
        let is_rarer = _mm256_xor_si256(is_minus, _mm256_cmpgt_epi32(zero, bias));
        let rest = _mm256_sub_epi32(_mm256_set1_epi32(1 << SIGN_PRECISION), commoner);
        freq[i] = _mm256_blendv_epi8(commoner, rest, is_rarer);
        start[i] = _mm256_and_si256(is_rarer, commoner);
    });
    x = shrink::<SIGN_PRECISION>(x, &freq, &is_coded, words);
    for_each_register!(i, {
        // The quotient is below 2^25: it is off by up to a few at first.
        let first = divide(x[i], freq[i]);
        let rest = _mm256_sub_epi32(x[i], _mm256_mullo_epi32(first, freq[i]));
        let more = _mm256_cvttps_epi32(_mm256_div_ps(_mm256_cvtepi32_ps(rest), _mm256_cvtepi32_ps(freq[i])));
        let (quotient, rank) = settle(x[i], _mm256_add_epi32(first, more), freq[i]);
        let high = _mm256_slli_epi32::<{ SIGN_PRECISION as i32 }>(quotient);
        let next = _mm256_or_si256(high, _mm256_add_epi32(rank, start[i]));
        store(&mut states.as_chunks_mut().0[i], _mm256_blendv_epi8(x[i], next, is_coded[i]));
    });
}

/// Moves the low halves of those states out, of the `lanes`, that have no room for their symbols of frequencies `freq`.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn shrink<const PRECISION: u32>(
    mut x: [__m256i; REGISTERS],
    freq: &[__m256i; REGISTERS],
    lanes: &[__m256i; REGISTERS],
    words: &mut Words,
) -> [__m256i; REGISTERS] {
    let mut sets = [0; REGISTERS];
    let mut over = *lanes;
    for_each_register!(i, {
        // x >= freq << (32 - P)
        let fits = _mm256_cmpgt_epi32(freq[i], up::<PRECISION>(x[i]));
        over[i] = _mm256_andnot_si256(fits, lanes[i]);
        sets[i] = _mm256_movemask_ps(_mm256_castsi256_ps(over[i])) as u8;
    });
    for i in (0..REGISTERS).rev() {
        words.put_lanes(x[i], sets[i]);
        x[i] = _mm256_srlv_epi32(x[i], _mm256_and_si256(over[i], _mm256_set1_epi32(16)));
    }
    x
}

/// x / freq, nearly.
#[inline]
#[target_feature(enable = "avx2")]
fn divide(x: __m256i, freq: __m256i) -> __m256i {
    let half = _mm256_cvtepi32_ps(_mm256_srli_epi32::<1>(x));
    let half_freq = _mm256_mul_ps(_mm256_cvtepi32_ps(freq), _mm256_set1_ps(0.5));
    _mm256_cvttps_epi32(_mm256_div_ps(half, half_freq))
}

/// The quotient of x and freq, and the rest, from a quotient that is at most one off.
#[inline]
#[target_feature(enable = "avx2")]
fn settle(x: __m256i, quotient: __m256i, freq: __m256i) -> (__m256i, __m256i) {
    let rank = _mm256_sub_epi32(x, _mm256_mullo_epi32(quotient, freq));
    let high = _mm256_srai_epi32::<31>(rank);
    let quotient = _mm256_add_epi32(quotient, high);
    let rank = _mm256_add_epi32(rank, _mm256_and_si256(high, freq));
    let low = _mm256_cmpgt_epi32(rank, _mm256_sub_epi32(freq, _mm256_set1_epi32(1)));
    (_mm256_sub_epi32(quotient, low), _mm256_sub_epi32(rank, _mm256_and_si256(low, freq)))
}

impl Words {
    /// Writes the low halves of those lanes of `x` that are in `set`.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn put_lanes(&mut self, x: __m256i, set: u8) {
        // SAFETY: 8 bytes are read from an array of 8.
        let order = unsafe { _mm_loadl_epi64(LANES_AT_END[usize::from(set)].as_ptr().cast()) };
        let ordered = _mm256_permutevar8x32_epi32(x, _mm256_cvtepu8_epi32(order));
        let halves = _mm256_and_si256(ordered, _mm256_set1_epi32(0xFFFF));
        let packed = _mm256_permute4x64_epi64::<0x08>(_mm256_packus_epi32(halves, halves));
        // What is before the lanes of the set is written over later.
        let target = self.next_lanes();
        // SAFETY: 16 bytes are written to an array of 8 words.
        unsafe { _mm_storeu_si128(target.as_mut_ptr().cast(), _mm256_castsi256_si128(packed)) };
        self.advance(set.count_ones() as usize);
    }
}

/// The low and the high halves of what is at `keys`.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up(entries: &[u64; BUCKETS], keys: &[u16; LANES]) -> (__m256i, __m256i) {
    // Volatile, so that each is read from memory: to take it from a register is slower.
    // SAFETY: it is a reference.
    pair_up(
        keys.each_ref().map(|key| &entries[usize::from(unsafe { core::ptr::read_volatile(key) }) % BUCKETS]),
    )
}

/// The slots at `places`.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up_slots(slots: &[u16], places: &[u32; LANES]) -> __m256i {
    let mut found = [0i32; LANES];
    for (found, place) in found.iter_mut().zip(places) {
        // Volatile, so that it is read from where it was stored just now: to take it from the register is slower.
        // SAFETY: it is a reference.
        *found = slots[unsafe { core::ptr::read_volatile(place) } as usize].into();
    }
    let [a, b, c, d, e, f, g, h] = found;
    let low = _mm_insert_epi16::<1>(_mm_cvtsi32_si128(a), b);
    let low = _mm_insert_epi16::<3>(_mm_insert_epi16::<2>(low, c), d);
    let high = _mm_insert_epi16::<1>(_mm_cvtsi32_si128(e), f);
    let high = _mm_insert_epi16::<3>(_mm_insert_epi16::<2>(high, g), h);
    _mm256_cvtepu16_epi32(_mm_unpacklo_epi64(low, high))
}

#[inline]
#[target_feature(enable = "avx2")]
fn is_any_zero(entries: &[__m256i; REGISTERS]) -> bool {
    let zero = _mm256_setzero_si256();
    let mut zeros = zero;
    for_each_register!(i, {
        zeros = _mm256_or_si256(zeros, _mm256_cmpeq_epi32(entries[i], zero));
    });
    _mm256_movemask_epi8(zeros) != 0
}

/// What is above a state's room for symbols.
#[inline]
#[target_feature(enable = "avx2")]
fn up<const PRECISION: u32>(x: __m256i) -> __m256i {
    match PRECISION {
        10 => _mm256_srli_epi32::<22>(x),
        11 => _mm256_srli_epi32::<21>(x),
        12 => _mm256_srli_epi32::<20>(x),
        _ => _mm256_srli_epi32::<{ 32 - SIGN_PRECISION as i32 }>(x),
    }
}
