//! The AVX-512 instructions that the decoder uses, in plain code, by the names and the documented meaning of the intrinsics: unit
//! tests are built with these in place of the real ones, so that `avx512.rs` and `avx512_merge.rs` run on machines without AVX-512.
//!
//! Registers are bytes, the lowest first. Only what is used is here.
#![allow(non_camel_case_types, clippy::missing_safety_doc, unsafe_code)]

/// 512 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct __m512i([u8; 64]);

/// 256 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct __m256i([u8; 32]);

/// The low 64 of 128 bits, which are all that a shift looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct __m128i(u64);

pub(super) type __mmask64 = u64;
pub(super) type __mmask32 = u32;
pub(super) type __mmask16 = u16;

impl __m512i {
    fn words(self) -> [u16; 32] {
        core::array::from_fn(|i| u16::from_le_bytes([self.0[2 * i], self.0[2 * i + 1]]))
    }

    fn double_words(self) -> [u32; 16] {
        core::array::from_fn(|i| u32::from_le_bytes(core::array::from_fn(|byte| self.0[4 * i + byte])))
    }
}

fn of_bytes(byte: impl Fn(usize) -> u8) -> __m512i {
    __m512i(core::array::from_fn(byte))
}

fn of_words(word: impl Fn(usize) -> u16) -> __m512i {
    of_bytes(|i| word(i / 2).to_le_bytes()[i % 2])
}

fn of_double_words(word: impl Fn(usize) -> u32) -> __m512i {
    of_bytes(|i| word(i / 4).to_le_bytes()[i % 4])
}

/// A mask with bit i where `is_set(i)`.
fn mask64(is_set: impl Fn(usize) -> bool) -> __mmask64 {
    (0..64).fold(0, |mask, i| mask | u64::from(is_set(i)) << i)
}

fn has(mask: impl Into<u64>, i: usize) -> bool {
    mask.into() >> i & 1 == 1
}

// ---------------------------------------------------------------------------------------------------------------------------- memory

pub(super) unsafe fn _mm512_loadu_si512(from: *const __m512i) -> __m512i {
    // SAFETY: the caller says that 64 bytes may be read.
    __m512i(unsafe { from.cast::<[u8; 64]>().read_unaligned() })
}

pub(super) unsafe fn _mm256_loadu_si256(from: *const __m256i) -> __m256i {
    // SAFETY: the caller says that 32 bytes may be read.
    __m256i(unsafe { from.cast::<[u8; 32]>().read_unaligned() })
}

pub(super) unsafe fn _mm512_storeu_si512(to: *mut __m512i, a: __m512i) {
    // SAFETY: the caller says that 64 bytes may be written.
    unsafe { to.cast::<[u8; 64]>().write_unaligned(a.0) }
}

// ------------------------------------------------------------------------------------------------------------------ values and halves

pub(super) fn _mm512_setzero_si512() -> __m512i {
    __m512i([0; 64])
}

pub(super) fn _mm512_set1_epi8(a: i8) -> __m512i {
    of_bytes(|_| a as u8)
}

pub(super) fn _mm512_set1_epi16(a: i16) -> __m512i {
    of_words(|_| a as u16)
}

pub(super) fn _mm512_maskz_set1_epi16(k: __mmask32, a: i16) -> __m512i {
    of_words(|i| if has(k, i) { a as u16 } else { 0 })
}

pub(super) fn _mm512_set1_epi32(a: i32) -> __m512i {
    of_double_words(|_| a as u32)
}

pub(super) fn _mm_cvtsi32_si128(a: i32) -> __m128i {
    __m128i((a as u32).into())
}

pub(super) fn _mm512_castsi512_si256(a: __m512i) -> __m256i {
    __m256i(core::array::from_fn(|i| a.0[i]))
}

pub(super) fn _mm512_extracti64x4_epi64<const IMM1: i32>(a: __m512i) -> __m256i {
    __m256i(core::array::from_fn(|i| a.0[i + 32 * (IMM1 & 1) as usize]))
}

pub(super) fn _mm512_cvtepu8_epi16(a: __m256i) -> __m512i {
    of_words(|i| a.0[i].into())
}

pub(super) fn _mm512_cvtepu16_epi32(a: __m256i) -> __m512i {
    of_double_words(|i| u16::from_le_bytes([a.0[2 * i], a.0[2 * i + 1]]).into())
}

