//! Column labels of one tensor (`SPEC.md` section 7.4.3).

use super::classes::{CLASSES, MAX_BIAS};
use super::lists;
use crate::error::{Result, corrupt, invalid};
use crate::varint;

/// The most columns that labels may describe.
const MAX_COLUMNS: u64 = 1 << 20;

/// What the columns of a matrix say of their elements before those are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnLabels {
    /// Added to the row's class: the class of the element. One for each column, or none (all 0).
    classes: Vec<u8>,
    /// How the signs of the column are biased: 0 not at all, its sign the commoner sign. One for each column, or none (all 0).
    biases: Vec<i8>,
    columns: usize,
}

const HAS_CLASSES: u8 = 1;
const HAS_BIASES: u8 = 2;

impl ColumnLabels {
    /// Labels of `columns` columns; empty lists stand for zeros.
    ///
    /// # Errors
    /// [`crate::CodingError::Invalid`] if lengths differ from `columns` or values are out of range (classes 0..64, biases -14..=14).
    pub fn new(columns: usize, classes: Vec<u8>, biases: Vec<i8>) -> Result<Self> {
        let fits = |len| len == 0 || len == columns;
        if columns == 0 || columns as u64 > MAX_COLUMNS || !fits(classes.len()) || !fits(biases.len()) {
            return Err(invalid("labels of all columns, or of none"));
        }
        if classes.iter().any(|&c| usize::from(c) >= CLASSES)
            || biases.iter().any(|b| i32::from(b.unsigned_abs()) > MAX_BIAS)
        {
            return Err(invalid("a column label is out of range"));
        }
        Ok(Self { classes, biases, columns })
    }

    /// Reads the labels at the front of `bytes`, and moves it past them.
    ///
    /// # Errors
    /// Any breach of section 7.4.3.
    pub fn take(bytes: &mut &[u8]) -> Result<Self> {
        let columns = varint::take(bytes)?;
        if columns == 0 || columns > MAX_COLUMNS {
            return Err(corrupt("column count of labels"));
        }
        let columns = columns as usize;
        let flags = varint::take_u8(bytes, "labels")?;
        if flags & !(HAS_CLASSES | HAS_BIASES) != 0 {
            return Err(corrupt("flags of labels"));
        }
        let mut list = |flag, range| -> Result<Vec<i32>> {
            if flags & flag == 0 { Ok(Vec::new()) } else { lists::take(bytes, columns, range) }
        };
        let classes = list(HAS_CLASSES, 0..=CLASSES as i32 - 1)?.into_iter().map(|c| c as u8).collect();
        let biases = list(HAS_BIASES, -MAX_BIAS..=MAX_BIAS)?.into_iter().map(|b| b as i8).collect();
        Ok(Self { classes, biases, columns })
    }

    /// Reads labels that fill `bytes`.
    ///
    /// # Errors
    /// Any breach of section 7.4.3.
    pub fn parse(mut bytes: &[u8]) -> Result<Self> {
        let labels = Self::take(&mut bytes)?;
        if bytes.is_empty() { Ok(labels) } else { Err(corrupt("bytes after labels")) }
    }

    /// The labels as section 7.4.3 writes them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        varint::put(&mut out, self.columns as u64);
        let flag = |list: bool, flag| if list { flag } else { 0 };
        out.push(flag(!self.classes.is_empty(), HAS_CLASSES) | flag(!self.biases.is_empty(), HAS_BIASES));
        lists::put(&mut out, &self.classes.iter().map(|&c| i32::from(c)).collect::<Vec<_>>());
        lists::put(&mut out, &self.biases.iter().map(|&b| i32::from(b)).collect::<Vec<_>>());
        out
    }

    /// How many columns there are.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The classes of all columns; empty: all 0.
    #[must_use]
    pub fn classes(&self) -> &[u8] {
        &self.classes
    }

    /// The sign biases of all columns; empty: all 0.
    #[must_use]
    pub fn biases(&self) -> &[i8] {
        &self.biases
    }

    /// The greatest class of a column.
    #[must_use]
    pub fn max_class(&self) -> u8 {
        self.classes.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_round_trip() {
        for (classes, biases) in
            [(vec![], vec![]), (vec![1, 2, 63], vec![]), (vec![], vec![-14, 0, 14]), (vec![4; 3], vec![1; 3])]
        {
            let labels = ColumnLabels::new(3, classes, biases).unwrap();
            let bytes = labels.to_bytes();
            assert_eq!(ColumnLabels::parse(&bytes).unwrap(), labels);
            for cut in 0..bytes.len() {
                assert!(ColumnLabels::parse(&bytes[..cut]).is_err());
            }
        }
        assert!(ColumnLabels::new(0, vec![], vec![]).is_err());
        assert!(ColumnLabels::new(2, vec![1], vec![]).is_err());
        assert!(ColumnLabels::new(1, vec![64], vec![]).is_err());
        assert!(ColumnLabels::new(1, vec![], vec![15]).is_err());
        assert!(ColumnLabels::parse(&[0, 0]).is_err());
        assert!(ColumnLabels::parse(&[1, 4]).is_err());
    }
}
