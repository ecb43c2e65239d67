//! NEON, which AArch64 always has, under the names that `simd128.rs` has too.
#![allow(unsafe_code)]

use core::arch::aarch64::*;

/// Instructions that touch no memory.
macro_rules! neon {
    ($value:expr) => {
        // SAFETY: this file is compiled where the target has NEON.
        unsafe { $value }
    };
}

/// 16 bytes, 8 words or 4 double words.
pub(super) type Register = uint8x16_t;

#[inline(always)]
fn words(a: Register) -> uint16x8_t {
    neon!(vreinterpretq_u16_u8(a))
}

#[inline(always)]
fn of_words(a: uint16x8_t) -> Register {
    neon!(vreinterpretq_u8_u16(a))
}

#[inline(always)]
fn doubles(a: Register) -> uint32x4_t {
    neon!(vreinterpretq_u32_u8(a))
}

#[inline(always)]
fn of_doubles(a: uint32x4_t) -> Register {
    neon!(vreinterpretq_u8_u32(a))
}

#[inline(always)]
pub(super) fn load(from: &[u8; 16]) -> Register {
    // SAFETY: 16 bytes are read from an array of 16; NEON as above.
    unsafe { vld1q_u8(from.as_ptr()) }
}

#[inline(always)]
pub(super) fn load_words(from: &[u16; 8]) -> Register {
    // SAFETY: 16 bytes are read from an array of 8 words; NEON as above.
    of_words(unsafe { vld1q_u16(from.as_ptr()) })
}

#[inline(always)]
pub(super) fn load_doubles(from: &[u32; 4]) -> Register {
    // SAFETY: 16 bytes are read from an array of 4 double words; NEON as above.
    of_doubles(unsafe { vld1q_u32(from.as_ptr()) })
}

/// 8 bytes, then zeros.
#[inline(always)]
pub(super) fn load_half(from: &[[u8; 2]; 4]) -> Register {
    // SAFETY: 8 bytes are read from an array of 8; NEON as above.
    unsafe { vcombine_u8(vld1_u8(from.as_ptr().cast()), vdup_n_u8(0)) }
}

#[inline(always)]
pub(super) fn store(to: &mut [u8; 16], a: Register) {
    // SAFETY: 16 bytes are written to an array of 16; NEON as above.
    unsafe { vst1q_u8(to.as_mut_ptr(), a) }
}

#[inline(always)]
pub(super) fn store_words(to: &mut [u16; 8], a: Register) {
    // SAFETY: 16 bytes are written to an array of 8 words; NEON as above.
    unsafe { vst1q_u16(to.as_mut_ptr(), words(a)) }
}

#[inline(always)]
pub(super) fn store_doubles(to: &mut [u32; 4], a: Register) {
    // SAFETY: 16 bytes are written to an array of 4 double words; NEON as above.
    unsafe { vst1q_u32(to.as_mut_ptr(), doubles(a)) }
}

/// The same byte everywhere.
#[inline(always)]
pub(super) fn splat8(a: u8) -> Register {
    neon!(vdupq_n_u8(a))
}

#[inline(always)]
pub(super) fn splat16(a: u16) -> Register {
    of_words(neon!(vdupq_n_u16(a)))
}

#[inline(always)]
pub(super) fn splat32(a: u32) -> Register {
    of_doubles(neon!(vdupq_n_u32(a)))
}

#[inline(always)]
pub(super) fn and(a: Register, b: Register) -> Register {
    neon!(vandq_u8(a, b))
}

#[inline(always)]
pub(super) fn or(a: Register, b: Register) -> Register {
    neon!(vorrq_u8(a, b))
}

#[inline(always)]
pub(super) fn xor(a: Register, b: Register) -> Register {
    neon!(veorq_u8(a, b))
}

/// Those bits of `a` that `b` lacks.
#[inline(always)]
pub(super) fn and_not(a: Register, b: Register) -> Register {
    neon!(vbicq_u8(a, b))
}

/// The bits of `a` where `mask` has ones, those of `b` elsewhere.
#[inline(always)]
pub(super) fn select(mask: Register, a: Register, b: Register) -> Register {
    neon!(vbslq_u8(mask, a, b))
}

/// All ones where the bytes are the same.
#[inline(always)]
pub(super) fn equal8(a: Register, b: Register) -> Register {
    neon!(vceqq_u8(a, b))
}

#[inline(always)]
pub(super) fn equal16(a: Register, b: Register) -> Register {
    of_words(neon!(vceqq_u16(words(a), words(b))))
}

#[inline(always)]
pub(super) fn equal32(a: Register, b: Register) -> Register {
    of_doubles(neon!(vceqq_u32(doubles(a), doubles(b))))
}

/// All ones where the byte of `a`, as a number with a sign, is greater.
#[inline(always)]
pub(super) fn greater8(a: Register, b: Register) -> Register {
    neon!(vcgtq_s8(vreinterpretq_s8_u8(a), vreinterpretq_s8_u8(b)))
}

#[inline(always)]
pub(super) fn greater32(a: Register, b: Register) -> Register {
    of_doubles(neon!(vcgtq_s32(vreinterpretq_s32_u8(a), vreinterpretq_s32_u8(b))))
}

