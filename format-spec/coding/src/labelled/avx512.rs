//! The labelled decoder with AVX-512: 64 lanes in four registers, tables looked up by byte permutations and never in memory.
//!
//! Same results as the portable code in `decode.rs` and `merge.rs`, which ends what is left over here. Of a table's 64 buckets each
//! attribute is one register; four tables are four registers joined by permutations of two and a blend, and 16 four of these.
//!
//! In unit tests the instructions are those of `emulated.rs`, which must not be built with AVX-512, but call functions that use AVX2.
#![allow(unsafe_code)]

use super::avx512_instructions::*;
use super::classes::{CLASSES, SIGN_BIASES, SIGN_OCTAVES, SIGN_PRECISION, SYMBOLS, ZERO};
use super::payload::MAX_LANES;
use super::symbols::{MINUS, STEP_WORDS, Symbols};
use super::vector::ByteTables;
use crate::error::Result;

/// Elements of a step.
const STEP: usize = MAX_LANES;

/// Loads 64 bytes.
#[inline]
#[cfg_attr(not(test), target_feature(enable = "avx512f"))]
#[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes are read from an array of 64.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[cfg_attr(not(test), target_feature(enable = "avx512f"))]
#[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
fn load_words(words: &[u16; 32]) -> __m512i {
    // SAFETY: 64 bytes are read from an array of 64.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[cfg_attr(not(test), target_feature(enable = "avx512f"))]
#[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
fn store_words(words: &mut [u16; 32], value: __m512i) {
    // SAFETY: 64 bytes are written to an array of 64.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}

/// One attribute of `TABLES` tables.
#[derive(Clone, Copy)]
struct Lookup<const TABLES: usize>([__m512i; TABLES]);

impl<const TABLES: usize> Lookup<TABLES> {
    #[inline]
    #[cfg_attr(not(test), target_feature(enable = "avx512f"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    fn new(tables: &[[u8; SYMBOLS]]) -> Self {
        let mut registers = [_mm512_setzero_si512(); TABLES];
        for (register, table) in registers.iter_mut().zip(tables) {
            *register = load(table);
        }
        Self(registers)
    }

    /// The attribute at `index`: entry in bits 0..6, table in bits 6 and 7, and where masks of `upper` are set 4 and 8 tables further.
    #[inline]
    #[cfg_attr(not(test), target_feature(enable = "avx512f,avx512bw,avx512vbmi"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    fn at(&self, index: __m512i, upper: [__mmask64; 2]) -> __m512i {
        let t = &self.0;
        match TABLES {
            1 => _mm512_permutexvar_epi8(index, t[0]),
            2 => _mm512_permutex2var_epi8(t[0], index, t[1]),
            _ => {
                let third = _mm512_movepi8_mask(index);
                let low = _mm512_permutex2var_epi8(t[0], index, t[1]);
                let four = |a: usize| {
                    let low = _mm512_permutex2var_epi8(t[a], index, t[a + 1]);
                    let high = _mm512_permutex2var_epi8(t[a + 2], index, t[a + 3]);
                    _mm512_mask_mov_epi8(low, third, high)
                };
                match TABLES {
                    4 => _mm512_mask_mov_epi8(low, third, _mm512_permutex2var_epi8(t[2], index, t[3])),
                    8 => _mm512_mask_mov_epi8(four(0), upper[0], four(4)),
                    _ => {
                        let low = _mm512_mask_mov_epi8(four(0), upper[0], four(4));
                        let high = _mm512_mask_mov_epi8(four(8), upper[0], four(12));
                        _mm512_mask_mov_epi8(low, upper[1], high)
                    }
                }
            }
        }
    }
}

/// Byte permutations between four registers of 16 double words and one of 64 bytes.
struct Shuffles {
    /// Takes the low bytes of two registers to the first half, and to the second.
    pack: [__m512i; 2],
    /// Takes bytes 16i.. of two registers, as low and high byte, to double words.
    spread: [__m512i; 4],
}

