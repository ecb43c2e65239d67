//! simd128 of WebAssembly, under the names that `neon.rs` has too.
#![allow(unsafe_code)]

use core::arch::wasm32::*;

/// 16 bytes, 8 words or 4 double words.
pub(super) type Register = v128;

#[inline(always)]
pub(super) fn load(from: &[u8; 16]) -> Register {
    // SAFETY: 16 bytes are read from an array of 16.
    unsafe { v128_load(from.as_ptr().cast()) }
}

#[inline(always)]
pub(super) fn load_words(from: &[u16; 8]) -> Register {
    // SAFETY: 16 bytes are read from an array of 8 words.
    unsafe { v128_load(from.as_ptr().cast()) }
}

#[inline(always)]
pub(super) fn load_doubles(from: &[u32; 4]) -> Register {
    // SAFETY: 16 bytes are read from an array of 4 double words.
    unsafe { v128_load(from.as_ptr().cast()) }
}

/// 8 bytes, then zeros.
#[inline(always)]
pub(super) fn load_half(from: &[[u8; 2]; 4]) -> Register {
    // SAFETY: 8 bytes are read from an array of 8.
    unsafe { v128_load64_zero(from.as_ptr().cast()) }
}

#[inline(always)]
pub(super) fn store(to: &mut [u8; 16], a: Register) {
    // SAFETY: 16 bytes are written to an array of 16.
    unsafe { v128_store(to.as_mut_ptr().cast(), a) }
}

#[inline(always)]
pub(super) fn store_words(to: &mut [u16; 8], a: Register) {
    // SAFETY: 16 bytes are written to an array of 8 words.
    unsafe { v128_store(to.as_mut_ptr().cast(), a) }
}

#[inline(always)]
pub(super) fn store_doubles(to: &mut [u32; 4], a: Register) {
    // SAFETY: 16 bytes are written to an array of 4 double words.
    unsafe { v128_store(to.as_mut_ptr().cast(), a) }
}

/// The same byte everywhere.
#[inline(always)]
pub(super) fn splat8(a: u8) -> Register {
    u8x16_splat(a)
}

#[inline(always)]
pub(super) fn splat16(a: u16) -> Register {
    u16x8_splat(a)
}

#[inline(always)]
pub(super) fn splat32(a: u32) -> Register {
    u32x4_splat(a)
}

#[inline(always)]
pub(super) fn and(a: Register, b: Register) -> Register {
    v128_and(a, b)
}

#[inline(always)]
pub(super) fn or(a: Register, b: Register) -> Register {
    v128_or(a, b)
}

#[inline(always)]
pub(super) fn xor(a: Register, b: Register) -> Register {
    v128_xor(a, b)
}

/// Those bits of `a` that `b` lacks.
#[inline(always)]
pub(super) fn and_not(a: Register, b: Register) -> Register {
    v128_andnot(a, b)
}

/// The bits of `a` where `mask` has ones, those of `b` elsewhere.
#[inline(always)]
pub(super) fn select(mask: Register, a: Register, b: Register) -> Register {
    v128_bitselect(a, b, mask)
}

/// All ones where the bytes are the same.
#[inline(always)]
pub(super) fn equal8(a: Register, b: Register) -> Register {
    u8x16_eq(a, b)
}

#[inline(always)]
pub(super) fn equal16(a: Register, b: Register) -> Register {
    u16x8_eq(a, b)
}

#[inline(always)]
pub(super) fn equal32(a: Register, b: Register) -> Register {
    u32x4_eq(a, b)
}

/// All ones where the byte of `a`, as a number with a sign, is greater.
#[inline(always)]
pub(super) fn greater8(a: Register, b: Register) -> Register {
    i8x16_gt(a, b)
}

#[inline(always)]
pub(super) fn greater32(a: Register, b: Register) -> Register {
    i32x4_gt(a, b)
}

/// Bytes without their sign.
#[inline(always)]
pub(super) fn magnitude8(a: Register) -> Register {
    i8x16_abs(a)
}

