//! Finding what a damaged file still holds: through its index as far as that is whole, else frame by frame.

use crate::{EncodeError, Result};
use mcodec_decode::{DecodeError, ReadAt, ReadOptions, Reader};
use mcodec_format::{
    Asset, ChunkPlace, EntryDescriptor, EntryRow, FormatError, FrameHead, LEAF_MAX, Layout, Limits,
    PREAMBLE_LEN, Page, Root, RootBody, Tag,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Assets and rows that were found, by asset ordinal and by entry id and first chunk.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    pub(crate) assets: BTreeMap<u32, Asset>,
    pub(crate) rows: BTreeMap<(u32, u32, u64), EntryRow>,
    /// What could not be read, in words.
    pub(crate) faults: Vec<String>,
}

impl Salvage {
    /// Looks at all of `source`.
    pub(crate) fn of<S: ReadAt>(source: &S, path: &Path, limits: Limits) -> Result<Self> {
        let mut found = Self::default();
        match Reader::open(source, ReadOptions::default().limits(limits)) {
            Ok(reader) => {
                found.faults.extend(reader.warnings().iter().map(ToString::to_string));
                let mut whole = true;
                for leaf in 0..reader.index().leaf_count() {
                    match reader.leaf(leaf) {
                        Ok(page) => found.add(&page),
                        Err(e) => {
                            found.faults.push(e.to_string());
                            whole = false;
                        }
                    }
                }
                if whole {
                    return Ok(found);
                }
            }
            // What a newer version wrote must not be taken for ours.
            Err(DecodeError::Format(e @ FormatError::Unsupported { .. })) => return Err(e.into()),
            Err(e) => found.faults.push(e.to_string()),
        }
        found.scan(source, path, &limits)?;
        Ok(found)
    }

    fn add(&mut self, page: &Page) {
        for asset in &page.assets {
            let known = self.assets.entry(asset.ordinal).or_insert_with(|| asset.clone());
            if known.hash == [0; 32] {
                known.hash = asset.hash;
            }
        }
        for row in page.rows.iter().filter(|r| !r.copy) {
            let ordinal = page.asset_of(row).map_or(0, |a| a.ordinal);
            self.rows.entry((ordinal, row.id, row.first_chunk)).or_insert_with(|| row.clone());
        }
    }

    /// Walks the frames from the preamble on; after damage, tries byte by byte for the next whole one.
    fn scan<S: ReadAt>(&mut self, source: &S, path: &Path, limits: &Limits) -> Result<()> {
        let len = source.size().map_err(EncodeError::io("read", path))?;
        let mut described: BTreeMap<ChunkPlace, (u64, u64)> = BTreeMap::new();
        let mut announced: BTreeMap<(u32, u32), (Asset, EntryRow)> = BTreeMap::new();
        let mut leaves: Vec<Vec<u8>> = Vec::new();
        let mut leaves_end = 0;
        let mut at = PREAMBLE_LEN;
        let mut scanner = Scanner::new(source, path, len, limits);
        while at < len {
            let known = |place: ChunkPlace| announced.contains_key(&(place.asset, place.entry));
            let Some(frame) = scanner.frame(at, known)? else {
                at += 1;
                continue;
            };
            match (frame.head.tag, frame.head.place) {
                (Tag::CHUNK, Some(place)) => {
                    described.insert(place, (at, frame.head.payload_len));
                }
                (Tag::DESCRIPTORS, _) => {
                    for (asset, row) in rows_of(&frame.payload, limits) {
                        announced.insert((asset.ordinal, row.id), (asset, row));
                    }
                }
                (Tag::LEAF, _) => {
                    leaves.push(frame.payload);
                    leaves_end = frame.end;
                }
                (Tag::ROOT, _) => {
                    if let Ok(Root { body: RootBody::Inline(page), .. }) =
                        Root::parse(&frame.payload, frame.end, limits)
                    {
                        self.add(&page);
                    }
                }
                (Tag::PAD, _) if leaves_end == at => leaves_end = frame.end,
                _ => {}
            }
            at = frame.end;
        }
        // Leaves whose root is lost: those of a finished file count from their own end, others from the file's start.
        for payload in leaves {
            for base in [leaves_end, 0] {
                if let Ok(page) = Page::parse(&payload, base, true, limits)
                    && plausible(&page, len)
                {
                    self.add(&page);
                    break;
                }
            }
        }
        self.add_described(&described, announced, limits);
        Ok(())
    }