impl Shuffles {
    #[inline]
    #[cfg_attr(not(test), target_feature(enable = "avx512f"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    fn new() -> Self {
        let mut pack = [[0u8; 64]; 2];
        for i in 0..32u8 {
            let from = if i < 16 { 4 * i } else { 64 + 4 * (i - 16) };
            pack[0][usize::from(i)] = from;
            pack[1][usize::from(i) + 32] = from;
        }
        let mut spread = [[0u8; 64]; 4];
        for (register, indices) in spread.iter_mut().enumerate() {
            for i in 0..16 {
                indices[4 * i] = (16 * register + i) as u8;
                indices[4 * i + 1] = (64 + 16 * register + i) as u8;
            }
        }
        Self {
            pack: [load(&pack[0]), load(&pack[1])],
            spread: [load(&spread[0]), load(&spread[1]), load(&spread[2]), load(&spread[3])],
        }
    }

    /// The low bytes of all 64 lanes.
    #[inline]
    #[cfg_attr(not(test), target_feature(enable = "avx512f,avx512bw,avx512vbmi"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    fn low_bytes(&self, x: &[__m512i; 4]) -> __m512i {
        let first = _mm512_permutex2var_epi8(x[0], self.pack[0], x[1]);
        let second = _mm512_permutex2var_epi8(x[2], self.pack[1], x[3]);
        _mm512_mask_mov_epi32(first, 0xFF00, second)
    }

    /// Lanes 16 `register`.. as double words, from their low and high bytes.
    #[inline]
    #[cfg_attr(not(test), target_feature(enable = "avx512f,avx512bw,avx512vbmi"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    fn words(&self, register: usize, low: __m512i, high: __m512i) -> __m512i {
        _mm512_maskz_permutex2var_epi8(0x3333_3333_3333_3333, low, self.spread[register], high)
    }

    /// Lanes 16 `register`.. as double words, from their bytes.
    #[inline]
    #[cfg_attr(not(test), target_feature(enable = "avx512f,avx512bw,avx512vbmi"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    fn bytes(&self, register: usize, low: __m512i) -> __m512i {
        _mm512_maskz_permutexvar_epi8(0x1111_1111_1111_1111, self.spread[register], low)
    }
}

/// The tables of a step.
struct Tables<const TABLES: usize, const PRECISION: u32> {
    own: Lookup<TABLES>,
    alias: Lookup<TABLES>,
    /// Low and high bytes.
    rank: [Lookup<TABLES>; 2],
    freq: [Lookup<TABLES>; 2],
    /// By class: its table in bits 6 and 7.
    of_class: __m512i,
    /// By class: bits 0 and 1 are bits 2 and 3 of its table.
    upper: __m512i,
}

