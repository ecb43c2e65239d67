//! The container writer: one code for the finished form, the streaming form, and what is appended to either.

mod draft;
mod leaves;

pub(crate) use draft::{Draft, NewEntry, PART_CHUNKS};
use leaves::{Leaf, leaf_frame, leaves_of};

use crate::options::{EncodeOptions, Output};
use crate::publish::{AtomicFile, spool_beside};
use crate::{EncodeError, Result};
use mcodec_format::{
    Asset, Check, ChunkPlace, EntryRow, FIRST_READ, Fields, Layout, LeafPointer, PREAMBLE_LEN, Page,
    Preamble, Root, RootBody, Slot, SlotState, Tag, check_bytes, described_frame, pad_frame, registry, wire,
};
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

/// Writes chunks, then the index over them.
pub(crate) struct ContainerWriter {
    draft: Draft,
    to: Destination,
    /// Where the next frame starts: from the data base when spooling, else from the start of the file.
    at: u64,
    /// Checks of the gathered run being written.
    gathered: Vec<u8>,
    aligned: bool,
}

enum Destination {
    /// Finished form: frames are spooled until the index is known.
    Spool { spool: BufWriter<File>, output: FinalOutput, path: PathBuf },
    /// Streaming form.
    Stream { out: Box<dyn Write + Send> },
    /// More of a file that is there.
    Append { file: BufWriter<File>, path: PathBuf, base: Box<AppendBase> },
}

enum FinalOutput {
    File(AtomicFile),
    Stream(Box<dyn Write + Send>),
}

/// The generation that an append builds upon.
pub(crate) struct AppendBase {
    pub(crate) preamble: Preamble,
    pub(crate) slot: Slot,
    pub(crate) data_base: u64,
    pub(crate) leaves: Vec<(LeafPointer, Page)>,
}

const ALIGNMENT: u64 = 64;

impl ContainerWriter {
    /// A writer for `output`: finished form to a file, streaming form to anything else.
    pub(crate) fn create(output: Output) -> Result<Self> {
        let to = match output {
            Output::File { path, force } => match special_file(&path)? {
                Some(out) => Destination::Stream { out },
                None => spool(FinalOutput::File(AtomicFile::create(&path, force)?), path)?,
            },
            Output::Stream(out) => Destination::Stream { out },
        };
        let mut writer = Self { draft: Draft::default(), to, at: 0, gathered: Vec::new(), aligned: false };
        if matches!(writer.to, Destination::Stream { .. }) {
            writer.put(&new_preamble([SlotState::Empty; 2]).to_bytes())?;
        }
        Ok(writer)
    }

    /// A writer of the finished form, to a file or to anything else.
    pub(crate) fn create_finished(output: Output) -> Result<Self> {
        let to = match output {
            Output::File { path, force } => match special_file(&path)? {
                Some(out) => spool(FinalOutput::Stream(out), path)?,
                None => spool(FinalOutput::File(AtomicFile::create(&path, force)?), path)?,
            },
            Output::Stream(out) => spool(FinalOutput::Stream(out), PathBuf::from("-"))?,
        };
        Ok(Self { draft: Draft::default(), to, at: 0, gathered: Vec::new(), aligned: false })
    }

    /// A writer that adds a generation to `file`, whose bytes after the committed length are cut.
    pub(crate) fn append(file: File, path: &Path, base: AppendBase, draft: Draft) -> Result<Self> {
        let committed = base.slot.committed;
        let fail = EncodeError::io("write", path);
        let mut file = file;
        let mut start = || -> io::Result<()> {
            file.set_len(committed)?;
            file.seek(io::SeekFrom::Start(committed))?;
            Ok(())
        };
        start().map_err(fail)?;
        let to =
            Destination::Append { file: BufWriter::new(file), path: path.to_owned(), base: Box::new(base) };
        Ok(Self { draft, to, at: committed, gathered: Vec::new(), aligned: false })
    }

    pub(crate) fn draft(&mut self) -> &mut Draft {
        &mut self.draft
    }

    /// Whether descriptors must go before chunks.
    pub(crate) fn is_streaming(&self) -> bool {
        !matches!(self.to, Destination::Spool { .. })
    }

