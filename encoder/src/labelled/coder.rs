//! Coding chunks of a labelled matrix.

use mcodec_coding::Result;
use mcodec_coding::labelled::{BlockSpec, ColumnLabels, Columns, FloatFormat, encode};

use super::sets::{ClassSet, Member};

/// Codes the chunks of one matrix.
#[derive(Debug)]
pub(crate) struct Coder<'a> {
    set: &'a ClassSet,
    columns: usize,
    first_column: usize,
    row_classes: Vec<u8>,
    column_labels: Option<ColumnLabels>,
}

/// Elements from which a chunk is coded in 64 lanes, which vector decoders are made for; fewer lanes have fewer states to store.
const MANY: usize = 1 << 14;

impl<'a> Coder<'a> {
    /// A coder for the chunks of `member` under `set`, which it is in.
    ///
    /// # Errors
    /// [`mcodec_coding::CodingError::Invalid`] if it is not.
    pub(crate) fn new(member: &Member, set: &'a ClassSet) -> Result<Self> {
        let Member { matrix, labels } = member;
        let row_classes = labels.rows.iter().map(|&label| (label - set.first) as u8).collect();
        let columns: Vec<u8> = labels.columns.iter().map(|&label| label as u8).collect();
        let column_labels = if columns.is_empty() && labels.biases.is_empty() {
            None
        } else {
            Some(ColumnLabels::new(matrix.columns, columns, labels.biases.clone())?)
        };
        let (columns, first_column) = (matrix.columns, matrix.first_column);
        Ok(Self { set, columns, first_column, row_classes, column_labels })
    }

    /// The labels of the columns, if there are any: stored once for all chunks, or in the only one.
    #[must_use]
    pub(crate) fn column_labels(&self) -> Option<&ColumnLabels> {
        self.column_labels.as_ref()
    }

    /// Codes the elements `bytes` from element `start` of the matrix on. Classes are dependency `classes` of the chunk's entry, and
    /// column labels dependency `labels`, or in the chunk.
    ///
    /// # Errors
    /// [`mcodec_coding::CodingError::Invalid`] if they are not elements of the matrix.
    pub(crate) fn encode(
        &self,
        bytes: &[u8],
        start: usize,
        classes: u32,
        labels: Option<u32>,
    ) -> Result<Vec<u8>> {
        let format = self.set.classes.format();
        let len = bytes.len() / format.bytes();
        let place = self.first_column + start;
        let rows = place / self.columns..(place + len).div_ceil(self.columns);
        let low_bits = self.set.classes.low_bits();
        let zeros = row_zeros(format, bytes, self.columns, place % self.columns, low_bits);
        let lanes_log2 = match len {
            // A length each, not a state.
            512.. if self.set.classes.is_prefix() => 3,
            _ if self.set.classes.is_prefix() => 0,
            MANY.. => 6,
            4096.. => 4,
            512.. => 2,
            _ => 0,
        };
        encode(
            bytes,
            &BlockSpec {
                classes_dependency: classes,
                classes: &self.set.classes,
                columns: self.columns,
                first_column: place % self.columns,
                column_labels: match (&self.column_labels, labels) {
                    (None, _) => Columns::Unlabelled,
                    (Some(own), None) => Columns::Inline(own),
                    (Some(own), Some(dependency)) => Columns::Shared(dependency, own),
                },
                row_classes: self.row_classes.get(rows).unwrap_or_default(),
                row_zeros: &zeros,
                lanes_log2,
            },
        )
    }
}

/// Trailing zero bits that all elements of a row have, for each row: values widened from a shorter type have them.
fn row_zeros(
    format: FloatFormat,
    bytes: &[u8],
    columns: usize,
    first_column: usize,
    low_bits: u32,
) -> Vec<u8> {
    if matches!(format, FloatFormat::Bf16 | FloatFormat::F16) {
        return Vec::new();
    }
    let size = format.bytes();
    let first = (columns - first_column).saturating_mul(size).min(bytes.len());
    let (head, tail) = bytes.split_at(first);
    let rows = std::iter::once(head).chain(tail.chunks(columns.saturating_mul(size)));
    let zeros = |row: &[u8]| {
        let used = row.chunks_exact(size).fold(0u64, |all, element| {
            let mut word = [0; 8];
            word[..size].copy_from_slice(element);
            all | u64::from_le_bytes(word)
        });
        used.trailing_zeros().min(low_bits) as u8
    };
    rows.map(zeros).collect()
}
