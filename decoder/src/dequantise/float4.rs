//! Elements of 4-bit floats (OCP e2m1) under shared scales.

use super::half::{e8m0_half, ue4m3_half};
use super::one_scale::nibbles;

/// What the codes stand for, doubled.
const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

pub(super) fn mxfp4(b: &[u8; 17], y: &mut [f32; 32]) {
    let d = e8m0_half(b[0]);
    nibbles::<16>(&b[1..], y, |_, q| d * f32::from(E2M1[usize::from(q)]));
}

pub(super) fn nvfp4(b: &[u8; 36], y: &mut [f32; 64]) {
    for (group, y) in y.chunks_exact_mut(16).enumerate() {
        let d = ue4m3_half(b[group]);
        nibbles::<8>(&b[4 + group * 8..], y, |_, q| d * f32::from(E2M1[usize::from(q)]));
    }
}
