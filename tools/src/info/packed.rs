//! Which tensors are packed codes of another quantiser.

use super::inventory::Item;
use super::report::TensorInfo;
use mcodec_decode::{ReadAt, Reader};
use mcodec_encode::packed::{Described, recognise};
use mcodec_format::EntryDescriptor;
use serde::Serialize;

/// The longest configuration that is looked into.
const MAX_CONFIG: u64 = 1 << 20;

/// Codes that another quantiser packed.
#[derive(Debug, Serialize)]
pub(crate) struct PackedInfo {
    /// Whose they are.
    pub(super) scheme: &'static str,
    /// Bits of a code.
    pub(super) bits: u8,
}

/// Says it of each tensor that is.
pub(super) fn tell<S: ReadAt>(reader: &Reader<S>, files: &[&Item], tensors: &mut [TensorInfo]) {
    let described: Vec<Described<'_>> = tensors
        .iter()
        .map(|t| Described { name: &t.name, dtype: t.dtype.as_deref().unwrap_or_default(), shape: &t.shape })
        .collect();
    let found = recognise(&described, || files.iter().find_map(|item| config(reader, item)));
    drop(described);
    for (tensor, packed) in tensors.iter_mut().zip(found) {
        tensor.packed = packed.map(|p| PackedInfo { scheme: p.scheme.name(), bits: p.bits });
    }
}

/// The model's configuration, if the file is that.
fn config<S: ReadAt>(reader: &Reader<S>, item: &Item) -> Option<serde_json::Value> {
    let Ok(EntryDescriptor::File(file)) = &item.descriptor else { return None };
    if item.name() != "config.json" || file.chunking.byte_len > MAX_CONFIG {
        return None;
    }
    let entry = reader.resolve(item.row.clone()).ok()?;
    serde_json::from_slice(&reader.read_all(&entry).ok()?).ok()
}
