//! Decoding on a GPU: compressed chunks go up, and their content stays in a storage buffer.
//!
//! Chunks of labelled floats and of codes in 64 lanes are decoded by `mcodec-gpu`. All others, and what the GPU cannot bind, are decoded here and
//! uploaded, so that any content can be read this way. What the GPU finds damaged is decoded here again: errors are those of the CPU.
//!
//! ```no_run
//! use mcodec_decode::{ReadOptions, Reader, gpu::{Gpu, Options}};
//! let reader = Reader::open(std::fs::File::open("model.mcodec")?, ReadOptions::default())?;
//! let gpu = Gpu::open(&Options::default())?;
//! let weight = reader.tensor(&reader.asset(None)?.name, "lm_head.weight")?;
//! let content = reader.read_to_gpu(&[(&weight, 0..weight.byte_len())], &gpu)?.remove(0);
//! println!("{} bytes at {} of a storage buffer", content.len(), content.offset());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::decode::{check_element, decode_chunk, groups_of, payload, shared_of};
use crate::entry::Entry;
use crate::plan::chunk_spans;
use crate::reader::Reader;
use crate::shared::{SharedObject, SharedOf};
use crate::source::ReadAt;
use crate::{DecodeError, Result};
use kernel_input::Sorted;
use mcodec_coding::CodingError;
use mcodec_format::{ChunkPlace, Limits, registry};
use mcodec_gpu::labelled as kernel;
use rayon::prelude::*;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

mod kernel_input;

pub use mcodec_gpu::{AdapterInfo, DeviceBuffer, Gpu, GpuError, Options};

/// Where contents begin in a buffer that several share: what every device can bind at.
const ALIGNMENT: u64 = 256;
/// Decoded bytes that are on their way at once, whatever the limits allow, unless one chunk is larger.
const WINDOW: u64 = 4 << 30;

/// A chunk to decode on a device.
#[derive(Debug, Clone, Copy)]
pub struct DeviceChunk<'a> {
    /// Its coding, as [`decode_chunk`] takes it; not `difference`, which needs a base.
    pub coding: u64,
    /// Its payload, whose checksum was verified.
    pub payload: &'a [u8],
    /// What its dependencies stand for.
    pub shared: &'a [Option<Arc<SharedObject>>],
    /// Its decoded bytes.
    pub len: usize,
    /// Where they go in the output.
    pub out_at: u64,
}

/// Who decoded how much, in decoded bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shares {
    /// Decoded on the GPU.
    pub gpu: u64,
    /// Decoded on the CPU, and uploaded.
    pub cpu: u64,
}

/// What is wrong with which chunk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// A chunk cannot be decoded.
    #[error("chunk {index} cannot be decoded: {source}")]
    Coding {
        /// Which of the chunks that were given.
        index: usize,
        /// What its coding says, as [`decode_chunk`] does.
        source: CodingError,
    },
    /// The device fails.
    #[error(transparent)]
    Device(#[from] GpuError),
}

/// Chunks on the device, compressed, that can be decoded again.
#[derive(Debug)]
struct Staged<'g> {
    shares: Shares,
    prepared: Option<kernel::Prepared<'g>>,
    /// Chunks that the GPU found damaged and the CPU did not.
    doubtful: usize,
}