// -------------------------------------------------------------------------------------------------------------------------- bit logic

pub(super) fn _mm512_and_si512(a: __m512i, b: __m512i) -> __m512i {
    of_bytes(|i| a.0[i] & b.0[i])
}

pub(super) fn _mm512_or_si512(a: __m512i, b: __m512i) -> __m512i {
    of_bytes(|i| a.0[i] | b.0[i])
}

pub(super) fn _mm512_andnot_si512(a: __m512i, b: __m512i) -> __m512i {
    of_bytes(|i| !a.0[i] & b.0[i])
}

pub(super) fn _mm512_mask_or_epi32(src: __m512i, k: __mmask16, a: __m512i, b: __m512i) -> __m512i {
    _mm512_mask_mov_epi32(src, k, _mm512_or_si512(a, b))
}

pub(super) fn _mm512_ternarylogic_epi32<const IMM8: i32>(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    let bit = |byte: u8, at: usize| usize::from(byte >> at & 1);
    of_bytes(|i| {
        (0..8).fold(0, |byte, at| {
            let index = bit(a.0[i], at) << 2 | bit(b.0[i], at) << 1 | bit(c.0[i], at);
            byte | ((IMM8 >> index & 1) as u8) << at
        })
    })
}

// ------------------------------------------------------------------------------------------------------------------------- arithmetic

pub(super) fn _mm512_abs_epi8(a: __m512i) -> __m512i {
    of_bytes(|i| (a.0[i] as i8).wrapping_abs() as u8)
}

pub(super) fn _mm512_sub_epi8(a: __m512i, b: __m512i) -> __m512i {
    of_bytes(|i| a.0[i].wrapping_sub(b.0[i]))
}

pub(super) fn _mm512_subs_epu8(a: __m512i, b: __m512i) -> __m512i {
    of_bytes(|i| a.0[i].saturating_sub(b.0[i]))
}

pub(super) fn _mm512_mask_sub_epi8(src: __m512i, k: __mmask64, a: __m512i, b: __m512i) -> __m512i {
    _mm512_mask_mov_epi8(src, k, _mm512_sub_epi8(a, b))
}

pub(super) fn _mm512_add_epi16(a: __m512i, b: __m512i) -> __m512i {
    let (a, b) = (a.words(), b.words());
    of_words(|i| a[i].wrapping_add(b[i]))
}

pub(super) fn _mm512_add_epi32(a: __m512i, b: __m512i) -> __m512i {
    let (a, b) = (a.double_words(), b.double_words());
    of_double_words(|i| a[i].wrapping_add(b[i]))
}

pub(super) fn _mm512_mask_add_epi32(src: __m512i, k: __mmask16, a: __m512i, b: __m512i) -> __m512i {
    _mm512_mask_mov_epi32(src, k, _mm512_add_epi32(a, b))
}

pub(super) fn _mm512_mullo_epi32(a: __m512i, b: __m512i) -> __m512i {
    let (a, b) = (a.double_words(), b.double_words());
    of_double_words(|i| a[i].wrapping_mul(b[i]))
}

// ----------------------------------------------------------------------------------------------------------------------------- shifts

/// `a` moved to the left; 0 by its width or more.
fn left16(a: u16, by: u64) -> u16 {
    if by < 16 { a << by } else { 0 }
}

fn left32(a: u32, by: u64) -> u32 {
    if by < 32 { a << by } else { 0 }
}

fn right16(a: u16, by: u64) -> u16 {
    if by < 16 { a >> by } else { 0 }
}

fn right32(a: u32, by: u64) -> u32 {
    if by < 32 { a >> by } else { 0 }
}

/// Of an immediate, the low 8 bits count.
pub(super) fn _mm512_slli_epi16<const IMM8: u32>(a: __m512i) -> __m512i {
    _mm512_sll_epi16(a, __m128i((IMM8 & 0xFF).into()))
}

pub(super) fn _mm512_slli_epi32<const IMM8: u32>(a: __m512i) -> __m512i {
    _mm512_sll_epi32(a, __m128i((IMM8 & 0xFF).into()))
}

pub(super) fn _mm512_srli_epi32<const IMM8: u32>(a: __m512i) -> __m512i {
    let a = a.double_words();
    of_double_words(|i| right32(a[i], (IMM8 & 0xFF).into()))
}

