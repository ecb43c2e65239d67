//! Arrays that are built from others, as items, and what they decode to.

use crate::items::{Content, Item};
use crate::{EncodeError, Result};
use mcodec_coding::codes::Element;
use mcodec_coding::index_map::IndexMap;
use mcodec_decode::built::{Factors, multiply};
use mcodec_format::registry::Dtype;
use mcodec_format::{
    Built, Chunking, Dependency, Fields, MatrixAxis, Representation, TensorDescriptor, built,
};
use std::fmt;
use std::sync::Arc;

/// An array that is built from other items of its asset, whose ids are their places in the list.
pub(crate) struct BuiltContent {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
    pub(crate) how: Built,
    pub(crate) on: Vec<On>,
}

/// What an array is built from.
#[derive(Clone)]
pub(crate) enum On {
    /// The item of this number.
    Item(u32),
    /// The index map that is the item of this number.
    Map(u32, Arc<IndexMap>),
    /// A tensor of another file, with its bytes.
    External { hash: [u8; 32], name: String, bytes: Arc<Vec<u8>> },
}

impl fmt::Debug for BuiltContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltContent")
            .field("how", &self.how)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl BuiltContent {
    pub(crate) fn fields(&self, byte_len: u64) -> Fields {
        let tensor = TensorDescriptor {
            dtype: Some(self.dtype),
            dtype_name: self.dtype.name.into(),
            shape: self.shape.clone(),
            representation: Representation::Built(self.how.clone()),
            chunking: Chunking { coding: 0, chunk_len: byte_len.max(1), byte_len },
            owner: None,
            groups: None,
        };
        tensor.to_fields()
    }

    pub(crate) fn dependencies(&self) -> Vec<Dependency> {
        let one = |on: &On| match on {
            On::Item(id) | On::Map(id, _) => Dependency::Entry(*id),
            On::External { hash, name, .. } => Dependency::External { hash: *hash, name: name.clone() },
        };
        self.on.iter().map(one).collect()
    }

    /// The items that it is built from.
    pub(crate) fn items(&self) -> impl Iterator<Item = usize> {
        self.on.iter().filter_map(|on| match on {
            On::Item(id) | On::Map(id, _) => Some(*id as usize),
            On::External { .. } => None,
        })
    }
}

/// Rows and columns of an item's array.
fn matrix_of(item: &Item<'_>) -> (usize, usize) {
    let shape = match &item.content {
        Content::Tensor { shape, .. } => shape,
        Content::Quantised(content) => content.shape(),
        Content::Coded(content) => content.shape(),
        Content::Built(content) => &content.shape,
        _ => return (0, 0),
    };
    let (rows, columns) = built::matrix(shape).unwrap_or_default();
    (rows as usize, columns as usize)
}

fn dtype_name<'i>(item: &'i Item<'_>) -> &'i str {
    match &item.content {
        Content::Tensor { dtype_name, .. } => dtype_name,
        Content::Quantised(content) => content.dtype().name,
        Content::Coded(content) => content.dtype().name,
        Content::Built(content) => content.dtype.name,
        _ => "",
    }
}

