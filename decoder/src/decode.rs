//! From fetched bytes to content, without IO.

use crate::entry::{Entry, row_of};
use crate::plan::chunk_spans;
use crate::source::slice;
use crate::{DecodeError, Result};
use mcodec_coding::{CodingError, DecodeTable, Table, blocks, fields};
use mcodec_format::{ChunkPlace, ChunkSpan, FormatError, registry};
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Bytes fetched for a plan.
#[derive(Debug, Default)]
pub struct Fetched<'a> {
    parts: Vec<(u64, std::borrow::Cow<'a, [u8]>)>,
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

/// Shared tables, parsed once and kept.
#[derive(Debug, Default)]
pub struct TableCache(Mutex<HashMap<ChunkPlace, Arc<DecodeTable>>>);

/// Tables kept at most; each takes up to 256 KiB.
const TABLES_KEPT: usize = 256;

impl TableCache {
    /// The tables that `entry` depends on, in the order of its dependencies. Tables that are not cached are read from `fetched`.
    fn of(&self, entry: &Entry, fetched: &Fetched<'_>) -> Result<Vec<Option<Arc<DecodeTable>>>> {
        let at = entry.content();
        let row = at.get();
        row.dependencies
            .iter()
            .map(|dependency| {
                let Some(target) = row_of(at, dependency) else { return Ok(None) };
                if target.get().kind != registry::entry::TABLE {
                    return Ok(None);
                }
                let Some(span) = target.get().spans(target.asset().ordinal).next() else { return Ok(None) };
                if let Some(known) = lock(&self.0).get(&span.place) {
                    return Ok(Some(Arc::clone(known)));
                }
                let bytes = payload(&span, "table", &target.get().name, fetched)?;
                let coding = |source| DecodeError::Coding {
                    name: target.get().name.clone(),
                    place: span.place,
                    source,
                };
                let (table, used) = Table::parse(bytes).map_err(coding)?;
                if used != bytes.len() {
                    return Err(DecodeError::Entry {
                        kind: "table",
                        name: target.get().name.clone(),
                        source: FormatError::corrupt("table", span.payload.start, "bytes follow the table"),
                    });
                }
                let table = Arc::new(table.decoder());
                let mut cache = lock(&self.0);
                if cache.len() >= TABLES_KEPT {
                    cache.clear();
                }
                cache.insert(span.place, Arc::clone(&table));
                Ok(Some(table))
            })
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The verified payload of a chunk.
fn payload<'a>(
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

struct Tables<'a>(&'a [Option<Arc<DecodeTable>>]);

impl fields::SharedTables for Tables<'_> {
    fn table(&self, dependency: u32) -> Option<&DecodeTable> {
        self.0.get(dependency as usize)?.as_deref()
    }
}

/// Decodes one chunk's payload into `out`, which has the chunk's decoded length.
///
/// `tables[i]` is the table that dependency `i` of the entry names, if it is one.
///
/// # Errors
/// What the coding finds wrong.
pub fn decode_chunk(
    coding: u64,
    payload: &[u8],
    tables: &[Option<Arc<DecodeTable>>],
    out: &mut [u8],
) -> Result<(), CodingError> {
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
        None if coding == registry::coding::BLOCKS => blocks::decode(payload, out)?,
        None => fields::decode(payload, &Tables(tables), out)?,
    }
    Ok(())
}

/// Decodes bytes `range` of the content of `entry` into `out`, of that length, from the bytes fetched for its plan.
/// Chunks are decoded in parallel on the current rayon pool if `parallel` is set.
///
/// # Errors
/// If bytes are missing, a check fails, or a coding is malformed; the error names the entry.
pub fn decode_range(
    entry: &Entry,
    range: Range<u64>,
    fetched: &Fetched<'_>,
    cache: &TableCache,
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
    let spans = chunk_spans(entry, &range)?;
    let tables = cache.of(entry, fetched)?;
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
        if chunk == wanted {
            return decode_chunk(entry.chunking().coding, bytes, &tables, out).map_err(coding);
        }
        let mut whole = vec![0u8; (chunk.end - chunk.start) as usize];
        decode_chunk(entry.chunking().coding, bytes, &tables, &mut whole).map_err(coding)?;
        let part = slice(&whole, &(wanted.start - chunk.start..wanted.end - chunk.start)).unwrap_or_default();
        out.copy_from_slice(part);
        Ok(())
    };
    if parallel { jobs.into_par_iter().try_for_each(one) } else { jobs.into_iter().try_for_each(one) }
}
