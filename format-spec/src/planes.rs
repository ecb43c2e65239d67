//! The order that axes of masks had where they came from (SPEC section 5.9).

use crate::registry::field;
use crate::{Fields, FormatError, Result};

const WHAT: &str = "masks";

/// The axes of masks in the order of their content: layer, head, step, blocks of queries, blocks of keys.
pub const PLANE_AXES: [u8; 5] = *b"LHSQK";

/// The order of axes of the source: letters of [`PLANE_AXES`], each at most once. Axes that are not named have size 1 and are not axes of
/// the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneOrder {
    letters: [u8; 5],
    len: u8,
}

impl PlaneOrder {
    /// Reads the letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut order = Self { letters: [0; 5], len: 0 };
        for letter in text.bytes().map(|l| l.to_ascii_uppercase()) {
            if !PLANE_AXES.contains(&letter) || order.letters().contains(&letter) {
                return None;
            }
            *order.letters.get_mut(usize::from(order.len))? = letter;
            order.len = order.len.saturating_add(1);
        }
        Some(order)
    }

    /// The letters.
    #[must_use]
    pub fn letters(&self) -> &[u8] {
        self.letters.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        self.letters().iter().map(|&b| char::from(b)).collect()
    }

    /// Which axis of the content each axis of the source is.
    #[must_use]
    pub fn places(&self) -> Vec<usize> {
        self.letters().iter().filter_map(|l| PLANE_AXES.iter().position(|a| a == l)).collect()
    }

    /// Reads it from the fields of a tensor; `None` if they do not say that it holds masks.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn of(fields: &Fields) -> Result<Option<Self>> {
        let Some(text) = fields.text(WHAT, field::PLANES)? else { return Ok(None) };
        let order = Self::parse(text);
        order.map(Some).ok_or_else(|| FormatError::corrupt(WHAT, 0, "axes are letters of LHSQK, each once"))
    }

    /// Adds it to the fields of a tensor.
    pub fn put(&self, fields: &mut Fields) {
        fields.set(field::PLANES, false, self.text().into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_round_trip() {
        let order = PlaneOrder::parse("slhqk").unwrap();
        assert_eq!((order.text().as_str(), order.places()), ("SLHQK", vec![2, 0, 1, 3, 4]));
        let mut fields = Fields::default();
        assert_eq!(PlaneOrder::of(&fields).unwrap(), None);
        order.put(&mut fields);
        assert_eq!(PlaneOrder::of(&fields).unwrap(), Some(order));
        assert!(PlaneOrder::parse("").unwrap().places().is_empty());
        for bad in ["QQ", "QKT", "SLHQKS"] {
            assert_eq!(PlaneOrder::parse(bad), None);
            fields.set(field::PLANES, false, bad.into());
            assert!(PlaneOrder::of(&fields).is_err());
        }
    }
}
