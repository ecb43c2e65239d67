//! Floating-point elements as numbers, and how far two runs of them are apart.

/// How an element's bits stand for a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// 64-bit IEEE.
    F64,
    /// 32-bit IEEE.
    F32,
    /// A smaller one: sign, exponent, mantissa.
    Small(Small),
    /// A power of two.
    E8M0,
}

/// A float of at most 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Small {
    exponent: u32,
    mantissa: u32,
    bias: i32,
    special: Special,
}

/// Which bits are no finite number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special {
    /// The highest exponent: infinities and NaN.
    Ieee,
    /// All ones but the sign: NaN.
    AllOnes,
    /// Negative zero: NaN.
    NegativeZero,
}

const fn small(exponent: u32, mantissa: u32, bias: i32, special: Special) -> Number {
    Number::Small(Small { exponent, mantissa, bias, special })
}

impl Number {
    /// The numbers of a dtype; those of a complex one are its parts.
    pub(super) fn of(dtype: &str) -> Option<Self> {
        Some(match dtype {
            "F64" | "C128" => Self::F64,
            "F32" | "C64" => Self::F32,
            "F16" => small(5, 10, 15, Special::Ieee),
            "BF16" => small(8, 7, 127, Special::Ieee),
            "F8_E4M3" => small(4, 3, 7, Special::AllOnes),
            "F8_E5M2" => small(5, 2, 15, Special::Ieee),
            "F8_E4M3FNUZ" => small(4, 3, 8, Special::NegativeZero),
            "F8_E5M2FNUZ" => small(5, 2, 16, Special::NegativeZero),
            "F8_E8M0" => Self::E8M0,
            _ => return None,
        })
    }

    /// Bytes of one number.
    pub(super) fn width(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::Small(s) => (1 + s.exponent + s.mantissa) as usize / 8,
            Self::E8M0 => 1,
        }
    }

    /// The number that `bytes`, of this width, stand for.
    pub(super) fn value(self, bytes: &[u8]) -> f64 {
        let bits = bytes.iter().rev().fold(0u64, |bits, &b| bits << 8 | u64::from(b));
        match self {
            Self::F64 => f64::from_bits(bits),
            Self::F32 => f64::from(f32::from_bits(bits as u32)),
            Self::Small(s) => s.value(bits as u32),
            Self::E8M0 if bits == 255 => f64::NAN,
            Self::E8M0 => 2f64.powi(bits as i32 - 127),
        }
    }
}

impl Small {
    fn value(self, bits: u32) -> f64 {
        let negative = bits >> (self.exponent + self.mantissa) & 1 == 1;
        let exponent = bits >> self.mantissa & ((1 << self.exponent) - 1);
        let mantissa = bits & ((1 << self.mantissa) - 1);
        let top = exponent == (1 << self.exponent) - 1;
        let magnitude = match self.special {
            Special::Ieee if top && mantissa == 0 => f64::INFINITY,
            Special::Ieee if top => f64::NAN,
            Special::AllOnes if top && mantissa == (1 << self.mantissa) - 1 => f64::NAN,
            Special::NegativeZero if negative && exponent == 0 && mantissa == 0 => f64::NAN,
            _ => {
                let one = f64::from(1u32 << self.mantissa);
                let (lead, exponent) = if exponent == 0 { (0.0, 1) } else { (1.0, exponent as i32) };
                (lead + f64::from(mantissa) / one) * 2f64.powi(exponent - self.bias)
            }
        };
        if negative { -magnitude } else { magnitude }
    }
}

/// How far numbers are apart, summed up.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Apart {
    /// Numbers that differ.
    pub(super) differing: u64,
    /// Numbers that differ, of which one is infinite or not a number.
    pub(super) non_finite: u64,
    /// The greatest difference of two finite numbers.
    pub(super) max_abs: f64,
    error: f64,
    energy: f64,
}

impl Apart {
    /// Adds a pair.
    pub(super) fn add(&mut self, a: f64, b: f64) {
        let both = a.is_finite() && b.is_finite();
        if both || a.is_finite() {
            self.energy += a * a;
        }
        // Both NaN counts as equal; so do zeros of either sign.
        if a == b || (a.is_nan() && b.is_nan()) {
            return;
        }
        self.differing += 1;
        if !both {
            self.non_finite += 1;
            return;
        }
        let difference = (a - b).abs();
        self.max_abs = self.max_abs.max(difference);
        self.error += difference * difference;
    }

    /// The root of the squared differences over that of the first side's squares; `None` if that is zero or not finite.
    pub(super) fn rel_rms(&self) -> Option<f64> {
        let ratio = (self.error / self.energy).sqrt();
        ratio.is_finite().then_some(ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(dtype: &str, bits: u64) -> f64 {
        let number = Number::of(dtype).unwrap();
        number.value(&bits.to_le_bytes()[..number.width()])
    }

    #[test]
    fn small_floats_have_their_values() {
        assert_eq!(value("F16", 0x3C00), 1.0);
        assert_eq!(value("F16", 0xFBFF), -65504.0);
        assert_eq!(value("F16", 1), 2f64.powi(-24));
        assert_eq!(value("F16", 0x7C00), f64::INFINITY);
        assert_eq!(value("BF16", 0x4049), 3.140_625);
        assert_eq!(value("BF16", 0x0001), 2f64.powi(-133));
        assert!(value("BF16", 0x7FC0).is_nan());
        assert_eq!(value("F8_E4M3", 0x7E), 448.0);
        assert!(value("F8_E4M3", 0x7F).is_nan());
        assert_eq!(value("F8_E5M2", 0x7B), 57344.0);
        assert_eq!(value("F8_E4M3FNUZ", 0x7F), 240.0);
        assert!(value("F8_E4M3FNUZ", 0x80).is_nan());
        assert_eq!(value("F8_E5M2FNUZ", 0x7F), 57344.0);
        assert_eq!(value("F8_E8M0", 127), 1.0);
        assert_eq!(value("F32", u64::from(0.1f32.to_bits())), f64::from(0.1f32));
        assert_eq!(value("F64", 0.1f64.to_bits()), 0.1);
        assert_eq!(Number::of("I8"), None);
        // Every bf16 is the top of an f32.
        for bits in 0..=u16::MAX {
            let f32 = f64::from(f32::from_bits(u32::from(bits) << 16));
            let small = value("BF16", bits.into());
            assert!(small == f32 || (small.is_nan() && f32.is_nan()), "{bits:x}");
        }
    }

    #[test]
    fn distances_are_summed_up() {
        let mut apart = Apart::default();
        for (a, b) in [(3.0, 3.0), (4.0, 3.5), (f64::NAN, f64::NAN), (0.0, -0.0)] {
            apart.add(a, b);
        }
        assert_eq!((apart.differing, apart.max_abs, apart.rel_rms()), (1, 0.5, Some(0.1)));
        apart.add(1.0, f64::NAN);
        assert_eq!((apart.differing, apart.non_finite), (2, 1));
        assert_eq!(Apart::default().rel_rms(), None);
    }
}
