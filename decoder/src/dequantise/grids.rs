//! Elements in groups of 4 or 8 that are points of a grid (the i-quants).

use super::grid_tables::{IQ1_S, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS};
use super::half::f16;

/// What the 2-bit numbers of the two-bit grids stand for.
const VALUES_2: [f32; 4] = [8.0, 25.0, 43.0, 0.0];
/// What the 3-bit numbers of the three-bit grids stand for.
const VALUES_3_XXS: [f32; 8] = [4.0, 12.0, 20.0, 28.0, 36.0, 44.0, 52.0, 62.0];
const VALUES_3_S: [f32; 8] = [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0];
/// By how much the points of the one-bit grid are shifted.
const DELTA: f32 = 0.125;

/// The eight signs of 7 bits: the eighth makes their number even.
fn signs(seven: u8) -> u8 {
    let seven = seven & 127;
    seven | (seven.count_ones() as u8 & 1) << 7
}

fn signed(value: f32, signs: u8, i: usize) -> f32 {
    if signs >> (i % 8) & 1 == 1 { -value } else { value }
}

/// Eight elements: a point of a two-bit grid, with signs.
fn point_2(grid: u16, db: f32, signs: u8, y: &mut [f32]) {
    for (i, y) in y.iter_mut().enumerate() {
        *y = signed(db * VALUES_2[usize::from(grid >> (2 * i) & 3)], signs, i);
    }
}

/// Four elements: a point of a three-bit grid, with four of eight signs from `first` on.
fn point_3(grid: u16, values: &[f32; 8], db: f32, (signs, first): (u8, usize), y: &mut [f32]) {
    for (i, y) in y.iter_mut().enumerate() {
        *y = signed(db * values[usize::from(grid >> (3 * i) & 7)], signs, first + i);
    }
}

fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([b[at], b[at + 1]])
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

pub(super) fn iq2_xxs(b: &[u8; 66], y: &mut [f32; 256]) {
    let d = f16([b[0], b[1]]);
    for (group, y) in y.chunks_exact_mut(32).enumerate() {
        let at = 2 + group * 8;
        let word = u32_at(b, at + 4);
        let db = d * (0.5 + (word >> 28) as f32) * 0.25;
        for (i, y) in y.chunks_exact_mut(8).enumerate() {
            let signs = signs((word >> (7 * i) & 127) as u8);
            point_2(IQ2_XXS[usize::from(b[at + i])], db, signs, y);
        }
    }
}

pub(super) fn iq2_xs(b: &[u8; 74], y: &mut [f32; 256]) {
    let d = f16([b[0], b[1]]);
    for (i, y) in y.chunks_exact_mut(8).enumerate() {
        let word = u16_at(b, 2 + 2 * i);
        let scale = b[66 + i / 4] >> (i / 2 % 2 * 4) & 15;
        let db = d * (0.5 + f32::from(scale)) * 0.25;
        point_2(IQ2_XS[usize::from(word & 511)], db, signs((word >> 9) as u8), y);
    }
}

pub(super) fn iq2_s(b: &[u8; 82], y: &mut [f32; 256]) {
    let d = f16([b[0], b[1]]);
    for (i, y) in y.chunks_exact_mut(8).enumerate() {
        let high = b[66 + i / 4] >> (i % 4 * 2) & 3;
        let index = usize::from(b[2 + i]) | usize::from(high) << 8;
        let scale = b[74 + i / 4] >> (i / 2 % 2 * 4) & 15;
        let db = d * (0.5 + f32::from(scale)) * 0.25;
        point_2(IQ2_S[index], db, b[34 + i], y);
    }
}

pub(super) fn iq3_xxs(b: &[u8; 98], y: &mut [f32; 256]) {
    let d = f16([b[0], b[1]]);
    for (group, y) in y.chunks_exact_mut(32).enumerate() {
        let word = u32_at(b, 66 + 4 * group);
        let db = d * (0.5 + (word >> 28) as f32) * 0.5;
        for (i, y) in y.chunks_exact_mut(4).enumerate() {
            let signs = signs((word >> (7 * (i / 2)) & 127) as u8);
            let grid = IQ3_XXS[usize::from(b[2 + group * 8 + i])];
            point_3(grid, &VALUES_3_XXS, db, (signs, i % 2 * 4), y);
        }
    }
}

pub(super) fn iq3_s(b: &[u8; 110], y: &mut [f32; 256]) {
    let d = f16([b[0], b[1]]);
    for (i, y) in y.chunks_exact_mut(4).enumerate() {
        let high = b[66 + i / 8] >> (i % 8) & 1;
        let index = usize::from(b[2 + i]) | usize::from(high) << 8;
        let scale = b[106 + i / 16] >> (i / 8 % 2 * 4) & 15;
        let db = d * f32::from(1 + 2 * scale);
        point_3(IQ3_S[index], &VALUES_3_S, db, (b[74 + i / 2], i % 2 * 4), y);
    }
}

/// Eight elements: a point of the one-bit grid, shifted.
fn point_1(grid: u16, dl: f32, delta: f32, y: &mut [f32]) {
    for (i, y) in y.iter_mut().enumerate() {
        let value = f32::from(grid >> (2 * i) & 3) - 1.0;
        *y = dl * (value + delta);
    }
}

pub(super) fn iq1_s(b: &[u8; 50], y: &mut [f32; 256]) {
    let d = f16([b[0], b[1]]);
    for (i, y) in y.chunks_exact_mut(8).enumerate() {
        let word = u16_at(b, 34 + i / 4 * 2);
        let dl = d * f32::from(2 * (word >> 12 & 7) + 1);
        let delta = if word & 0x8000 == 0 { DELTA } else { -DELTA };
        let index = usize::from(b[2 + i]) | usize::from(word >> (3 * (i % 4)) & 7) << 8;
        point_1(IQ1_S[index], dl, delta, y);
    }
}

pub(super) fn iq1_m(b: &[u8; 56], y: &mut [f32; 256]) {
    let scale_words = [48, 50, 52, 54].map(|at| u16_at(b, at));
    let [s0, s1, s2, s3] = scale_words;
    let d = f16((s0 >> 12 | s1 >> 8 & 0xF0 | s2 >> 4 & 0xF00 | s3 & 0xF000).to_le_bytes());
    for (i, y) in y.chunks_exact_mut(8).enumerate() {
        // A scale for every 16 elements, four of them in a word.
        let pair = i / 2;
        let dl = d * f32::from(2 * (scale_words[pair / 4] >> (3 * (pair % 4)) & 7) + 1);
        let high = b[32 + i / 2] >> (i % 2 * 4);
        let delta = if high & 8 == 0 { DELTA } else { -DELTA };
        let index = usize::from(b[i]) | usize::from(high & 7) << 8;
        point_1(IQ1_S[index], dl, delta, y);
    }
}
