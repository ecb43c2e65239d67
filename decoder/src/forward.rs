//! Reading a streaming file from its first byte to its last, without seeking and without an index.

use crate::{DecodeError, Result};
use mcodec_format::{
    ChunkPlace, FormatError, FrameHead, Limits, PREAMBLE_LEN, Page, Preamble, SlotState, Tag,
};
use std::io::Read;

/// What a streaming file brings next.
#[derive(Debug)]
pub enum ForwardEvent {
    /// Descriptors: of assets and entries whose chunks follow. A later row of the same entry replaces an earlier one.
    Descriptors(Page),
    /// A chunk, its check compared.
    Chunk {
        /// Its place.
        place: ChunkPlace,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// The assets and rows of one leaf of the index at the file's end; the assets' content hashes are final.
    Index(Page),
    /// An optional frame of an unknown tag, passed over.
    Unknown(u8),
    /// The trailer: nothing follows.
    End,
}

/// Reads a streaming file forward. Memory is bounded by the largest frame.
#[derive(Debug)]
pub struct ForwardReader<R> {
    input: R,
    at: u64,
    preamble: Preamble,
    limits: Limits,
    done: bool,
}

impl<R: Read> ForwardReader<R> {
    /// Reads the preamble from `head`, the first [`PREAMBLE_LEN`] bytes, which were read from `input` before.
    ///
    /// # Errors
    /// If the preamble is refused, or the file is in finished form and wants random access.
    pub fn new(head: &[u8], input: R, limits: Limits) -> Result<Self> {
        let preamble = Preamble::parse(head)?;
        if preamble.slots.iter().any(|s| *s != SlotState::Empty) {
            return Err(DecodeError::Request("the file is not in streaming form".into()));
        }
        Ok(Self { input, at: PREAMBLE_LEN, preamble, limits, done: false })
    }

    /// The preamble.
    #[must_use]
    pub fn preamble(&self) -> &Preamble {
        &self.preamble
    }

    /// Reads up to the next event; `None` after the end.
    ///
    /// # Errors
    /// If the input ends early, fails, or a frame is damaged.
    pub fn next_event(&mut self) -> Result<Option<ForwardEvent>> {
        while !self.done {
            let start = self.at;
            let head = self.head()?;
            let len = head.payload_len;
            let limit = match head.tag {
                Tag::CHUNK => self.limits.memory,
                Tag::PAD => 1 << 16,
                _ => self.limits.root_bytes.max(self.limits.page_bytes),
            };
            Limits::check("length of a frame", len, limit)?;
            let payload = self.take(len)?;
            let check = self.take(head.check_len())?;
            head.verify(start, &payload, &check)?;
            let event = match (head.tag, head.place) {
                (Tag::DESCRIPTORS, _) => Some(ForwardEvent::Descriptors(
                    Page::parse(&payload, 0, false, &self.limits).map_err(|e| e.at(start))?,
                )),
                (Tag::LEAF, _) => Some(ForwardEvent::Index(
                    Page::parse(&payload, 0, true, &self.limits).map_err(|e| e.at(start))?,
                )),
                (_, Some(place)) => Some(ForwardEvent::Chunk { place, payload }),
                (Tag::TRAILER, _) => {
                    self.end(start)?;
                    Some(ForwardEvent::End)
                }
                (Tag::ROOT | Tag::PAD, _) => None,
                (tag, None) => Some(ForwardEvent::Unknown(tag.0)),
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn end(&mut self, start: u64) -> Result<()> {
        self.done = true;
        let mut byte = [0u8];
        match self.read_some(&mut byte)? {
            0 => Ok(()),
            _ => Err(FormatError::corrupt("trailer", start, "bytes follow it").into()),
        }
    }

    /// Reads a frame's head byte by byte: its length is known only at its end.
    fn head(&mut self) -> Result<FrameHead> {
        let start = self.at;
        let mut bytes = Vec::new();
        loop {
            match FrameHead::parse(&bytes) {
                Ok(head) => return Ok(head),
                Err(FormatError::Truncated { .. }) if (bytes.len() as u64) < FrameHead::MAX_LEN => {
                    bytes.extend(self.take(1)?);
                }
                Err(e) => return Err(e.at(start).into()),
            }
        }
    }

    /// Reads exactly `len` bytes, never allocating for more than has arrived (in steps of 1 MiB).
    fn take(&mut self, len: u64) -> Result<Vec<u8>> {
        const STEP: u64 = 1 << 20;
        let mut out = Vec::new();
        while (out.len() as u64) < len {
            let have = out.len();
            let more = (len - have as u64).min(STEP) as usize;
            out.resize(have + more, 0);
            let mut filled = have;
            while filled < out.len() {
                match self.read_some(&mut out[filled..])? {
                    0 => {
                        let offset = self.at;
                        return Err(FormatError::Truncated { what: "stream", offset }.into());
                    }
                    n => filled += n,
                }
            }
        }
        Ok(out)
    }

    fn read_some(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            match self.input.read(buf) {
                Ok(n) => {
                    self.at += n as u64;
                    return Ok(n);
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(DecodeError::Io { offset: self.at, len: buf.len() as u64, source });
                }
            }
        }
    }
}
