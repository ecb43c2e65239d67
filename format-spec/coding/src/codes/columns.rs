//! What the columns of a matrix of codes have: step exponents, which several matrices may share, and classes.

use super::numbers::{PHASES, quarter};
use super::{MAX_CLASS, MAX_COLUMNS, MAX_STEP};
use crate::error::{Result, corrupt, invalid};
use crate::labelled::lists;
use crate::varint;
use std::sync::OnceLock;

/// The step exponents of columns, in quarters of an octave.
#[derive(Debug, Clone)]
pub struct ColumnSteps {
    exponents: Vec<i16>,
    /// The steps of all columns under the row exponents 0 to 3.
    steps: OnceLock<Vec<f32>>,
}

/// The classes of columns, in halves of an octave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnClasses {
    classes: Vec<i16>,
}

impl PartialEq for ColumnSteps {
    fn eq(&self, other: &Self) -> bool {
        self.exponents == other.exponents
    }
}

impl Eq for ColumnSteps {}

impl ColumnSteps {
    /// Of these exponents, each within 240 of 0.
    ///
    /// # Errors
    /// [`crate::CodingError::Invalid`] if there are none, more than 2^20, or one is out of range.
    pub fn new(exponents: Vec<i16>) -> Result<Self> {
        check(&exponents, MAX_STEP)?;
        Ok(Self { exponents, steps: OnceLock::new() })
    }

    /// Reads the object that fills `bytes`.
    ///
    /// # Errors
    /// Any breach of section 7.13.2.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        parse(bytes, MAX_STEP).map(|exponents| Self { exponents, steps: OnceLock::new() })
    }

    /// The object as section 7.13.2 writes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(&self.exponents)
    }

    /// The exponents.
    #[must_use]
    pub fn exponents(&self) -> &[i16] {
        &self.exponents
    }

    /// Bytes in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.exponents.len() * (2 + 4 * PHASES)
    }

    /// The steps of all columns, but for a power of two, in a row of exponent `row`.
    pub(super) fn steps(&self, row: i16) -> &[f32] {
        let all = self.steps.get_or_init(|| {
            let phase = |p: i16| self.exponents.iter().map(move |&e| quarter(e + p));
            (0..PHASES as i16).flat_map(phase).collect()
        });
        let columns = self.exponents.len();
        let phase = usize::from(row.rem_euclid(PHASES as i16) as u16);
        &all[phase * columns..(phase + 1) * columns]
    }
}

impl ColumnClasses {
    /// Of these classes, each within 2048 of 0.
    ///
    /// # Errors
    /// [`crate::CodingError::Invalid`] if there are none, more than 2^20, or one is out of range.
    pub fn new(classes: Vec<i16>) -> Result<Self> {
        check(&classes, MAX_CLASS)?;
        Ok(Self { classes })
    }

    /// Reads the object that fills `bytes`.
    ///
    /// # Errors
    /// Any breach of section 7.13.2.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        parse(bytes, MAX_CLASS).map(|classes| Self { classes })
    }

    /// The object as section 7.13.2 writes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(&self.classes)
    }

    /// The classes.
    #[must_use]
    pub fn classes(&self) -> &[i16] {
        &self.classes
    }

    /// Bytes in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        2 * self.classes.len()
    }
}

fn check(values: &[i16], most: i16) -> Result<()> {
    if values.is_empty()
        || values.len() > MAX_COLUMNS
        || values.iter().any(|v| v.unsigned_abs() > most as u16)
    {
        return Err(invalid("there are 1 to 2^20 columns, and their numbers are in range"));
    }
    Ok(())
}

fn parse(bytes: &[u8], most: i16) -> Result<Vec<i16>> {
    let mut rest = bytes;
    let columns = varint::take(&mut rest)?;
    if columns == 0 || columns > MAX_COLUMNS as u64 {
        return Err(corrupt("column count"));
    }
    let list = take_list(&mut rest, columns as usize, most)?;
    if rest.is_empty() { Ok(list) } else { Err(corrupt("bytes after the columns")) }
}

fn to_bytes(values: &[i16]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(&mut out, values.len() as u64);
    put_list(&mut out, values);
    out
}

pub(super) fn take_list(rest: &mut &[u8], count: usize, most: i16) -> Result<Vec<i16>> {
    let most = i32::from(most);
    Ok(lists::take(rest, count, -most..=most)?.into_iter().map(|v| v as i16).collect())
}

pub(super) fn put_list(out: &mut Vec<u8>, values: &[i16]) {
    lists::put(out, &values.iter().map(|&v| i32::from(v)).collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_round_trip() {
        let steps = ColumnSteps::new(vec![-240, 0, 7, 240]).unwrap();
        let bytes = steps.to_bytes();
        assert_eq!(ColumnSteps::parse(&bytes).unwrap(), steps);
        assert!(ColumnSteps::parse(&[&bytes[..], &[0]].concat()).is_err());
        let classes = ColumnClasses::new(vec![9; 300]).unwrap();
        assert_eq!(ColumnClasses::parse(&classes.to_bytes()).unwrap(), classes);
        for cut in 0..bytes.len() {
            assert!(ColumnSteps::parse(&bytes[..cut]).is_err());
        }
        assert!(ColumnSteps::new(vec![241]).is_err());
        assert!(ColumnSteps::new(Vec::new()).is_err());
        assert!(ColumnClasses::new(vec![-2049]).is_err());
        assert!(ColumnSteps::parse(&ColumnClasses::new(vec![250; 3]).unwrap().to_bytes()).is_err());
        assert!(ColumnClasses::parse(&[0]).is_err());
    }
}
