//! Levels of precision of a track: grids of whole numbers, each told finer by the next.

use super::describe_track;
use crate::entry::{BaseTensor, Entry, row_of};
use crate::reader::Reader;
use crate::source::ReadAt;
use crate::{DecodeError, Result};
use mcodec_coding::latents::{Element, Level, Shape};
use mcodec_format::{Limits, registry};
use std::ops::Range;

/// What the numbers of a tensor are worth, if it is a coarser level of a track.
///
/// # Errors
/// If it says so and it is malformed, or as [`Reader::read`].
pub fn level_of<S: ReadAt>(reader: &Reader<S>, entry: &Entry) -> Result<Option<Level>> {
    let fail = |why: &str| DecodeError::Request(format!("{:?} {why}", entry.name()));
    let number = entry.row().fields.varint("level", registry::field::LEVEL);
    let Some(number) = number.map_err(|e| fail(&e.to_string()))? else { return Ok(None) };
    let skipped = usize::from(entry.base().is_some());
    let own = entry.content().get().dependencies.get(skipped..).unwrap_or_default();
    let row = usize::try_from(number).ok().and_then(|number| row_of(entry.content(), own.get(number)?));
    let row = row.filter(|row| row.get().kind == registry::entry::LEVEL);
    let object = reader.resolve(row.ok_or_else(|| fail("does not say what its numbers are worth"))?)?;
    let place = object.content().get().spans(object.asset().ordinal).next().map(|s| s.place);
    let parsed = Level::parse(&reader.read_all(&object)?);
    parsed.map(Some).map_err(|source| match place {
        Some(place) => DecodeError::Coding { name: object.name().to_owned(), place, source },
        None => fail(&source.to_string()),
    })
}

/// The levels of a track, the coarsest first; it is the last itself, and the only one if it has no others.
#[must_use]
pub fn levels_of(entry: &Entry) -> Vec<Entry> {
    let mut all = vec![entry.clone()];
    let mut at = entry.clone();
    while let Some(BaseTensor::Entry(base)) = at.base().filter(|_| at.is_refined()) {
        let base = (**base).clone();
        if base.row().fields.get(registry::field::LEVEL).is_none() {
            break;
        }
        all.push(base.clone());
        at = base;
    }
    all.reverse();
    all
}

/// The elements of frames `t` of a track by its levels up to `level`.
pub(super) fn read<S: ReadAt>(
    reader: &Reader<S>,
    entry: &Entry,
    t: &Range<u64>,
    level: u64,
) -> Result<Vec<u8>> {
    let fail = |why: String| DecodeError::Request(format!("{:?} {why}", entry.name()));
    let levels = levels_of(entry);
    if levels.len() < 2 {
        return Err(fail("has no levels of precision: only all of it can be had".into()));
    }
    let coarse =
        usize::try_from(level).ok().and_then(|at| levels.get(at)).filter(|_| level + 1 < levels.len() as u64);
    let Some(coarse) = coarse else { return reader.read(entry, entry.row_bytes(t.clone())?) };
    let worth = level_of(reader, coarse)?.ok_or_else(|| fail("has a level that is none".into()))?;
    let (_, [all, channels, height, width]) = describe_track(entry)?;
    Limits::check(
        "decoded length",
        (t.end - t.start).saturating_mul(entry.byte_len() / all),
        reader.limits().output_bytes,
    )?;
    let numbers = reader.read(coarse, coarse.row_bytes(t.clone())?)?;
    let element = entry.tensor().and_then(|t| t.dtype).and_then(|d| Element::by_id(d.id));
    let sizes = [t.end - t.start, channels, height, width].map(usize::try_from);
    let (Some(element), [Ok(frames), Ok(channels), Ok(height), Ok(width)]) = (element, sizes) else {
        return Err(fail("is no grid".into()));
    };
    let shape = Shape { frames, channels, height, width };
    let elements = worth.elements(shape, &numbers, element);
    elements.map_err(|source| fail(format!("cannot be had from a level: {source}")))
}
