//! Blocks with one scale, or a scale and a minimum, for all their elements.

use super::half::f16;

/// What the codes of IQ4_NL and IQ4_XS stand for.
pub(super) const NONLINEAR: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Codes of 4 bits: the low halves of all bytes, then the high ones.
pub(super) fn nibbles<const H: usize>(codes: &[u8], y: &mut [f32], value: impl Fn(usize, u8) -> f32) {
    for (j, &byte) in codes.iter().take(H).enumerate() {
        y[j] = value(j, byte & 15);
        y[j + H] = value(j + H, byte >> 4);
    }
}

pub(super) fn q4_0(b: &[u8; 18], y: &mut [f32; 32]) {
    let d = f16([b[0], b[1]]);
    nibbles::<16>(&b[2..], y, |_, q| d * (i32::from(q) - 8) as f32);
}

pub(super) fn q4_1(b: &[u8; 20], y: &mut [f32; 32]) {
    let (d, m) = (f16([b[0], b[1]]), f16([b[2], b[3]]));
    nibbles::<16>(&b[4..], y, |_, q| d * f32::from(q) + m);
}

/// The fifth bit of element `j`.
fn fifth(bits: &[u8], j: usize) -> u8 {
    (bits[j / 8] >> (j % 8) & 1) << 4
}

pub(super) fn q5_0(b: &[u8; 22], y: &mut [f32; 32]) {
    let d = f16([b[0], b[1]]);
    nibbles::<16>(&b[6..], y, |j, q| d * (i32::from(q | fifth(&b[2..6], j)) - 16) as f32);
}

pub(super) fn q5_1(b: &[u8; 24], y: &mut [f32; 32]) {
    let (d, m) = (f16([b[0], b[1]]), f16([b[2], b[3]]));
    nibbles::<16>(&b[8..], y, |j, q| d * f32::from(q | fifth(&b[4..8], j)) + m);
}

pub(super) fn q8_0(b: &[u8; 34], y: &mut [f32; 32]) {
    let d = f16([b[0], b[1]]);
    y.iter_mut().zip(&b[2..]).for_each(|(y, &q)| *y = f32::from(q.cast_signed()) * d);
}

/// The sum that the block holds besides is of no use here.
pub(super) fn q8_1(b: &[u8; 36], y: &mut [f32; 32]) {
    let d = f16([b[0], b[1]]);
    y.iter_mut().zip(&b[4..]).for_each(|(y, &q)| *y = f32::from(q.cast_signed()) * d);
}

/// One bit an element: the scale or its negative.
pub(super) fn q1_0(b: &[u8; 18], y: &mut [f32; 128]) {
    let d = f16([b[0], b[1]]);
    for (j, y) in y.iter_mut().enumerate() {
        *y = if b[2 + j / 8] >> (j % 8) & 1 == 1 { d } else { -d };
    }
}

pub(super) fn iq4_nl(b: &[u8; 18], y: &mut [f32; 32]) {
    let d = f16([b[0], b[1]]);
    nibbles::<16>(&b[2..], y, |_, q| d * f32::from(NONLINEAR[usize::from(q)]));
}
