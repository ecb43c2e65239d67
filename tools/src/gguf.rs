//! What GGUF files say besides their tensors.

use crate::selection::layout_id;
use mcodec_decode::layout::{Layout, Piece};
use mcodec_decode::{Entry, ReadAt, Reader, hex};
use mcodec_encode::import::gguf::{GgufHeader, looks_like_gguf, parse_header};
use mcodec_format::{Asset, registry};

/// A header and its bytes, or more.
pub(crate) struct GgufHead {
    pub(crate) header: GgufHeader,
    bytes: Vec<u8>,
}

impl GgufHead {
    /// The header at the front of a file's bytes; none if there is no such thing.
    pub(crate) fn of(bytes: Vec<u8>) -> Option<Self> {
        if !looks_like_gguf(&bytes) {
            return None;
        }
        // Where tensors lie does not matter here, so the file may be of any length.
        let header = parse_header(&bytes, i64::MAX.unsigned_abs()).ok()?;
        Some(Self { header, bytes })
    }

    /// The header that a `file` entry in pieces begins with.
    pub(crate) fn of_entry<S: ReadAt>(reader: &Reader<S>, entry: &Entry) -> Option<Self> {
        let layout = layout_id(entry).filter(|&id| id == registry::file_layout::PIECES)?;
        if entry.byte_len() > reader.limits().memory {
            return None;
        }
        let Ok(Layout::Pieces(pieces)) = Layout::parse(layout, &reader.read_all(entry).ok()?) else {
            return None;
        };
        match pieces.into_iter().next() {
            Some(Piece::Literal(bytes)) => Self::of(bytes),
            _ => None,
        }
    }

    /// The header of the file that an asset was made from.
    pub(crate) fn of_asset<S: ReadAt>(reader: &Reader<S>, asset: &Asset) -> Option<Self> {
        let rows = reader.rows(&asset.name).ok()?;
        let files = rows.into_iter().filter(|row| row.get().kind == registry::entry::FILE);
        files.filter_map(|row| reader.resolve(row).ok()).find_map(|entry| Self::of_entry(reader, &entry))
    }

    /// The metadata as lines, to tell whether two files have the same: long values are shortened, so a hash of all is added.
    pub(crate) fn metadata_text(&self) -> String {
        let lines = self.header.metadata.iter().map(|(key, value)| format!("{key} = {value}"));
        let end = usize::try_from(self.header.metadata_end).unwrap_or(usize::MAX).min(self.bytes.len());
        let hash = blake3::hash(&self.bytes[24.min(end)..end]);
        lines
            .chain([format!("all metadata = blake3:{}", hex(hash.as_bytes()))])
            .collect::<Vec<_>>()
            .join("\n")
    }
}