impl<const TABLES: usize, const PRECISION: u32> Tables<TABLES, PRECISION> {
    #[inline]
    #[cfg_attr(not(test), target_feature(enable = "avx512f"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    fn new(tables: &ByteTables, of_class: &[u8; CLASSES]) -> Self {
        Self {
            own: Lookup::new(&tables.own),
            alias: Lookup::new(&tables.alias),
            rank: [Lookup::new(&tables.rank[0]), Lookup::new(&tables.rank[1])],
            freq: [Lookup::new(&tables.freq[0]), Lookup::new(&tables.freq[1])],
            of_class: load(&of_class.map(|table| table << 6)),
            upper: load(&of_class.map(|table| table >> 2)),
        }
    }

    /// Decodes a symbol of each lane.
    #[inline]
    #[cfg_attr(not(test), target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    fn decode(
        &self,
        x: &mut [__m512i; 4],
        class: __m512i,
        shuffles: &Shuffles,
        window: &[[u8; 2]; STEP_WORDS],
        used: &mut usize,
    ) -> __m512i {
        let place_mask = (1 << (PRECISION - 6)) - 1;
        let mut upper = [0; 2];
        if TABLES > 4 {
            let bits = _mm512_permutexvar_epi8(class, self.upper);
            upper = [
                _mm512_test_epi8_mask(bits, _mm512_set1_epi8(1)),
                _mm512_test_epi8_mask(bits, _mm512_set1_epi8(2)),
            ];
        }
        let of_table = match TABLES {
            1 => _mm512_setzero_si512(),
            _ => _mm512_permutexvar_epi8(class, self.of_class),
        };
        let shifted: [__m512i; 4] = [
            shift::<PRECISION>(x[0]),
            shift::<PRECISION>(x[1]),
            shift::<PRECISION>(x[2]),
            shift::<PRECISION>(x[3]),
        ];
        let bucket = _mm512_and_si512(shuffles.low_bytes(&shifted), _mm512_set1_epi8(63));
        let place = _mm512_and_si512(shuffles.low_bytes(x), _mm512_set1_epi8(place_mask as i8));
        let at = _mm512_or_si512(bucket, of_table);
        let is_alias = _mm512_cmpge_epu8_mask(place, self.own.at(at, upper));
        let symbol = _mm512_mask_mov_epi8(bucket, is_alias, self.alias.at(at, upper));
        let ranks = [
            _mm512_maskz_mov_epi8(is_alias, self.rank[0].at(at, upper)),
            _mm512_maskz_mov_epi8(is_alias, self.rank[1].at(at, upper)),
        ];
        let of_symbol = _mm512_or_si512(symbol, of_table);
        let freqs = [self.freq[0].at(of_symbol, upper), self.freq[1].at(of_symbol, upper)];
        for (i, x) in x.iter_mut().enumerate() {
            let place = _mm512_and_si512(*x, _mm512_set1_epi32(place_mask));
            // Ranks are modulo 2^16 where the place in the bucket is above them, and below 2^16 with it.
            let of_alias = _mm512_add_epi16(place, shuffles.words(i, ranks[0], ranks[1]));
            let freq = shuffles.words(i, freqs[0], freqs[1]);
            let product = _mm512_mullo_epi32(freq, shift_down::<PRECISION>(*x));
            *x = refill(_mm512_add_epi32(product, of_alias), u16::MAX, window, used);
        }
        symbol
    }
}

/// What decodes coded signs.
struct Signs {
    octaves: __m512i,
    commoner: [__m512i; 2],
}