pub(super) fn _mm512_sll_epi16(a: __m512i, count: __m128i) -> __m512i {
    let a = a.words();
    of_words(|i| left16(a[i], count.0))
}

pub(super) fn _mm512_sll_epi32(a: __m512i, count: __m128i) -> __m512i {
    let a = a.double_words();
    of_double_words(|i| left32(a[i], count.0))
}

pub(super) fn _mm512_srlv_epi16(a: __m512i, count: __m512i) -> __m512i {
    let (a, count) = (a.words(), count.words());
    of_words(|i| right16(a[i], count[i].into()))
}

pub(super) fn _mm512_srlv_epi32(a: __m512i, count: __m512i) -> __m512i {
    let (a, count) = (a.double_words(), count.double_words());
    of_double_words(|i| right32(a[i], count[i].into()))
}

// -------------------------------------------------------------------------------------------------------------------- masks and blends

pub(super) fn _mm512_movepi8_mask(a: __m512i) -> __mmask64 {
    mask64(|i| a.0[i] >> 7 == 1)
}

pub(super) fn _mm512_test_epi8_mask(a: __m512i, b: __m512i) -> __mmask64 {
    mask64(|i| a.0[i] & b.0[i] != 0)
}

pub(super) fn _mm512_cmpge_epu8_mask(a: __m512i, b: __m512i) -> __mmask64 {
    mask64(|i| a.0[i] >= b.0[i])
}

pub(super) fn _mm512_mask_cmplt_epu32_mask(k: __mmask16, a: __m512i, b: __m512i) -> __mmask16 {
    let (a, b) = (a.double_words(), b.double_words());
    k & mask64(|i| i < 16 && a[i] < b[i]) as u16
}

pub(super) fn _mm512_mask_mov_epi8(src: __m512i, k: __mmask64, a: __m512i) -> __m512i {
    of_bytes(|i| if has(k, i) { a.0[i] } else { src.0[i] })
}

pub(super) fn _mm512_maskz_mov_epi8(k: __mmask64, a: __m512i) -> __m512i {
    _mm512_mask_mov_epi8(_mm512_setzero_si512(), k, a)
}

pub(super) fn _mm512_mask_mov_epi16(src: __m512i, k: __mmask32, a: __m512i) -> __m512i {
    of_bytes(|i| if has(k, i / 2) { a.0[i] } else { src.0[i] })
}

pub(super) fn _mm512_mask_mov_epi32(src: __m512i, k: __mmask16, a: __m512i) -> __m512i {
    of_bytes(|i| if has(k, i / 4) { a.0[i] } else { src.0[i] })
}

// ----------------------------------------------------------------------------------------------------------------------- permutations

/// The next element of `a` for each set bit of `k`, from the lowest on.
pub(super) fn _mm512_maskz_expand_epi32(k: __mmask16, a: __m512i) -> __m512i {
    let a = a.double_words();
    of_double_words(|i| if has(k, i) { a[(k & ((1 << i) - 1)).count_ones() as usize] } else { 0 })
}

pub(super) fn _mm512_permutexvar_epi8(index: __m512i, a: __m512i) -> __m512i {
    of_bytes(|i| a.0[usize::from(index.0[i] & 63)])
}

pub(super) fn _mm512_maskz_permutexvar_epi8(k: __mmask64, index: __m512i, a: __m512i) -> __m512i {
    _mm512_maskz_mov_epi8(k, _mm512_permutexvar_epi8(index, a))
}

/// Bit 6 of an index says which of the two it is into.
pub(super) fn _mm512_permutex2var_epi8(a: __m512i, index: __m512i, b: __m512i) -> __m512i {
    of_bytes(|i| (if has(index.0[i], 6) { b } else { a }).0[usize::from(index.0[i] & 63)])
}

pub(super) fn _mm512_maskz_permutex2var_epi8(
    k: __mmask64,
    a: __m512i,
    index: __m512i,
    b: __m512i,
) -> __m512i {
    _mm512_maskz_mov_epi8(k, _mm512_permutex2var_epi8(a, index, b))
}

/// Bit 5 of an index says which of the two it is into.
pub(super) fn _mm512_permutex2var_epi16(a: __m512i, index: __m512i, b: __m512i) -> __m512i {
    let (a, index, b) = (a.words(), index.words(), b.words());
    of_words(|i| (if has(index[i], 5) { b } else { a })[usize::from(index[i] & 31)])
}
