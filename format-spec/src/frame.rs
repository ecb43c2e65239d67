//! Frames: the gap-free run of bytes after the preamble (SPEC section 3).

use crate::wire::{self, Parse};
use crate::{Check, ChunkPlace, FormatError, Result};

/// The first byte of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(pub u8);

impl Tag {
    /// Root page.
    pub const ROOT: Self = Self(b'R');
    /// Leaf page.
    pub const LEAF: Self = Self(b'L');
    /// In-band descriptors of a streaming file.
    pub const DESCRIPTORS: Self = Self(b'D');
    /// A chunk that carries its own length and place.
    pub const CHUNK: Self = Self(b'C');
    /// A chunk whose place and length are in the index.
    pub const INDEXED: Self = Self(b'I');
    /// The checks of a gathered run of raw chunks.
    pub const GATHERED: Self = Self(b'G');
    /// Padding.
    pub const PAD: Self = Self(b'P');
    /// Trailer of a streaming file.
    pub const TRAILER: Self = Self(b'T');

    /// Whether a walker may skip an unknown frame of this tag.
    #[must_use]
    pub fn skippable(self) -> bool {
        self.0 & 0x20 != 0
    }
}

/// The place that a described chunk frame states for its payload.
pub type ChunkHead = ChunkPlace;

/// The head of a described frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// The frame's tag.
    pub tag: Tag,
    /// Bytes from the tag to the payload.
    pub head_len: u64,
    /// Bytes of the payload.
    pub payload_len: u64,
    /// The place of a chunk (tag `C` only).
    pub place: Option<ChunkHead>,
}

impl FrameHead {
    /// Longest head of any described frame: tag, length, two 32-bit ids and an ordinal.
    pub const MAX_LEN: u64 = 1 + 10 + 5 + 5 + 10;

    /// Reads the head of a described frame at the start of `input`. A trailer counts as a frame of 32 payload bytes.
    ///
    /// # Errors
    /// If the head is cut off, malformed, or of an indexed frame, which cannot be walked without the index.
    pub fn parse(input: &[u8]) -> Result<Self> {
        wire::finish("frame", input, head(input)).map(|(_, head)| head)
    }

    /// Bytes of the check after the payload.
    #[must_use]
    pub fn check_len(&self) -> u64 {
        if self.tag == Tag::PAD || self.tag == Tag::TRAILER { 0 } else { 8 }
    }

    /// Bytes of the whole frame; `None` above 2^64.
    #[must_use]
    pub fn frame_len(&self) -> Option<u64> {
        self.head_len.checked_add(self.payload_len)?.checked_add(self.check_len())
    }

    /// Checks a whole frame of this head, given its payload and its check, found at file offset `offset`.
    ///
    /// # Errors
    /// If the check differs, padding is not zero, or the frame is critical and unknown.
    pub fn verify(&self, offset: u64, payload: &[u8], check: &[u8]) -> Result<()> {
        let holds = match (self.tag, self.place) {
            (Tag::PAD, _) => payload.iter().all(|&b| b == 0),
            (Tag::TRAILER, _) => matches!(crate::SlotState::parse(payload, 2), crate::SlotState::Whole(_)),
            (_, Some(place)) => Check::chunk(place, payload).matches(check),
            (tag, None) => Check::seeded(tag.0, payload).matches(check),
        };
        if !holds {
            return Err(FormatError::Check { what: self.name(), offset });
        }
        if self.name() == "frame" && !self.tag.skippable() {
            return Err(FormatError::Unsupported {
                what: format!("critical frame with tag 0x{:02x} at offset {offset}", self.tag.0),
                needs: "the file needs a newer reader".into(),
            });
        }
        Ok(())
    }

    /// What the frame is called in messages; `"frame"` if its tag is unknown.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.tag {
            Tag::ROOT => "root page",
            Tag::LEAF => "leaf page",
            Tag::DESCRIPTORS => "descriptor page",
            Tag::CHUNK => "chunk",
            Tag::PAD => "padding",
            Tag::TRAILER => "trailer",
            _ => "frame",
        }
    }
}

fn head(input: &[u8]) -> Parse<'_, FrameHead> {
    let (rest, tag) = wire::u8(input)?;
    let tag = Tag(tag);
    let (rest, payload_len, place) = match tag {
        Tag::INDEXED | Tag::GATHERED => return wire::broken(input, "an indexed chunk outside the index"),
        Tag(0) => return wire::broken(input, "no frame starts with a zero byte"),
        Tag::TRAILER => (rest, 32, None),
        Tag::CHUNK => {
            let (rest, len) = wire::varint(rest)?;
            let (rest, asset) = wire::varint_within(rest, "asset ordinal", u64::from(u32::MAX))?;
            let (rest, entry) = wire::varint_within(rest, "entry id", u64::from(u32::MAX))?;
            let (rest, chunk) = wire::varint(rest)?;
            (rest, len, Some(ChunkPlace { asset: asset as u32, entry: entry as u32, chunk }))
        }
        _ => {
            let (rest, len) = wire::varint(rest)?;
            (rest, len, None)
        }
    };
    let head_len = input.len().saturating_sub(rest.len()) as u64;
    Ok((rest, FrameHead { tag, head_len, payload_len, place }))
}

/// A whole described frame of `tag` (not a chunk or pad).
#[must_use]
pub fn described_frame(tag: Tag, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![tag.0];
    wire::put_varint(&mut out, payload.len() as u64);
    out.extend_from_slice(payload);
    out.extend_from_slice(&Check::seeded(tag.0, payload).0.to_le_bytes());
    out
}

/// Bytes of a described frame (not a chunk or pad) whose payload has `payload_len` bytes.
#[must_use]
pub fn described_len(payload_len: u64) -> u64 {
    wire::varint_len(payload_len).saturating_add(payload_len).saturating_add(9)
}

/// Bytes of the `C` frame of a chunk, and the bytes of its head.
#[must_use]
pub fn chunk_frame_len(place: ChunkPlace, payload_len: u64) -> (u64, u64) {
    let ids = [payload_len, u64::from(place.asset), u64::from(place.entry), place.chunk];
    let head = ids.iter().fold(1u64, |sum, &v| sum.saturating_add(wire::varint_len(v)));
    (head.saturating_add(payload_len).saturating_add(8), head)
}

/// A pad frame that takes exactly `total` bytes (2 to 129; one length above that cannot be met).
#[must_use]
pub fn pad_frame(total: u64) -> Vec<u8> {
    let mut zeros = total.saturating_sub(2);
    while zeros > 0 && 1u64.saturating_add(wire::varint_len(zeros)).saturating_add(zeros) > total {
        zeros = zeros.saturating_sub(1);
    }
    let mut out = vec![Tag::PAD.0];
    wire::put_varint(&mut out, zeros);
    out.resize(out.len().saturating_add(zeros as usize), 0);
    out
}