impl Symbols<'_> {
    /// Decodes as many whole steps as there are words for, for certain; returns the elements done.
    ///
    /// There are 64 lanes, and as many classes as elements; biases are as many, or none.
    #[cfg_attr(not(test), target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    pub(super) fn decode_avx512(
        &mut self,
        tables: &ByteTables,
        classes: &[u8],
        biases: &[i8],
        highs: &mut [u16],
    ) -> Result<usize> {
        match (tables.own.len(), self.precision) {
            (1, 10) => self.steps_avx512::<1, 10>(tables, classes, biases, highs),
            (1, 11) => self.steps_avx512::<1, 11>(tables, classes, biases, highs),
            (1, _) => self.steps_avx512::<1, 12>(tables, classes, biases, highs),
            (2, 10) => self.steps_avx512::<2, 10>(tables, classes, biases, highs),
            (2, 11) => self.steps_avx512::<2, 11>(tables, classes, biases, highs),
            (2, _) => self.steps_avx512::<2, 12>(tables, classes, biases, highs),
            (4, 10) => self.steps_avx512::<4, 10>(tables, classes, biases, highs),
            (4, 11) => self.steps_avx512::<4, 11>(tables, classes, biases, highs),
            (4, _) => self.steps_avx512::<4, 12>(tables, classes, biases, highs),
            (8, 10) => self.steps_avx512::<8, 10>(tables, classes, biases, highs),
            (8, 11) => self.steps_avx512::<8, 11>(tables, classes, biases, highs),
            (8, _) => self.steps_avx512::<8, 12>(tables, classes, biases, highs),
            (16, 10) => self.steps_avx512::<16, 10>(tables, classes, biases, highs),
            (16, 11) => self.steps_avx512::<16, 11>(tables, classes, biases, highs),
            (16, _) => self.steps_avx512::<16, 12>(tables, classes, biases, highs),
            _ => Ok(0),
        }
    }

    #[cfg_attr(not(test), target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    fn steps_avx512<const TABLES: usize, const PRECISION: u32>(
        &mut self,
        tables: &ByteTables,
        classes: &[u8],
        biases: &[i8],
        highs: &mut [u16],
    ) -> Result<usize> {
        let shuffles = Shuffles::new();
        let tables = Tables::<TABLES, PRECISION>::new(tables, &self.tables);
        let offsets = [
            load_words(self.offsets.first_chunk().unwrap_or(&[0; 32])),
            load_words(self.offsets.last_chunk().unwrap_or(&[0; 32])),
        ];
        let high_mask = _mm512_set1_epi16(self.high_mask as i16);
        let signs = (!biases.is_empty()).then(|| self.sign_tables());
        let mut x = [_mm512_setzero_si512(); 4];
        for (i, x) in x.iter_mut().enumerate() {
            // SAFETY: 16 of 64 states are read, from state 16i on, i below 4.
            *x = unsafe { _mm512_loadu_si512(self.states.as_ptr().add(16 * i).cast()) };
        }
        let mut done = 0;
        let steps = classes.as_chunks::<STEP>().0.iter().zip(highs.as_chunks_mut::<STEP>().0);
        for (classes, highs) in steps {
            let Some(window) = self.words.first_chunk::<STEP_WORDS>() else { break };
            let class = load(classes);
            let mut used = 0;
            let symbol = tables.decode(&mut x, class, &shuffles, window, &mut used);
            let special = _mm512_cmpge_epu8_mask(symbol, _mm512_set1_epi8(ZERO as i8));
            let mut halves = [
                value(_mm512_castsi512_si256(class), _mm512_castsi512_si256(symbol), offsets, high_mask),
                value(
                    _mm512_extracti64x4_epi64::<1>(class),
                    _mm512_extracti64x4_epi64::<1>(symbol),
                    offsets,
                    high_mask,
                ),
            ];
            let mut minus = 0;
            if let (Some(signs), Some(biases)) =
                (&signs, biases[biases.len().min(done)..].first_chunk::<STEP>())
            {
                minus = decode_signs(&mut x, signs, &shuffles, biases, symbol, window, &mut used);
            }
            let highs: &mut [[u16; 32]] = highs.as_chunks_mut::<32>().0;
            if special != 0 {
                let mut symbols = [0; STEP];
                // SAFETY: 64 bytes are written to an array of 64.
                unsafe { _mm512_storeu_si512(symbols.as_mut_ptr().cast(), symbol) };
                for (half, highs) in halves.iter().zip(highs.iter_mut()) {
                    store_words(highs, *half);
                }
                self.patch(&symbols, highs.as_flattened_mut())?;
                for (half, highs) in halves.iter_mut().zip(highs.iter()) {
                    *half = load_words(highs);
                }
            }
            for (half, highs) in highs.iter_mut().enumerate() {
                let minus = (minus >> (32 * half)) as __mmask32;
                let signed = _mm512_or_si512(halves[half], _mm512_maskz_set1_epi16(minus, MINUS as i16));
                store_words(highs, signed);
            }
            self.words = &self.words[used..];
            done += STEP;
        }
        for (i, x) in x.into_iter().enumerate() {
            // SAFETY: 16 of 64 states are written, from state 16i on, i below 4.
            unsafe { _mm512_storeu_si512(self.states.as_mut_ptr().add(16 * i).cast(), x) };
        }
        Ok(done)
    }

    #[inline]
    #[cfg_attr(not(test), target_feature(enable = "avx512f"))]
    #[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
    fn sign_tables(&self) -> Signs {
        let mut commoner = [[0u8; 64]; 2];
        for (i, &p) in self.commoner.as_flattened().iter().enumerate() {
            commoner[i / 64][i % 64] = p;
        }
        Signs { octaves: load(&self.sign_octaves), commoner: [load(&commoner[0]), load(&commoner[1])] }
    }
}

const _: () = assert!(SIGN_BIASES * SIGN_OCTAVES <= 128 && SYMBOLS == 64 && STEP == 64);

/// Exponent and top mantissa bits of 32 elements.
#[inline]
#[cfg_attr(not(test), target_feature(enable = "avx512f,avx512bw"))]
#[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
fn value(class: __m256i, symbol: __m256i, offsets: [__m512i; 2], mask: __m512i) -> __m512i {
    let offset = _mm512_permutex2var_epi16(offsets[0], _mm512_cvtepu8_epi16(class), offsets[1]);
    _mm512_and_si512(_mm512_add_epi16(_mm512_cvtepu8_epi16(symbol), offset), mask)
}

