//! The logistic function and its inverse in integers (`SPEC.md` section 7.7.1). Probabilities are in units of 2^-16,
//! log-odds in units of 2^-12 of a natural logarithm.

use std::sync::LazyLock;

/// Log-odds lie within this on both sides.
pub const MAX_STRETCH: i32 = 8 << 12;

/// `round(65536 / (1 + exp(-i / 16)))`, i = 0..=128.
const SQUASH: [u32; 129] = [
    32768, 33792, 34813, 35831, 36843, 37847, 38841, 39824, 40793, 41748, 42687, 43608, 44511, 45393, 46254,
    47094, 47911, 48704, 49474, 50220, 50941, 51638, 52310, 52957, 53581, 54179, 54754, 55306, 55834, 56339,
    56822, 57284, 57724, 58144, 58544, 58925, 59287, 59632, 59959, 60270, 60565, 60844, 61109, 61360, 61598,
    61823, 62036, 62238, 62428, 62608, 62778, 62938, 63090, 63233, 63368, 63495, 63615, 63728, 63835, 63935,
    64030, 64119, 64203, 64283, 64357, 64427, 64494, 64556, 64614, 64669, 64721, 64770, 64816, 64859, 64900,
    64938, 64974, 65008, 65039, 65069, 65097, 65124, 65149, 65172, 65194, 65215, 65234, 65252, 65269, 65285,
    65300, 65315, 65328, 65341, 65352, 65364, 65374, 65384, 65393, 65402, 65410, 65417, 65425, 65431, 65438,
    65444, 65449, 65454, 65459, 65464, 65468, 65472, 65476, 65480, 65483, 65486, 65489, 65492, 65495, 65497,
    65500, 65502, 65504, 65506, 65508, 65509, 65511, 65513, 65514,
];

/// The probability that belongs to the log-odds `x`: between the table's values it is linear, and below 0 it is 65536 less its mirror.
#[inline]
#[must_use]
pub fn squash(x: i32) -> u32 {
    let magnitude = x.unsigned_abs().min(MAX_STRETCH as u32 - 1);
    let (cell, rest) = ((magnitude >> 8) as usize, magnitude & 255);
    let (low, high) = (SQUASH[cell], SQUASH[cell + 1]);
    let p = low + (((high - low) * rest) >> 8);
    if x < 0 { 65536 - p } else { p }
}

/// Log-odds of the probabilities `16 i + 8`, i = 0..4096.
static STRETCH: LazyLock<Box<[i16; 4096]>> = LazyLock::new(|| {
    let mut table = Box::new([0i16; 4096]);
    let mut x = -MAX_STRETCH + 1;
    for (i, entry) in table.iter_mut().enumerate() {
        while x < MAX_STRETCH - 1 && squash(x) < 16 * i as u32 + 8 {
            x += 1;
        }
        *entry = x.clamp(-MAX_STRETCH + 1, MAX_STRETCH - 1) as i16;
    }
    table
});

/// The least log-odds whose [`squash`] is at least the middle of the 1/4096 that `p` (0 to 65535) lies in, within [`MAX_STRETCH`].
#[inline]
#[must_use]
pub fn stretch(p: u32) -> i32 {
    i32::from(STRETCH[(p >> 4) as usize & 4095])
}

/// The table behind [`stretch`], for callers that look up often.
#[must_use]
pub fn stretches() -> &'static [i16; 4096] {
    &STRETCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_the_functions_they_approximate() {
        for x in (-32767..32768).step_by(37) {
            let exact = 65536.0 / (1.0 + (-f64::from(x) / 4096.0).exp());
            assert!((f64::from(squash(x)) - exact).abs() < 8.0, "{x}");
        }
        for p in (512..65024).step_by(16) {
            let middle = f64::from((p | 15) - 7) / 65536.0;
            let exact = (middle / (1.0 - middle)).ln() * 4096.0;
            assert!((f64::from(stretch(p)) - exact).abs() < 40.0, "{p} {} {exact}", stretch(p));
        }
        assert!(squash(i32::MIN) >= 1 && squash(i32::MAX) <= 65535);
    }
}
