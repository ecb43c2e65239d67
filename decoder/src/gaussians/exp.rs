//! The exponential of the rendering rule: a defined approximation of 2^t, so that CPU, GPU and browser agree.
//!
//! n is t rounded to the nearest integer (ties to even), r = t - n, and the value is 2^n times a polynomial of degree 4 in r (the
//! Taylor series of 2^r) by Horner's rule. Its relative error is at most 6e-5 for |r| <= 0.5. Multiply-adds may be fused or not.

/// Coefficients of r^0 to r^4.
pub const COEFFICIENTS: [f32; 5] = [1.0, std::f32::consts::LN_2, 0.240_226_5, 0.055_504_11, 0.009_618_129];
/// t is raised to this before anything else: far below all that the rendering rule keeps.
pub const LEAST_EXPONENT: f32 = -64.0;
/// Added to t and taken off again, this rounds to the nearest integer, ties to even; the sum's low bits hold the integer.
pub const ROUNDER: f32 = 12_582_912.0;

/// 2^t for t <= 0, as the rendering rule defines it, with multiply-adds that are not fused.
#[must_use]
pub fn exp2(t: f32) -> f32 {
    let t = t.max(LEAST_EXPONENT);
    let rounded = t + ROUNDER;
    let r = t - (rounded - ROUNDER);
    let polynomial = COEFFICIENTS.iter().rev().fold(0.0, |sum, c| sum * r + c);
    f32::from_bits(polynomial.to_bits().wrapping_add(rounded.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_error_is_at_most_six_in_a_hundred_thousand() {
        for i in 0..=40_000 {
            let t = -(i as f32) / 1000.0;
            let exact = f64::from(t).exp2();
            assert!((f64::from(exp2(t)) / exact - 1.0).abs() < 6e-5, "{t}");
        }
        assert!(exp2(f32::MIN) < 1e-18);
        assert!(exp2(f32::NEG_INFINITY) < 1e-18);
    }
}
