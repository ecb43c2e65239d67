//! What the whole numbers that are coded stand for: each index is a cell of the line of values, on which predictors work.

/// Values lie within this to either side of 0; a standard deviation is about 2^16.
pub(super) const VALUE_LIMIT: i32 = 1 << 26;

/// A binary float of up to 16 bits, or the top half of one of 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FloatCells {
    /// Exponent bits.
    pub(super) exponent_bits: u32,
    /// Mantissa bits.
    pub(super) mantissa_bits: u32,
    /// Exponent bias.
    pub(super) bias: i32,
    /// Whether the bits are the upper ones of a longer float, so that a cell begins at its value instead of lying about it.
    pub(super) truncated: bool,
    /// A value of 1 is this power of two on the line of values.
    pub(super) shift: i32,
}

/// Indices and their cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cells {
    /// Floats, in the order of their values: index 0 is the negative one of the largest magnitude.
    Float(FloatCells),
    /// Equally spaced numbers.
    Even {
        /// How many there are.
        count: u32,
        /// The index at value 0; it need not be one of them.
        zero: i32,
        /// Distance from one to the next.
        unit: i32,
    },
}

impl FloatCells {
    fn half(&self) -> i32 {
        1 << (self.exponent_bits + self.mantissa_bits)
    }

    /// The value of a magnitude, doubled twice.
    #[inline(always)]
    fn magnitude(&self, bits: i32) -> i32 {
        const MOST: i64 = 4 * VALUE_LIMIT as i64;
        let exponent = bits >> self.mantissa_bits;
        let mantissa = bits & ((1 << self.mantissa_bits) - 1);
        let (mantissa, exponent) =
            if exponent == 0 { (mantissa, 1) } else { (mantissa | 1 << self.mantissa_bits, exponent) };
        let shift = exponent - self.bias - self.mantissa_bits as i32 + self.shift + 2;
        let value = if shift >= 0 {
            i64::from(mantissa) << shift.min(30)
        } else {
            i64::from(mantissa >> (-shift).min(31))
        };
        value.min(MOST) as i32
    }

    #[inline(always)]
    fn value_of(&self, index: i32) -> i32 {
        let half = self.half();
        if index >= half { self.magnitude(index - half) } else { -self.magnitude(half - 1 - index) }
    }
}

impl Cells {
    /// How many indices there are.
    #[inline(always)]
    pub(super) fn count(&self) -> i32 {
        match self {
            Self::Float(float) => 2 * float.half(),
            Self::Even { count, .. } => *count as i32,
        }
    }

    /// The index that stands for 0, or is nearest to it.
    pub(super) fn zero(&self) -> i32 {
        match self {
            Self::Float(float) => float.half(),
            Self::Even { count, zero, .. } => (*zero).clamp(0, *count as i32 - 1),
        }
    }

    /// The value that an index stands for.
    #[inline(always)]
    pub(super) fn value(&self, index: i32) -> i32 {
        match self {
            Self::Float(float) => float.value_of(index) >> 2,
            Self::Even { zero, unit, .. } => {
                (index - zero).saturating_mul(*unit).clamp(-VALUE_LIMIT, VALUE_LIMIT)
            }
        }
    }

    /// Where the cells of `index - 1` and `index` meet.
    #[inline(always)]
    pub(super) fn bound(&self, index: i32) -> i32 {
        match self {
            Self::Float(float) if float.truncated => {
                let own = if index >= float.half() { index } else { index - 1 };
                float.value_of(own.max(0)) >> 2
            }
            Self::Float(float) => (float.value_of(index - 1) + float.value_of(index)) >> 3,
            Self::Even { zero, unit, .. } => {
                let value = (index - zero).saturating_mul(*unit).saturating_sub(*unit >> 1);
                value.clamp(-VALUE_LIMIT, VALUE_LIMIT)
            }
        }
    }

    /// Whether they are of floats.
    #[inline(always)]
    pub(super) fn are_floats(&self) -> bool {
        matches!(self, Self::Float(_))
    }

    /// Whether indices from `low` to below `high` are floats of one exponent and sign.
    #[inline(always)]
    pub(super) fn are_of_one_exponent(&self, low: i32, high: i32) -> bool {
        matches!(self, Self::Float(float) if (low ^ (high - 1)) >> float.mantissa_bits == 0)
    }

    /// An index near whose lower bound the value lies.
    #[inline(always)]
    pub(super) fn near(&self, value: i32) -> i32 {
        match self {
            Self::Float(float) => {
                let magnitude = value.unsigned_abs();
                let log = 31 - (magnitude | 1).leading_zeros() as i32;
                let bits = float.mantissa_bits as i32;
                let mantissa =
                    if log >= bits { magnitude >> (log - bits) } else { magnitude << (bits - log) };
                let mantissa = mantissa as i32 & ((1 << bits) - 1);
                let exponent = log + float.bias - float.shift;
                let place = if exponent <= 0 { 0 } else { exponent << bits | mantissa };
                let place = if magnitude == 0 { 0 } else { place.min(float.half() - 1) };
                if value >= 0 { float.half() + place } else { float.half() - 1 - place }
            }
            Self::Even { zero, unit, .. } => {
                value.saturating_add(unit >> 1).div_euclid(*unit).saturating_add(*zero)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bf16(shift: i32, truncated: bool) -> Cells {
        Cells::Float(FloatCells { exponent_bits: 8, mantissa_bits: 7, bias: 127, truncated, shift })
    }

    #[test]
    fn values_and_bounds_ascend() {
        let f8 = Cells::Float(FloatCells {
            exponent_bits: 4,
            mantissa_bits: 3,
            bias: 7,
            truncated: false,
            shift: 16,
        });
        for cells in [bf16(16, false), bf16(13, true), f8, Cells::Even { count: 77, zero: 30, unit: 8192 }] {
            for index in 1..cells.count() {
                assert!(cells.value(index) >= cells.value(index - 1), "{cells:?} {index}");
                let bound = cells.bound(index);
                assert!(
                    bound >= cells.value(index - 1) - 1 && bound <= cells.value(index) + 1,
                    "{cells:?} {index}"
                );
            }
        }
        let cells = bf16(16, false);
        // 1.0 and -1.0.
        assert_eq!(cells.value(32768 + 0x3f80), 65536);
        assert_eq!(cells.value(32767 - 0x3f80), -65536);
        for value in [1, 3, 65536, 70000, -5, -65536, -1_000_000] {
            let index = cells.near(value);
            assert!((cells.value(index) - value).abs() <= value.abs() / 128, "{value}");
        }
    }
}
