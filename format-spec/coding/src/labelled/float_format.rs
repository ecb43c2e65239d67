//! The floating point types that the coding knows, by their bits.

use crate::error::{CodingError, Result};

/// A binary floating point type: a sign bit, exponent bits, mantissa bits, from the most significant down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FloatFormat {
    /// bfloat16: 8 exponent bits, 7 mantissa bits.
    Bf16,
    /// IEEE half: 5 and 10.
    F16,
    /// IEEE single: 8 and 23.
    F32,
    /// IEEE double: 11 and 52.
    F64,
}

impl FloatFormat {
    pub(crate) fn from_id(id: u8) -> Result<Self> {
        match id {
            0 => Ok(Self::Bf16),
            1 => Ok(Self::F16),
            2 => Ok(Self::F32),
            3 => Ok(Self::F64),
            _ => Err(CodingError::Unsupported { what: "float format", id: id.into() }),
        }
    }

    pub(crate) fn id(self) -> u8 {
        match self {
            Self::Bf16 => 0,
            Self::F16 => 1,
            Self::F32 => 2,
            Self::F64 => 3,
        }
    }

    /// Bytes of an element.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Bf16 | Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Bits of the mantissa field.
    #[must_use]
    pub fn mantissa_bits(self) -> u32 {
        match self {
            Self::Bf16 => 7,
            Self::F16 => 10,
            Self::F32 => 23,
            Self::F64 => 52,
        }
    }

    /// Bits of the exponent field.
    #[must_use]
    pub fn exponent_bits(self) -> u32 {
        self.bytes() as u32 * 8 - 1 - self.mantissa_bits()
    }
}