/// Decodes chunks into `out`, each at its place, which must be inside. Chunks may be of any entries, so that many are decoded at once;
/// what the GPU leaves to the CPU is decoded in parallel on the current rayon pool if `parallel` is set.
///
/// After this returns, the content is whole and all work that is submitted to the device later sees it.
///
/// # Errors
/// The first chunk that cannot be decoded, of those that are tried; what the device says. The content of `out` is then unspecified.
pub fn decode_chunks(
    gpu: &Gpu,
    chunks: &[DeviceChunk<'_>],
    out: &DeviceBuffer,
    parallel: bool,
) -> Result<Shares, ChunkError> {
    stage(gpu, chunks, out, parallel).map(|staged| staged.shares)
}

fn stage<'g>(
    gpu: &'g Gpu,
    chunks: &[DeviceChunk<'_>],
    out: &DeviceBuffer,
    parallel: bool,
) -> Result<Staged<'g>, ChunkError> {
    let end = |chunk: &DeviceChunk<'_>| chunk.out_at.checked_add(chunk.len as u64);
    if chunks.iter().any(|chunk| end(chunk).is_none_or(|end| end > out.len())) {
        return Err(GpuError::Input("a chunk outside of the output").into());
    }
    // The device writes whole words: where chunks share one, all of it is left to the CPU.
    let mut ends: Vec<(u64, u64)> = chunks.iter().map(|c| (c.out_at, c.out_at + c.len as u64)).collect();
    ends.sort_unstable();
    let apart = ends.iter().all(|(at, _)| at.is_multiple_of(4))
        && ends.windows(2).all(|pair| pair[0].1.next_multiple_of(4) <= pair[1].0);
    if !apart {
        let shares = together(gpu, chunks, out, parallel)?;
        return Ok(Staged { shares, prepared: None, doubtful: 0 });
    }
    let shared: Vec<SharedOf<'_>> = chunks.iter().map(|chunk| SharedOf(chunk.shared)).collect();
    let mut sorted = Sorted::default();
    for (index, (chunk, shared)) in chunks.iter().zip(&shared).enumerate() {
        sorted.add(index, chunk, shared).map_err(|source| ChunkError::Coding { index, source })?;
    }
    let input = sorted.input(chunks);
    let prepared = kernel::prepare(gpu, &input, out)?;
    prepared.run()?;
    // The CPU does its share while the GPU works.
    let mut shares = Shares::default();
    decode_here(gpu, chunks, &sorted.left, out, parallel, &mut shares)?;
    let (mut again, mut doubtful) = (Vec::new(), 0);
    for (status, (index, _)) in prepared.statuses()?.into_iter().zip(&sorted.taken) {
        match status {
            kernel::Status::Whole => shares.gpu += chunks[*index].len as u64,
            kernel::Status::Refused => again.push(*index),
            kernel::Status::Damaged => {
                doubtful += 1;
                again.push(*index);
            }
        }
    }
    decode_here(gpu, chunks, &again, out, parallel, &mut shares)?;
    Ok(Staged { shares, prepared: Some(prepared), doubtful })
}

