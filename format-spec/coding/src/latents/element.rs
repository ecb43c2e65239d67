//! Types of elements that grids are made of, and their numbers.

use super::cells::{Cells, FloatCells};

/// A type of element. Numbers are its registry ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Element {
    F32 = 2,
    F16 = 3,
    Bf16 = 4,
    F8E4m3 = 5,
    F8E5m2 = 6,
    F8E4m3Fnuz = 7,
    F8E5m2Fnuz = 8,
    I16 = 15,
    I8 = 16,
    U16 = 20,
    U8 = 21,
}

impl Element {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::F8E4m3,
        Self::F8E5m2,
        Self::F8E4m3Fnuz,
        Self::F8E5m2Fnuz,
        Self::I16,
        Self::I8,
        Self::U16,
        Self::U8,
    ];

    /// The type with this id in the registry of element types.
    #[must_use]
    pub fn by_id(id: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|e| *e as u64 == id)
    }

    /// Bytes of one.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            _ => 1,
        }
    }

    /// The index in the middle: of zero, where there is one.
    #[must_use]
    pub(super) fn middle(self) -> i32 {
        if self.bytes() == 1 { 0x80 } else { 0x8000 }
    }

    /// Exponent bits, mantissa bits and bias of a float; of `F32` those of its upper half.
    #[must_use]
    pub fn float(self) -> Option<(u32, u32, i32)> {
        Some(match self {
            Self::F32 | Self::Bf16 => (8, 7, 127),
            Self::F16 => (5, 10, 15),
            Self::F8E4m3 => (4, 3, 7),
            Self::F8E5m2 => (5, 2, 15),
            Self::F8E4m3Fnuz => (4, 3, 8),
            Self::F8E5m2Fnuz => (5, 2, 16),
            _ => return None,
        })
    }

    /// The number of one element: its place in the order of its type, of `F32` that of its upper half.
    #[must_use]
    pub fn number(self, bytes: &[u8]) -> i32 {
        self.index_of(bytes).0.into()
    }

    /// The lowest and the highest finite number of a float type, as keys.
    #[must_use]
    pub fn finite_keys(self) -> (u32, u32) {
        let largest = if self == Self::F32 { f32::MAX.to_bits() } else { self.largest() };
        let middle = 1u32 << (8 * self.bytes() - 1);
        (middle - 1 - largest, middle + largest)
    }

    /// Puts the element of a key: keys are in the order of elements, whole ones also of `F32`.
    pub fn put_key(self, key: u32, out: &mut [u8]) {
        match self {
            Self::F32 => {
                self.put((key >> 16) as u16, if key >> 31 == 1 { key as u16 } else { !key as u16 }, out);
            }
            _ => self.put(key as u16, 0, out),
        }
    }

    /// Puts the float nearest to a value.
    pub fn put_nearest(self, value: f64, out: &mut [u8]) {
        self.put_value(value, out);
    }

    /// The cells of a float whose value 1 lies at `2^shift`.
    pub(super) fn float_cells(self, shift: i32) -> Option<Cells> {
        let (exponent_bits, mantissa_bits, bias) = self.float()?;
        let truncated = self == Self::F32;
        Some(Cells::Float(FloatCells { exponent_bits, mantissa_bits, bias, truncated, shift }))
    }

    /// The index of one element (of `F32`, of its upper half), and what is left of it.
    #[inline(always)]
    pub(super) fn index_of(self, bytes: &[u8]) -> (u16, u16) {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        match self {
            Self::F32 => (ordered(word(2)), word(0)),
            Self::F16 | Self::Bf16 => (ordered(word(0)), 0),
            Self::U16 => (word(0), 0),
            Self::I16 => (word(0) ^ 0x8000, 0),
            Self::U8 => (bytes[0].into(), 0),
            Self::I8 => ((bytes[0] ^ 0x80).into(), 0),
            _ => (if bytes[0] < 0x80 { 0x80 + u16::from(bytes[0]) } else { 0xff - u16::from(bytes[0]) }, 0),
        }
    }

    /// Puts an element.
    #[inline(always)]
    pub(super) fn put(self, index: u16, low: u16, out: &mut [u8]) {
        match self {
            Self::F32 => {
                out[..2].copy_from_slice(&low.to_le_bytes());
                out[2..].copy_from_slice(&unordered(index).to_le_bytes());
            }
            Self::F16 | Self::Bf16 => out.copy_from_slice(&unordered(index).to_le_bytes()),
            Self::U16 => out.copy_from_slice(&index.to_le_bytes()),
            Self::I16 => out.copy_from_slice(&(index ^ 0x8000).to_le_bytes()),
            Self::U8 => out[0] = index as u8,
            Self::I8 => out[0] = index as u8 ^ 0x80,
            _ => out[0] = if index >= 0x80 { (index - 0x80) as u8 } else { (0xff - index) as u8 },
        }
    }

    /// The value of an element that is a float.
    #[must_use]
    pub fn value(self, bytes: &[u8]) -> f64 {
        let Some((exponent_bits, mantissa_bits, bias)) = self.float() else { return f64::NAN };
        if self == Self::F32 {
            return f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into();
        }
        let bits = if bytes.len() == 1 { bytes[0].into() } else { u16::from_le_bytes([bytes[0], bytes[1]]) };
        let sign = bits >> (exponent_bits + mantissa_bits) & 1 == 1;
        let magnitude = i32::from(bits & ((1 << (exponent_bits + mantissa_bits)) - 1));
        if self.is_special(magnitude, sign) {
            return f64::NAN;
        }
        let exponent = magnitude >> mantissa_bits;
        let mantissa = magnitude & ((1 << mantissa_bits) - 1);
        let (mantissa, exponent) =
            if exponent == 0 { (mantissa, 1) } else { (mantissa | 1 << mantissa_bits, exponent) };
        // A power of two by its bits: none of these is near the ends of binary64.
        let power = f64::from_bits(((exponent - bias - mantissa_bits as i32 + 1023) as u64) << 52);
        let value = f64::from(mantissa) * power;
        if sign { -value } else { value }
    }

    /// Whether these bits are no finite number.
    fn is_special(self, magnitude: i32, sign: bool) -> bool {
        match self {
            Self::F8E4m3 => magnitude == 0x7f,
            Self::F8E4m3Fnuz | Self::F8E5m2Fnuz => sign && magnitude == 0,
            _ => self.float().is_some_and(|(e, m, _)| magnitude >> m == (1 << e) - 1),
        }
    }

    /// The largest magnitude of a finite number.
    fn largest(self) -> u32 {
        match self {
            Self::F8E4m3 => 0x7e,
            Self::F8E4m3Fnuz | Self::F8E5m2Fnuz => 0x7f,
            _ => self.float().map_or(0, |(e, m, _)| (((1 << e) - 1) << m) - 1),
        }
    }

    /// Puts the float nearest to a finite value, of two the even one; beyond the largest, that.
    pub(super) fn put_value(self, value: f64, out: &mut [u8]) {
        if self == Self::F32 {
            let value = (value as f32).clamp(f32::MIN, f32::MAX);
            out.copy_from_slice(&value.to_le_bytes());
            return;
        }
        let Some((exponent_bits, mantissa_bits, bias)) = self.float() else { return };
        let bits = value.to_bits();
        let magnitude = round_magnitude(bits & (u64::MAX >> 1), mantissa_bits, bias).min(self.largest());
        // Where minus zero is no number there is none.
        let sign = (bits >> 63) as u32 & u32::from(magnitude > 0 || !self.is_special(0, true));
        let bits = sign << (exponent_bits + mantissa_bits) | magnitude;
        if out.len() == 1 { out[0] = bits as u8 } else { out.copy_from_slice(&(bits as u16).to_le_bytes()) }
    }
}

