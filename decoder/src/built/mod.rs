//! Arrays that are built from others: products, selections, tiers (SPEC section 6.1), and what levels leave of them (6.2).

mod gather;
mod levels;
mod low_rank;
mod parts;

pub(crate) use gather::Leaves;
pub use levels::{AxisLevels, Kept, Levels};
pub use low_rank::{Factors, multiply};
pub use parts::Parts;

use crate::{DecodeError, Entry, ReadAt, Reader, Result};
use mcodec_format::{FormatError, Limits, built, registry};
use std::ops::Range;

/// A rectangle of an array that is taken as a matrix: its last dimension are the columns, all others the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Rows, half-open.
    pub rows: Range<u64>,
    /// Columns, half-open.
    pub columns: Range<u64>,
}

impl Block {
    /// All of an array.
    ///
    /// # Errors
    /// [`DecodeError::Request`] if it has no dimensions, or elements that are not whole bytes.
    pub fn all(entry: &Entry) -> Result<Self> {
        let (rows, columns, _) = sizes(entry)?;
        Ok(Self { rows: 0..rows, columns: 0..columns })
    }
}

/// Rows, columns, and bytes of an element.
fn sizes(entry: &Entry) -> Result<(u64, u64, u64)> {
    let tensor = entry.tensor();
    let size = tensor.and_then(|t| t.dtype).and_then(built::whole_bytes);
    let matrix = tensor.and_then(|t| built::matrix(&t.shape));
    match (matrix, size) {
        (Some((rows, columns)), Some(size)) => Ok((rows, columns, size)),
        _ => Err(DecodeError::Request(format!(
            "{:?} is no array of rows and columns of whole bytes",
            entry.name()
        ))),
    }
}

/// Bytes of a block, if it is within the array.
fn block_bytes(entry: &Entry, block: &Block, limits: &Limits) -> Result<usize> {
    let (rows, columns, size) = sizes(entry)?;
    let within = |r: &Range<u64>, n: u64| r.start <= r.end && r.end <= n;
    if !within(&block.rows, rows) || !within(&block.columns, columns) {
        return Err(DecodeError::Request(format!(
            "rows {:?} and columns {:?} are not within the {rows} by {columns} of {:?}",
            block.rows,
            block.columns,
            entry.name()
        )));
    }
    let length = |r: &Range<u64>| r.end.saturating_sub(r.start);
    let len = length(&block.rows).saturating_mul(length(&block.columns)).saturating_mul(size);
    Limits::check("decoded length", len, limits.output_bytes)?;
    usize::try_from(len).map_err(|_| DecodeError::Request(format!("{len} bytes do not fit into memory")))
}

impl<S: ReadAt> Reader<S> {
    /// Reads a block of an array, row after row, with what `levels` leave of it and of what it is built from: all else is zero, and is not
    /// read. [`Levels::default`] leaves everything.
    ///
    /// # Errors
    /// If the block is not within the array; as [`Reader::read`].
    pub fn read_block(&self, entry: &Entry, block: &Block, levels: &Levels) -> Result<Vec<u8>> {
        let len = block_bytes(entry, block, self.limits())?;
        let mut out = Vec::new();
        if out.try_reserve_exact(len).is_err() {
            return Err(DecodeError::Request(format!("{len} bytes do not fit into memory")));
        }
        out.resize(len, 0);
        gather::read(self, entry, block, levels, &mut out)?;
        Ok(out)
    }

    /// The arrays and bytes of them that a block is made of, and the index maps on the way, which are read.
    ///
    /// # Errors
    /// As [`Reader::read_block`].
    pub fn plan_block(&self, entry: &Entry, block: &Block, levels: &Levels) -> Result<crate::Plan> {
        block_bytes(entry, block, self.limits())?;
        self.plan_leaves(gather::plan(self, entry, block, levels)?)
    }

    /// Reads bytes `range` of an array that is built, into `out`, which has that length.
    pub(crate) fn read_built(
        &self,
        entry: &Entry,
        range: Range<u64>,
        levels: &Levels,
        out: &mut [u8],
    ) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let (rows, columns, size) = sizes(entry)?;
        let row = columns.saturating_mul(size).max(1);
        let outside = || DecodeError::Request(format!("bytes {range:?} are not within {:?}", entry.name()));
        if range.end > rows.saturating_mul(row) {
            return Err(outside());
        }
        let block = Block { rows: range.start / row..range.end.div_ceil(row), columns: 0..columns };
        if range.start.is_multiple_of(row) && range.end.is_multiple_of(row) {
            out.fill(0);
            return gather::read(self, entry, &block, levels, out);
        }
        let bytes = self.read_block(entry, &block, levels)?;
        let skip = (range.start % row) as usize;
        let part = bytes.get(skip..skip.saturating_add(out.len())).ok_or_else(outside)?;
        out.copy_from_slice(part);
        Ok(())
    }

    /// What bytes `range` of an array that is built are made of.
    pub(crate) fn leaves_of_built(
        &self,
        entry: &Entry,
        range: &Range<u64>,
        levels: &Levels,
    ) -> Result<Leaves> {
        if range.is_empty() {
            return Ok(Leaves::default());
        }
        let (_, columns, size) = sizes(entry)?;
        let row = columns.saturating_mul(size).max(1);
        let block = Block { rows: range.start / row..range.end.div_ceil(row), columns: 0..columns };
        block_bytes(entry, &block, self.limits())?;
        gather::plan(self, entry, &block, levels)
    }

    /// What is cut together in an asset and how far, checked against its arrays; `None` if it says nothing of it.
    ///
    /// # Errors
    /// If it is damaged, or does not fit the arrays.
    pub fn bundles(&self, asset: &str) -> Result<Option<mcodec_format::Bundles>> {
        for row in self.rows(asset)? {
            if row.get().kind == registry::entry::BUNDLES {
                let entry = self.resolve(row)?;
                Limits::check("bytes of bundles", entry.byte_len(), self.limits().memory)?;
                let bytes = self.read_all(&entry)?;
                let fail =
                    |source| DecodeError::Entry { kind: "bundles", name: entry.name().to_owned(), source };
                let found = mcodec_format::Bundles::parse(&bytes).map_err(fail)?;
                levels::check(self, asset, &found).map_err(|e| match e {
                    DecodeError::Format(source) => fail(source),
                    other => other,
                })?;
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The levels of a variant of an asset, and what it says.
    ///
    /// # Errors
    /// [`DecodeError::NotFound`] if there is no such variant; as [`Reader::bundles`].
    pub fn variant(&self, asset: &str, name: &str) -> Result<(Levels, mcodec_format::Variant)> {
        let bundles = self.bundles(asset)?.unwrap_or_default();
        let Some(variant) = bundles.variant(name) else {
            let names: Vec<&str> = bundles.variants.iter().map(|v| &*v.name).collect();
            let hint =
                if names.is_empty() { String::new() } else { format!(" (there are {})", names.join(", ")) };
            return Err(DecodeError::NotFound { what: "variant", name: name.to_owned(), hint });
        };
        let ordinal = self.asset(Some(asset))?.ordinal;
        Ok((Levels::of(ordinal, &bundles, variant), variant.clone()))
    }
}

/// An error of the file, in an entry.
fn corrupt(entry: &Entry, why: impl Into<String>) -> DecodeError {
    DecodeError::Entry {
        kind: entry.kind_name(),
        name: entry.name().to_owned(),
        source: FormatError::corrupt("representation", 0, why.into()),
    }
}