/// Decodes some of the chunks on the CPU, and uploads them.
fn decode_here(
    gpu: &Gpu,
    chunks: &[DeviceChunk<'_>],
    which: &[usize],
    out: &DeviceBuffer,
    parallel: bool,
    shares: &mut Shares,
) -> Result<(), ChunkError> {
    let one = |&index: &usize| {
        let chunk = &chunks[index];
        let mut bytes = vec![0; chunk.len];
        decode_chunk(chunk.coding, chunk.payload, chunk.shared, &[], &mut bytes)
            .map_err(|source| ChunkError::Coding { index, source })?;
        gpu.upload(out, chunk.out_at, &bytes)?;
        Ok::<u64, ChunkError>(chunk.len as u64)
    };
    shares.cpu += if parallel {
        which.par_iter().map(one).try_reduce(|| 0, |a, b| Ok(a + b))?
    } else {
        which.iter().map(one).try_fold(0, |sum, n| n.map(|n| sum + n))?
    };
    Ok(())
}

/// Decodes all chunks on the CPU, and uploads what they span in one piece. Bytes between chunks become zero.
fn together(
    gpu: &Gpu,
    chunks: &[DeviceChunk<'_>],
    out: &DeviceBuffer,
    parallel: bool,
) -> Result<Shares, ChunkError> {
    let start = chunks.iter().map(|c| c.out_at).min().unwrap_or(0) / 4 * 4;
    let end = chunks.iter().map(|c| c.out_at + c.len as u64).max().unwrap_or(start);
    let mut all = vec![0u8; (end - start) as usize];
    let mut order: Vec<usize> = (0..chunks.len()).collect();
    order.sort_unstable_by_key(|&i| chunks[i].out_at);
    let mut jobs = Vec::with_capacity(chunks.len());
    let (mut rest, mut at) = (&mut all[..], start);
    for index in order {
        let chunk = &chunks[index];
        let gap = chunk.out_at.checked_sub(at).ok_or(GpuError::Input("chunks that overlap"))?;
        let (bytes, tail) = rest[gap as usize..].split_at_mut(chunk.len);
        (rest, at) = (tail, chunk.out_at + chunk.len as u64);
        jobs.push((index, bytes));
    }
    let one = |(index, bytes): (usize, &mut [u8])| {
        let chunk = &chunks[index];
        decode_chunk(chunk.coding, chunk.payload, chunk.shared, &[], bytes)
            .map_err(|source| ChunkError::Coding { index, source })
    };
    if parallel { jobs.into_par_iter().try_for_each(one) } else { jobs.into_iter().try_for_each(one) }?;
    gpu.upload(out, start, &all)?;
    Ok(Shares { gpu: 0, cpu: chunks.iter().map(|c| c.len as u64).sum() })
}

/// Content of an entry in a storage buffer.
#[derive(Debug, Clone)]
pub struct DeviceContent {
    buffer: DeviceBuffer,
    offset: u64,
    len: u64,
}

impl DeviceContent {
    /// The buffer; what was read together is in one.
    #[must_use]
    pub fn buffer(&self) -> &DeviceBuffer {
        &self.buffer
    }

    /// Where in the buffer the content begins. A multiple of 256 if the read began with a chunk, as with the first byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies it from the device.
    ///
    /// # Errors
    /// What the device says.
    pub fn download(&self, gpu: &Gpu) -> Result<Vec<u8>> {
        Ok(gpu.download(&self.buffer, self.offset..self.offset + self.len)?)
    }
}

/// Contents of entries in the memory of a device, compressed, and where they are decoded to: so that a model may stay compressed
/// there, and its tensors come out as often as they are wanted.
#[derive(Debug)]
pub struct Resident<'g> {
    gpu: &'g Gpu,
    prepared: Vec<kernel::Prepared<'g>>,
    contents: Vec<DeviceContent>,
    shares: Shares,
}

impl Resident<'_> {
    /// The contents, in the order that they were asked for; they were decoded once.
    #[must_use]
    pub fn contents(&self) -> &[DeviceContent] {
        &self.contents
    }

    /// What the GPU decodes each time, and what the CPU decoded once.
    #[must_use]
    pub fn shares(&self) -> Shares {
        self.shares
    }

    /// Compressed bytes on the device, with tables and labels.
    #[must_use]
    pub fn uploaded(&self) -> u64 {
        self.prepared.iter().map(kernel::Prepared::uploaded).sum()
    }

    /// Submits the decoding of what the GPU decodes. Work that is submitted to the device later sees the contents.
    ///
    /// # Errors
    /// What the device says.
    pub fn decode(&self) -> Result<()> {
        self.prepared.iter().try_for_each(|prepared| Ok(prepared.run()?))
    }

    /// As [`Resident::decode`], waits for the end, and says how long it took: by the host's clock, and by the device's, if it has one.
    ///
    /// # Errors
    /// What the device says.
    pub fn decode_timed(&self) -> Result<(Duration, Option<Duration>)> {
        self.gpu.wait()?;
        let mut sum = (Duration::ZERO, Some(Duration::ZERO));
        for prepared in &self.prepared {
            let timing = prepared.run_timed()?;
            sum = (sum.0 + timing.wall, sum.1.zip(timing.device).map(|(sum, device)| sum + device));
        }
        Ok(sum)
    }
}

/// A run of an entry's chunks, and where it goes.
struct Piece {
    entry: Entry,
    range: Range<u64>,
    out_at: u64,
}

impl<S: ReadAt> Reader<S> {
    /// Lets `gpu` decode what it can of all that is read from now on, also into memory of the host, for which it is copied back.
    #[must_use]
    pub fn on_gpu(mut self, gpu: Arc<Gpu>) -> Self {
        self.gpu = Some(gpu);
        self
    }

    /// Lets `gpu` draw images from now on. Pixels are within 1/255 of the CPU's. If it fails, the CPU draws in its place, or with `or_cpu` false
    /// that is an error.
    #[must_use]
    pub fn drawing_on(mut self, gpu: Arc<Gpu>, or_cpu: bool) -> Self {
        self.drawing = Some((gpu, or_cpu));
        self
    }

    pub(crate) fn read_window_on(
        &self,
        gpu: &Gpu,
        entry: &Entry,
        range: Range<u64>,
        out: &mut [u8],
    ) -> Result<()> {
        for content in self.read_to_gpu(&[(entry, range)], gpu)? {
            out.copy_from_slice(&content.download(gpu)?);
        }
        Ok(())
    }

