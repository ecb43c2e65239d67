//! A binary logarithm of plain arithmetic: fast, and the same on every machine, so that what is chosen by code lengths is too.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

const MANTISSA_BITS: u32 = 52;

/// log2 of a positive normal number, to about 1e-9; other numbers give anything.
#[inline]
pub(super) fn log2(x: f64) -> f64 {
    // x = 2^exponent * m, with m from sqrt(1/2) to sqrt(2).
    let bits = x.to_bits();
    let moved = bits.wrapping_sub(FRAC_1_SQRT_2.to_bits());
    let exponent = moved as i64 >> MANTISSA_BITS;
    let m = f64::from_bits(bits.wrapping_sub((exponent << MANTISSA_BITS) as u64));
    // log m = 2 artanh((m - 1) / (m + 1)).
    let s = (m - 1.0) / (m + 1.0);
    let t = s * s;
    let series = 1.0 + t * (1.0 / 3.0 + t * (1.0 / 5.0 + t * (1.0 / 7.0 + t * (1.0 / 9.0 + t / 11.0))));
    exponent as f64 + 2.0 / LN_2 * s * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_close() {
        for i in 1..200_000u32 {
            for x in [f64::from(i), f64::from(i) * 1e-7, f64::from(i) / 4096.0, 1e300 / f64::from(i)] {
                assert!((log2(x) - x.log2()).abs() < 1e-9 * x.log2().abs().max(1.0), "{x}");
            }
        }
        assert_eq!(log2(1.0), 0.0);
        assert_eq!(log2(1024.0), 10.0);
    }
}
