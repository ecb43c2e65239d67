//! The files that an asset was made from, as recipes over its entries.

use crate::safetensors::{HeaderTensor, Layout, canonical_order, is_safe_path, render_header};
use crate::{DecodeError, Entry, ReadAt, Reader, Result};
use mcodec_format::{Asset, EntryDescriptor, FormatError, Limits, registry};
use std::collections::HashMap;

/// A file of an asset's source.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Path relative to the asset; checked to be safe to join to a folder.
    pub name: String,
    /// What it consists of.
    pub content: SourceContent,
}

/// What a source file consists of.
#[derive(Debug, Clone)]
pub enum SourceContent {
    /// The content of one entry.
    Entry(Box<Entry>),
    /// A safetensors file: its header, then the tensors' bytes.
    Safetensors {
        /// 8-byte length and JSON.
        header: Vec<u8>,
        /// The tensors in file order.
        tensors: Vec<Entry>,
    },
}

impl SourceContent {
    /// Bytes of the file.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Entry(entry) => entry.byte_len(),
            Self::Safetensors { header, tensors } => {
                tensors.iter().fold(header.len() as u64, |sum, t| sum.saturating_add(t.byte_len()))
            }
        }
    }

    /// Whether the file is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
    let by_id = |id: &u32| -> Result<Entry> {
        let row = tensors.get(id).cloned();
        let row = row.ok_or_else(|| {
            let why = format!("the file of asset {:?} needs tensor {id}, which is not there", asset.name);
            FormatError::corrupt("file layout", 0, why)
        })?;
        reader.resolve(row)
    };
    let mut all = Vec::new();
    if asset.fields.varint("asset", registry::asset_field::SOURCE)?.is_some() {
        let ids: Vec<u32> = tensors.keys().copied().collect();
        let mut list = ids.iter().map(by_id).collect::<Result<Vec<Entry>>>()?;
        list.retain(|t| t.tensor().is_some_and(|t| t.owner.is_none()));
        let width = |e: &Entry| e.tensor().and_then(|t| t.dtype).map_or(0, |d| d.bits);
        list.sort_by(|a, b| canonical_order((width(a), a.name()), (width(b), b.name())));
        let header = header_of("", &list, 8)?;
        let name = format!("{}.safetensors", asset.name);
        all.push(SourceFile { name, content: SourceContent::Safetensors { header, tensors: list } });
    }
    for file in files {
        let EntryDescriptor::File(descriptor) = file.descriptor() else { continue };
        let name = if file.name().is_empty() { asset.name.clone() } else { file.name().to_owned() };
        if !is_safe_path(&name) {
            return Err(DecodeError::Request(format!("{name:?} is not a safe relative path for a file")));
        }
        let layout = descriptor.layout;
        if layout == registry::file_layout::BYTES {
            all.push(SourceFile { name, content: SourceContent::Entry(Box::new(file)) });
            continue;
        }
        let content = reader.read_all(&file)?;
        let bad = |e: &dyn std::fmt::Display| DecodeError::Entry {
            kind: "file",
            name: file.name().to_owned(),
            source: FormatError::corrupt("file layout", 0, e.to_string()),
        };
        let layout = Layout::parse(layout as u8, &content).map_err(|e| bad(&e))?;
        Limits::check("tensors of a file", layout.ids().len() as u64, reader.limits().entries)?;
        let list = layout.ids().iter().map(by_id).collect::<Result<Vec<Entry>>>()?;
        let header = match layout {
            Layout::Verbatim { header, .. } => header,
            Layout::Rendered { pad, metadata, .. } => header_of(&metadata, &list, pad)?,
        };
        all.push(SourceFile { name, content: SourceContent::Safetensors { header, tensors: list } });
    }
    Ok(all)
}

/// A rendered safetensors header over `tensors` in this order.
fn header_of(metadata: &str, tensors: &[Entry], pad: u8) -> Result<Vec<u8>> {
    let heads = tensors.iter().filter_map(|e| {
        let t = e.tensor()?;
        Some(HeaderTensor { name: e.name(), dtype: &t.dtype_name, shape: &t.shape, byte_len: e.byte_len() })
    });
    render_header(metadata, heads, pad)
        .map_err(|e| FormatError::corrupt("file layout", 0, e.to_string()).into())
}