    /// Decodes bytes of the content of entries into one storage buffer of `gpu`, as many chunks at once as there are: that is what
    /// keeps a GPU busy, so ask for many entries together.
    ///
    /// Whole chunks are decoded, so up to two chunks more than was asked for are in the buffer, before and after each content.
    ///
    /// # Errors
    /// As [`Reader::read`], and [`DecodeError::Gpu`].
    pub fn read_to_gpu(&self, wanted: &[(&Entry, Range<u64>)], gpu: &Gpu) -> Result<Vec<DeviceContent>> {
        Ok(self.contents_on(wanted, gpu, false)?.contents)
    }

    /// As [`Reader::read_to_gpu`], and keeps what the GPU decodes on the device, compressed.
    ///
    /// # Errors
    /// As [`Reader::read_to_gpu`]; [`GpuError::Driver`] if the GPU does not decode what the CPU does.
    pub fn keep_on_gpu<'g>(&self, wanted: &[(&Entry, Range<u64>)], gpu: &'g Gpu) -> Result<Resident<'g>> {
        self.contents_on(wanted, gpu, true)
    }

    fn contents_on<'g>(
        &self,
        wanted: &[(&Entry, Range<u64>)],
        gpu: &'g Gpu,
        keep: bool,
    ) -> Result<Resident<'g>> {
        let mut pieces = Vec::new();
        let mut places = Vec::with_capacity(wanted.len());
        let mut end = 0u64;
        for (entry, range) in wanted {
            let cover = cover(entry, range)?;
            let at = end.checked_next_multiple_of(ALIGNMENT);
            let next = at.and_then(|at| at.checked_add(cover.end - cover.start));
            let (Some(at), Some(next)) = (at, next) else {
                return Err(DecodeError::Request("contents of more than 2^64 bytes together".into()));
            };
            Limits::check("decoded length", next, self.limits().output_bytes)?;
            end = next;
            places.push((at + (range.start - cover.start), range.end - range.start));
            if self.is_built(entry) {
                pieces.extend(windows(entry, cover, at, self.window()));
                continue;
            }
            for (entry, range) in self.parts(entry, cover.clone())? {
                // What the chunks can decode to bounds the allocation: the chunk table was checked against the file.
                self.check_stored(&entry, range.clone())?;
                let out_at = at + (range.start - cover.start);
                pieces.extend(windows(&entry, range, out_at, self.window()));
            }
        }
        let buffer = gpu.buffer(end)?;
        let content = |(offset, len)| DeviceContent { buffer: buffer.clone(), offset, len };
        let contents = places.into_iter().map(content).collect();
        let mut all = Resident { gpu, prepared: Vec::new(), contents, shares: Shares::default() };
        let mut rest = &pieces[..];
        while !rest.is_empty() {
            let (count, staged) = self.decode_pieces(rest, gpu, &buffer)?;
            all.shares.gpu += staged.shares.gpu;
            all.shares.cpu += staged.shares.cpu;
            if keep {
                if staged.doubtful > 0 {
                    return Err(GpuError::Driver("a sound chunk comes out wrong".into()).into());
                }
                all.prepared.extend(staged.prepared);
            }
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(all)
    }

    /// Decoded bytes that are on their way at once: coded, they are held twice.
    fn window(&self) -> u64 {
        WINDOW.min(self.limits().memory / 2)
    }

    /// Decodes a window of pieces, one at least; returns how many.
    fn decode_pieces<'g>(
        &self,
        pieces: &[Piece],
        gpu: &'g Gpu,
        out: &DeviceBuffer,
    ) -> Result<(usize, Staged<'g>)> {
        let window = self.window();
        let (mut taken, mut told, mut count) = (Vec::new(), Vec::new(), 0);
        let mut known: HashSet<*const SharedObject> = HashSet::new();
        let mut sum = 0u64;
        for piece in pieces {
            sum = sum.saturating_add(piece.range.end - piece.range.start);
            if sum > window && count > 0 {
                break;
            }
            let is_built = self.is_built(&piece.entry);
            if is_built || piece.entry.base().is_some() {
                // What is built from other arrays or told against a base comes from the CPU as it is.
                let mut bytes = vec![0; (piece.range.end - piece.range.start) as usize];
                if is_built {
                    self.read_into(&piece.entry, piece.range.clone(), &mut bytes)?;
                } else {
                    self.read_window(&piece.entry, piece.range.clone(), &mut bytes)?;
                }
                told.push((piece, bytes));
                count += 1;
                continue;
            }
            let fetched = self.fetch_for(&piece.entry, piece.range.clone())?;
            let spans = chunk_spans(&piece.entry, &piece.range)?;
            let groups = groups_of(&piece.entry, &spans, &fetched, self.shared_cache())?;
            for object in groups.iter().flat_map(|(_, objects)| objects.iter().flatten()) {
                if known.insert(Arc::as_ptr(object)) {
                    sum = sum.saturating_add(weight(object));
                }
            }
            taken.push((piece, fetched, spans, groups));
            count += 1;
        }
        let mut chunks = Vec::new();
        let mut names: Vec<(&Entry, ChunkPlace)> = Vec::new();
        for (piece, fetched, spans, groups) in &taken {
            let (entry, chunking) = (&piece.entry, piece.entry.chunking());
            for span in spans {
                let range = chunking.chunk_range(span.place.chunk);
                let payload = payload(span, entry.kind_name(), entry.name(), fetched)?;
                let dtype_name = entry.tensor().map_or("", |tensor| &tensor.dtype_name);
                check_element(chunking.coding, payload, dtype_name).map_err(|source| {
                    let (name, place) = (entry.name().to_owned(), span.place);
                    DecodeError::Coding { name, place, source }
                })?;
                chunks.push(DeviceChunk {
                    coding: chunking.coding,
                    payload,
                    shared: shared_of(groups, &entry.dependencies_of(span.place.chunk)),
                    len: (range.end - range.start) as usize,
                    out_at: piece.out_at + (range.start - piece.range.start),
                });
                names.push((entry, span.place));
            }
        }
        for (piece, bytes) in &told {
            let place = ChunkPlace { asset: 0, entry: piece.entry.id(), chunk: 0 };
            let (coding, len) = (registry::coding::RAW, bytes.len());
            chunks.push(DeviceChunk { coding, payload: bytes, shared: &[], len, out_at: piece.out_at });
            names.push((&piece.entry, place));
        }
        let done = self.in_pool(|parallel| stage(gpu, &chunks, out, parallel));
        done.map(|staged| (count, staged)).map_err(|e| match e {
            ChunkError::Device(e) => e.into(),
            ChunkError::Coding { index, source } => {
                let (entry, place) = names[index];
                DecodeError::Coding { name: entry.name().to_owned(), place, source }
            }
        })
    }
}

