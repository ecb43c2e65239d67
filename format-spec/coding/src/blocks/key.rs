//! What tells classes of symbols apart: integers made from parts of the block that are decoded before.

/// How the key of a run of symbols is found. Keys are below 2^16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// There is none: all symbols are of one class.
    None,
    /// The lower 15 bits of the u16 at this byte: the magnitude of a half.
    Half(u16),
    /// The byte at this one plus the group's number.
    Byte(u16),
    /// The magnitude of the signed byte at this one plus the group's number.
    Signed(u16),
    /// Q4_1, Q5_1: where zero lies among the codes, in sixteenths.
    Zero,
    /// Q2_K: the same, of the group.
    Zero2,
    /// Q4_K, Q5_K: the same, of the group.
    ZeroK,
    /// Q2_K: the scale of the group.
    Scale2,
    /// Q4_K, Q5_K: the scale of the group.
    ScaleK,
    /// Q3_K: the magnitude of the scale of the group.
    Centred3,
    /// IQ4_XS: the magnitude of the scale of the group.
    Centred4,
}

/// Byte `i`, which is in the block by construction (0 would be as good).
fn at(block: &[u8], i: usize) -> u8 {
    block.get(i).copied().unwrap_or(0)
}

fn half(block: &[u8], i: usize) -> u16 {
    u16::from_le_bytes([at(block, i), at(block, i + 1)])
}

/// The magnitude of a half as an integer, in units of 2^-24; infinities and NaN go on as larger numbers.
fn magnitude(half: u16) -> u64 {
    let (exponent, mantissa) = (half >> 10 & 31, u64::from(half & 1023));
    if exponent == 0 { mantissa } else { (1024 | mantissa) << (exponent - 1) }
}

/// `16 * minimum / scale`, both from halves times small integers; 0 if the scale is 0.
fn zero_point(minimum: u64, scale: u64) -> u16 {
    // At most 2^41 * 2^6 * 2^4.
    (minimum << 4).checked_div(scale).map_or(0, |z| z.min(0xFFFF) as u16)
}

/// The 6-bit numbers that Q4_K and Q5_K keep at bytes 4 to 15: scale `j` for `min` 0, minimum `j` for `min` 4.
fn six_bits(block: &[u8], j: usize, min: usize) -> u8 {
    if j < 4 {
        return at(block, 4 + min + j) & 63;
    }
    let low = at(block, 12 + j - 4) >> min & 15;
    low | at(block, 4 + min + j - 4) >> 6 << 4
}

impl Key {
    /// The key of group `group` of a block.
    pub(super) fn of(self, block: &[u8], group: usize) -> u16 {
        match self {
            Self::None => 0,
            Self::Half(i) => half(block, usize::from(i)) & 0x7FFF,
            Self::Byte(i) => at(block, usize::from(i) + group).into(),
            Self::Signed(i) => at(block, usize::from(i) + group).cast_signed().unsigned_abs().into(),
            Self::Zero => {
                let (d, m) = (half(block, 0), half(block, 2));
                // A minimum above zero puts zero below the codes.
                if m >> 15 == 0 { 0 } else { zero_point(magnitude(m & 0x7FFF), magnitude(d & 0x7FFF)) }
            }
            Self::Zero2 => {
                let (d, m) = (magnitude(half(block, 80) & 0x7FFF), magnitude(half(block, 82) & 0x7FFF));
                let both = at(block, group);
                zero_point(m * u64::from(both >> 4), d * u64::from(both & 15))
            }
            Self::ZeroK => {
                let (d, m) = (magnitude(half(block, 0) & 0x7FFF), magnitude(half(block, 2) & 0x7FFF));
                let (scale, min) = (six_bits(block, group, 0), six_bits(block, group, 4));
                zero_point(m * u64::from(min), d * u64::from(scale))
            }
            Self::Scale2 => (at(block, group) & 15).into(),
            Self::ScaleK => six_bits(block, group, 0).into(),
            Self::Centred3 => {
                let low = at(block, 96 + group % 8) >> (group / 8 * 4) & 15;
                let high = at(block, 104 + group % 4) >> (group / 4 * 2) & 3;
                (low | high << 4).abs_diff(32).into()
            }
            Self::Centred4 => {
                let low = at(block, 4 + group / 2) >> (group % 2 * 4) & 15;
                let high = at(block, 2 + group / 4) >> (group % 4 * 2) & 3;
                (low | high << 4).abs_diff(32).into()
            }
        }
    }
}
