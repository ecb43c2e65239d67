//! From fetched bytes to content, without IO.

use crate::entry::Entry;
use crate::plan::chunk_spans;
use crate::shared::{SharedCache, SharedObject, SharedOf};
use crate::source::slice;
use crate::{DecodeError, Result};
use mcodec_coding::{CodingError, blocks, codes, difference, fields, grouped, labelled, latents};
use mcodec_format::{ChunkPlace, ChunkSpan, registry};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Bytes fetched for a plan.
#[derive(Debug, Default)]
pub struct Fetched<'a> {
    parts: Vec<(u64, std::borrow::Cow<'a, [u8]>)>,
    /// Shared objects that were read before.
    pub(crate) objects: std::collections::HashMap<ChunkPlace, Arc<SharedObject>>,
}

impl<'a> Fetched<'a> {
    /// Adds the bytes at `offset` of the file. Parts may come in any order.
    pub fn add(&mut self, offset: u64, bytes: impl Into<std::borrow::Cow<'a, [u8]>>) {
        let at = self.parts.partition_point(|(o, _)| *o < offset);
        self.parts.insert(at, (offset, bytes.into()));
    }

    fn get(&self, range: &Range<u64>) -> Result<&[u8]> {
        if range.is_empty() {
            return Ok(&[]);
        }
        let at = self.parts.partition_point(|(o, _)| *o <= range.start);
        at.checked_sub(1)
            .and_then(|i| self.parts.get(i))
            .and_then(|(o, bytes)| slice(bytes, &(range.start - o..range.end - o)))
            .ok_or_else(|| DecodeError::Request(format!("bytes {range:?} of the file were not fetched")))
    }
}

/// The verified payload of a chunk.
pub(crate) fn payload<'a>(
    span: &ChunkSpan,
    kind: &'static str,
    name: &str,
    fetched: &'a Fetched<'_>,
) -> Result<&'a [u8]> {
    let bytes = fetched.get(&span.payload)?;
    let whole = span.verify(bytes, fetched.get(&span.check)?);
    whole.map_err(|source| DecodeError::Entry { kind, name: name.to_owned(), source })?;
    Ok(bytes)
}

/// A group of an entry's dependencies, and what they stand for.
pub(crate) type Group = (Range<usize>, Vec<Option<Arc<SharedObject>>>);

/// Decodes one chunk's payload into `out`, which has the chunk's decoded length.
///
/// `shared[i]` is what dependency `i` of the chunk's group of the entry's dependencies stands for, if it is a shared object. `base` are the
/// bytes at the same place of what the entry is told against (coding `difference`), or the tokens of the same frames that it refines.
///
/// # Errors
/// What the coding finds wrong.
pub fn decode_chunk(
    coding: u64,
    payload: &[u8],
    shared: &[Option<Arc<SharedObject>>],
    base: &[u8],
    out: &mut [u8],
) -> Result<(), CodingError> {
    if matches!(coding, registry::coding::GAUSSIANS | registry::coding::GAUSSIANS_FAST) {
        return Err(CodingError::Invalid { what: "sets of Gaussians are no bytes" });
    }
    if coding == registry::coding::DIFFERENCE {
        return difference::decode(payload, &SharedOf(shared), base, out);
    }
    let stored = match (coding, payload.split_first()) {
        (registry::coding::RAW, _) => Some(payload),
        (_, Some((0, stored))) => Some(stored),
        _ => None,
    };
    match stored {
        Some(bytes) if bytes.len() == out.len() => out.copy_from_slice(bytes),
        Some(_) => {
            return Err(CodingError::Corrupt { what: "a stored chunk has another length than its content" });
        }
        None if coding == registry::coding::LABELLED && payload.first() == Some(&labelled::FORM) => {
            labelled::decode(payload, &SharedOf(shared), out)?;
        }
        None if coding == registry::coding::BLOCKS => blocks::decode(payload, out)?,
        None if coding == registry::coding::TOKENS => {
            latents::decode_tokens(payload, &SharedOf(shared), out)?;
        }
        None if coding == registry::coding::MASKS => latents::decode_masks(payload, out)?,
        None if coding == registry::coding::CODES => codes::decode(payload, &SharedOf(shared), out)?,
        None if coding == registry::coding::GROUPED => grouped::decode(payload, &SharedOf(shared), out)?,
        None if coding == registry::coding::GRID_FAST => {
            latents::decode(payload, latents::Coder::Fast, &SharedOf(shared), out)?;
        }
        None if coding == registry::coding::GRID_DENSE => {
            latents::decode_refined(payload, latents::Coder::Dense, &SharedOf(shared), base, out)?;
        }
        None => fields::decode(payload, &SharedOf(shared), out)?,
    }
    Ok(())
}