/// Bytes without their sign.
#[inline(always)]
pub(super) fn magnitude8(a: Register) -> Register {
    neon!(vreinterpretq_u8_s8(vabsq_s8(vreinterpretq_s8_u8(a))))
}

/// The difference of bytes, 0 where it would be negative.
#[inline(always)]
pub(super) fn less8(a: Register, b: Register) -> Register {
    neon!(vqsubq_u8(a, b))
}

#[inline(always)]
pub(super) fn least8(a: Register, b: Register) -> Register {
    neon!(vminq_u8(a, b))
}

#[inline(always)]
pub(super) fn add16(a: Register, b: Register) -> Register {
    of_words(neon!(vaddq_u16(words(a), words(b))))
}

#[inline(always)]
pub(super) fn add32(a: Register, b: Register) -> Register {
    of_doubles(neon!(vaddq_u32(doubles(a), doubles(b))))
}

#[inline(always)]
pub(super) fn sub32(a: Register, b: Register) -> Register {
    of_doubles(neon!(vsubq_u32(doubles(a), doubles(b))))
}

#[inline(always)]
pub(super) fn multiply16(a: Register, b: Register) -> Register {
    of_words(neon!(vmulq_u16(words(a), words(b))))
}

#[inline(always)]
pub(super) fn multiply32(a: Register, b: Register) -> Register {
    of_doubles(neon!(vmulq_u32(doubles(a), doubles(b))))
}

/// Words moved up, by less than 16.
#[inline(always)]
pub(super) fn up16(a: Register, by: u32) -> Register {
    of_words(neon!(vshlq_u16(words(a), vdupq_n_s16(by as i16))))
}

/// Words moved down; by 16, zeros stay zeros.
#[inline(always)]
pub(super) fn down16(a: Register, by: u32) -> Register {
    of_words(neon!(vshlq_u16(words(a), vdupq_n_s16(-(by as i16)))))
}

#[inline(always)]
pub(super) fn up32(a: Register, by: u32) -> Register {
    of_doubles(neon!(vshlq_u32(doubles(a), vdupq_n_s32(by as i32))))
}

/// Double words moved down; by 32, zeros stay zeros.
#[inline(always)]
pub(super) fn down32(a: Register, by: u32) -> Register {
    of_doubles(neon!(vshlq_u32(doubles(a), vdupq_n_s32(-(by as i32)))))
}

/// Bytes as words: the first eight, the others.
#[inline(always)]
pub(super) fn widen8(a: Register) -> [Register; 2] {
    [of_words(neon!(vmovl_u8(vget_low_u8(a)))), of_words(neon!(vmovl_high_u8(a)))]
}

/// Words as double words: the first four, the others.
#[inline(always)]
pub(super) fn widen16(a: Register) -> [Register; 2] {
    let a = words(a);
    [of_doubles(neon!(vmovl_u16(vget_low_u16(a)))), of_doubles(neon!(vmovl_high_u16(a)))]
}

/// Double words, from -2^15 to 2^15 - 1, as words.
#[inline(always)]
pub(super) fn narrow32(a: Register, b: Register) -> Register {
    of_words(neon!(vuzp1q_u16(words(a), words(b))))
}

/// Words, from -2^7 to 2^7 - 1, as bytes.
#[inline(always)]
pub(super) fn narrow16(a: Register, b: Register) -> Register {
    neon!(vuzp1q_u8(a, b))
}

/// The bytes of `a` at `index`, 0 from 16 on.
#[inline(always)]
pub(super) fn permute(a: Register, index: Register) -> Register {
    neon!(vqtbl1q_u8(a, index))
}

/// The bytes of `table` at `index`, each below 64.
#[inline(always)]
pub(super) fn look_up(table: &[Register; 4], index: Register) -> Register {
    neon!(vqtbl4q_u8(uint8x16x4_t(table[0], table[1], table[2], table[3]), index))
}

/// Four double words.
#[inline(always)]
pub(super) fn of_four(four: [u32; 4]) -> Register {
    load_doubles(&four)
}

/// The double words.
#[inline(always)]
pub(super) fn to_four(a: Register) -> [u32; 4] {
    let a = doubles(a);
    neon!([vgetq_lane_u32::<0>(a), vgetq_lane_u32::<1>(a), vgetq_lane_u32::<2>(a), vgetq_lane_u32::<3>(a)])
}

/// Which double words of a mask are ones, as bits, and how many are.
#[inline(always)]
pub(super) fn set_of_doubles(mask: Register) -> (usize, usize) {
    // A bit for each lane, and above these one to count.
    let weights = load_doubles(&[0x11, 0x12, 0x14, 0x18]);
    let sum = neon!(vaddvq_u32(doubles(and(mask, weights)))) as usize;
    (sum & 15, sum >> 4)
}

/// Which bytes of a mask are ones, as bits.
#[inline(always)]
pub(super) fn set_of_bytes(mask: Register) -> u32 {
    let bits = and(mask, load(&[1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128]));
    neon!(u32::from(vaddv_u8(vget_low_u8(bits))) | u32::from(vaddv_u8(vget_high_u8(bits))) << 8)
}
