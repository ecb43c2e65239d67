//! How units may be cut into fields.

use super::Element;

/// `width` bits at bit `shift` of each unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Field {
    /// The field's lowest bit.
    pub shift: u8,
    /// The field's bits.
    pub width: u8,
}

impl Field {
    /// True if all bits of `other` are in this field.
    pub(super) fn holds(self, other: Self) -> bool {
        self.shift <= other.shift && other.shift + other.width <= self.shift + self.width
    }
}

/// A cut of a unit into fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Split {
    /// Bits of a unit.
    pub(super) unit_bits: u8,
    /// The fields from the lowest bits up, without gaps.
    pub(super) fields: Vec<Field>,
}

impl Split {
    /// The split into fields of these widths, from the lowest bits up.
    fn of(unit_bits: u8, widths: impl IntoIterator<Item = u8>) -> Self {
        let mut shift = 0;
        let mut fields = Vec::new();
        for width in widths.into_iter().filter(|&width| width > 0) {
            fields.push(Field { shift, width });
            shift += width;
        }
        debug_assert_eq!(shift, unit_bits);
        Self { unit_bits, fields }
    }

    /// The split into bytes.
    fn bytes(unit_bits: u8) -> Self {
        Self::of(unit_bits, core::iter::repeat_n(8, usize::from(unit_bits / 8)))
    }

    /// A float's split: low mantissa bytes, the mantissa bits left over, exponent with `top` mantissa bits, sign.
    fn float(element: Element, top: u8) -> Option<Self> {
        let (mantissa, exponent) = element.exponent()?;
        let rest = mantissa - top;
        // Halves have too few low bits to cut; doubles would have nine fields.
        let low: &[u8] = match element {
            Element::F32 => &[8, 8],
            Element::F64 if rest > 48 => &[16, 8, 8, 8, 8],
            Element::F64 => &[8, 8, 8, 8, 8, 8],
            _ => &[],
        };
        let middle = rest - low.iter().sum::<u8>();
        let high = [middle, exponent + top, 1];
        Some(Self::of(element.unit_bits(), low.iter().copied().chain(high)))
    }

    /// The splits worth pricing for `element` at `effort` 1 to 9, likelier ones first.
    pub(super) fn candidates(element: Element, effort: u8) -> Vec<Self> {
        let unit_bits = element.unit_bits();
        if element.exponent().is_some() {
            if effort <= 1 {
                // As many mantissa bits as surely leave few enough symbols for a table.
                let top = if element == Element::F16 { 3 } else { 1 };
                return Self::float(element, top).into_iter().collect();
            }
            let tops: &[u8] = if element == Element::F64 { &[4, 3, 2, 1, 0] } else { &[3, 2, 1, 0] };
            let mut splits: Vec<Self> = tops.iter().filter_map(|&top| Self::float(element, top)).collect();
            if effort >= 3 {
                splits.push(Self::bytes(unit_bits));
            }
            return splits;
        }
        match element {
            // Two in a symbol, which tells a little of what the group has in common.
            Element::Codes { bits: 3 } => return vec![Self::of(24, [6; 4])],
            Element::Codes { bits: 5 } => return vec![Self::of(40, [5; 8])],
            Element::Codes { bits: 6 } => return vec![Self::of(24, [6; 4])],
            _ => {}
        }
        let mut splits = vec![Self::bytes(unit_bits)];
        if element == Element::Bool {
            splits.insert(0, Self::of(8, [1, 7]));
        }
        if element == Element::Bits {
            // Two small tables, which lose less by rounding; patterns such as 2 of 4 are within four bits.
            splits.insert(0, Self::of(8, [4, 4]));
        }
        if unit_bits > 8 && effort >= 3 {
            splits.push(Self::of(unit_bits, [unit_bits]));
        }
        splits
    }
}