/// The difference of bytes, 0 where it would be negative.
#[inline(always)]
pub(super) fn less8(a: Register, b: Register) -> Register {
    u8x16_sub_sat(a, b)
}

#[inline(always)]
pub(super) fn least8(a: Register, b: Register) -> Register {
    u8x16_min(a, b)
}

#[inline(always)]
pub(super) fn add16(a: Register, b: Register) -> Register {
    i16x8_add(a, b)
}

#[inline(always)]
pub(super) fn add32(a: Register, b: Register) -> Register {
    i32x4_add(a, b)
}

#[inline(always)]
pub(super) fn sub32(a: Register, b: Register) -> Register {
    i32x4_sub(a, b)
}

#[inline(always)]
pub(super) fn multiply16(a: Register, b: Register) -> Register {
    i16x8_mul(a, b)
}

#[inline(always)]
pub(super) fn multiply32(a: Register, b: Register) -> Register {
    i32x4_mul(a, b)
}

/// Words moved up, by less than 16.
#[inline(always)]
pub(super) fn up16(a: Register, by: u32) -> Register {
    i16x8_shl(a, by)
}

/// Words moved down; by 16, zeros stay zeros.
#[inline(always)]
pub(super) fn down16(a: Register, by: u32) -> Register {
    u16x8_shr(a, by)
}

#[inline(always)]
pub(super) fn up32(a: Register, by: u32) -> Register {
    i32x4_shl(a, by)
}

/// Double words moved down; by 32, zeros stay zeros.
#[inline(always)]
pub(super) fn down32(a: Register, by: u32) -> Register {
    u32x4_shr(a, by)
}

/// Bytes as words: the first eight, the others.
#[inline(always)]
pub(super) fn widen8(a: Register) -> [Register; 2] {
    [u16x8_extend_low_u8x16(a), u16x8_extend_high_u8x16(a)]
}

/// Words as double words: the first four, the others.
#[inline(always)]
pub(super) fn widen16(a: Register) -> [Register; 2] {
    [u32x4_extend_low_u16x8(a), u32x4_extend_high_u16x8(a)]
}

/// Double words, from -2^15 to 2^15 - 1, as words.
#[inline(always)]
pub(super) fn narrow32(a: Register, b: Register) -> Register {
    i16x8_narrow_i32x4(a, b)
}

/// Words, from -2^7 to 2^7 - 1, as bytes.
#[inline(always)]
pub(super) fn narrow16(a: Register, b: Register) -> Register {
    i8x16_narrow_i16x8(a, b)
}

/// The bytes of `a` at `index`, 0 from 16 on.
#[inline(always)]
pub(super) fn permute(a: Register, index: Register) -> Register {
    u8x16_swizzle(a, index)
}

/// The bytes of `table` at `index`, each below 64.
#[inline(always)]
pub(super) fn look_up(table: &[Register; 4], index: Register) -> Register {
    // Indices of another quarter are 16 or more, which gives zero.
    let quarter =
        |number: usize| u8x16_swizzle(table[number], u8x16_sub(index, u8x16_splat(16 * number as u8)));
    or(or(quarter(0), quarter(1)), or(quarter(2), quarter(3)))
}

/// Four double words.
#[inline(always)]
pub(super) fn of_four([a, b, c, d]: [u32; 4]) -> Register {
    u32x4(a, b, c, d)
}

/// The double words.
#[inline(always)]
pub(super) fn to_four(a: Register) -> [u32; 4] {
    [
        u32x4_extract_lane::<0>(a),
        u32x4_extract_lane::<1>(a),
        u32x4_extract_lane::<2>(a),
        u32x4_extract_lane::<3>(a),
    ]
}

/// Which double words of a mask are ones, as bits, and how many are.
#[inline(always)]
pub(super) fn set_of_doubles(mask: Register) -> (usize, usize) {
    let set = i32x4_bitmask(mask);
    (set.into(), set.count_ones() as usize)
}

/// Which bytes of a mask are ones, as bits.
#[inline(always)]
pub(super) fn set_of_bytes(mask: Register) -> u32 {
    i8x16_bitmask(mask).into()
}