/// Bytes of memory that an object needs, here and as the kernel has it, at most.
fn weight(object: &SharedObject) -> u64 {
    match object {
        SharedObject::ColumnLabels(labels) => 8 * labels.columns() as u64,
        SharedObject::ColumnSteps(steps) => 8 * steps.exponents().len() as u64,
        SharedObject::ColumnClasses(classes) => 8 * classes.classes().len() as u64,
        _ => 512 << 10,
    }
}

/// The chunks that hold bytes `range` of an entry's content, as bytes.
fn cover(entry: &Entry, range: &Range<u64>) -> Result<Range<u64>> {
    let (name, all) = (entry.name(), entry.byte_len());
    if range.start > range.end || range.end > all {
        return Err(DecodeError::Request(format!("bytes {range:?} of {name:?} are not within 0..{all}")));
    }
    if range.is_empty() {
        return Ok(range.clone());
    }
    let chunk = entry.chunking().chunk_len.max(1);
    let end = range.end.div_ceil(chunk).saturating_mul(chunk).min(all);
    Ok(range.start / chunk * chunk..end)
}

/// Cuts a run of chunks into pieces of a window at most, unless one chunk is larger.
fn windows(entry: &Entry, range: Range<u64>, out_at: u64, window: u64) -> Vec<Piece> {
    let chunk = entry.chunking().chunk_len.max(1);
    let step = (window / chunk).max(1).saturating_mul(chunk);
    let mut all = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let end = at.saturating_add(step).min(range.end);
        all.push(Piece { entry: entry.clone(), range: at..end, out_at: out_at + (at - range.start) });
        at = end;
    }
    all
}
