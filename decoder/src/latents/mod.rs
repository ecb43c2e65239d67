//! Tracks of latents: frames and crops of them, in the order of axes that they came in.

mod levels;
mod masks;

use crate::entry::{BaseTensor, Entry, row_of};
use crate::reader::Reader;
use crate::source::ReadAt;
use crate::{DecodeError, Result};
pub use levels::{level_of, levels_of};
pub use masks::{MaskPart, describe_masks, read_masks};
use mcodec_coding::latents;
use mcodec_format::track::{AXES, AxisOrder, Track};
use mcodec_format::{FormatError, Limits, Representation, registry};
use std::ops::Range;

/// A part of a track; what is absent is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackPart {
    /// Positions in time, on the track's time line.
    pub frames: Option<Range<u64>>,
    /// Rows.
    pub rows: Option<Range<u64>>,
    /// Columns.
    pub columns: Option<Range<u64>>,
    /// What is read.
    pub fidelity: Fidelity,
}

/// What of a track is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fidelity {
    /// Everything.
    #[default]
    Whole,
    /// Of a track that refines tokens, these: its elements are the points that their digits are taken for.
    Tokens,
    /// Of a track with levels of precision, those up to this one: 0 is the coarsest. The last, and those after it, are everything.
    Level(u64),
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

/// Where a track lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Positions in time, on its time line.
    pub times: Range<u64>,
    /// Rows.
    pub height: u64,
    /// Columns.
    pub width: u64,
}

/// Where a track lies; `None` of an array that is no track, but is beside them.
///
/// # Errors
/// As [`describe_track`].
pub fn extent_of(entry: &Entry) -> Result<Option<Extent>> {
    if !is_track(entry) {
        return Ok(None);
    }
    let (track, [frames, _, height, width]) = describe_track(entry)?;
    let start = track.start.unwrap_or(0);
    Ok(Some(Extent { times: start..start.saturating_add(frames), height, width }))
}

/// Whether the tensor has positions in time and space, rather than being an array of its own.
fn is_track(entry: &Entry) -> bool {
    let fields = &entry.row().fields;
    fields.get(registry::field::AXES).is_some()
        || entry
            .tensor()
            .is_some_and(|t| matches!(t.representation, Representation::Predicted | Representation::Refined))
}

/// Reads a part of a track. Only the groups of frames that it needs are fetched.
///
/// # Errors
/// If the part is not within the track, or as [`Reader::read`].
pub fn read_track<S: ReadAt>(reader: &Reader<S>, entry: &Entry, part: &TrackPart) -> Result<TrackArray> {
    let mut bytes = Vec::new();
    let shape = read_track_to(reader, entry, part, &mut bytes)?;
    Ok(TrackArray { shape, bytes })
}

/// The same into memory that is there, or is made so, for those who read many of one size: `out` is the elements afterwards, and undefined
/// after an error. Returns their shape.
///
/// # Errors
/// As [`read_track`].
pub fn read_track_to<S: ReadAt>(
    reader: &Reader<S>,
    entry: &Entry,
    part: &TrackPart,
    out: &mut Vec<u8>,
) -> Result<Vec<u64>> {
    if !is_track(entry) {
        if *part != TrackPart::default() {
            let why = format!("{:?} is an array without positions: only all of it can be had", entry.name());
            return Err(DecodeError::Request(why));
        }
        let shape = entry.tensor().map(|t| t.shape.clone()).unwrap_or_default();
        reader.read_to(entry, 0..entry.byte_len(), out)?;
        return Ok(shape);
    }
    let (track, shape) = describe_track(entry)?;
    let [frames, channels, height, width] = shape;
    let within = |what: &str, range: &Option<Range<u64>>, from: u64, all: u64| -> Result<Range<u64>> {
        let end = from.saturating_add(all);
        let range = range.clone().unwrap_or(from..end);
        if range.start >= from && range.start < range.end && range.end <= end {
            return Ok(range.start - from..range.end - from);
        }
        let (name, Range { start, end: last }) = (entry.name(), range);
        let why = format!("{what} {start}..{last} of {name:?} are not some of {from}..{end}");
        Err(DecodeError::Request(why))
    };
    let t = within("frames", &part.frames, track.start.unwrap_or(0), frames)?;
    let y = within("rows", &part.rows, 0, height)?;
    let x = within("columns", &part.columns, 0, width)?;
    match part.fidelity {
        Fidelity::Whole => reader.read_to(entry, entry.row_bytes(t.clone())?, out)?,
        Fidelity::Tokens => *out = of_tokens(reader, entry, &t)?,
        Fidelity::Level(level) => *out = levels::read(reader, entry, &t, level)?,
    }
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
    if out_shape.len() == AXES.len() && order == [0, 1, 2, 3] && bytes == out.len() as u64 {
        return Ok(out_shape);
    }
    let mut gathered = Vec::with_capacity(bytes as usize);
    gather(out, size as usize, offset, &out_shape, &out_strides, &mut gathered);
    *out = gathered;
    Ok(out_shape)
}

/// The elements that the tokens of frames `t` are taken for, which the track refines.
fn of_tokens<S: ReadAt>(reader: &Reader<S>, entry: &Entry, t: &Range<u64>) -> Result<Vec<u8>> {
    let fail = |why: String| Err(DecodeError::Request(format!("{:?} {why}", entry.name())));
    let base = entry.base().filter(|_| entry.is_refined());
    let is_of_tokens = |base: &&BaseTensor| match base {
        BaseTensor::Entry(base) => base.chunking().coding == registry::coding::TOKENS,
        BaseTensor::External { .. } => false,
    };
    let Some(BaseTensor::Entry(tokens)) = base.filter(is_of_tokens) else {
        return fail("refines no tokens: only all of it can be had".into());
    };
    let mut digits = None;
    for dependency in &entry.content().get().dependencies {
        let row = row_of(entry.content(), dependency);
        if let Some(row) = row.filter(|row| row.get().kind == registry::entry::DIGITS) {
            let object = reader.resolve(row)?;
            let bytes = reader.read_all(&object)?;
            let place = object.content().get().spans(object.asset().ordinal).next().map(|s| s.place);
            let parsed = latents::Digits::parse(&bytes);
            digits = Some(parsed.map_err(|source| match place {
                Some(place) => DecodeError::Coding { name: object.name().to_owned(), place, source },
                None => DecodeError::Request(format!("{:?}: {source}", object.name())),
            })?);
        }
    }
    let Some(digits) = digits else { return fail("does not say what digits stand for".into()) };
    let source = reader.read(tokens, tokens.row_bytes(t.clone())?)?;
    let (_, [_, channels, height, width]) = describe_track(entry)?;
    let element = entry.tensor().and_then(|t| t.dtype).and_then(|d| latents::Element::by_id(d.id));
    let sizes = [t.end - t.start, channels, height, width].map(usize::try_from);
    let (Some(element), [Ok(frames), Ok(channels), Ok(height), Ok(width)]) = (element, sizes) else {
        return fail("is no grid".into());
    };
    let len = (frames as u64).saturating_mul(entry.byte_len() / describe_track(entry)?.1[0]);
    Limits::check("decoded length", len, reader.limits().output_bytes)?;
    let shape = latents::Shape { frames, channels, height, width };
    let elements = digits.elements(shape, &source, element);
    elements.or_else(|source| fail(format!("cannot be had from its tokens: {source}")))
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
