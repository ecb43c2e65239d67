//! Tagged fields with a criticality bit (SPEC section 1).

use crate::wire::{self, Parse};
use crate::{FormatError, Result};

/// One tagged field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Registered id, within the kind of object that carries it.
    pub id: u64,
    /// A reader that does not know the id must refuse the object.
    pub critical: bool,
    /// The value, as the id defines it.
    pub value: Vec<u8>,
}

/// The fields of an object, in ascending order of id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<Field>);

impl Fields {
    /// Parses fields that fill all of `input`.
    ///
    /// # Errors
    /// If a field is cut off or ids do not ascend.
    pub fn parse(what: &'static str, input: &[u8]) -> Result<Self> {
        let mut list: Vec<Field> = Vec::new();
        let mut rest = input;
        while !rest.is_empty() {
            let at = input.len().saturating_sub(rest.len()) as u64;
            let (after, field) = wire::finish(what, rest, field(rest)).map_err(|e| e.at(at))?;
            if list.last().is_some_and(|last| last.id >= field.id) {
                return Err(FormatError::corrupt(what, at, "field ids do not ascend"));
            }
            list.push(field);
            rest = after;
        }
        Ok(Self(list))
    }

    /// The encoded form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for f in &self.0 {
            wire::put_varint(&mut out, f.id << 1 | u64::from(f.critical));
            wire::put_varint(&mut out, f.value.len() as u64);
            out.extend_from_slice(&f.value);
        }
        out
    }

    /// The value of field `id`.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&[u8]> {
        self.0.iter().find(|f| f.id == id).map(|f| f.value.as_slice())
    }

    /// Sets field `id`, keeping the order of ids.
    pub fn set(&mut self, id: u64, critical: bool, value: Vec<u8>) {
        let field = Field { id, critical, value };
        match self.0.binary_search_by_key(&id, |f| f.id) {
            Ok(i) => self.0[i] = field,
            Err(i) => self.0.insert(i, field),
        }
    }

    /// Sets field `id` to a varint.
    pub fn set_varint(&mut self, id: u64, critical: bool, value: u64) {
        let mut bytes = Vec::new();
        wire::put_varint(&mut bytes, value);
        self.set(id, critical, bytes);
    }

    /// Field `id` as one varint.
    ///
    /// # Errors
    /// If the value is not exactly one varint.
    pub fn varint(&self, what: &'static str, id: u64) -> Result<Option<u64>> {
        let Some(value) = self.get(id) else { return Ok(None) };
        match wire::finish(what, value, wire::varint(value))? {
            ([], v) => Ok(Some(v)),
            _ => Err(FormatError::corrupt(what, 0, "a field is longer than its number")),
        }
    }

    /// Field `id` as text.
    ///
    /// # Errors
    /// If the value is not UTF-8.
    pub fn text(&self, what: &'static str, id: u64) -> Result<Option<&str>> {
        let Some(value) = self.get(id) else { return Ok(None) };
        core::str::from_utf8(value).map(Some).map_err(|_| FormatError::corrupt(what, 0, "text is not UTF-8"))
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.0.iter()
    }

    /// The fields whose ids are not among `known`.
    pub fn unknown<'a>(&'a self, known: &'a [u64]) -> impl Iterator<Item = &'a Field> {
        self.0.iter().filter(move |f| !known.contains(&f.id))
    }
}

fn field(input: &[u8]) -> Parse<'_, Field> {
    let (rest, key) = wire::varint(input)?;
    let (rest, len) = wire::varint(rest)?;
    let (rest, value) = wire::bytes(rest, len)?;
    Ok((rest, Field { id: key >> 1, critical: key & 1 == 1, value: value.to_vec() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_round_trip_in_ascending_order() {
        let mut f = Fields::default();
        f.set_varint(9, true, 300);
        f.set(2, false, b"x".to_vec());
        let bytes = f.to_bytes();
        assert_eq!(Fields::parse("t", &bytes).unwrap(), f);
        assert_eq!(f.varint("t", 9).unwrap(), Some(300));
        assert_eq!(f.unknown(&[2]).map(|f| f.id).collect::<Vec<_>>(), [9]);
        let twice = [bytes.as_slice(), bytes.as_slice()].concat();
        assert!(matches!(Fields::parse("t", &twice), Err(FormatError::Corrupt { .. })));
        assert!(matches!(Fields::parse("t", &bytes[..4]), Err(FormatError::Truncated { .. })));
    }
}
