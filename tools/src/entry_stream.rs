//! The content of an entry as a stream, decoded window by window.

use crate::console::Console;
use crate::selection::Picked;
use anyhow::Context;
use mcodec_decode::{Entry, Part, ReadAt, Reader, SourceFile, dequantise};
use std::io::Write;
use std::ops::Range;

/// Decoded bytes that are in memory at once, unless one chunk is larger.
const WINDOW: u64 = 16 << 20;

/// Counts what is written, for the progress bar.
pub(crate) struct Meter<'a> {
    console: &'a Console,
    done: u64,
    total: u64,
}

impl<'a> Meter<'a> {
    /// Starts on `total` bytes.
    pub(crate) fn new(console: &'a Console, total: u64) -> Self {
        Self { console, done: 0, total }
    }

    /// Notes that `n` bytes more are done; fails if the user wants to stop.
    pub(crate) fn add(&mut self, n: u64) -> anyhow::Result<()> {
        self.done = self.done.saturating_add(n);
        self.console.progress(self.done, self.total);
        Ok(self.console.cancel().check()?)
    }
}

/// The ends of windows over `range` of an entry: each is a multiple of the chunk length, so that no chunk is decoded twice.
pub(crate) fn windows(entry: &Entry, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let chunk = entry.chunking().chunk_len.max(1);
    let step = (WINDOW / chunk).max(1).saturating_mul(chunk);
    let mut at = range.start;
    std::iter::from_fn(move || {
        if at >= range.end {
            return None;
        }
        let end = (at / chunk * chunk).saturating_add(step).min(range.end);
        let window = at..end;
        at = end;
        Some(window)
    })
}

/// Writes bytes `range` of the content of `entry`.
pub(crate) fn copy<S: ReadAt>(
    reader: &Reader<S>,
    entry: &Entry,
    range: Range<u64>,
    out: &mut dyn Write,
    meter: &mut Meter<'_>,
) -> anyhow::Result<()> {
    for window in windows(entry, range) {
        let len = window.end - window.start;
        let bytes = reader.read(entry, window)?;
        out.write_all(&bytes).context("writing the output")?;
        meter.add(len)?;
    }
    Ok(())
}

/// Writes what is picked of a tensor.
pub(crate) fn copy_picked<S: ReadAt>(
    reader: &Reader<S>,
    picked: &Picked,
    out: &mut dyn Write,
    meter: &mut Meter<'_>,
) -> anyhow::Result<()> {
    let Some(dtype) = picked.as_f32 else {
        return copy(reader, &picked.entry, picked.range.clone(), out, meter);
    };
    let block_bytes = (dtype.bits / 8) as usize;
    // A window may end within a block.
    let mut held: Vec<u8> = Vec::new();
    for window in windows(&picked.entry, picked.range.clone()) {
        held.append(&mut reader.read(&picked.entry, window)?);
        let whole = held.len() / block_bytes * block_bytes;
        let rest = held.split_off(whole);
        let mut numbers = vec![0f32; whole / block_bytes * dtype.block as usize];
        dequantise(dtype, &held, &mut numbers)?;
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        out.write_all(&bytes).context("writing the output")?;
        meter.add(bytes.len() as u64)?;
        held = rest;
    }
    anyhow::ensure!(held.is_empty(), "{:?} ends within a block", picked.entry.name());
    Ok(())
}

/// Writes a whole source file. Small parts are decoded together, so that all threads have something to do.
pub(crate) fn copy_source<S: ReadAt>(
    reader: &Reader<S>,
    file: &SourceFile,
    out: &mut dyn Write,
    meter: &mut Meter<'_>,
) -> anyhow::Result<()> {
    let mut rest = file.parts.as_slice();
    let mut buffer = Vec::new();
    while let Some(first) = rest.first() {
        let mut len = 0u64;
        let fits = |part: &&Part| {
            len = len.saturating_add(part.byte_len());
            len <= WINDOW
        };
        let count = rest.iter().take_while(fits).count();
        if let (0, Part::Entry(entry)) = (count, first) {
            copy(reader, entry, 0..entry.byte_len(), out, meter)?;
            rest = &rest[1..];
            continue;
        }
        let parts;
        (parts, rest) = rest.split_at(count.max(1));
        if let [Part::Bytes(bytes)] = parts {
            out.write_all(bytes).context("writing the output")?;
            meter.add(bytes.len() as u64)?;
            continue;
        }
        let len = parts.iter().map(Part::byte_len).sum::<u64>();
        buffer.resize(usize::try_from(len)?, 0);
        read_parts(reader, parts, &mut buffer)?;
        out.write_all(&buffer).context("writing the output")?;
        meter.add(len)?;
    }
    Ok(())
}

/// Reads consecutive parts of a source file to the start of `out`; returns how many bytes of it are left.
pub(crate) fn read_parts<S: ReadAt>(
    reader: &Reader<S>,
    parts: &[Part],
    out: &mut [u8],
) -> anyhow::Result<usize> {
    let mut rest = out;
    let mut reads = Vec::new();
    for part in parts {
        let len = usize::try_from(part.byte_len())?;
        let (to, after) =
            rest.split_at_mut_checked(len).context("the file decodes to more bytes than it had")?;
        match part {
            Part::Bytes(bytes) => to.copy_from_slice(bytes),
            Part::Entry(entry) => reads.push((&**entry, to)),
        }
        rest = after;
    }
    let left = rest.len();
    reader.read_entries_into(reads)?;
    Ok(left)
}
