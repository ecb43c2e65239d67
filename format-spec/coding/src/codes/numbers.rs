//! Steps, and what codes are worth as floats, to the bit (`SPEC.md` section 7.13.1).

use crate::error::{CodingError, Result};

/// Steps of an octave.
pub(super) const PHASES: usize = 4;
/// 2^0, 2^(1/4), 2^(1/2), 2^(3/4) as binary32.
const QUARTERS: [u32; PHASES] = [0x3F80_0000, 0x3F98_37F0, 0x3FB5_04F3, 0x3FD7_44FD];

/// Type of the floats that codes become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// bfloat16.
    Bf16,
    /// IEEE half.
    F16,
    /// IEEE single.
    F32,
}

impl Element {
    pub(crate) fn from_id(id: u8) -> Result<Self> {
        match id {
            0 => Ok(Self::Bf16),
            1 => Ok(Self::F16),
            2 => Ok(Self::F32),
            _ => Err(CodingError::Unsupported { what: "float format of codes", id: id.into() }),
        }
    }

    pub(crate) fn id(self) -> u8 {
        self as u8
    }

    /// The type of this name, as safetensors writes it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "BF16" => Some(Self::Bf16),
            "F16" => Some(Self::F16),
            "F32" => Some(Self::F32),
            _ => None,
        }
    }

    /// These numbers as elements, little-endian, each rounded to the nearest (of two, the even one); NaN stays NaN.
    #[must_use]
    pub fn round(self, numbers: &[f32]) -> Vec<u8> {
        let short = |nan: u16, to: fn(f32) -> u16| {
            numbers.iter().flat_map(|&v| (if v.is_nan() { nan } else { to(v) }).to_le_bytes()).collect()
        };
        match self {
            Self::Bf16 => short(0x7FC0, to_bf16),
            Self::F16 => short(0x7E00, to_f16),
            Self::F32 => numbers.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// What these elements are worth.
    #[must_use]
    pub fn values(self, bytes: &[u8]) -> Vec<f32> {
        let halves = bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
        match self {
            Self::Bf16 => halves.map(|h| f32::from_bits(u32::from(h) << 16)).collect(),
            Self::F16 => halves.map(half_value).collect(),
            Self::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        }
    }

    /// Bytes of an element.
    #[must_use]
    pub fn bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }
}

/// 2^(exponent / 4), rounded as the format says; exponents are within 480 of 0.
#[must_use]
pub fn step(exponent: i16) -> f32 {
    quarter(exponent)
}

/// As [`step`]: a normal number, so that products with powers of two are exact.
pub(super) fn quarter(exponent: i16) -> f32 {
    let octaves = i32::from(exponent >> 2).clamp(-126, 126);
    let mantissa = QUARTERS[(exponent & 3) as usize];
    f32::from_bits(mantissa.wrapping_add_signed(octaves << 23))
}

/// 2^octaves, which is a normal number.
pub(super) fn octave(octaves: i16) -> f32 {
    quarter(octaves.saturating_mul(4))
}

/// What a half is worth.
fn half_value(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, mantissa) = (u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    match exponent {
        // Halves below the normal ones are normal here: mantissa times 2^-24, exactly.
        0 => f32::from_bits((mantissa as f32 / 16_777_216.0).to_bits() | sign),
        31 => f32::from_bits(sign | 0x7F80_0000 | mantissa << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | mantissa << 13),
    }
}

/// The nearest bfloat16, of two the even one.
pub(super) fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    (bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16) as u16
}

/// The nearest half, of two the even one; infinite beyond the greatest. `value` is no NaN.
pub(super) fn to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7FFF_FFFF;
    if magnitude >= 0x4780_0000 {
        return sign | 0x7C00;
    }
    if magnitude < 0x3880_0000 {
        // Below the least normal half: adding 1/2 leaves multiples of 2^-24 in the last bits.
        let sum = f32::from_bits(magnitude) + 0.5;
        return sign | (sum.to_bits() - 0x3F00_0000) as u16;
    }
    let rounded = magnitude + 0x0FFF + (magnitude >> 13 & 1);
    sign | ((rounded - 0x3800_0000) >> 13) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_quarter_octaves() {
        for exponent in -480..=480 {
            let exact = 2f64.powf(f64::from(exponent) / 4.0);
            assert!((f64::from(step(exponent)) / exact - 1.0).abs() < 1e-7, "{exponent}");
            assert!(step(exponent).is_normal());
            let product = quarter(exponent & 3) * octave(exponent >> 2);
            assert_eq!(product.to_bits(), step(exponent).to_bits());
        }
    }

    #[test]
    fn halves_are_the_nearest() {
        let value = |half: u16| {
            let (e, m) = (i32::from(half >> 10 & 31), f64::from(half & 1023));
            if e == 0 { m * 2f64.powi(-24) } else { (1024.0 + m) * 2f64.powi(e - 25) }
        };
        for half in 0..0x7C00u16 {
            let exact = value(half) as f32;
            assert_eq!(to_f16(exact), half);
            assert_eq!(half_value(half), exact);
            assert_eq!(to_f16(-exact), half | 0x8000);
            if half < 0x7BFF {
                let between = ((value(half) + value(half + 1)) / 2.0) as f32;
                assert_eq!(to_f16(between), half + (half & 1), "{half}");
                assert_eq!(to_f16(f32::from_bits(between.to_bits() + 1)), half + 1);
                assert_eq!(to_f16(f32::from_bits(between.to_bits() - 1)), half);
            }
        }
        assert_eq!(to_f16(65_519.996), 0x7BFF);
        assert_eq!((to_f16(65_520.0), to_f16(f32::INFINITY), to_f16(1e9)), (0x7C00, 0x7C00, 0x7C00));
        assert_eq!(Element::F16.round(&[f32::NAN, 1.0]), [0x00, 0x7E, 0x00, 0x3C]);
        assert_eq!(to_bf16(f32::MAX), 0x7F80);
        assert_eq!(to_bf16(f32::from_bits(0x3F80_8000)), 0x3F80);
        assert_eq!(to_bf16(f32::from_bits(0x3F81_8000)), 0x3F82);
    }
}
