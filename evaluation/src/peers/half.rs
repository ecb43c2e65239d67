//! Scales as they are stored.

/// The nearest number that 16 bits hold, for numbers that are not negative zero; what is too large stays as it is.
pub(super) fn round_to_half(value: f32) -> f32 {
    if value == 0.0 || !value.is_finite() || value.abs() > 65504.0 {
        return value;
    }
    // Eleven digits, fewer below the smallest normal number.
    let exponent = ((value.to_bits() >> 23) & 255) as i32 - 127;
    let unit = f32::from_bits(((exponent.max(-14) - 10 + 127) as u32) << 23);
    (value / unit).round_ties_even() * unit
}

#[cfg(test)]
mod tests {
    use super::round_to_half;

    #[test]
    fn eleven_digits_stay() {
        assert_eq!(round_to_half(1.0 + 1.0 / 1024.0), 1.0 + 1.0 / 1024.0);
        assert_eq!(round_to_half(1.0 + 1.0 / 4096.0), 1.0);
        assert_eq!(round_to_half(-65504.0), -65504.0);
        assert_eq!(round_to_half(2f32.powi(-24)), 2f32.powi(-24));
        assert_eq!(round_to_half(2f32.powi(-26)), 0.0);
    }
}