/// States moved down so that the low byte has the bucket in its low 6 bits.
#[inline]
#[cfg_attr(not(test), target_feature(enable = "avx512f"))]
#[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
fn shift<const PRECISION: u32>(x: __m512i) -> __m512i {
    match PRECISION {
        10 => _mm512_srli_epi32::<4>(x),
        11 => _mm512_srli_epi32::<5>(x),
        _ => _mm512_srli_epi32::<6>(x),
    }
}

/// States without their slot.
#[inline]
#[cfg_attr(not(test), target_feature(enable = "avx512f"))]
#[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
fn shift_down<const PRECISION: u32>(x: __m512i) -> __m512i {
    match PRECISION {
        10 => _mm512_srli_epi32::<10>(x),
        11 => _mm512_srli_epi32::<11>(x),
        _ => _mm512_srli_epi32::<12>(x),
    }
}

/// Brings those of the `lanes` that fell below 2^16 back above it with the window's next words.
#[inline]
#[cfg_attr(not(test), target_feature(enable = "avx512f,avx512vl,popcnt"))]
#[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
fn refill(x: __m512i, lanes: __mmask16, window: &[[u8; 2]; STEP_WORDS], used: &mut usize) -> __m512i {
    let low = _mm512_mask_cmplt_epu32_mask(lanes, x, _mm512_set1_epi32(1 << 16));
    debug_assert!(*used + 16 <= STEP_WORDS);
    // SAFETY: a step refills each of 64 lanes at most twice, 16 lanes at a time: `used` is at most 16 times the calls before,
    // which are at most 7, and the window has 128 words.
    let words = unsafe { _mm256_loadu_si256(window.as_ptr().add(*used).cast()) };
    let words = _mm512_maskz_expand_epi32(low, _mm512_cvtepu16_epi32(words));
    *used += low.count_ones() as usize;
    _mm512_mask_or_epi32(x, low, _mm512_slli_epi32::<16>(x), words)
}

/// Decodes the signs of biased columns; returns which lanes are minus.
#[inline]
#[cfg_attr(not(test), target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt"))]
#[cfg_attr(test, target_feature(enable = "avx2,bmi2,popcnt"))]
fn decode_signs(
    x: &mut [__m512i; 4],
    signs: &Signs,
    shuffles: &Shuffles,
    biases: &[i8; STEP],
    symbol: __m512i,
    window: &[[u8; 2]; STEP_WORDS],
    used: &mut usize,
) -> __mmask64 {
    // SAFETY: 64 bytes are read from an array of 64.
    let bias = unsafe { _mm512_loadu_si512(biases.as_ptr().cast()) };
    let biased = _mm512_test_epi8_mask(bias, bias);
    if biased == 0 {
        return 0;
    }
    // Degrees are below 14, and 0 where there is no bias: eight times one stays within its byte.
    let degree = _mm512_subs_epu8(_mm512_abs_epi8(bias), _mm512_set1_epi8(1));
    let at = _mm512_or_si512(_mm512_slli_epi16::<3>(degree), _mm512_permutexvar_epi8(symbol, signs.octaves));
    let commoner = _mm512_permutex2var_epi8(signs.commoner[0], at, signs.commoner[1]);
    let slot = _mm512_and_si512(shuffles.low_bytes(x), _mm512_set1_epi8(i8::MAX));
    let rarer = _mm512_cmpge_epu8_mask(slot, commoner);
    let freq = _mm512_mask_sub_epi8(commoner, rarer, _mm512_set1_epi8(-128), commoner);
    let rank = _mm512_mask_sub_epi8(slot, rarer, slot, commoner);
    for (i, x) in x.iter_mut().enumerate() {
        let lanes = (biased >> (16 * i)) as __mmask16;
        let product = _mm512_mullo_epi32(shuffles.bytes(i, freq), _mm512_srli_epi32::<SIGN_PRECISION>(*x));
        let next = _mm512_mask_add_epi32(*x, lanes, product, shuffles.bytes(i, rank));
        *x = refill(next, lanes, window, used);
    }
    biased & (rarer ^ _mm512_movepi8_mask(bias))
}
