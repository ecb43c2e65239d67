//! Masks of block-sparse attention: planes of steps, layers and heads, in the order of axes that they came in.

use super::{TrackArray, gather};
use crate::entry::Entry;
use crate::reader::Reader;
use crate::source::ReadAt;
use crate::{DecodeError, Result};
use mcodec_format::{FormatError, Limits, PLANE_AXES, PlaneOrder, registry};
use std::ops::Range;

/// Planes of masks; what is absent is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskPart {
    /// Steps.
    pub steps: Option<Range<u64>>,
    /// Layers.
    pub layers: Option<Range<u64>>,
    /// Heads.
    pub heads: Option<Range<u64>>,
}

/// The order of axes of the source of masks, and their sizes: layers, heads, steps, rows, columns. `None` of a tensor that holds none.
///
/// # Errors
/// If it is malformed.
pub fn describe_masks(entry: &Entry) -> Result<Option<(PlaneOrder, [u64; PLANE_AXES.len()])>> {
    let fail = |source| DecodeError::Entry { kind: entry.kind_name(), name: entry.name().to_owned(), source };
    if entry.row().kind != registry::entry::TENSOR {
        return Ok(None);
    }
    let Some(order) = PlaneOrder::of(&entry.row().fields).map_err(fail)? else { return Ok(None) };
    let corrupt = |why: &str| fail(FormatError::corrupt("masks", 0, why));
    let tensor = entry.tensor().filter(|t| t.dtype.is_some_and(|d| d.block == 1 && d.bits == 8));
    let shape = tensor.and_then(|t| <[u64; PLANE_AXES.len()]>::try_from(t.shape.as_slice()).ok());
    let shape = shape.filter(|shape| !shape.contains(&0)).ok_or_else(|| {
        corrupt("masks are a tensor of five dimensions, none of them 0, and one byte for each element")
    })?;
    let places = order.places();
    if (0..PLANE_AXES.len()).any(|axis| shape.get(axis).is_some_and(|&n| n > 1) && !places.contains(&axis)) {
        return Err(corrupt("an axis of several places is not among the axes"));
    }
    Ok(Some((order, shape)))
}

/// Reads planes of masks. Only the groups that hold them are fetched.
///
/// # Errors
/// If the tensor holds no masks or not those planes, or as [`Reader::read`].
pub fn read_masks<S: ReadAt>(reader: &Reader<S>, entry: &Entry, part: &MaskPart) -> Result<TrackArray> {
    let Some((order, shape)) = describe_masks(entry)? else {
        return Err(DecodeError::Request(format!("{:?} holds no masks", entry.name())));
    };
    let [layers, heads, steps, rows, columns] = shape;
    let within = |what: &str, range: &Option<Range<u64>>, all: u64| -> Result<Range<u64>> {
        let range = range.clone().unwrap_or(0..all);
        if range.start < range.end && range.end <= all {
            return Ok(range);
        }
        let (name, Range { start, end }) = (entry.name(), range);
        Err(DecodeError::Request(format!("{what} {start}..{end} of {name:?} are not some of 0..{all}")))
    };
    let of_layers = within("layers", &part.layers, layers)?;
    let of_heads = within("heads", &part.heads, heads)?;
    let of_steps = within("steps", &part.steps, steps)?;
    let counts = [&of_layers, &of_heads, &of_steps].map(|range| range.end - range.start);
    // Shapes are checked to be of less than 2^63 bytes in all.
    let plane = rows * columns;
    let bytes = counts.iter().product::<u64>() * plane;
    Limits::check("decoded length", bytes, reader.limits().output_bytes)?;
    let mut source = Vec::with_capacity(bytes as usize);
    let mut pending: Option<Range<u64>> = None;
    for layer in of_layers {
        for head in of_heads.clone() {
            let first = (layer * heads + head) * steps;
            let next = (first + of_steps.start) * plane..(first + of_steps.end) * plane;
            pending = match pending.take() {
                Some(before) if before.end == next.start => Some(before.start..next.end),
                Some(before) => {
                    source.extend(reader.read(entry, before)?);
                    Some(next)
                }
                None => Some(next),
            };
        }
    }
    if let Some(last) = pending {
        source.extend(reader.read(entry, last)?);
    }
    let sizes = [counts[0], counts[1], counts[2], rows, columns];
    let strides = [counts[1] * counts[2] * plane, counts[2] * plane, plane, columns, 1];
    let places = order.places();
    let pick =
        |of: [u64; PLANE_AXES.len()]| places.iter().filter_map(|&p| of.get(p).copied()).collect::<Vec<_>>();
    let (shape, strides) = (pick(sizes), pick(strides));
    if places.is_sorted() {
        return Ok(TrackArray { shape, bytes: source });
    }
    let mut out = Vec::with_capacity(source.len());
    gather(&source, 1, 0, &shape, &strides, &mut out);
    Ok(TrackArray { shape, bytes: out })
}