    /// In the streaming form, and when appending: sends the descriptors of these rows.
    pub(crate) fn announce(&mut self, rows: &[usize]) -> Result<()> {
        if !self.is_streaming() || rows.is_empty() {
            return Ok(());
        }
        let mut page = Page::default();
        for &row in rows {
            let row = &self.draft.rows[row];
            let asset = &self.draft.assets[row.asset];
            let place = page.assets.iter().position(|a| a.ordinal == asset.ordinal).unwrap_or_else(|| {
                page.assets.push(asset.clone());
                page.assets.len() - 1
            });
            let (first_chunk, lengths) = (0, Vec::new());
            page.rows.push(EntryRow { asset: place, first_chunk, lengths, offset: 0, ..row.clone() });
        }
        self.put(&described_frame(Tag::DESCRIPTORS, &page.to_bytes(0)))
    }

    /// Writes the next chunk of an entry.
    pub(crate) fn put_chunk(&mut self, asset: usize, id: u32, payload: &[u8]) -> Result<()> {
        let place = self.place(asset, id);
        let at = self.at;
        if self.is_streaming() {
            let mut head = vec![Tag::CHUNK.0];
            wire::put_varint(&mut head, payload.len() as u64);
            wire::put_varint(&mut head, u64::from(place.asset));
            wire::put_varint(&mut head, u64::from(place.entry));
            wire::put_varint(&mut head, place.chunk);
            self.put(&head)?;
            self.put(payload)?;
            self.put(&Check::chunk(place, payload).0.to_le_bytes())?;
            self.draft.place_chunk(asset, id, Layout::Described, at, payload.len() as u64);
        } else {
            self.put(&[Tag::INDEXED.0])?;
            self.put(payload)?;
            self.put(&check_bytes(place, payload))?;
            self.draft.place_chunk(asset, id, Layout::Indexed, at, payload.len() as u64);
        }
        Ok(())
    }

    fn place(&self, asset: usize, id: u32) -> ChunkPlace {
        let chunk = self.draft.next_chunk(asset, id);
        ChunkPlace { asset: self.draft.assets[asset].ordinal, entry: id, chunk }
    }

    /// Writes the next raw chunk of a gathered run of an entry: aligned, and without anything between it and the one before.
    pub(crate) fn put_gathered(&mut self, asset: usize, id: u32, payload: &[u8]) -> Result<()> {
        if self.is_streaming() {
            return self.put_chunk(asset, id, payload);
        }
        if self.gathered.is_empty() {
            let past = self.at % ALIGNMENT;
            if past != 0 {
                let gap = ALIGNMENT - past;
                self.put(&pad_frame(if gap < 2 { gap + ALIGNMENT } else { gap }))?;
            }
            self.aligned = true;
        }
        let place = self.place(asset, id);
        self.gathered.extend(check_bytes(place, payload));
        let at = self.at;
        self.put(payload)?;
        self.draft.place_chunk(asset, id, Layout::Gathered, at, payload.len() as u64);
        if (place.chunk + 1).is_multiple_of(PART_CHUNKS as u64) {
            self.end_gathered()?;
        }
        Ok(())
    }

    /// Ends a gathered run with its checks.
    pub(crate) fn end_gathered(&mut self) -> Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let checks = std::mem::take(&mut self.gathered);
        self.put(&[Tag::GATHERED.0])?;
        self.put(&checks)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let (written, path) = match &mut self.to {
            Destination::Spool { spool, path, .. } => (spool.write_all(bytes), path.as_path()),
            Destination::Stream { out } => (out.write_all(bytes), Path::new("the output")),
            Destination::Append { file, path, .. } => (file.write_all(bytes), path.as_path()),
        };
        written.map_err(EncodeError::io("write", path))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Writes the index and publishes the file. Returns its length, or the bytes added to it.
    pub(crate) fn finish(self, options: &EncodeOptions) -> Result<u64> {
        Ok(self.finish_if(options, |_, _, _| true)?.unwrap_or_default())
    }

    /// As [`ContainerWriter::finish`]; a finished form is published only if `accept` takes its content, its length and that of all that
    /// is not frames of chunks.
    pub(crate) fn finish_if(
        self,
        options: &EncodeOptions,
        accept: impl FnOnce(&Draft, u64, u64) -> bool,
    ) -> Result<Option<u64>> {
        options.check_cancel()?;
        let Self { draft, to, at, aligned, .. } = self;
        match to {
            Destination::Spool { spool, output, path } => {
                let take = |len| accept(&draft, len, len - at);
                finish_spooled(&draft, spool, output, &path, (at, aligned), take)
            }
            Destination::Stream { mut out } => {
                let leaves = leaves_of(&draft, &[])?;
                let (index, slot) = described_index(leaves, at, new_root(&draft, 1, None), true)?;
                let mut write = || -> io::Result<()> {
                    out.write_all(&index)?;
                    out.write_all(&slot.to_trailer())?;
                    out.flush()
                };
                write().map_err(EncodeError::io("write", Path::new("the output")))?;
                Ok(Some(slot.committed))
            }
            Destination::Append { file, path, base } => {
                finish_append(&draft, file, &path, &base, at).map(Some)
            }
        }
    }
}

