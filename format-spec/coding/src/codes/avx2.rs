//! Signs of codes, and what codes are worth, with AVX2.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::decode::{Plane, STEP, Steps, write_values};
use super::numbers::Element;
use crate::labelled::Level;

/// A proof that the machine has AVX2 and BMI2.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn of(level: Level) -> Option<Self> {
        (level.available() >= Level::Avx2).then_some(Self(()))
    }

    /// As [`Plane::signed`].
    pub(super) fn signed(self, plane: &mut Plane, numbers: &[[u16; STEP]], codes: &mut [[i32; STEP]]) {
        // SAFETY: the machine has the features.
        unsafe { signed(plane, numbers, codes) }
    }

    /// As [`write_values`].
    pub(super) fn write(self, element: Element, codes: &[i32], steps: &Steps<'_>, out: &mut [u8]) {
        // SAFETY: the machine has the feature.
        unsafe { write(element, codes, steps, out) }
    }
}

#[target_feature(enable = "avx2,bmi2,popcnt")]
fn signed(plane: &mut Plane, numbers: &[[u16; STEP]], codes: &mut [[i32; STEP]]) {
    let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    let zero = _mm256_setzero_si256();
    for (numbers, codes) in numbers.iter().zip(codes) {
        let halves: &[[u16; STEP / 2]] = numbers.as_chunks().0;
        let is_zero = |half: &[u16; STEP / 2]| _mm256_cmpeq_epi16(load(half), zero);
        let packed = _mm256_packs_epi16(is_zero(&halves[0]), is_zero(&halves[1]));
        // Packing goes by halves of registers.
        let in_order = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
        let coded = !(_mm256_movemask_epi8(in_order) as u32);
        let minus = _pdep_u32(plane.window() as u32, coded);
        plane.skip(coded.count_ones() as usize);
        let eights = numbers.as_chunks::<8>().0.iter().zip(codes.as_chunks_mut::<8>().0);
        for (at, (numbers, codes)) in eights.enumerate() {
            let here = _mm256_and_si256(_mm256_set1_epi32((minus >> (8 * at)) as i32), bits);
            let is_minus = _mm256_cmpeq_epi32(here, bits);
            // SAFETY: the array holds what is read.
            let numbers = _mm256_cvtepu16_epi32(unsafe { _mm_loadu_si128(numbers.as_ptr().cast()) });
            let signed = _mm256_sub_epi32(_mm256_xor_si256(numbers, is_minus), is_minus);
            // SAFETY: the array has room for what is written.
            unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), signed) };
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(from: &[u16; STEP / 2]) -> __m256i {
    // SAFETY: the array holds what is read.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn write(element: Element, codes: &[i32], steps: &Steps<'_>, out: &mut [u8]) {
    write_values(element, codes, steps, out);
}
