//! What a run of bytes consists of.

/// The kind of element in a run of bytes, as far as coding cares; mapped from a tensor's dtype by the caller.
///
/// It only guides the search: any bytes can be coded as any element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// Anything: text, packed blocks, files.
    Bytes,
    /// bfloat16: sign, 8 exponent bits, 7 mantissa bits.
    Bf16,
    /// IEEE half: sign, 5 exponent bits, 10 mantissa bits.
    F16,
    /// IEEE single: sign, 8 exponent bits, 23 mantissa bits.
    F32,
    /// IEEE double: sign, 11 exponent bits, 52 mantissa bits.
    F64,
    /// Any floating point type of 8 bits or fewer, one a byte.
    Fp8,
    /// Integers.
    Int {
        /// Bits of an integer: 8, 16, 32 or 64; others are treated as bytes.
        bits: u8,
    },
    /// Codes of one width that follow each other, first bit lowest, whatever words they fill.
    Codes {
        /// Bits of a code: 3, 5 or 6; codes of 2, 4 and 8 are within bytes, and others are treated as these.
        bits: u8,
    },
    /// Truth values, one a byte, 0 or 1.
    Bool,
    /// Truth values, eight a byte.
    Bits,
}

impl Element {
    /// Bits of an element, or of the least that whole codes fill: 8, 16, 24, 32, 40 or 64.
    #[must_use]
    pub fn unit_bits(self) -> u8 {
        match self {
            Self::Bf16 | Self::F16 => 16,
            Self::F32 => 32,
            Self::F64 => 64,
            Self::Int { bits: bits @ (16 | 32 | 64) } => bits,
            Self::Codes { bits: 3 | 6 } => 24,
            Self::Codes { bits: 5 } => 40,
            Self::Codes { .. } | Self::Bytes | Self::Fp8 | Self::Bool | Self::Bits | Self::Int { .. } => 8,
        }
    }

    /// Where the exponent starts and how many bits it has, if the element is a float with a mantissa worth cutting.
    pub(crate) fn exponent(self) -> Option<(u8, u8)> {
        match self {
            Self::Bf16 => Some((7, 8)),
            Self::F16 => Some((10, 5)),
            Self::F32 => Some((23, 8)),
            Self::F64 => Some((52, 11)),
            _ => None,
        }
    }
}
