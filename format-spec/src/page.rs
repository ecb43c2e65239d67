//! Pages: assets and entries in columns (SPEC section 4).

mod read;
mod write;

use crate::natural_order::natural_cmp;
use crate::{Check, ChunkPlace, Fields, FormatError, Result, check_len, chunk_frame_len};
use core::cmp::Ordering;
use core::ops::Range;

/// One asset of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Ordinal, unique in the file.
    pub ordinal: u32,
    /// Kind ([`crate::registry::asset`]).
    pub kind: u64,
    /// A reader that does not know the kind must refuse the asset.
    pub critical: bool,
    /// Name.
    pub name: String,
    /// Content hash; zero while it is not known, in descriptor frames.
    pub hash: [u8; 32],
    /// Further fields.
    pub fields: Fields,
}

/// Something an entry needs besides its own chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependency {
    /// An entry of the same asset.
    Entry(u32),
    /// An entry of another asset of the file.
    Other {
        /// Ordinal of that asset.
        asset: u32,
        /// The entry's id in it.
        entry: u32,
    },
    /// An entry of another file.
    External {
        /// Content hash of the asset that holds it.
        hash: [u8; 32],
        /// Name of the entry.
        name: String,
    },
}

/// How the chunks of a row lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `I` frames.
    Indexed,
    /// Payloads without anything between them, then one `G` frame.
    Gathered,
    /// `C` frames.
    Described,
}

/// One row of a page: an entry, or a part of one, and where its chunks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// Index of its asset in the page.
    pub asset: usize,
    /// Kind ([`crate::registry::entry`]).
    pub kind: u64,
    /// The row repeats one that a leaf owns.
    pub copy: bool,
    /// A reader that does not know the kind (or schema) must refuse the entry (or asset).
    pub critical: bool,
    /// Id, unique in the asset.
    pub id: u32,
    /// Name.
    pub name: String,
    /// Descriptor.
    pub fields: Fields,
    /// What it needs, in the order that codings count in.
    pub dependencies: Vec<Dependency>,
    /// Ordinal of the row's first chunk.
    pub first_chunk: u64,
    /// How its chunks lie.
    pub layout: Layout,
    /// File offset of its first frame or, when gathered, of its first payload.
    pub offset: u64,
    /// Payload lengths of its chunks.
    pub lengths: Vec<u64>,
}

/// Where one chunk's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSpan {
    /// The place its check is bound to.
    pub place: ChunkPlace,
    /// The whole frame; for a gathered chunk, its payload.
    pub frame: Range<u64>,
    /// The payload.
    pub payload: Range<u64>,
    /// The stored check.
    pub check: Range<u64>,
}

impl ChunkSpan {
    /// Judges the bytes of this span as found in the file.
    ///
    /// # Errors
    /// [`FormatError::Check`] if the check does not hold.
    pub fn verify(&self, payload: &[u8], check: &[u8]) -> Result<()> {
        if Check::chunk(self.place, payload).matches(check) {
            Ok(())
        } else {
            Err(FormatError::Check { what: "chunk", offset: self.payload.start })
        }
    }
}

/// The content of a leaf, of an inline leaf, or of a descriptor frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Assets that have rows here.
    pub assets: Vec<Asset>,
    /// Rows, owned ones in key order first, then copies.
    pub rows: Vec<EntryRow>,
}

impl EntryRow {
    /// File offset after the row's last frame; `None` above 2^64.
    #[must_use]
    pub fn end(&self, ordinal: u32) -> Option<u64> {
        let mut at = self.offset;
        for (chunk, &len) in (self.first_chunk..).zip(&self.lengths) {
            let frame = match self.layout {
                Layout::Indexed => len.checked_add(1)?.checked_add(check_len(len))?,
                Layout::Gathered => len.checked_add(check_len(len))?,
                Layout::Described => {
                    chunk_frame_len(ChunkPlace { asset: ordinal, entry: self.id, chunk }, len).0
                }
            };
            at = at.checked_add(frame)?;
        }
        if self.layout == Layout::Gathered && !self.lengths.is_empty() {
            at = at.checked_add(1)?;
        }
        Some(at)
    }

    /// The spans of the row's chunks in order, for an asset of this ordinal. Stops at 2^64.
    pub fn spans(&self, ordinal: u32) -> impl Iterator<Item = ChunkSpan> + '_ {
        let gathered = self.layout == Layout::Gathered;
        let payloads = self.lengths.iter().fold(0u64, |sum, &len| sum.saturating_add(len));
        let mut at = self.offset;
        let mut check_at = self.offset.saturating_add(payloads).saturating_add(1);
        (self.first_chunk..).zip(&self.lengths).map_while(move |(chunk, &len)| {
            let place = ChunkPlace { asset: ordinal, entry: self.id, chunk };
            let (head, check) = match self.layout {
                Layout::Indexed => (1, check_len(len)),
                Layout::Gathered => (0, check_len(len)),
                Layout::Described => (chunk_frame_len(place, len).1, 8),
            };
            let start = at.checked_add(head)?;
            let end = start.checked_add(len)?;
            let check = if gathered { span(check_at, check)? } else { span(end, check)? };
            let frame = at..if gathered { end } else { check.end };
            check_at =
                check_at.saturating_add(if gathered { check.end.saturating_sub(check.start) } else { 0 });
            at = frame.end;
            Some(ChunkSpan { place, frame, payload: start..end, check })
        })
    }

    /// The first byte of the row's frames: the tag of `I` frames, or of the `G` frame after a gathered run.
    #[must_use]
    pub fn tag_offset(&self) -> u64 {
        match self.layout {
            Layout::Gathered => self.lengths.iter().fold(self.offset, |sum, &len| sum.saturating_add(len)),
            Layout::Indexed | Layout::Described => self.offset,
        }
    }
}

fn span(start: u64, len: u64) -> Option<Range<u64>> {
    Some(start..start.checked_add(len)?)
}

impl Page {
    /// The asset of `row`.
    #[must_use]
    pub fn asset_of(&self, row: &EntryRow) -> Option<&Asset> {
        self.assets.get(row.asset)
    }

    /// The order of rows in the index: by key, then kind, id and first chunk.
    #[must_use]
    pub fn compare_rows(&self, a: &EntryRow, b: &EntryRow) -> Ordering {
        let asset = |row: &EntryRow| self.assets.get(row.asset).map_or(&[][..], |a| a.name.as_bytes());
        natural_cmp(asset(a), asset(b))
            .then_with(|| natural_cmp(a.name.as_bytes(), b.name.as_bytes()))
            .then_with(|| (a.kind, a.id, a.first_chunk).cmp(&(b.kind, b.id, b.first_chunk)))
    }
}
