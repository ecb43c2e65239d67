//! The stream of differences with AVX2: 8 lanes in one register, by the instructions of labelled floats. Same results as `stream.rs`,
//! which ends what is left over here.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::slots::{ALL_BUCKETS, PRECISION, SYMBOLS};
pub(super) use crate::labelled::avx2::LANES;
use crate::labelled::avx2::{BYTES_OF_LANE, bucket, decode, load, look_up, store};

/// Decodes eight symbols at a time, under the tables `tables`, while there are as many words; returns how many it decoded and how many
/// words it used. State 0 has the next symbol.
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn symbols(
    states: &mut [u32; LANES],
    words: &[[u8; 2]],
    buckets: &[u64; ALL_BUCKETS],
    tables: &[u8],
    symbols: &mut [u8],
) -> (usize, usize) {
    let mut x = load(states);
    let (mut done, mut used) = (0, 0);
    for (tables, symbols) in tables.as_chunks::<LANES>().0.iter().zip(symbols.as_chunks_mut::<LANES>().0) {
        let Some(window) = words.get(used..).and_then(|rest| rest.first_chunk::<LANES>()) else { break };
        // SAFETY: 8 bytes are read from an array of 8.
        let tables = _mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(tables.as_ptr().cast()) });
        let first = _mm256_slli_epi32::<{ SYMBOLS.ilog2() as i32 }>(tables);
        let mut at = [0; LANES];
        store(&mut at, _mm256_or_si256(bucket::<PRECISION>(x), first));
        let (next, found) = decode::<PRECISION>(x, look_up(buckets, &at));
        let zero = _mm256_setzero_si256();
        let low = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(next), zero);
        let set = _mm256_movemask_ps(_mm256_castsi256_ps(low)) as usize;
        // SAFETY: 16 bytes are read from an array of 8 words.
        let words = unsafe { _mm_loadu_si128(window.as_ptr().cast()) };
        // SAFETY: 16 bytes are read from an array of 16.
        let bytes = unsafe { _mm_loadu_si128(BYTES_OF_LANE[set % BYTES_OF_LANE.len()].as_ptr().cast()) };
        let words = _mm256_cvtepu16_epi32(_mm_shuffle_epi8(words, bytes));
        let moved = _mm256_sllv_epi32(next, _mm256_and_si256(low, _mm256_set1_epi32(16)));
        x = _mm256_or_si256(moved, words);
        used += set.count_ones() as usize;
        // The low byte of each lane, four in each half.
        let bytes = _mm256_packus_epi16(_mm256_packus_epi32(found, zero), zero);
        let halves = [_mm256_extract_epi32::<0>(bytes), _mm256_extract_epi32::<4>(bytes)];
        for (symbols, half) in symbols.as_chunks_mut::<4>().0.iter_mut().zip(halves) {
            *symbols = half.to_le_bytes();
        }
        done += LANES;
    }
    store(states, x);
    (done, used)
}