    /// Makes rows of described chunks whose index is lost.
    fn add_described(
        &mut self,
        chunks: &BTreeMap<ChunkPlace, (u64, u64)>,
        announced: BTreeMap<(u32, u32), (Asset, EntryRow)>,
        limits: &Limits,
    ) {
        for ((asset, entry), (owner, row)) in announced {
            if self.rows.keys().any(|k| (k.0, k.1) == (asset, entry)) {
                continue;
            }
            self.assets.entry(asset).or_insert(owner);
            let wanted =
                EntryDescriptor::parse(row.kind, &row.fields, limits).ok().and_then(|d| d.chunking());
            let from = ChunkPlace { asset, entry, chunk: 0 };
            let to = ChunkPlace { chunk: u64::MAX, ..from };
            let mut parts: Vec<EntryRow> = Vec::new();
            for (place, &(offset, len)) in chunks.range(from..=to) {
                match parts.last_mut() {
                    Some(part)
                        if part.end(asset) == Some(offset)
                            && part.first_chunk + part.lengths.len() as u64 == place.chunk =>
                    {
                        part.lengths.push(len);
                    }
                    _ => parts.push(EntryRow {
                        first_chunk: place.chunk,
                        layout: Layout::Described,
                        offset,
                        lengths: vec![len],
                        ..row.clone()
                    }),
                }
            }
            if parts.is_empty() && wanted.is_some() {
                parts.push(row);
            }
            for part in parts {
                self.rows.insert((asset, entry, part.first_chunk), part);
            }
        }
    }
}

/// Whether the rows of a page could be in a file of this length.
fn plausible(page: &Page, len: u64) -> bool {
    page.rows.iter().filter(|r| !r.lengths.is_empty()).all(|row| {
        let ordinal = page.asset_of(row).map_or(0, |a| a.ordinal);
        row.offset >= PREAMBLE_LEN && row.end(ordinal).is_some_and(|end| end <= len)
    })
}

fn rows_of(payload: &[u8], limits: &Limits) -> Vec<(Asset, EntryRow)> {
    let Ok(page) = Page::parse(payload, 0, false, limits) else { return Vec::new() };
    page.rows.iter().filter_map(|row| Some((page.asset_of(row)?.clone(), row.clone()))).collect()
}

struct WholeFrame {
    head: FrameHead,
    payload: Vec<u8>,
    end: u64,
}

/// Looks for whole frames. Reads through a window, since after damage every offset is tried.
struct Scanner<'a, S> {
    source: &'a S,
    path: &'a Path,
    len: u64,
    limits: &'a Limits,
    window: Vec<u8>,
    window_at: u64,
}

/// Bytes that are held to be scanned.
const WINDOW: u64 = 1 << 20;

impl<'a, S: ReadAt> Scanner<'a, S> {
    fn new(source: &'a S, path: &'a Path, len: u64, limits: &'a Limits) -> Self {
        Self { source, path, len, limits, window: Vec::new(), window_at: 0 }
    }

    fn read(&self, from: u64, to: u64) -> Result<Vec<u8>> {
        let mut buf = vec![0u8; (to - from) as usize];
        self.source.read_exact_at(from, &mut buf).map_err(EncodeError::io("read", self.path))?;
        Ok(buf)
    }

    /// The bytes at `at`, as many as the longest head of a frame has, or up to the end.
    fn peek(&mut self, at: u64) -> Result<&[u8]> {
        let end = self.len.min(at + FrameHead::MAX_LEN);
        if at < self.window_at || end > self.window_at + self.window.len() as u64 {
            self.window = self.read(at, self.len.min(at + WINDOW))?;
            self.window_at = at;
        }
        let start = (at - self.window_at) as usize;
        Ok(&self.window[start..start + (end - at) as usize])
    }

    /// The described frame at `at`, if there is one whose check holds. Chunks count only if `announced` says that they can be.
    fn frame(&mut self, at: u64, announced: impl Fn(ChunkPlace) -> bool) -> Result<Option<WholeFrame>> {
        let start = self.peek(at)?;
        if !matches!(start.first(), Some(b'R' | b'L' | b'D' | b'C' | b'P' | b'T')) {
            return Ok(None);
        }
        let Ok(head) = FrameHead::parse(start) else { return Ok(None) };
        let bound = match head.tag {
            Tag::ROOT => self.limits.root_bytes,
            Tag::LEAF => LEAF_MAX,
            Tag::DESCRIPTORS => self.limits.page_bytes,
            Tag::CHUNK if head.place.is_some_and(announced) => self.limits.memory,
            Tag::PAD | Tag::TRAILER => 256,
            _ => 0,
        };
        let end = head.frame_len().and_then(|n| at.checked_add(n)).filter(|&end| end <= self.len);
        let Some(end) = end.filter(|_| (1..=bound).contains(&head.payload_len)) else { return Ok(None) };
        let mut payload = self.read(at + head.head_len, end)?;
        let check = payload.split_off(head.payload_len as usize);
        Ok(head.verify(at, &payload, &check).is_ok().then_some(WholeFrame { head, payload, end }))
    }
}
