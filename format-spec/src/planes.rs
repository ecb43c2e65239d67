//! The order that axes of masks had where they came from (SPEC section 5.9).

use crate::axes::Axes;
use crate::registry::field;
use crate::{Fields, FormatError, Result};

const WHAT: &str = "masks";

/// The axes of masks in the order of their content: layer, head, step, blocks of queries, blocks of keys.
pub const PLANE_AXES: [u8; 5] = *b"LHSQK";

/// The order of axes of the source: letters of [`PLANE_AXES`].
pub type PlaneOrder = Axes<5>;

impl PlaneOrder {
    /// Reads the letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::read(PLANE_AXES, text.bytes())
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
