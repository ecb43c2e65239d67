//! Coding chunks of a member.

use super::matrix::Member;
use super::plan::Plan;
use mcodec_coding::Result;
use mcodec_coding::difference::{ChunkSpec, ColumnsAt, encode};

/// Codes the chunks of one member under a plan that it is in.
#[derive(Debug)]
pub(crate) struct Coder<'p> {
    plan: &'p Plan,
    member: usize,
    format: mcodec_coding::labelled::FloatFormat,
    row_len: usize,
    first_column: usize,
}

impl<'p> Coder<'p> {
    pub(crate) fn new(plan: &'p Plan, number: usize, member: &Member<'_>) -> Self {
        let (format, row_len, first_column) = (member.format, member.columns, member.first_column);
        Self { plan, member: number, format, row_len, first_column }
    }

    /// The member's stack.
    pub(crate) fn stack(&self) -> usize {
        self.plan.stack_of(self.member)
    }

    /// Whether the columns' labels and factors have other users than this member.
    pub(crate) fn shares_columns(&self) -> bool {
        self.plan.columns(self.stack()).is_some_and(|(_, users)| users > 1)
    }

    /// Whether columns have labels or factors.
    pub(crate) fn has_columns(&self) -> bool {
        self.plan.columns(self.stack()).is_some()
    }

    /// Codes the elements `bytes` from element `start` of the member on, against `base`. The tables are dependency `tables` of the
    /// chunk's entry, and what the columns have is dependency `columns`, or in the chunk.
    ///
    /// # Errors
    /// [`mcodec_coding::CodingError::Invalid`] if they are not elements of the member.
    pub(crate) fn encode(
        &self,
        (base, bytes): (&[u8], &[u8]),
        start: usize,
        tables: u32,
        columns: Option<u32>,
    ) -> Result<Vec<u8>> {
        let len = bytes.len() / self.format.bytes();
        let place = self.first_column + start;
        let rows = place / self.row_len..(place + len).div_ceil(self.row_len);
        let (row_labels, row_factors) = self.plan.rows(self.member, rows);
        let columns_at = match (self.plan.columns(self.stack()), columns) {
            (None, _) => ColumnsAt::Nowhere,
            (Some((own, _)), None) => ColumnsAt::Inline(own),
            (Some((own, _)), Some(dependency)) => ColumnsAt::Shared(dependency, own),
        };
        let lanes_log2 = match len {
            0..4096 => 0,
            4096..65_536 => 2,
            _ => 3,
        };
        let spec = ChunkSpec {
            format: self.format,
            tables_dependency: tables,
            tables: &self.plan.tables,
            columns: self.row_len,
            first_column: place % self.row_len,
            columns_at,
            row_labels,
            row_factors,
            lanes_log2,
        };
        encode(base, bytes, &spec)
    }
}
