//! The integer functions that contexts and steps are made of (`SPEC.md` section 7.7.2): the same on every machine.

/// `log2(value)` in units of 2^-16, rounded down bit by bit; `value` is at least 1 (0 counts as 1).
#[must_use]
pub fn lg(value: u64) -> i32 {
    let value = value.max(1);
    let whole = 63 - value.leading_zeros();
    // The mantissa, in [2^31, 2^32); each squaring brings one more bit of the logarithm above 2.
    let mut mantissa = if whole >= 31 { value >> (whole - 31) } else { value << (31 - whole) };
    let mut result = whole;
    for _ in 0..16 {
        let square = mantissa * mantissa;
        let bit = (square >> 63) as u32;
        mantissa = square >> (31 + bit);
        result = result << 1 | bit;
    }
    result as i32
}

/// The greatest integer whose square is at most `value`.
#[must_use]
#[inline]
pub fn root(value: u64) -> u64 {
    value.isqrt()
}

/// [`root`] of a `u32`, by way of a float's root: whatever that is, the integers on both sides of it decide.
#[must_use]
#[inline]
pub fn root_of_small(value: u32) -> u32 {
    let mut root = f64::from(value).sqrt() as u64;
    while root * root > u64::from(value) {
        root -= 1;
    }
    while (root + 1) * (root + 1) <= u64::from(value) {
        root += 1;
    }
    root as u32
}

/// `round(16384 sin(i pi / 128))`, i = 0..=64.
const QUARTER: [i16; 65] = [
    0, 402, 804, 1205, 1606, 2006, 2404, 2801, 3196, 3590, 3981, 4370, 4756, 5139, 5520, 5897, 6270, 6639,
    7005, 7366, 7723, 8076, 8423, 8765, 9102, 9434, 9760, 10080, 10394, 10702, 11003, 11297, 11585, 11866,
    12140, 12406, 12665, 12916, 13160, 13395, 13623, 13842, 14053, 14256, 14449, 14635, 14811, 14978, 15137,
    15286, 15426, 15557, 15679, 15791, 15893, 15986, 16069, 16143, 16207, 16261, 16305, 16340, 16364, 16379,
    16384,
];

/// `sin(i pi / 128)` in units of 2^-14, any `i`.
#[must_use]
pub fn sine(i: u32) -> i32 {
    let quarter = |i: u32| i32::from(QUARTER[i as usize]);
    match i % 256 {
        i @ 0..64 => quarter(i),
        i @ 64..128 => quarter(128 - i),
        i @ 128..192 => -quarter(i - 128),
        i => -quarter(256 - i),
    }
}

/// `cos(i pi / 128)` in units of 2^-14, any `i`.
#[must_use]
pub fn cosine(i: u32) -> i32 {
    sine(i % 256 + 64)
}

/// The i of 0..256 whose direction `(cosine(i), sine(i))` is nearest to `(x, y)`: of greatest dot product, the least of equals; 0 for (0, 0).
#[must_use]
pub fn direction(x: i64, y: i64) -> u32 {
    // By octants first: the direction in 0..=64 of (|x|, |y|) is found by bisection on the sign of the cross product.
    let (ax, ay) = (x.unsigned_abs(), y.unsigned_abs());
    if ax == 0 && ay == 0 {
        return 0;
    }
    let (mut low, mut high) = (0u32, 64u32);
    while low < high {
        let middle = (low + high).div_ceil(2);
        // (x, y) lies at or past the half-way direction between middle - 1 and middle.
        let (c, s) = (cosine(middle - 1) + cosine(middle), sine(middle - 1) + sine(middle));
        if i128::from(ay) * i128::from(c) >= i128::from(ax) * i128::from(s) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    match (x < 0, y < 0) {
        (false, false) => low,
        (true, false) => 128 - low,
        (true, true) => 128 + low,
        (false, true) => (256 - low) % 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_floors() {
        for value in
            (1..2000u64).chain([1 << 20, (1 << 31) + 12345, u64::from(u32::MAX), (1 << 40) + 1, u64::MAX])
        {
            let exact = (value as f64).log2() * 65536.0;
            let error = exact - f64::from(lg(value));
            assert!((-0.01..2.0).contains(&error), "{value}: {error}");
        }
        assert_eq!(lg(0), 0);
        assert_eq!(lg(1 << 30), 30 << 16);
    }

    #[test]
    fn small_roots_are_roots() {
        for value in (0..70_000).chain([1 << 20, u32::MAX, u32::MAX - 1, 65535 * 65535, 65535 * 65535 - 1]) {
            assert_eq!(u64::from(root_of_small(value)), root(u64::from(value)), "{value}");
        }
    }

    #[test]
    fn sines_are_of_the_circle() {
        for i in 0..600u32 {
            let angle = f64::from(i) * core::f64::consts::PI / 128.0;
            assert!((f64::from(sine(i)) - 16384.0 * angle.sin()).abs() < 0.51);
            assert!((f64::from(cosine(i)) - 16384.0 * angle.cos()).abs() < 0.51);
        }
    }

    #[test]
    fn directions_are_the_nearest() {
        for i in 0..1000u32 {
            let angle = f64::from(i) * 0.00731;
            let (x, y) = ((1e6 * angle.cos()) as i64, (1e6 * angle.sin()) as i64);
            let nearest = (angle * 128.0 / core::f64::consts::PI).round() as u32 % 256;
            let found = direction(x, y);
            assert!(found.abs_diff(nearest) <= 1 || found.abs_diff(nearest) == 255, "{i}: {found} {nearest}");
        }
    }
}
