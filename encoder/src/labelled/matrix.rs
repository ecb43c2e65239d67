//! Elements of a tensor as a matrix, down to what the model looks at.

use mcodec_coding::labelled::FloatFormat;

/// Top mantissa bits that are kept beside the exponent.
pub(super) const TOP: u32 = 3;
/// The sign in [`Matrix::highs`].
pub(super) const SIGN: u16 = 1 << 15;
/// Columns that a vector is folded into: a row is a run of neighbours.
const FOLDED: usize = 32;
/// The widest matrix whose columns are told apart.
const MAX_COLUMNS: usize = 1 << 20;

/// A run of elements in row-major order.
#[derive(Debug)]
pub(crate) struct Matrix {
    /// The type of float.
    pub(crate) format: FloatFormat,
    /// Elements of a row.
    pub(crate) columns: usize,
    /// Column of the first element.
    pub(crate) first_column: usize,
    /// Whether columns mean the same thing in every row.
    pub(crate) has_columns: bool,
    /// Exponent and top three mantissa bits of each element, the sign in bit 15.
    pub(super) highs: Vec<u16>,
    /// The least and the greatest of these without their sign.
    pub(super) range: (u16, u16),
}

impl Matrix {
    /// The elements `bytes` of a tensor of this shape, from element `start` on.
    #[must_use]
    pub(crate) fn new(format: FloatFormat, shape: &[u64], start: u64, bytes: &[u8]) -> Self {
        let (columns, has_columns) = columns_of(shape);
        let first_column = (start % columns as u64) as usize;
        let shift = format.mantissa_bits() - TOP;
        let highs: Vec<u16> = match format {
            FloatFormat::Bf16 | FloatFormat::F16 => {
                let words = bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
                words.map(|v| (v & !SIGN) >> shift | v & SIGN).collect()
            }
            FloatFormat::F32 => {
                let words = bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b));
                words.map(|v| ((v & !(1 << 31)) >> shift) as u16 | (v >> 16) as u16 & SIGN).collect()
            }
            FloatFormat::F64 => {
                let words = bytes.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b));
                words.map(|v| ((v & !(1 << 63)) >> shift) as u16 | (v >> 48) as u16 & SIGN).collect()
            }
        };
        // Signed, as vector instructions of old have it.
        let (low, high) = highs.iter().fold((i16::MAX, 0), |(low, high): (i16, i16), &bits| {
            let bits = (bits & !SIGN) as i16;
            (low.min(bits), high.max(bits))
        });
        let range = (low as u16, high as u16);
        Self { format, columns, first_column, has_columns, highs, range }
    }

    /// How many rows the elements touch.
    #[must_use]
    pub(crate) fn rows(&self) -> usize {
        (self.first_column + self.highs.len()).div_ceil(self.columns)
    }

    /// How many elements each column has in every `stride`th row.
    pub(super) fn column_counts(&self, stride: usize) -> Vec<u32> {
        let rows = self.rows();
        let mut counts = vec![rows.div_ceil(stride) as u32; self.columns];
        // The first and the last row may lack some.
        counts[..self.first_column].iter_mut().for_each(|count| *count -= 1);
        if (rows - 1).is_multiple_of(stride) {
            let end = (self.first_column + self.highs.len() - 1) % self.columns + 1;
            counts[end..].iter_mut().for_each(|count| *count -= 1);
        }
        counts
    }

    /// The elements of row `row`, and the column of the first of them.
    pub(super) fn row(&self, row: usize) -> (usize, &[u16]) {
        let start = (row * self.columns).saturating_sub(self.first_column);
        let end = ((row + 1) * self.columns - self.first_column).min(self.highs.len());
        (if row == 0 { self.first_column } else { 0 }, &self.highs[start..end])
    }
}

/// Elements of a row, and whether columns mean something: the last dimension, or all but the first where the last is short.
pub(crate) fn columns_of(shape: &[u64]) -> (usize, bool) {
    let columns = match shape {
        [] | [_] => 0,
        [_, rest @ ..] if shape.len() > 2 && shape[shape.len() - 1] < 16 => {
            rest.iter().try_fold(1u64, |n, &d| n.checked_mul(d)).unwrap_or(0)
        }
        [.., last] => *last,
    };
    match usize::try_from(columns) {
        Ok(columns @ 2..=MAX_COLUMNS) => (columns, true),
        _ => (FOLDED, false),
    }
}
