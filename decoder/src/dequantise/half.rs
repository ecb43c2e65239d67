//! Small floats.

/// IEEE binary16, widened without loss.
pub(super) fn f16(bytes: [u8; 2]) -> f32 {
    let half = u32::from(u16::from_le_bytes(bytes));
    let (sign, exponent, mantissa) = ((half & 0x8000) << 16, half >> 10 & 31, half & 1023);
    let magnitude = match exponent {
        // Denormal halves are normal here: mantissa times 2^-24, exactly.
        0 => (mantissa as f32 * (1.0 / 16_777_216.0)).to_bits(),
        31 => 0x7F80_0000 | mantissa << 13,
        _ => (exponent + 112) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// The upper half of a binary32.
pub(super) fn bf16(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

/// Half of the power of two that an e8m0 scale stands for (element tables hold doubled values).
pub(super) fn e8m0_half(byte: u8) -> f32 {
    let e = u32::from(byte);
    f32::from_bits(if e < 2 { 0x0020_0000 << e } else { (e - 1) << 23 })
}

/// Half of what an unsigned e4m3 scale stands for; 7F is no number and counts as 0.
pub(super) fn ue4m3_half(byte: u8) -> f32 {
    if byte == 0 || byte == 0x7F {
        return 0.0;
    }
    let (exponent, mantissa) = (u32::from(byte >> 3 & 15), f32::from(byte & 7));
    let raw = match exponent {
        0 => mantissa * (1.0 / 512.0),
        _ => (1.0 + mantissa / 8.0) * f32::from_bits((exponent + 120) << 23),
    };
    raw * 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_widen() {
        for (bits, value) in [
            (0x0000u16, 0.0f32),
            (0x0001, 5.960_464_5e-8),
            (0x03FF, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65504.0),
            (0x7C00, f32::INFINITY),
            (0xFC00, f32::NEG_INFINITY),
        ] {
            assert_eq!(f16(bits.to_le_bytes()), value);
        }
        assert!(f16([0, 0x80]).is_sign_negative());
        assert_eq!(f16([1, 0x7E]).to_bits(), 0x7FC0_2000);
        assert_eq!(bf16([0x80, 0x3F]), 1.0);
    }

    #[test]
    fn scales_are_halved() {
        assert_eq!(
            [0, 1, 2, 127, 128].map(e8m0_half),
            [2f32.powi(-128), 2f32.powi(-127), 2f32.powi(-126), 0.5, 1.0]
        );
        assert_eq!(
            [0, 1, 8, 0x38, 0x7E, 0x7F].map(ue4m3_half),
            [0.0, 1.0 / 1024.0, 1.0 / 128.0, 0.5, 224.0, 0.0]
        );
    }
}