fn spool(output: FinalOutput, path: PathBuf) -> Result<Destination> {
    let beside = match &output {
        FinalOutput::File(file) => Some(file.target().to_owned()),
        FinalOutput::Stream(_) => None,
    };
    Ok(Destination::Spool { spool: BufWriter::new(spool_beside(beside.as_deref())?), output, path })
}

/// Devices and pipes are written to, not replaced.
fn special_file(path: &Path) -> Result<Option<Box<dyn Write + Send>>> {
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() && !meta.is_dir() => {
            let file = File::options().write(true).open(path).map_err(EncodeError::io("open", path))?;
            Ok(Some(Box::new(BufWriter::new(file))))
        }
        _ => Ok(None),
    }
}

fn new_preamble(slots: [SlotState; 2]) -> Preamble {
    Preamble { required: registry::FEATURE_ZSTD_PAGES, slots, ..Preamble::default() }
}

/// Root frame whose payload depends, through its own length, on where it ends.
fn root_frame(root: &mut Root, offset: u64, set_base: impl Fn(&mut Root, u64)) -> Vec<u8> {
    let mut len = 0;
    loop {
        // A longer frame only makes the numbers in it larger, so the length rises until it stays.
        set_base(root, offset + len);
        let frame = described_frame(Tag::ROOT, &root.to_bytes(offset + len));
        if frame.len() as u64 == len {
            return frame;
        }
        len = frame.len() as u64;
    }
}

fn finish_spooled(
    draft: &Draft,
    spool: BufWriter<File>,
    output: FinalOutput,
    path: &Path,
    (data_len, aligned): (u64, bool),
    accept: impl FnOnce(u64) -> bool,
) -> Result<Option<u64>> {
    let leaves = leaves_of(draft, &[])?;
    let align = |end: u64| match end % ALIGNMENT {
        0 => end,
        _ if !aligned => end,
        past if ALIGNMENT - past < 2 => end + 2 * ALIGNMENT - past,
        past => end + ALIGNMENT - past,
    };
    let mut root = new_root(draft, 1, None);
    let mut frames = Vec::new();
    let inline = match &leaves[..] {
        [Leaf::New { page, .. }] => {
            root.body = RootBody::Inline(page.clone());
            Some(root_frame(&mut root, PREAMBLE_LEN, |root, end| rebase(root, align(end))))
        }
        _ => None,
    };
    let head = match inline.filter(|frame| PREAMBLE_LEN + frame.len() as u64 <= FIRST_READ) {
        Some(frame) => frame,
        None => {
            let mut pointers = Vec::new();
            for leaf in leaves {
                let Leaf::New { page, separator, first_chunk } = leaf else { continue };
                let frame = leaf_frame(&page, 0)?;
                let len = frame.len() as u64;
                pointers.push(LeafPointer {
                    offset: 0,
                    len,
                    based: true,
                    generation: 1,
                    separator,
                    first_chunk,
                });
                frames.extend(frame);
            }
            root.body = RootBody::Leaves(pointers);
            let leaf_bytes = frames.len() as u64;
            root_frame(&mut root, PREAMBLE_LEN, |root, end| {
                root.data_base = align(end + leaf_bytes);
                let RootBody::Leaves(pointers) = &mut root.body else { return };
                let mut at = end;
                for pointer in pointers {
                    pointer.offset = at;
                    at += pointer.len;
                }
            })
        }
    };
    let root_end = PREAMBLE_LEN + head.len() as u64;
    let committed = root.data_base + data_len;
    if !accept(committed) {
        return Ok(None);
    }
    let slot = Slot { generation: 1, root_len: head.len() as u32, root_offset: PREAMBLE_LEN, committed };
    let preamble = new_preamble([SlotState::Whole(slot), SlotState::Empty]).to_bytes();
    let gap = root.data_base - root_end - frames.len() as u64;
    let pad = if gap == 0 { Vec::new() } else { pad_frame(gap) };
    let write = |out: &mut dyn Write| -> io::Result<()> {
        let mut spool = spool.into_inner().map_err(io::IntoInnerError::into_error)?;
        spool.seek(io::SeekFrom::Start(0))?;
        let parts: [&[u8]; 4] = [&preamble, &head, &frames, &pad];
        parts.iter().try_for_each(|part| out.write_all(part))?;
        io::copy(&mut spool, out)?;
        out.flush()
    };
    match output {
        FinalOutput::File(mut file) => {
            write(file.file()).map_err(EncodeError::io("write", path))?;
            file.commit()?;
        }
        FinalOutput::Stream(mut out) => write(&mut out).map_err(EncodeError::io("write", path))?,
    }
    Ok(Some(committed))
}

