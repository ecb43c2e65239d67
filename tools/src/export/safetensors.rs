//! Selected tensors as a safetensors file.

use crate::entry_stream::{Meter, copy_picked};
use crate::selection::{Picked, layout_id};
use anyhow::Context;
use mcodec_decode::layout::Layout;
use mcodec_decode::safetensors::{HeaderTensor, canonical_order, render_header};
use mcodec_decode::{ReadAt, Reader};
use mcodec_format::registry::Dtype;
use mcodec_format::{Asset, registry};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::io::Write;

/// The element types of safetensors 0.8.
const DTYPES: [&str; 22] = [
    "BOOL",
    "U8",
    "I8",
    "U16",
    "I16",
    "U32",
    "I32",
    "U64",
    "I64",
    "F16",
    "BF16",
    "F32",
    "F64",
    "C64",
    "F8_E4M3",
    "F8_E5M2",
    "F8_E4M3FNUZ",
    "F8_E5M2FNUZ",
    "F8_E8M0",
    "F6_E2M3",
    "F6_E3M2",
    "F4",
];

/// What to tell of tensors whose dtypes other readers do not know.
pub(crate) fn foreign_dtypes(picked: &[Picked]) -> Option<String> {
    let dtypes = picked.iter().filter_map(|p| Some((p.entry.tensor()?.dtype_name.as_str(), p.entry.name())));
    let mut foreign = dtypes.filter(|(dtype, _)| !DTYPES.contains(dtype));
    let (dtype, name) = foreign.next()?;
    let count = 1 + foreign.count();
    Some(format!(
        "{count} tensors have a dtype that is not of safetensors, like {dtype:?} of {name:?}: other readers may refuse the file"
    ))
}

/// Writes the tensors, widest elements first so that all are aligned, with this metadata (JSON text, or empty).
pub(crate) fn write<S: ReadAt>(
    reader: &Reader<S>,
    mut picked: Vec<Picked>,
    metadata: &str,
    out: &mut dyn Write,
    meter: &mut Meter<'_>,
) -> anyhow::Result<()> {
    let width = |p: &Picked| match p.as_f32 {
        Some(_) => 32,
        None => p.entry.tensor().and_then(|t| t.dtype).map_or(0, Dtype::width),
    };
    picked.sort_by(|a, b| canonical_order((width(a), a.entry.name()), (width(b), b.entry.name())));
    let heads = picked.iter().filter_map(|p| {
        let dtype = if p.as_f32.is_some() { "F32" } else { &p.entry.tensor()?.dtype_name };
        Some(HeaderTensor { name: p.entry.name(), dtype, shape: &p.shape, byte_len: p.byte_len() })
    });
    let header = render_header(metadata, heads, 8)?;
    out.write_all(&header).context("writing the output")?;
    picked.iter().try_for_each(|p| copy_picked(reader, p, out, meter))
}

/// The metadata that all safetensors files of the asset's source agree on, as JSON text; empty if there is none.
pub(crate) fn metadata_of<S: ReadAt>(reader: &Reader<S>, asset: &Asset) -> anyhow::Result<String> {
    let mut found: Option<String> = None;
    for row in reader.rows(&asset.name)? {
        if row.get().kind != registry::entry::FILE {
            continue;
        }
        let entry = reader.resolve(row)?;
        let Some(layout) = layout_id(&entry) else { continue };
        let metadata = match Layout::parse(layout, &reader.read_all(&entry)?) {
            Ok(Layout::Rendered { metadata, .. }) => metadata,
            Ok(Layout::Verbatim { header, .. }) => metadata_in(header.get(8..).unwrap_or_default()),
            Ok(Layout::Pieces(_)) | Err(_) => String::new(),
        };
        if found.get_or_insert_with(|| metadata.clone()) != &metadata {
            return Ok(String::new());
        }
    }
    Ok(found.unwrap_or_default())
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "__metadata__")]
    metadata: Option<&'a RawValue>,
}

/// The text of `__metadata__` in the JSON of a header.
fn metadata_in(json: &[u8]) -> String {
    let head: Option<Head<'_>> = serde_json::from_slice(json).ok();
    let raw = head.and_then(|h| h.metadata).map(|raw| raw.get().to_owned()).unwrap_or_default();
    if raw == "null" { String::new() } else { raw }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_found_in_headers() {
        assert_eq!(metadata_in(br#"{"a":{"dtype":"U8"},"__metadata__": {"k" : "v"} }  "#), r#"{"k" : "v"}"#);
        assert_eq!(metadata_in(br#"{"__metadata__":null}"#), "");
        assert_eq!(metadata_in(b"{}"), "");
        assert_eq!(metadata_in(b"["), "");
    }
}
