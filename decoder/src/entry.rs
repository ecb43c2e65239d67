//! An entry as the decoder sees it: its descriptor, its rows, and what it depends on.

use crate::built::Parts;
use crate::index::RowRef;
use crate::{DecodeError, Result};
use mcodec_format::{
    Asset, Chunking, Dependency, EntryDescriptor, EntryRow, FormatError, Limits, Representation,
    TensorDescriptor, built, registry,
};
use std::ops::Range;
use std::sync::Arc;

/// An entry of the index, resolved: its descriptor is known and its dependencies are in reach.
#[derive(Debug, Clone)]
pub struct Entry {
    at: RowRef,
    descriptor: EntryDescriptor,
    /// The row whose chunks hold the content: its own, or that of the entry it is an alias of.
    content: RowRef,
    /// The descriptor of that row.
    stored: EntryDescriptor,
    chunking: Chunking,
    base: Option<BaseTensor>,
    /// What it is built from.
    parts: Option<Arc<Parts>>,
}

/// What a tensor is told against.
#[derive(Debug, Clone)]
pub enum BaseTensor {
    /// A tensor of the same file.
    Entry(Arc<Entry>),
    /// A tensor of another file.
    External {
        /// Content hash of its asset.
        hash: [u8; 32],
        /// Its name.
        name: String,
    },
}

/// What an entry whose bytes are all another's is read in.
const SAME_STEP: u64 = 256 << 10;
/// Bytes of a built array that are read at once, about.
const BUILT_STEP: u64 = 64 << 20;

impl Entry {
    /// Resolves the entry of a row.
    ///
    /// # Errors
    /// If its descriptor is malformed or unsupported, or its dependencies break the rules; the error names the entry.
    pub fn resolve(at: RowRef, limits: &Limits) -> Result<Self> {
        let row = at.get();
        let fail = |source| named(row, source);
        check_dependencies(&at, limits).map_err(fail)?;
        let descriptor = EntryDescriptor::parse(row.kind, &row.fields, limits).map_err(fail)?;
        let (content, stored) = match &descriptor {
            EntryDescriptor::Tensor(TensorDescriptor {
                representation: Representation::Alias(id), ..
            }) => owner_of(&at, *id, &descriptor, limits).map_err(fail)?,
            _ => (at.clone(), descriptor.clone()),
        };
        let has_base = stored.representation().is_some_and(Representation::has_base);
        let base = if has_base { Some(base_of(&content, &stored, limits)?) } else { None };
        let mut chunking = stored.chunking();
        if let (Some(chunking), Some(Representation::Same)) = (&mut chunking, stored.representation()) {
            chunking.chunk_len = match &base {
                Some(BaseTensor::Entry(base)) => base.chunking.chunk_len,
                _ => SAME_STEP,
            };
        }
        let parts = Parts::resolve(&content, &stored, limits).map_err(|e| match e {
            DecodeError::Format(source) => fail(source),
            other => other,
        })?;
        if let (Some(chunking), true) = (&mut chunking, parts.is_some()) {
            let row = row_len(&stored).max(1);
            chunking.chunk_len = (BUILT_STEP / row).max(1).saturating_mul(row);
        }
        // A shared object's content is its one raw chunk, as long as it is stored.
        let len = content.get().lengths.first().copied().unwrap_or(0);
        let chunking = chunking.unwrap_or(Chunking {
            coding: registry::coding::RAW,
            chunk_len: len.max(1),
            byte_len: len,
        });
        let rows = content.get();
        let end = rows.first_chunk.saturating_add(rows.lengths.len() as u64);
        let same = stored.representation() == Some(&Representation::Same);
        let most = if same || parts.is_some() { 0 } else { chunking.chunk_count() };
        if end > most {
            let why = format!("it has {end} chunks where its descriptor says {most}");
            return Err(fail(FormatError::corrupt("chunk table", 0, why)));
        }
        let parts = parts.map(Arc::new);
        Ok(Self { at, descriptor, content, stored, chunking, base, parts })
    }

