//! Blocks of 256 elements whose groups have scales of their own.

use super::half::f16;
use super::one_scale::NONLINEAR;

/// Codes of `W` bits in runs of 32 bytes: the lowest of all bytes first.
fn code<const W: usize>(codes: &[u8], j: usize) -> u8 {
    let per_run = 32 * (8 / W);
    let shift = j % per_run / 32 * W;
    codes[j / per_run * 32 + j % 32] >> shift & ((1 << W) - 1)
}

pub(super) fn q2_k(b: &[u8; 84], y: &mut [f32; 256]) {
    let (d, dmin) = (f16([b[80], b[81]]), f16([b[82], b[83]]));
    for (j, y) in y.iter_mut().enumerate() {
        let scale = b[j / 16];
        let (dl, ml) = (d * f32::from(scale & 15), dmin * f32::from(scale >> 4));
        *y = dl * f32::from(code::<2>(&b[16..], j)) - ml;
    }
}

pub(super) fn q3_k(b: &[u8; 110], y: &mut [f32; 256]) {
    let d = f16([b[108], b[109]]);
    for (j, y) in y.iter_mut().enumerate() {
        let group = j / 16;
        let low = b[96 + group % 8] >> (group / 8 * 4) & 15;
        let high = b[104 + group % 4] >> (group / 4 * 2) & 3;
        let dl = d * (i32::from(low | high << 4) - 32) as f32;
        // The bit says that nothing is to be taken away.
        let high_bit = b[j % 32] >> (j / 32) & 1;
        let q = i32::from(code::<2>(&b[32..], j)) - if high_bit == 1 { 0 } else { 4 };
        *y = dl * q as f32;
    }
}

/// Scale and minimum of a group of 32, of 6 bits each, from 12 bytes.
fn scale_min(s: &[u8], group: usize) -> (f32, f32) {
    let (scale, min) = if group < 4 {
        (s[group] & 63, s[group + 4] & 63)
    } else {
        (s[group + 4] & 15 | s[group - 4] >> 6 << 4, s[group + 4] >> 4 | s[group] >> 6 << 4)
    };
    (scale.into(), min.into())
}

pub(super) fn q4_k(b: &[u8; 144], y: &mut [f32; 256]) {
    let (d, dmin) = (f16([b[0], b[1]]), f16([b[2], b[3]]));
    for (group, y) in y.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_min(&b[4..16], group);
        let (dl, ml) = (d * scale, dmin * min);
        for (i, y) in y.iter_mut().enumerate() {
            *y = dl * f32::from(code::<4>(&b[16..], group * 32 + i)) - ml;
        }
    }
}

pub(super) fn q5_k(b: &[u8; 176], y: &mut [f32; 256]) {
    let (d, dmin) = (f16([b[0], b[1]]), f16([b[2], b[3]]));
    for (group, y) in y.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_min(&b[4..16], group);
        let (dl, ml) = (d * scale, dmin * min);
        for (i, y) in y.iter_mut().enumerate() {
            let j = group * 32 + i;
            let q = code::<4>(&b[48..], j) | code::<1>(&b[16..48], j) << 4;
            *y = dl * f32::from(q) - ml;
        }
    }
}

pub(super) fn q6_k(b: &[u8; 210], y: &mut [f32; 256]) {
    let d = f16([b[208], b[209]]);
    for (j, y) in y.iter_mut().enumerate() {
        let low = b[j / 128 * 64 + j % 64] >> (j % 128 / 64 * 4) & 15;
        let q = low | code::<2>(&b[128..192], j) << 4;
        let dl = d * f32::from(b[192 + j / 16].cast_signed());
        *y = dl * (i32::from(q) - 32) as f32;
    }
}

/// The sums that the block holds besides are of no use here.
pub(super) fn q8_k(b: &[u8; 292], y: &mut [f32; 256]) {
    let d = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    y.iter_mut().zip(&b[4..]).for_each(|(y, &q)| *y = d * f32::from(q.cast_signed()));
}

pub(super) fn iq4_xs(b: &[u8; 136], y: &mut [f32; 256]) {
    let d = f16([b[0], b[1]]);
    for (group, y) in y.chunks_exact_mut(32).enumerate() {
        let low = b[4 + group / 2] >> (group % 2 * 4) & 15;
        let high = b[2 + group / 4] >> (group % 4 * 2) & 3;
        let dl = d * (i32::from(low | high << 4) - 32) as f32;
        super::one_scale::nibbles::<16>(&b[8 + group * 16..], y, |_, q| {
            dl * f32::from(NONLINEAR[usize::from(q)])
        });
    }
}
