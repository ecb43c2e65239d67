//! Content hashes (SPEC section 5.1 and 5.2).

use crate::{Entry, ReadAt, Reader, Result};
use mcodec_format::{Asset, registry};
use std::collections::BTreeMap;

/// Hashes a model from its tensors, given in any order.
#[derive(Debug, Default)]
pub struct ModelHasher(BTreeMap<String, ([u8; 32], Vec<u8>)>);

impl ModelHasher {
    /// Adds a tensor whose little-endian bytes have the hash `bytes`.
    pub fn add(&mut self, name: &str, dtype: &str, shape: &[u64], bytes: [u8; 32]) {
        let mut head = Vec::new();
        put_string(&mut head, dtype);
        head.extend_from_slice(&(shape.len() as u32).to_le_bytes());
        shape.iter().for_each(|d| head.extend_from_slice(&d.to_le_bytes()));
        self.0.insert(name.to_owned(), (bytes, head));
    }

    /// The model's content hash.
    #[must_use]
    pub fn finish(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for (name, (bytes, head)) in &self.0 {
            let mut key = Vec::new();
            put_string(&mut key, name);
            hasher.update(&key).update(head).update(bytes);
        }
        *hasher.finalize().as_bytes()
    }
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Whether the entry's content counts for the content hash of a model.
#[must_use]
pub fn is_hashed(entry: &Entry) -> bool {
    entry.kind() == registry::entry::TENSOR && entry.tensor().is_some_and(|t| t.owner.is_none())
}

/// The content hash of an asset, from its decoded content; `None` for a kind whose rule this reader does not know.
///
/// # Errors
/// If something of it cannot be decoded.
pub fn content_hash<S: ReadAt>(reader: &Reader<S>, asset: &Asset) -> Result<Option<[u8; 32]>> {
    if asset.kind == registry::asset::IMAGE {
        return crate::images::content_hash(reader, asset).map(Some);
    }
    let mut model = ModelHasher::default();
    for row in reader.rows(&asset.name)? {
        if row.get().kind != registry::entry::TENSOR && registry::asset::is_of_tensors(asset.kind) {
            continue;
        }
        let entry = reader.resolve(row)?;
        match asset.kind {
            kind if registry::asset::is_of_tensors(kind) && is_hashed(&entry) => {
                let hash = hash_content(reader, &entry)?;
                if let Some(t) = entry.tensor() {
                    model.add(entry.name(), &t.dtype_name, &t.shape, hash);
                }
            }
            registry::asset::BLOB if entry.kind() == registry::entry::FILE => {
                return hash_content(reader, &entry).map(Some);
            }
            _ => {}
        }
    }
    Ok(registry::asset::is_of_tensors(asset.kind).then(|| model.finish()))
}

/// BLAKE3 of an entry's content, read piece by piece.
pub(crate) fn hash_content<S: ReadAt>(reader: &Reader<S>, entry: &Entry) -> Result<[u8; 32]> {
    const PIECE: u64 = 8 << 20;
    let step = entry
        .chunking()
        .chunk_len
        .max(PIECE / entry.chunking().chunk_len.max(1) * entry.chunking().chunk_len);
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    while at < entry.byte_len() {
        let end = at.saturating_add(step.max(1)).min(entry.byte_len());
        hasher.update(&reader.read(entry, at..end)?);
        at = end;
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, b| {
        _ = write!(out, "{b:02x}");
        out
    })
}
