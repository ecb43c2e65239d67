//! The head of a chunk of linear differences, and the rows of its elements (`SPEC.md` section 7.6.5).

use super::stream::Stream;
use super::{Columns, SharedObjects, Tables};
use crate::error::{CodingError, Result, corrupt};
use crate::labelled::{FloatFormat, LabelledLedger};
use crate::labelled::{MAX_COLUMNS, lists};
use crate::varint::{take, take_bytes, take_u8};

/// First byte of a chunk of linear differences.
pub(super) const LINEAR: u8 = 1;
pub(super) const COLUMNS_SHARED: u8 = 1;
pub(super) const COLUMNS_INLINE: u8 = 2;
pub(super) const ROW_LABELS: core::ops::RangeInclusive<i32> = -16_384..=16_383;

/// Columns as a chunk has them.
#[derive(Debug)]
enum Held<'a> {
    None,
    Shared(&'a Columns),
    Inline(Box<Columns>),
}

/// A parsed payload.
pub(super) struct Block<'a> {
    pub(super) format: FloatFormat,
    pub(super) tables: &'a Tables,
    held: Held<'a>,
    pub(super) shape: Shape,
    pub(super) row_labels: Vec<i32>,
    pub(super) stream: Stream<'a>,
}

/// Where a run of elements lies in its matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) len: usize,
    pub(super) columns: usize,
    pub(super) first_column: usize,
}

impl Shape {
    /// Rows that the elements touch.
    pub(super) fn rows(self) -> usize {
        (self.first_column + self.len).div_ceil(self.columns)
    }

    /// For each row: its elements, and the column of the first of them.
    pub(super) fn spans(self) -> impl Iterator<Item = (core::ops::Range<usize>, usize)> {
        (0..self.rows()).map(move |row| {
            let start = (row * self.columns).saturating_sub(self.first_column);
            let end = ((row + 1) * self.columns - self.first_column).min(self.len);
            (start..end, if row == 0 { self.first_column } else { 0 })
        })
    }
}

impl<'a> Block<'a> {
    /// Parses the payload of a chunk of `decoded_len` bytes.
    pub(super) fn parse(
        payload: &'a [u8],
        shared: &'a (impl SharedObjects + ?Sized),
        decoded_len: usize,
    ) -> Result<Self> {
        let mut rest = payload;
        let head = Head::take(&mut rest)?;
        if !decoded_len.is_multiple_of(head.format.bytes()) {
            return Err(corrupt("decoded length is not a multiple of the element"));
        }
        let shape = head.shape(decoded_len / head.format.bytes())?;
        let missing = |dependency| CodingError::MissingTable { dependency };
        let tables = shared.tables(head.tables).ok_or(missing(head.tables))?;
        let held = match head.columns_at {
            None => Held::None,
            Some(Some(at)) => Held::Shared(shared.columns(at).ok_or(missing(at))?),
            Some(None) => {
                let len = take(&mut rest)?;
                Held::Inline(Box::new(Columns::parse(take_bytes(&mut rest, len, "columns")?)?))
            }
        };
        let row_labels = lists::take(&mut rest, shape.rows(), ROW_LABELS)?;
        let stream = Stream::parse(rest)?;
        let block = Self { format: head.format, tables, held, shape, row_labels, stream };
        if block.columns().is_some_and(|c| c.columns() != shape.columns) {
            return Err(corrupt("labels of another number of columns"));
        }
        Ok(block)
    }

    /// Labels and factors of the columns, if they have any.
    pub(super) fn columns(&self) -> Option<&Columns> {
        match &self.held {
            Held::None => None,
            Held::Shared(columns) => Some(columns),
            Held::Inline(columns) => Some(columns),
        }
    }
}

/// What comes before the labels.
struct Head {
    format: FloatFormat,
    tables: u32,
    columns: u64,
    first_column: u64,
    /// Columns: none, inline, or a dependency.
    columns_at: Option<Option<u32>>,
}

impl Head {
    fn take(rest: &mut &[u8]) -> Result<Self> {
        let form = take_u8(rest, "form")?;
        if form != LINEAR {
            return Err(CodingError::Unsupported { what: "form of a difference", id: form.into() });
        }
        let flags = take_u8(rest, "flags")?;
        if flags & !(COLUMNS_SHARED | COLUMNS_INLINE) != 0 {
            return Err(corrupt("flags of a difference"));
        }
        let format = FloatFormat::from_id(take_u8(rest, "float format")?)?;
        let mut dependency =
            || u32::try_from(take(rest)?).map_err(|_| corrupt("dependency index above 32 bits"));
        let tables = dependency()?;
        let columns_at = match flags {
            0 => None,
            COLUMNS_SHARED => Some(Some(dependency()?)),
            COLUMNS_INLINE => Some(None),
            _ => return Err(corrupt("columns that are both shared and inline")),
        };
        let (columns, first_column) = (take(rest)?, take(rest)?);
        Ok(Self { format, tables, columns, first_column, columns_at })
    }

    /// Where a chunk of `len` elements lies.
    fn shape(&self, len: usize) -> Result<Shape> {
        let columns = usize::try_from(self.columns).ok().filter(|&c| c > 0).ok_or(corrupt("column count"))?;
        let first = usize::try_from(self.first_column).ok().filter(|&f| f < columns);
        let first_column = first.ok_or(corrupt("first column"))?;
        // So that no sum of them overflows.
        if len == 0 || columns > MAX_COLUMNS {
            return Err(corrupt("a chunk of differences has elements, and fewer columns"));
        }
        Ok(Shape { len, columns, first_column })
    }
}

/// The dependency indices that the payload of a chunk names, in ascending order, each once; none if it is not of linear differences.
///
/// # Errors
/// As [`super::decode`], for what the head says.
pub fn dependencies(payload: &[u8]) -> Result<Vec<u32>> {
    if payload.first() != Some(&LINEAR) {
        return Ok(Vec::new());
    }
    let head = Head::take(&mut &payload[..])?;
    let mut all = vec![head.tables];
    all.extend(head.columns_at.flatten());
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// The ledger of a payload; `None` if it is not of linear differences. Nothing is decoded.
///
/// # Errors
/// As [`super::decode`], for what the head says.
pub fn ledger(
    payload: &[u8],
    shared: &(impl SharedObjects + ?Sized),
    decoded_len: usize,
) -> Result<Option<LabelledLedger>> {
    if payload.first() != Some(&LINEAR) {
        return Ok(None);
    }
    let block = Block::parse(payload, shared, decoded_len)?;
    let (states, packed, entropy_coded) = block.stream.byte_lens();
    let lanes = block.stream.lanes as u32;
    let labels = payload.len() as u64 - states - packed - entropy_coded;
    Ok(Some(LabelledLedger { lanes, labels, states, packed, entropy_coded }))
}
