//! The files that an asset was made from, as recipes over its entries.

use crate::layout::{Layout, LayoutError, Piece};
use crate::path::is_safe_path;
use crate::safetensors::{HeaderTensor, canonical_order};
use crate::{DecodeError, Entry, ReadAt, Reader, Result};
use mcodec_format::registry::Dtype;
use mcodec_format::{Asset, EntryDescriptor, FormatError, Limits, registry};
use std::collections::HashMap;

/// A file of an asset's source.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Path relative to the asset; checked to be safe to join to a folder.
    pub name: String,
    /// What it consists of, in order.
    pub parts: Vec<Part>,
}

/// A part of a source file.
#[derive(Debug, Clone)]
pub enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The content of this entry.
    Entry(Box<Entry>),
}

impl SourceFile {
    /// Bytes of the file.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.byte_len()))
    }

    /// The whole file, in memory.
    ///
    /// # Errors
    /// As [`Reader::read`], and if the file is longer than the limit on output.
    pub fn read<S: ReadAt>(&self, reader: &Reader<S>) -> Result<Vec<u8>> {
        Limits::check("length of a file", self.byte_len(), reader.limits().output_bytes)?;
        let mut bytes = Vec::new();
        for part in &self.parts {
            match part {
                Part::Bytes(literal) => bytes.extend_from_slice(literal),
                Part::Entry(entry) => bytes.append(&mut reader.read_all(entry)?),
            }
        }
        Ok(bytes)
    }
}

impl Part {
    /// Bytes of the part.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Entry(entry) => entry.byte_len(),
        }
    }
}

/// The files that `asset` was made from; empty if the source was not kept (as after a recovery with loss).
///
/// # Errors
/// If an entry cannot be read or a file's name is not safe.
pub fn source_files<S: ReadAt>(reader: &Reader<S>, asset: &Asset) -> Result<Vec<SourceFile>> {
    let rows = reader.rows(&asset.name)?;
    let mut tensors = HashMap::new();
    let mut files = Vec::new();
    for row in rows {
        let kind = row.get().kind;
        if kind == registry::entry::TENSOR {
            tensors.insert(row.get().id, row);
        } else if kind == registry::entry::FILE {
            files.push(reader.resolve(row)?);
        }
    }
    let by_id = |id: u32| -> Result<Entry> {
        let row = tensors.get(&id).cloned();
        let row = row.ok_or_else(|| {
            let why = format!("the file of asset {:?} needs tensor {id}, which is not there", asset.name);
            FormatError::corrupt("file layout", 0, why)
        })?;
        reader.resolve(row)
    };
    let mut all = Vec::new();
    if asset.fields.varint("asset", registry::asset_field::SOURCE)?.is_some() {
        let mut list = tensors.keys().map(|&id| by_id(id)).collect::<Result<Vec<Entry>>>()?;
        list.retain(|t| t.tensor().is_some_and(|t| t.owner.is_none()));
        let width = |e: &Entry| e.tensor().and_then(|t| t.dtype).map_or(0, Dtype::width);
        list.sort_by(|a, b| canonical_order((width(a), a.name()), (width(b), b.name())));
        let ids = list.iter().map(Entry::id).collect();
        let layout = Layout::Rendered { pad: 8, metadata: String::new(), ids };
        let parts = parts_of(layout, list)?;
        all.push(SourceFile { name: format!("{}.safetensors", asset.name), parts });
    }
    for file in files {
        let EntryDescriptor::File(descriptor) = file.descriptor() else { continue };
        let name = if file.name().is_empty() { asset.name.clone() } else { file.name().to_owned() };
        if !is_safe_path(&name) {
            return Err(DecodeError::Request(format!("{name:?} is not a safe relative path for a file")));
        }
        if descriptor.layout == registry::file_layout::BYTES {
            all.push(SourceFile { name, parts: vec![Part::Entry(Box::new(file))] });
            continue;
        }
        let bad = |e: &LayoutError| DecodeError::Entry {
            kind: "file",
            name: file.name().to_owned(),
            source: FormatError::corrupt("file layout", 0, e.to_string()),
        };
        let layout = Layout::parse(descriptor.layout, &reader.read_all(&file)?).map_err(|e| bad(&e))?;
        let ids = layout.ids();
        Limits::check("tensors of a file", ids.len() as u64, reader.limits().entries)?;
        let list = ids.into_iter().map(by_id).collect::<Result<Vec<Entry>>>()?;
        all.push(SourceFile { name, parts: parts_of(layout, list)? });
    }
    Ok(all)
}

/// The parts of a file of this layout, over `tensors` in the order of their data.
fn parts_of(layout: Layout, tensors: Vec<Entry>) -> Result<Vec<Part>> {
    let corrupt = |why: String| FormatError::corrupt("file layout", 0, why);
    let places: HashMap<u32, usize> = tensors.iter().map(Entry::id).zip(0..).collect();
    let head = |id: u32| -> Result<HeaderTensor<'_>, Refused> {
        let entry = places.get(&id).and_then(|&at| tensors.get(at));
        let entry = entry.and_then(|e| Some((e, e.tensor()?)));
        let (e, t) = entry.ok_or_else(|| Refused(format!("entry {id} is not a tensor")))?;
        Ok(HeaderTensor { name: e.name(), dtype: &t.dtype_name, shape: &t.shape, byte_len: e.byte_len() })
    };
    let pieces = layout.into_pieces(head).map_err(|Refused(why)| corrupt(why))?;
    let mut entries = tensors.into_iter();
    // `tensors` are those of the pieces, in order.
    let part = |piece| match piece {
        Piece::Literal(bytes) => Some(Part::Bytes(bytes)),
        Piece::Tensor(_) => entries.next().map(|entry| Part::Entry(Box::new(entry))),
    };
    Ok(pieces.into_iter().filter_map(part).collect())
}

/// Why a file's layout cannot be followed.
struct Refused(String);

impl From<LayoutError> for Refused {
    fn from(error: LayoutError) -> Self {
        Self(error.to_string())
    }
}