/// Checks that a chunk of codes is of the floats that its tensor is of; chunks of other codings say nothing of it.
///
/// # Errors
/// If it is not.
pub fn check_element(coding: u64, payload: &[u8], dtype_name: &str) -> Result<(), CodingError> {
    if !registry::coding::is_of_quantised(coding) {
        return Ok(());
    }
    match codes::element_of(payload)? {
        Some(element) if codes::Element::by_name(dtype_name) != Some(element) => {
            Err(CodingError::Corrupt { what: "codes of another type of float than the tensor's" })
        }
        _ => Ok(()),
    }
}

/// What the bytes of chunk `chunk` of `entry` are for; `None` if it is not coded under labels.
pub(crate) fn labelled_ledger(
    entry: &Entry,
    chunk: u64,
    fetched: &Fetched<'_>,
    cache: &SharedCache,
) -> Result<Option<labelled::LabelledLedger>> {
    let range = entry.chunking().chunk_range(chunk);
    let spans = chunk_spans(entry, &range)?;
    let coding = entry.chunking().coding;
    let known = matches!(coding, registry::coding::LABELLED | registry::coding::DIFFERENCE);
    let Some(span) = spans.first().filter(|_| known) else { return Ok(None) };
    let bytes = payload(span, entry.kind_name(), entry.name(), fetched)?;
    if bytes.first() != Some(&labelled::FORM) {
        return Ok(None);
    }
    let shared = cache.of(entry, entry.dependencies_of(chunk), fetched)?;
    let len = (range.end - range.start) as usize;
    let found = if coding == registry::coding::LABELLED {
        labelled::ledger(bytes, &SharedOf(&shared), len).map(Some)
    } else {
        difference::ledger(bytes, &SharedOf(&shared), len)
    };
    found.map_err(|source| DecodeError::Coding { name: entry.name().to_owned(), place: span.place, source })
}

/// What the bytes of chunk `chunk` of `entry` are for; `None` if it is not one of codes.
pub(crate) fn codes_ledger(
    entry: &Entry,
    chunk: u64,
    fetched: &Fetched<'_>,
    cache: &SharedCache,
) -> Result<Option<codes::CodesLedger>> {
    let range = entry.chunking().chunk_range(chunk);
    let spans = chunk_spans(entry, &range)?;
    let Some(span) = spans.first().filter(|_| entry.chunking().coding == registry::coding::CODES) else {
        return Ok(None);
    };
    let bytes = payload(span, entry.kind_name(), entry.name(), fetched)?;
    if bytes.first() != Some(&codes::FORM) {
        return Ok(None);
    }
    let shared = cache.of(entry, entry.dependencies_of(chunk), fetched)?;
    let found = codes::ledger(bytes, &SharedOf(&shared), (range.end - range.start) as usize);
    let fail = |source| DecodeError::Coding { name: entry.name().to_owned(), place: span.place, source };
    found.map(Some).map_err(fail)
}