    /// Name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.at.get().name
    }

    /// Id in the asset.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.at.get().id
    }

    /// Kind ([`registry::entry`]).
    #[must_use]
    pub fn kind(&self) -> u64 {
        self.at.get().kind
    }

    /// What kind of entry it is, in words.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        registry::name_of(&registry::entry::ALL, self.kind()).unwrap_or("entry")
    }

    /// Its row in the index (the first, or the one asked for, if it has several).
    #[must_use]
    pub fn row(&self) -> &EntryRow {
        self.at.get()
    }

    /// The row of the index with its page.
    #[must_use]
    pub fn row_ref(&self) -> &RowRef {
        &self.at
    }

    /// The asset it belongs to.
    #[must_use]
    pub fn asset(&self) -> &Asset {
        self.at.asset()
    }

    /// Its descriptor.
    #[must_use]
    pub fn descriptor(&self) -> &EntryDescriptor {
        &self.descriptor
    }

    /// Its tensor descriptor, if it is a tensor.
    #[must_use]
    pub fn tensor(&self) -> Option<&TensorDescriptor> {
        match &self.descriptor {
            EntryDescriptor::Tensor(t) => Some(t),
            _ => None,
        }
    }

    /// Bytes of its content.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.chunking.byte_len
    }

    /// How its content is cut and coded.
    #[must_use]
    pub fn chunking(&self) -> &Chunking {
        &self.chunking
    }

    /// Which of the content's dependencies chunk `chunk` may need.
    #[must_use]
    pub fn dependencies_of(&self, chunk: u64) -> Range<usize> {
        self.stored.dependencies_of(chunk, self.content.get().dependencies.len())
    }

    /// What the content is told against, if it is.
    #[must_use]
    pub fn base(&self) -> Option<&BaseTensor> {
        self.base.as_ref()
    }

    /// What it is built from, if it is: it then has no chunks.
    #[must_use]
    pub fn parts(&self) -> Option<&Parts> {
        self.parts.as_deref()
    }

    /// Whether all its bytes are its base's: it then has no chunks.
    #[must_use]
    pub fn is_same_as_base(&self) -> bool {
        self.stored.representation() == Some(&Representation::Same)
    }

    /// The bytes of the base that bytes `range` of the content need: whole chunks, as chunks decode as a whole.
    #[must_use]
    pub fn base_range(&self, range: &Range<u64>) -> Range<u64> {
        if self.is_same_as_base() || range.is_empty() {
            return range.clone();
        }
        let chunk_len = self.chunking.chunk_len.max(1);
        let end = range.end.div_ceil(chunk_len).saturating_mul(chunk_len);
        let chunks = range.start / chunk_len * chunk_len..end.min(self.byte_len());
        match &self.base {
            Some(BaseTensor::Entry(base)) if self.is_refined() => {
                // Of the same frames.
                let frames = base.tensor().and_then(|t| t.shape.first()).copied().unwrap_or(1).max(1);
                let (own, of_base) = (self.byte_len() / frames, base.byte_len() / frames);
                let frame = |at: u64| at.checked_div(own).unwrap_or(0).saturating_mul(of_base);
                frame(chunks.start)..frame(chunks.end)
            }
            _ => chunks,
        }
    }

    /// Whether it is told by tokens that it refines.
    #[must_use]
    pub fn is_refined(&self) -> bool {
        self.stored.representation() == Some(&Representation::Refined)
    }

    /// The row whose chunks hold its content, and the asset of that row.
    #[must_use]
    pub fn content(&self) -> &RowRef {
        &self.content
    }

    /// The same entry with another part of its rows, which may lie in another leaf.
    pub(crate) fn with_part(&self, part: RowRef, limits: &Limits) -> Result<Self> {
        check_dependencies(&part, limits).map_err(|source| named(part.get(), source))?;
        Ok(Self { content: part, ..self.clone() })
    }

    /// The bytes of rows `rows` (half-open, of the first dimension) of a tensor.
    ///
    /// # Errors
    /// [`DecodeError::Request`] if the tensor has no rows or they are out of range.
    pub fn row_bytes(&self, rows: std::ops::Range<u64>) -> Result<std::ops::Range<u64>> {
        let fail = |why: String| Err(DecodeError::Request(format!("tensor {:?}: {why}", self.name())));
        let Some(&count) = self.tensor().and_then(|t| t.shape.first()) else {
            return fail("it has no dimensions, hence no rows".into());
        };
        if rows.start > rows.end || rows.end > count {
            return fail(format!("rows {}..{} are not within 0..{count}", rows.start, rows.end));
        }
        let per_row = self.byte_len() / count.max(1);
        if per_row.checked_mul(count) != Some(self.byte_len()) {
            return fail("its rows are not whole bytes".into());
        }
        Ok(rows.start * per_row..rows.end * per_row)
    }
}