/// All bytes of an item as a reader will have them.
pub(crate) fn decoded(items: &[Item<'_>], at: usize) -> Result<Vec<u8>> {
    let item = items.get(at).ok_or_else(|| EncodeError::Request("an array is built from nothing".into()))?;
    if let Some(of) = item.alias_of {
        return decoded(items, of as usize);
    }
    let Content::Built(content) = &item.content else {
        let mut bytes = vec![0; item.byte_len as usize];
        (item.read)(0, &mut bytes)?;
        return Ok(bytes);
    };
    let part = |at: usize| match content.on.get(at) {
        Some(On::Item(id)) => Ok((decoded(items, *id as usize)?, *id as usize)),
        _ => Err(EncodeError::Request(format!("{:?} is not built from what it needs", item.name))),
    };
    let size = (content.dtype.bits / 8) as usize;
    let (rows, columns) = matrix_of(item);
    match &content.how {
        Built::LowRank { left_by_rank, right_by_column, has_base, ranks } => {
            let element = Element::by_name(content.dtype.name).unwrap_or(Element::F32);
            let mut values = match content.on.first().filter(|_| *has_base) {
                Some(On::External { bytes, .. }) => element.values(bytes),
                Some(_) => element.values(&part(0)?.0),
                None => vec![0.0; rows * columns],
            };
            let rank = ranks.last().copied().unwrap_or(0) as usize;
            let factor = |at: usize, turn: bool, of: usize| -> Result<Vec<f32>> {
                let (bytes, id) = part(at)?;
                let numbers = Element::by_name(dtype_name(&items[id])).unwrap_or(Element::F32).values(&bytes);
                Ok(if turn { turned(&numbers, of) } else { numbers })
            };
            let first = usize::from(*has_base);
            let left = factor(first, *left_by_rank, rows)?;
            let right = factor(first + 1, *right_by_column, rank)?;
            multiply(&Factors { left: &left, right: &right, rank, columns }, &mut values, true);
            Ok(element.round(&values))
        }
        Built::Select { .. } => {
            let (bytes, id) = part(0)?;
            let (_, source_columns) = matrix_of(&items[id]);
            let mut maps = content.on.iter().skip(1).filter_map(|on| match on {
                On::Map(_, map) => Some(map),
                _ => None,
            });
            let Built::Select { rows: by_rows, columns: by_columns } = content.how else { return Ok(bytes) };
            let row_map = if by_rows { maps.next() } else { None };
            let column_map = if by_columns { maps.next() } else { None };
            let place = |map: Option<&Arc<IndexMap>>, at: usize| match map {
                Some(map) => map.source(at).map(|place| place as usize),
                None => Some(at),
            };
            let mut out = vec![0; rows * columns * size];
            for (row, out) in out.chunks_mut((columns * size).max(1)).enumerate() {
                let Some(from) = place(row_map, row) else { continue };
                for (column, out) in out.chunks_mut(size).enumerate() {
                    if let Some(of) = place(column_map, column) {
                        let at = (from * source_columns + of) * size;
                        out.copy_from_slice(&bytes[at..at + size]);
                    }
                }
            }
            Ok(out)
        }
        Built::Tiers { axis, runs } => {
            let there = runs.iter().filter(|run| run.1).count();
            let parts = (0..there).map(|at| Ok(part(at)?.0)).collect::<Result<Vec<_>>>()?;
            Ok(joined((rows, columns, size), *axis, runs, &parts))
        }
        _ => Err(EncodeError::Request(format!("{:?} is built in an unknown way", item.name))),
    }
}

/// Runs of rows or columns in one matrix of so many rows and columns of elements of `size` bytes.
fn joined(
    (rows, columns, size): (usize, usize, usize),
    axis: MatrixAxis,
    runs: &[(u64, bool)],
    parts: &[Vec<u8>],
) -> Vec<u8> {
    let mut out = vec![0; rows * columns * size];
    let (mut start, mut parts) = (0usize, parts.iter());
    for &(len, there) in runs {
        let len = len as usize;
        if let Some(bytes) = there.then(|| parts.next()).flatten() {
            if axis == MatrixAxis::Rows {
                let at = start * columns * size;
                out[at..at + bytes.len()].copy_from_slice(bytes);
            } else {
                for (row, bytes) in bytes.chunks((len * size).max(1)).enumerate() {
                    let at = (row * columns + start) * size;
                    out[at..at + bytes.len()].copy_from_slice(bytes);
                }
            }
        }
        start += len;
    }
    out
}

/// A matrix of rows of `columns` numbers, turned.
pub(crate) fn turned(numbers: &[f32], columns: usize) -> Vec<f32> {
    let rows = numbers.len() / columns.max(1);
    let mut out = Vec::with_capacity(numbers.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| numbers[row * columns + column]));
    }
    out
}

/// The order in which items are encoded: what only other items are built from comes after the last of those that are tensors, as it may
/// have been made for them and need not be kept longer.
pub(crate) fn order_of(items: &[Item<'_>]) -> Vec<usize> {
    let mut last_user: Vec<Option<usize>> = vec![None; items.len()];
    for (root, item) in items.iter().enumerate().filter(|(_, item)| !item.array) {
        let mut open = vec![(root, item)];
        let mut steps = 0;
        while let Some((_, item)) = open.pop() {
            let Content::Built(content) = &item.content else { continue };
            for on in content.items() {
                steps += 1;
                if let Some(of) = items.get(on).filter(|_| steps < 1 << 20) {
                    last_user[on] = Some(root);
                    open.push((on, of));
                }
            }
        }
    }
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    let mut rest = Vec::new();
    for (at, item) in items.iter().enumerate().filter(|(_, item)| is_part(item)) {
        match last_user[at] {
            Some(root) if root != at && item.alias_of.is_none() => after[root].push(at),
            _ => rest.push(at),
        }
    }
    let mut order = Vec::with_capacity(items.len());
    for (at, _) in items.iter().enumerate().filter(|(_, item)| !is_part(item)) {
        order.push(at);
        order.append(&mut after[at]);
    }
    order.extend(rest);
    order
}

fn is_part(item: &Item<'_>) -> bool {
    item.array
        || matches!(item.content, Content::Object { kind } if kind == mcodec_format::registry::entry::INDEX_MAP)
}