/// The magnitude with `mantissa_bits` and `bias` nearest to that of a binary64.
fn round_magnitude(bits: u64, mantissa_bits: u32, bias: i32) -> u32 {
    let exponent = (bits >> 52) as i32;
    if exponent == 0 {
        return 0;
    }
    let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
    let target = exponent - 1023 + bias;
    // Bits that go: more of them where the result has no leading one.
    let dropped = 52 - mantissa_bits as i32 + (1 - target).max(0);
    if dropped > 54 {
        return 0;
    }
    let kept = mantissa >> dropped;
    let rest = mantissa & ((1 << dropped) - 1);
    let half = 1u64 << (dropped - 1);
    let rounded = kept + u64::from(rest > half || (rest == half && kept & 1 == 1));
    let base = if target > 0 { (target as u64 - 1) << mantissa_bits } else { 0 };
    u32::try_from(base + rounded).unwrap_or(u32::MAX)
}

/// Bits of a float of 16 bits in the order of values.
fn ordered(bits: u16) -> u16 {
    if bits < 0x8000 { bits + 0x8000 } else { !bits }
}

pub(super) fn unordered(index: u16) -> u16 {
    if index >= 0x8000 { index - 0x8000 } else { !index }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_comes_back() {
        for element in Element::ALL {
            for bits in 0..=u16::MAX {
                let bytes = [bits.to_le_bytes(), bits.rotate_left(5).to_le_bytes()].concat();
                let bytes = &bytes[..element.bytes()];
                let (index, low) = element.index_of(bytes);
                let mut out = vec![0; element.bytes()];
                element.put(index, low, &mut out);
                assert_eq!(out, bytes, "{element:?}");
            }
            assert_eq!(Element::by_id(element as u64), Some(element));
        }
        assert_eq!(Element::by_id(1), None);
    }

    #[test]
    fn values_round_to_the_nearest() {
        for element in Element::ALL.into_iter().filter(|e| e.float().is_some() && e.bytes() < 4) {
            let mut last = f64::NEG_INFINITY;
            let count = if element.bytes() == 1 { 256 } else { 65536 };
            for index in 0..count {
                let mut bytes = vec![0; element.bytes()];
                element.put(index as u16, 0, &mut bytes);
                let value = element.value(&bytes);
                if !value.is_finite() {
                    continue;
                }
                assert!(value >= last, "{element:?} {index}");
                let mut out = vec![0; element.bytes()];
                for near in [value, value + (value - last) * 0.01, value - (value - last) * 0.49] {
                    if near.is_finite() {
                        element.put_value(near, &mut out);
                        assert_eq!(element.value(&out), value, "{element:?} {index} {near}");
                    }
                }
                last = value;
            }
            let mut out = vec![0; element.bytes()];
            element.put_value(1e300, &mut out);
            assert!(element.value(&out).is_finite());
        }
    }
}
