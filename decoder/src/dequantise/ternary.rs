//! Elements of three values: -1, 0 and 1, times a scale.

use super::half::f16;

/// Digit of a byte in base 3, the most significant (which is a fraction of 256) first.
fn digit(byte: u8, power: u8) -> f32 {
    let q = (u16::from(byte.wrapping_mul(power)) * 3) >> 8;
    (i32::from(q) - 1) as f32
}

pub(super) fn tq1_0(b: &[u8; 54], y: &mut [f32; 256]) {
    const POWERS: [u8; 5] = [1, 3, 9, 27, 81];
    let d = f16([b[52], b[53]]);
    let runs = [(&b[..32], 5), (&b[32..48], 5), (&b[48..52], 4)];
    let digits = runs.into_iter().flat_map(|(run, n)| {
        POWERS.into_iter().take(n).flat_map(move |power| run.iter().map(move |&byte| digit(byte, power)))
    });
    y.iter_mut().zip(digits).for_each(|(y, q)| *y = d * q);
}

pub(super) fn tq2_0(b: &[u8; 66], y: &mut [f32; 256]) {
    let d = f16([b[64], b[65]]);
    for (j, y) in y.iter_mut().enumerate() {
        let q = b[j / 128 * 32 + j % 32] >> (j % 128 / 32 * 2) & 3;
        *y = d * (i32::from(q) - 1) as f32;
    }
}