/// The groups of dependencies that chunks are in: chunks of one group share the objects they depend on.
pub(crate) fn groups_of(
    entry: &Entry,
    spans: &[ChunkSpan],
    fetched: &Fetched<'_>,
    cache: &SharedCache,
) -> Result<Vec<Group>> {
    let mut shared: Vec<Group> = Vec::new();
    for span in spans {
        let group = entry.dependencies_of(span.place.chunk);
        if shared.last().is_none_or(|(last, _)| *last != group) {
            shared.push((group.clone(), cache.of(entry, group, fetched)?));
        }
    }
    Ok(shared)
}

/// What the chunks of group `group` share.
pub(crate) fn shared_of<'g>(groups: &'g [Group], group: &Range<usize>) -> &'g [Option<Arc<SharedObject>>] {
    groups.iter().find(|(of, _)| of == group).map_or(&[][..], |(_, shared)| shared)
}

/// Decodes bytes `range` of the content of `entry` into `out`, of that length, from the bytes fetched for its plan. `base` are bytes
/// [`Entry::base_range`] of what it is told against; empty if it is not.
/// Chunks are decoded in parallel on the current rayon pool if `parallel` is set.
///
/// # Errors
/// If bytes are missing, a check fails, or a coding is malformed; the error names the entry.
pub fn decode_range(
    entry: &Entry,
    range: Range<u64>,
    fetched: &Fetched<'_>,
    cache: &SharedCache,
    base: &[u8],
    out: &mut [u8],
    parallel: bool,
) -> Result<()> {
    let len = range.end.saturating_sub(range.start);
    if out.len() as u64 != len {
        let (have, name) = (out.len(), entry.name());
        return Err(DecodeError::Request(format!("the buffer for {name:?} has {have} bytes, not {len}")));
    }
    if range.is_empty() {
        return Ok(());
    }
    let of_base = entry.base_range(&range);
    if entry.base().is_some() && base.len() as u64 != of_base.end - of_base.start {
        let name = entry.name();
        return Err(DecodeError::Request(format!("bytes {of_base:?} of the base of {name:?} are needed")));
    }
    if entry.is_same_as_base() {
        out.copy_from_slice(base);
        return Ok(());
    }
    let spans = chunk_spans(entry, &range)?;
    let shared = groups_of(entry, &spans, fetched, cache)?;
    let mut jobs = Vec::with_capacity(spans.len());
    let mut rest = out;
    for span in spans {
        let chunk = entry.chunking().chunk_range(span.place.chunk);
        let wanted = chunk.start.max(range.start)..chunk.end.min(range.end);
        let (head, tail) = rest.split_at_mut((wanted.end - wanted.start) as usize);
        jobs.push((span, chunk, wanted, head));
        rest = tail;
    }
    let one = |(span, chunk, wanted, out): (ChunkSpan, Range<u64>, Range<u64>, &mut [u8])| {
        let bytes = payload(&span, entry.kind_name(), entry.name(), fetched)?;
        let coding =
            |source| DecodeError::Coding { name: entry.name().to_owned(), place: span.place, source };
        let dtype_name = entry.tensor().map_or("", |t| &t.dtype_name);
        check_element(entry.chunking().coding, bytes, dtype_name).map_err(coding)?;
        let shared = shared_of(&shared, &entry.dependencies_of(span.place.chunk));
        let own = entry.base_range(&chunk);
        let at = own.start.saturating_sub(of_base.start)..own.end.saturating_sub(of_base.start);
        let base = slice(base, &at).unwrap_or_default();
        if chunk == wanted {
            return decode_chunk(entry.chunking().coding, bytes, shared, base, out).map_err(coding);
        }
        let mut whole = vec![0u8; (chunk.end - chunk.start) as usize];
        decode_chunk(entry.chunking().coding, bytes, shared, base, &mut whole).map_err(coding)?;
        let part = slice(&whole, &(wanted.start - chunk.start..wanted.end - chunk.start)).unwrap_or_default();
        out.copy_from_slice(part);
        Ok(())
    };
    if parallel { jobs.into_par_iter().try_for_each(one) } else { jobs.into_iter().try_for_each(one) }
}