/// Bytes of a row of an array taken as a matrix.
fn row_len(descriptor: &EntryDescriptor) -> u64 {
    let EntryDescriptor::Tensor(tensor) = descriptor else { return 0 };
    let rows = built::matrix(&tensor.shape).map_or(1, |(rows, _)| rows);
    tensor.chunking.byte_len.checked_div(rows).unwrap_or(0)
}

/// The row and descriptor of the tensor that `alias` repeats.
fn owner_of(
    at: &RowRef,
    id: u32,
    alias: &EntryDescriptor,
    limits: &Limits,
) -> Result<(RowRef, EntryDescriptor), FormatError> {
    let owner = Dependency::Entry(id);
    let target = row_of(at, &owner).filter(|_| at.get().dependencies.first() == Some(&owner));
    let target = target.ok_or_else(|| {
        FormatError::corrupt("alias", 0, format!("entry {id}, its owner, is not its first dependency"))
    })?;
    let owner = EntryDescriptor::parse(target.get().kind, &target.get().fields, limits)?;
    let is_alias = matches!(owner.representation(), Some(Representation::Alias(_)));
    if is_alias || !are_alike(&owner, alias) {
        let why = "its owner is not a tensor of the same dtype and shape, or is an alias itself";
        return Err(FormatError::corrupt("alias", 0, why));
    }
    Ok((target, owner))
}

/// Whether both are tensors of one dtype, shape and length.
fn are_alike(a: &EntryDescriptor, b: &EntryDescriptor) -> bool {
    match (a, b) {
        (EntryDescriptor::Tensor(a), EntryDescriptor::Tensor(b)) => {
            (a.dtype, &a.dtype_name, &a.shape) == (b.dtype, &b.dtype_name, &b.shape)
                && a.chunking.byte_len == b.chunking.byte_len
        }
        _ => false,
    }
}

/// Whether what a track refines, tokens or numbers of a coarser level, is of its grid, and its chunks are whole frames.
fn are_tokens_of(tokens: &EntryDescriptor, refined: &EntryDescriptor) -> bool {
    match (tokens, refined) {
        (EntryDescriptor::Tensor(tokens), EntryDescriptor::Tensor(track)) => {
            let grid = |shape: &[u64]| match *shape {
                [t, _, h, w] if !shape.contains(&0) => Some([t, h, w]),
                _ => None,
            };
            let frames = track.shape.first().copied().unwrap_or(0);
            let frame = track.chunking.byte_len.checked_div(frames).filter(|n| *n > 0);
            let is_base = match tokens.chunking.coding {
                registry::coding::TOKENS => true,
                registry::coding::GRID_FAST | registry::coding::GRID_DENSE => {
                    tokens.dtype.is_some_and(|d| d.name == "I16") && tokens.shape == track.shape
                }
                _ => false,
            };
            is_base
                && grid(&tokens.shape).is_some()
                && grid(&tokens.shape) == grid(&track.shape)
                && frame.is_some_and(|frame| track.chunking.chunk_len.is_multiple_of(frame))
        }
        _ => false,
    }
}

