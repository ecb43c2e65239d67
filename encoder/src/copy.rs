//! Copying entries between files, chunks as they are.

use crate::writer::{ContainerWriter, NewEntry};
use crate::{EncodeError, Result};
use mcodec_decode::{DecodeError, ReadAt};
use mcodec_format::{ChunkSpan, Dependency, EntryRow, FormatError, Layout, registry};
use std::io;
use std::path::Path;

/// The rows of one entry, in order of their chunks.
pub(crate) struct EntryParts<'a> {
    pub(crate) rows: Vec<&'a EntryRow>,
}

impl EntryParts<'_> {
    pub(crate) fn spans(&self, ordinal: u32) -> impl Iterator<Item = ChunkSpan> + '_ {
        self.rows.iter().flat_map(move |row| row.spans(ordinal))
    }

    /// Adds the entry to a writer's asset and copies its chunks, each checked.
    pub(crate) fn copy<S: ReadAt>(
        &self,
        source: &S,
        path: &Path,
        ordinal: u32,
        writer: &mut ContainerWriter,
        asset: usize,
    ) -> Result<u64> {
        let first = self.rows[0];
        writer.draft().add_entry(NewEntry {
            asset,
            kind: first.kind,
            critical: first.critical,
            id: first.id,
            name: first.name.clone(),
            fields: first.fields.clone(),
            dependencies: first.dependencies.clone(),
        });
        // Raw tensors keep the form that can be mapped.
        let gathered = self.rows.iter().any(|r| r.layout == Layout::Gathered);
        let mut bytes = 0;
        for span in self.spans(ordinal) {
            let payload = read_chunk(source, path, &span).map_err(|e| named(first, e))?;
            bytes += payload.len() as u64;
            if gathered {
                writer.put_gathered(asset, first.id, &payload)?;
            } else {
                writer.put_chunk(asset, first.id, &payload)?;
            }
        }
        writer.end_gathered()?;
        Ok(bytes)
    }
}

fn named(row: &EntryRow, e: EncodeError) -> EncodeError {
    match e {
        EncodeError::Decode(DecodeError::Format(source)) => {
            let kind = registry::name_of(&registry::entry::ALL, row.kind).unwrap_or("entry");
            EncodeError::Decode(DecodeError::Entry { kind, name: row.name.clone(), source })
        }
        other => other,
    }
}

/// The payload of a chunk, its check compared.
pub(crate) fn read_chunk<S: ReadAt>(source: &S, path: &Path, span: &ChunkSpan) -> Result<Vec<u8>> {
    let read = |range: &std::ops::Range<u64>| -> Result<Vec<u8>> {
        let size = source.size().map_err(EncodeError::io("read", path))?;
        if range.end > size || range.start > range.end {
            return Err(FormatError::Truncated { what: "chunk", offset: range.start }.into());
        }
        let mut buf = vec![0u8; (range.end - range.start) as usize];
        match source.read_exact_at(range.start, &mut buf) {
            Ok(()) => Ok(buf),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(FormatError::Truncated { what: "chunk", offset: range.start }.into())
            }
            Err(e) => Err(EncodeError::io("read", path)(e)),
        }
    };
    let payload = read(&span.payload)?;
    span.verify(&payload, &read(&span.check)?)?;
    Ok(payload)
}

/// The rows of one asset as entries: each entry's parts together, in the order of a finished file: files, then all else in natural
/// order, what an entry depends on before the first that does.
pub(crate) fn entries_of(rows: &[EntryRow]) -> Vec<EntryParts<'_>> {
    let mut all: Vec<EntryParts<'_>> = Vec::new();
    let mut place = std::collections::HashMap::new();
    let mut sorted: Vec<&EntryRow> = rows.iter().collect();
    sorted.sort_by_key(|r| (r.id, r.first_chunk));
    for row in sorted {
        match place.get(&row.id) {
            Some(&at) => {
                let parts: &mut EntryParts<'_> = &mut all[at];
                parts.rows.push(row);
            }
            None => {
                place.insert(row.id, all.len());
                all.push(EntryParts { rows: vec![row] });
            }
        }
    }
    all.sort_by(|a, b| {
        let (a, b) = (a.rows[0], b.rows[0]);
        let names = || mcodec_format::natural_order::natural_cmp(a.name.as_bytes(), b.name.as_bytes());
        let is_file = |r: &EntryRow| r.kind == registry::entry::FILE;
        is_file(b).cmp(&is_file(a)).then_with(names).then(a.id.cmp(&b.id))
    });
    dependencies_first(all)
}

/// Shared objects just before the first entry that depends on them; those that nothing depends on last.
fn dependencies_first(all: Vec<EntryParts<'_>>) -> Vec<EntryParts<'_>> {
    let (objects, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|e| registry::entry::is_shared_object(e.rows[0].kind));
    let mut waiting: std::collections::BTreeMap<u32, EntryParts<'_>> =
        objects.into_iter().map(|object| (object.rows[0].id, object)).collect();
    let mut ordered = Vec::with_capacity(waiting.len() + others.len());
    for entry in others {
        for dependency in &entry.rows[0].dependencies {
            if let Dependency::Entry(id) = dependency {
                ordered.extend(waiting.remove(id));
            }
        }
        ordered.push(entry);
    }
    ordered.extend(waiting.into_values());
    ordered
}
