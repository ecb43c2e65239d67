//! Tracks of latents: frames and crops of them, in the order of axes that they came in.

use crate::entry::Entry;
use crate::reader::Reader;
use crate::source::ReadAt;
use crate::{DecodeError, Result};
use mcodec_format::track::{AXES, AxisOrder, Track};
use mcodec_format::{FormatError, Limits};
use std::ops::Range;

/// A part of a track; what is absent is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackPart {
    /// Positions in time.
    pub frames: Option<Range<u64>>,
    /// Rows.
    pub rows: Option<Range<u64>>,
    /// Columns.
    pub columns: Option<Range<u64>>,
}

/// Elements of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackArray {
    /// Sizes, in the order of axes of the source.
    pub shape: Vec<u64>,
    /// Elements, row-major.
    pub bytes: Vec<u8>,
}

/// What a tensor of a `latents` asset says of itself, and its size as time, channels, rows, columns.
///
/// # Errors
/// If it is malformed, or is no grid of whole bytes.
pub fn describe_track(entry: &Entry) -> Result<(Track, [u64; 4])> {
    let fail = |source| DecodeError::Entry { kind: entry.kind_name(), name: entry.name().to_owned(), source };
    let track = Track::parse(&entry.row().fields).map_err(fail)?;
    let tensor = entry.tensor();
    let shape = tensor.and_then(|t| <[u64; 4]>::try_from(t.shape.as_slice()).ok());
    let whole = tensor.and_then(|t| t.dtype).filter(|d| d.block == 1 && d.bits.is_multiple_of(8));
    match (shape, whole) {
        (Some(shape), Some(_)) if !shape.contains(&0) => Ok((track, shape)),
        _ => Err(fail(FormatError::corrupt(
            "track",
            0,
            "a track is a tensor of four dimensions, none of them 0, and whole bytes",
        ))),
    }
}

/// Reads a part of a track. Only the groups of frames that it needs are fetched.
///
/// # Errors
/// If the part is not within the track, or as [`Reader::read`].
pub fn read_track<S: ReadAt>(reader: &Reader<S>, entry: &Entry, part: &TrackPart) -> Result<TrackArray> {
    let (track, shape) = describe_track(entry)?;
    let [frames, channels, height, width] = shape;
    let within = |what: &str, range: &Option<Range<u64>>, all: u64| -> Result<Range<u64>> {
        let range = range.clone().unwrap_or(0..all);
        if range.start < range.end && range.end <= all {
            return Ok(range);
        }
        let (name, Range { start, end }) = (entry.name(), range);
        let why = format!("{what} {start}..{end} of {name:?} are not some of 0..{all}");
        Err(DecodeError::Request(why))
    };
    let t = within("frames", &part.frames, frames)?;
    let y = within("rows", &part.rows, height)?;
    let x = within("columns", &part.columns, width)?;
    let (start, end) = (entry.row_bytes(t.clone())?.start, entry.row_bytes(t.clone())?.end);
    let source = reader.read(entry, start..end)?;
    let size = entry.tensor().and_then(|t| t.dtype).map_or(1, |d| u64::from(d.bits / 8));
    let order = track.axes.or_else(|| AxisOrder::parse("TCHW")).map(|o| o.places()).unwrap_or_default();
    // An axis that the source does not name must not have grown.
    let sizes = [t.end - t.start, channels, y.end - y.start, x.end - x.start];
    if (0..AXES.len()).any(|axis| shape.get(axis).is_some_and(|&d| d > 1) && !order.contains(&axis)) {
        let source = FormatError::corrupt("track", 0, "an axis of several positions is not among the axes");
        return Err(DecodeError::Entry { kind: entry.kind_name(), name: entry.name().to_owned(), source });
    }
    let strides = [channels * height * width, height * width, width, 1];
    let offset = y.start * width + x.start;
    let out_shape: Vec<u64> = order.iter().map(|&axis| sizes[axis]).collect();
    let out_strides: Vec<u64> = order.iter().map(|&axis| strides[axis]).collect();
    let bytes = out_shape.iter().product::<u64>() * size;
    Limits::check("decoded length", bytes, reader.limits().output_bytes)?;
    if out_shape.len() == AXES.len() && order == [0, 1, 2, 3] && bytes == source.len() as u64 {
        return Ok(TrackArray { shape: out_shape, bytes: source });
    }
    let mut out = Vec::with_capacity(bytes as usize);
    gather(&source, size as usize, offset, &out_shape, &out_strides, &mut out);
    Ok(TrackArray { shape: out_shape, bytes: out })
}

/// Appends the elements at `offset` and on, by sizes and strides in elements.
fn gather(source: &[u8], size: usize, offset: u64, shape: &[u64], strides: &[u64], out: &mut Vec<u8>) {
    let element = |at: u64| {
        let at = at as usize * size;
        source.get(at..at + size).unwrap_or_default()
    };
    match (shape, strides) {
        ([n, shape @ ..], [stride, strides @ ..]) if !shape.is_empty() => {
            (0..*n).for_each(|i| gather(source, size, offset + i * stride, shape, strides, out));
        }
        ([n, ..], [1, ..]) => {
            let at = offset as usize * size;
            out.extend_from_slice(source.get(at..at + *n as usize * size).unwrap_or_default());
        }
        ([n, ..], [stride, ..]) => (0..*n).for_each(|i| out.extend_from_slice(element(offset + i * stride))),
        _ => out.extend_from_slice(element(offset)),
    }
}