/// What the tensor of a row, whose descriptor says that it has one, is told against.
pub(crate) fn base_of(at: &RowRef, descriptor: &EntryDescriptor, limits: &Limits) -> Result<BaseTensor> {
    let row = at.get();
    let corrupt = |why: &str| named(row, FormatError::corrupt("delta", 0, why));
    let Some(dependency) = row.dependencies.first() else {
        return Err(corrupt("its base is not its first dependency"));
    };
    let refined = descriptor.representation() == Some(&Representation::Refined);
    if refined && matches!(dependency, Dependency::External { .. }) {
        return Err(corrupt("the tokens that it refines are of another file"));
    }
    if let Dependency::External { hash, name } = dependency {
        let name = if name.is_empty() { row.name.clone() } else { name.clone() };
        return Ok(BaseTensor::External { hash: *hash, name });
    }
    let target = row_of(at, dependency).ok_or_else(|| corrupt("its base is not in the leaf"))?;
    let base = Entry::resolve(target, limits)?;
    if refined {
        return if are_tokens_of(&base.descriptor, descriptor) {
            Ok(BaseTensor::Entry(Arc::new(base)))
        } else {
            Err(corrupt(
                "what it refines are no tokens, nor numbers, of its frames, rows and columns, or its chunks are no whole frames",
            ))
        };
    }
    if are_alike(&base.descriptor, descriptor) {
        Ok(BaseTensor::Entry(Arc::new(base)))
    } else {
        Err(corrupt("its base is not a tensor of the same dtype and shape"))
    }
}

/// The row that `dependency` of a row in `from`'s page stands for, within that page.
pub(crate) fn row_of(from: &RowRef, dependency: &Dependency) -> Option<RowRef> {
    let (asset, entry) = match dependency {
        Dependency::Entry(id) => (from.asset().ordinal, *id),
        Dependency::Other { asset, entry } => (*asset, *entry),
        Dependency::External { .. } => return None,
    };
    let page = &from.page;
    let chunk = from.get().first_chunk;
    let fits = |row: &EntryRow| row.id == entry && page.asset_of(row).is_some_and(|a| a.ordinal == asset);
    let all = || page.rows.iter().enumerate().filter(|(_, row)| fits(row));
    // Of an owner cut into parts, the part that goes with this row's chunks.
    let part = all().find(|(_, row)| row.first_chunk == chunk).or_else(|| all().next());
    part.map(|(row, _)| RowRef { page: page.clone(), row })
}

fn named(row: &EntryRow, source: FormatError) -> DecodeError {
    let kind = registry::name_of(&registry::entry::ALL, row.kind).unwrap_or("entry");
    DecodeError::Entry { kind, name: row.name.clone(), source }
}

/// Edges of a path of dependencies (SPEC section 4.2).
const MAX_DEPTH: usize = 8;

/// Walks the dependencies of an entry: all within the leaf (or in other files), no cycle, bounded depth.
fn check_dependencies(at: &RowRef, limits: &Limits) -> Result<(), FormatError> {
    let corrupt = |why: String| FormatError::corrupt("dependencies", 0, why);
    let mut steps = 0u64;
    let mut open: Vec<(RowRef, usize)> = vec![(at.clone(), 0)];
    while let Some((row, next)) = open.last_mut() {
        let Some(dependency) = row.get().dependencies.get(*next) else {
            open.pop();
            continue;
        };
        *next += 1;
        steps += 1;
        Limits::check("dependencies of an entry and what it needs", steps, limits.dependencies)?;
        if matches!(dependency, Dependency::External { .. }) {
            continue;
        }
        let target =
            row_of(row, dependency).ok_or_else(|| corrupt(format!("{dependency:?} is not in the leaf")))?;
        if open.iter().any(|(row, _)| row.row == target.row) {
            return Err(corrupt(format!("{:?} depends on itself", target.get().name)));
        }
        if open.len() > MAX_DEPTH {
            return Err(corrupt(format!("a path of more than {MAX_DEPTH} edges")));
        }
        Limits::check("depth of dependencies", open.len() as u64, limits.dependency_depth)?;
        open.push((target, 0));
    }
    Ok(())
}
