//! From requests to byte ranges, without IO.

use crate::built::Parts;
use crate::entry::{BaseTensor, Entry, row_of};
use crate::index::RowRef;
use crate::{DecodeError, Result};
use mcodec_format::{ChunkPlace, ChunkSpan, Dependency, FormatError};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What to read for a set of requests: each byte once.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Ranges of the file, ascending and apart.
    pub reads: Vec<Range<u64>>,
    /// The chunks in them, by place.
    pub chunks: BTreeMap<ChunkPlace, ChunkSpan>,
    /// Content hashes of other files that are needed too, with the names of the entries in them.
    pub external: Vec<([u8; 32], String)>,
}

/// A shared object this near to what it is for is read along with it: bytes read for nothing cost less than a round trip.
const SHARED_GAP: u64 = 16 << 10;

/// Collects requests and makes a [`Plan`].
#[derive(Debug, Clone, Default)]
pub struct Planner {
    merge_gap: u64,
    plan: Plan,
    /// Chunks of dependencies.
    shared: BTreeSet<ChunkPlace>,
}

impl Planner {
    /// A planner that joins ranges which lie at most `merge_gap` bytes apart: bytes read for nothing, against a round trip.
    #[must_use]
    pub fn new(merge_gap: u64) -> Self {
        Self { merge_gap, ..Self::default() }
    }