fn new_root(draft: &Draft, generation: u32, previous: Option<(u64, u64)>) -> Root {
    Root {
        generation,
        assets: draft.assets.len() as u64,
        data_base: 0,
        previous,
        fields: Fields::default(),
        body: RootBody::Leaves(Vec::new()),
    }
}

/// Moves an inline page, whose rows count from the data base, to another data base.
fn rebase(root: &mut Root, base: u64) {
    let old = root.data_base;
    root.data_base = base;
    if let RootBody::Inline(page) = &mut root.body {
        for row in page.rows.iter_mut().filter(|r| !r.lengths.is_empty()) {
            row.offset = row.offset - old + base;
        }
    }
}

/// Leaves and root for described frames: everything that follows the chunks, from file offset `at`.
fn described_index(leaves: Vec<Leaf>, at: u64, mut root: Root, trailer: bool) -> Result<(Vec<u8>, Slot)> {
    let generation = root.generation;
    let mut out = Vec::new();
    let mut root_at = at;
    let mut frame = Vec::new();
    if let [Leaf::New { page, .. }] = &leaves[..] {
        root.body = RootBody::Inline(page.clone());
        frame = root_frame(&mut root, root_at, |_, _| {});
    }
    if frame.is_empty() || frame.len() as u64 > FIRST_READ {
        let mut pointers = Vec::new();
        for leaf in leaves {
            pointers.push(match leaf {
                Leaf::Kept(pointer) => pointer,
                Leaf::New { page, separator, first_chunk } => {
                    let frame = leaf_frame(&page, 0)?;
                    let (offset, len) = (at + out.len() as u64, frame.len() as u64);
                    out.extend(frame);
                    LeafPointer { offset, len, based: false, generation, separator, first_chunk }
                }
            });
        }
        root_at = at + out.len() as u64;
        root.body = RootBody::Leaves(pointers);
        frame = root_frame(&mut root, root_at, |_, _| {});
    }
    let root_len = frame.len() as u32;
    out.extend(frame);
    let tail = if trailer { mcodec_format::TRAILER_LEN } else { 0 };
    let slot = Slot { generation, root_len, root_offset: root_at, committed: at + out.len() as u64 + tail };
    Ok((out, slot))
}

/// Frames, fsync, older slot, fsync: a kill anywhere leaves the generation before readable.
fn finish_append(
    draft: &Draft,
    file: BufWriter<File>,
    path: &Path,
    base: &AppendBase,
    at: u64,
) -> Result<u64> {
    let old = base.slot;
    let leaves = leaves_of(draft, &base.leaves)?;
    let generation = old.generation.checked_add(1);
    let Some(generation) = generation else {
        return Err(EncodeError::Request(format!("{} has no generation left; pack it", path.display())));
    };
    let previous = Some((old.root_offset, u64::from(old.root_len)));
    let root = Root { data_base: base.data_base, ..new_root(draft, generation, previous) };
    let (index, slot) = described_index(leaves, at, root, false)?;
    let current = base.preamble.slots.iter().position(|s| *s == SlotState::Whole(old));
    let write = || -> io::Result<()> {
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.write_all(&index)?;
        file.sync_all()?;
        write_slot(&mut file, if current == Some(0) { 1 } else { 0 }, &slot)
    };
    write().map_err(EncodeError::io("write", path))?;
    Ok(slot.committed - old.committed)
}

/// Writes a slot and waits until it is on disk.
pub(crate) fn write_slot(file: &mut File, index: u8, slot: &Slot) -> io::Result<()> {
    file.seek(io::SeekFrom::Start(32 + 32 * u64::from(index)))?;
    file.write_all(&slot.to_bytes(index))?;
    file.sync_all()
}

/// The asset of a new container or generation.
pub(crate) fn new_asset(ordinal: u32, kind: u64, name: &str) -> Asset {
    Asset { ordinal, kind, critical: true, name: name.to_owned(), hash: [0; 32], fields: Fields::default() }
}
