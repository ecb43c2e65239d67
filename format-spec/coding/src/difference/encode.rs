//! Writing chunks of linear differences.

use super::gaussian;
use super::payload::{COLUMNS_INLINE, COLUMNS_SHARED, LINEAR, ROW_LABELS, Shape};
use super::stream::{self, Coded};
use super::survey::Elements;
use super::{Columns, Tables};
use crate::bits::BitSink;
use crate::error::{Result, invalid};
use crate::labelled::FloatFormat;
use crate::labelled::{MAX_COLUMNS, lists};
use crate::varint;

/// Numbers of tables that are not those of a chunk's own object start here.
const FACTOR_TABLES: u8 = 64;

/// Where labels and factors of a chunk's columns are.
#[derive(Debug, Clone, Copy)]
pub enum ColumnsAt<'a> {
    /// There are none.
    Nowhere,
    /// In the chunk.
    Inline(&'a Columns),
    /// In an object that is this dependency of the chunk's entry.
    Shared(u32, &'a Columns),
}

/// How a chunk is coded.
#[derive(Debug, Clone, Copy)]
pub struct ChunkSpec<'a> {
    /// The type of float.
    pub format: FloatFormat,
    /// Which dependency of the chunk's entry the tables are.
    pub tables_dependency: u32,
    /// The tables.
    pub tables: &'a Tables,
    /// Elements of a row.
    pub columns: usize,
    /// Column of the chunk's first element.
    pub first_column: usize,
    /// Labels and factors of the columns.
    pub columns_at: ColumnsAt<'a>,
    /// The label of each row that the chunk touches: log2 of its scale in quarter octaves, less the columns' labels; -16384 to 16383.
    pub row_labels: &'a [i32],
    /// The factors of each of these rows, one for each component.
    pub row_factors: &'a [i16],
    /// log2 of the lane count, 0 to 6.
    pub lanes_log2: u8,
}

/// The payload of coding 4 of `bytes`, told against `base`. The same arguments always give the same bytes.
///
/// # Errors
/// [`crate::CodingError::Invalid`] if the parts of `spec` do not fit each other or the bytes, or a symbol is not in its table.
pub fn encode(base: &[u8], bytes: &[u8], spec: &ChunkSpec<'_>) -> Result<Vec<u8>> {
    let len = bytes.len() / spec.format.bytes();
    if len == 0 || spec.columns > MAX_COLUMNS || spec.row_labels.iter().any(|l| !ROW_LABELS.contains(l)) {
        return Err(invalid("columns or labels of a chunk of differences"));
    }
    let shape = Shape { len, columns: spec.columns, first_column: spec.first_column };
    let (flags, columns) = match spec.columns_at {
        ColumnsAt::Nowhere => (0, None),
        ColumnsAt::Inline(columns) => (COLUMNS_INLINE, Some(columns)),
        ColumnsAt::Shared(_, columns) => (COLUMNS_SHARED, Some(columns)),
    };
    let (row_labels, row_factors) = (spec.row_labels, spec.row_factors);
    let (format, tables) = (spec.format, Some(spec.tables));
    let elements = Elements { format, base, bytes, shape, row_labels, columns, row_factors, tables };
    let mut plane = BitSink::default();
    let coded = core::cell::RefCell::new(Vec::<Coded>::with_capacity(len + row_factors.len()));
    let components = columns.map_or(&[][..], Columns::components);
    elements.visit(
        Some(&mut plane),
        |factors, sink| {
            let Some(sink) = sink else { return };
            coded.borrow_mut().extend(components.iter().zip(factors).map(|(component, &factor)| {
                let (number, symbol) = gaussian::put(component.row_class, factor, sink);
                (number + FACTOR_TABLES, symbol)
            }));
        },
        |context, told| coded.borrow_mut().push((spec.tables.number(context), told.symbol)),
    )?;
    let mut out = vec![LINEAR, flags, spec.format.id()];
    varint::put(&mut out, spec.tables_dependency.into());
    if let ColumnsAt::Shared(dependency, _) = spec.columns_at {
        varint::put(&mut out, dependency.into());
    }
    varint::put(&mut out, spec.columns as u64);
    varint::put(&mut out, spec.first_column as u64);
    if let ColumnsAt::Inline(columns) = spec.columns_at {
        let bytes = columns.to_bytes();
        varint::put(&mut out, bytes.len() as u64);
        out.extend(bytes);
    }
    lists::put(&mut out, row_labels);
    let own = spec.tables.ranks();
    let of_factors = |number: u8| number.checked_sub(FACTOR_TABLES).and_then(gaussian::ranks);
    stream::put(&mut out, &coded.into_inner(), of_factors, &own, spec.lanes_log2, &plane.into_bytes())?;
    Ok(out)
}

/// Bytes that the labels of rows take in a chunk.
#[must_use]
pub fn row_labels_len(labels: &[i32]) -> usize {
    let mut out = Vec::new();
    lists::put(&mut out, labels);
    out.len()
}