    /// Adds bytes `range` of the content of `entry`, and everything it depends on, its base included.
    ///
    /// # Errors
    /// If the range is outside the content or the entry's chunk table does not cover it.
    pub fn add(&mut self, entry: &Entry, range: Range<u64>) -> Result<()> {
        self.add_without_base(entry, range.clone())?;
        match entry.base() {
            _ if range.is_empty() => Ok(()),
            Some(BaseTensor::Entry(base)) => self.add(base, entry.base_range(&range)),
            Some(BaseTensor::External { hash, name }) => {
                self.plan.external.push((*hash, name.clone()));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// As [`Planner::add`], but nothing of the base.
    pub(crate) fn add_without_base(&mut self, entry: &Entry, range: Range<u64>) -> Result<()> {
        if range.start > range.end || range.end > entry.byte_len() {
            let (name, len) = (entry.name(), entry.byte_len());
            let why = format!("bytes {}..{} of {name:?} are not within 0..{len}", range.start, range.end);
            return Err(DecodeError::Request(why));
        }
        if range.is_empty() || entry.is_same_as_base() {
            return Ok(());
        }
        if let Some(parts) = entry.parts() {
            return self.add_parts(entry, parts);
        }
        let mut group = None;
        for span in chunk_spans(entry, &range)? {
            let of_chunk = Some(entry.dependencies_of(span.place.chunk));
            self.plan.chunks.insert(span.place, span);
            if group != of_chunk {
                group = of_chunk;
                self.add_dependencies(entry, group.clone().unwrap_or_default())?;
            }
        }
        Ok(())
    }

    /// Adds all of what an array is built from: which rows and columns of it a part needs, only index maps tell.
    fn add_parts(&mut self, entry: &Entry, parts: &Parts) -> Result<()> {
        let mut arrays: Vec<&Entry> = Vec::new();
        match parts {
            Parts::LowRank { base, left, right, .. } => {
                arrays.extend([&**left, &**right]);
                match base {
                    Some(BaseTensor::Entry(base)) => arrays.push(base),
                    Some(BaseTensor::External { hash, name }) => {
                        self.plan.external.push((*hash, name.clone()));
                    }
                    None => {}
                }
            }
            Parts::Select { source, rows, columns } => {
                arrays.push(source);
                rows.iter().chain(columns).for_each(|map| self.add_object(map));
            }
            Parts::Tiers { runs, .. } => arrays.extend(runs.iter().filter_map(|run| run.1.as_deref())),
        }
        let missing = arrays.iter().find(|array| array.content().get().first_chunk > 0);
        if let Some(array) = missing {
            return Err(DecodeError::Request(format!("{:?} needs {:?} whole", entry.name(), array.name())));
        }
        arrays.into_iter().try_for_each(|array| self.add(array, 0..array.byte_len()))
    }

    /// Adds a shared object.
    pub(crate) fn add_object(&mut self, row: &RowRef) {
        for span in row.get().spans(row.asset().ordinal) {
            self.shared.insert(span.place);
            self.plan.chunks.insert(span.place, span);
        }
    }

    /// Adds the content of dependencies `group` of `entry`, and of everything that they depend on, to any depth.
    fn add_dependencies(&mut self, entry: &Entry, group: Range<usize>) -> Result<()> {
        let mut open = vec![(entry.content().clone(), group)];
        while let Some((row, group)) = open.pop() {
            for dependency in row.get().dependencies.get(group).unwrap_or_default() {
                if let Dependency::External { hash, name } = dependency {
                    self.plan.external.push((*hash, name.clone()));
                    continue;
                }
                let Some(target) = row_of(&row, dependency) else {
                    return Err(DecodeError::Entry {
                        kind: entry.kind_name(),
                        name: entry.name().to_owned(),
                        source: FormatError::corrupt(
                            "dependencies",
                            0,
                            format!("{dependency:?} is not in the leaf"),
                        ),
                    });
                };
                for span in target.get().spans(target.asset().ordinal) {
                    self.shared.insert(span.place);
                    self.plan.chunks.insert(span.place, span);
                }
                let all = 0..target.get().dependencies.len();
                open.push((target, all));
            }
        }
        Ok(())
    }

    /// Leaves out the shared objects that `known` has.
    pub(crate) fn without<T>(&mut self, known: impl Fn(&ChunkPlace) -> Option<T>) -> Vec<(ChunkPlace, T)> {
        let mut found = Vec::new();
        for place in &self.shared {
            if let Some(object) = known(place) {
                self.plan.chunks.remove(place);
                found.push((*place, object));
            }
        }
        found
    }

    /// The plan: ranges merged, each byte once.
    #[must_use]
    pub fn finish(mut self) -> Plan {
        let mut wanted: Vec<(Range<u64>, bool)> = Vec::with_capacity(self.plan.chunks.len());
        for span in self.plan.chunks.values() {
            let is_shared = self.shared.contains(&span.place);
            wanted.push((span.frame.clone(), is_shared));
            if span.check.start >= span.frame.end {
                wanted.push((span.check.clone(), is_shared));
            }
        }
        // A gathered chunk of no bytes has an empty place.
        wanted.retain(|(r, _)| !r.is_empty());
        wanted.sort_unstable_by_key(|(r, _)| (r.start, r.end));
        let mut reads: Vec<Range<u64>> = Vec::new();
        let mut after_shared = false;
        for (range, is_shared) in wanted {
            let gap = if is_shared || after_shared { self.merge_gap.max(SHARED_GAP) } else { self.merge_gap };
            after_shared = is_shared;
            match reads.last_mut() {
                Some(last) if range.start <= last.end.saturating_add(gap) => {
                    last.end = last.end.max(range.end);
                }
                _ => reads.push(range),
            }
        }
        self.plan.reads = reads;
        self.plan
    }
}

/// The spans of the chunks that hold bytes `range` of the content, which the entry's row (or part) must cover.
pub(crate) fn chunk_spans(entry: &Entry, range: &Range<u64>) -> Result<Vec<ChunkSpan>> {
    let row = entry.content().get();
    let chunking = entry.chunking();
    let first = range.start / chunking.chunk_len;
    let end = range.end.div_ceil(chunking.chunk_len);
    let covered = row.first_chunk <= first && end <= row.first_chunk.saturating_add(row.lengths.len() as u64);
    if !covered {
        let why = format!("chunks {first}..{end} are not in the chunk table");
        return Err(DecodeError::Entry {
            kind: entry.kind_name(),
            name: entry.name().to_owned(),
            source: FormatError::corrupt("chunk table", 0, why),
        });
    }
    let skip = (first - row.first_chunk) as usize;
    Ok(row.spans(entry.content().asset().ordinal).skip(skip).take((end - first) as usize).collect())
}
