//! Reading payloads.

use super::head::{Part, class_of, take_part, take_thresholds};
use super::key::Key;
use super::symbols::Places;
use super::types::{BlockType, Component, by_id};
use crate::error::{CodingError, Result, corrupt, truncated};
use crate::planes::{self, mask, packed_len};
use crate::rans::{DecodeTable, StreamDecoder};
use crate::table::Table;
use crate::varint::take_u8;
use crate::zstd_frame;

/// Symbols decoded at a time: a multiple of 64, so that rANS lanes start at the first and packed runs at a whole byte.
const RUN: usize = 4096;

/// Decodes the payload of a chunk of coding 3 into `out`, whose length is the chunk's decoded length.
///
/// Scratch memory is at most twice `out.len()`, plus 16 lookup tables of at most 256 KiB. After an error the content of
/// `out` is unspecified.
///
/// # Errors
/// Any breach of section 7.5.
pub fn decode(payload: &[u8], out: &mut [u8]) -> Result<()> {
    let mut rest = payload;
    let kind = take_type(&mut rest, out.len())?;
    out.fill(0);
    for component in kind.components {
        decode_component(&mut rest, kind, component, out)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(corrupt("bytes after the last component")) }
}

/// Takes the block type of a payload whose chunk has `len` bytes.
pub(super) fn take_type(rest: &mut &[u8], len: usize) -> Result<&'static BlockType> {
    let id = take_u8(rest, "block type")?;
    let kind = by_id(id).ok_or(CodingError::Unsupported { what: "block type", id: id.into() })?;
    if len.is_multiple_of(usize::from(kind.block_bytes)) {
        Ok(kind)
    } else {
        Err(corrupt("decoded length is not a multiple of the block"))
    }
}

fn decode_component(rest: &mut &[u8], kind: &BlockType, component: &Component, out: &mut [u8]) -> Result<()> {
    let has_key = !matches!(component.key, Key::None);
    let thresholds = take_thresholds(rest, has_key)?;
    let (groups, per) = (component.groups(), component.group_len());
    let block_len = usize::from(kind.block_bytes);
    let blocks = out.len() / block_len;
    let classes: Vec<u8> = if thresholds.is_empty() {
        Vec::new()
    } else {
        let class = |block, group| class_of(&thresholds, component.key.of(block, group)) as u8;
        let all = out.chunks_exact(block_len);
        all.flat_map(|block| (0..groups).map(move |group| class(block, group))).collect()
    };
    let mut counts = vec![0usize; thresholds.len() + 1];
    for &class in &classes {
        if let Some(count) = counts.get_mut(usize::from(class)) {
            *count += per;
        }
    }
    if let ([count], true) = (&mut counts[..], thresholds.is_empty()) {
        *count = blocks * component.count();
    }
    let width = component.width();
    let mut stores = Vec::with_capacity(counts.len());
    for &n in &counts {
        let part = take_part(rest, n, width)?;
        stores.push((Store::prepare(part, n, width)?, n));
    }
    let mut sources = Vec::with_capacity(stores.len());
    for (store, n) in &stores {
        sources.push(Source::start(store, *n, width)?);
    }
    let places = Places::of(component);
    let mut symbols = vec![0u16; component.count()];
    let mut classes = classes.iter();
    for block in out.chunks_exact_mut(block_len) {
        for group in symbols.chunks_exact_mut(per) {
            let class = if thresholds.is_empty() { 0 } else { classes.next().copied().unwrap_or(0) };
            let source = sources.get_mut(usize::from(class)).ok_or(corrupt("class of a symbol"))?;
            source.take(group)?;
        }
        places.scatter(&symbols, block);
    }
    sources.into_iter().try_for_each(Source::finish)
}

/// What a part's decoder borrows from.
enum Store<'a> {
    Constant(u8),
    Plane(std::borrow::Cow<'a, [u8]>),
    Rans { table: DecodeTable, stream: &'a [u8] },
}

impl<'a> Store<'a> {
    fn prepare(part: Part<'a>, n: usize, width: u8) -> Result<Self> {
        Ok(match part {
            Part::Constant(value) => Self::Constant(value),
            Part::Packed(plane) => Self::Plane(plane.into()),
            Part::Zstd(frame) => {
                let length = usize::try_from(packed_len(n, width));
                let plane =
                    zstd_frame::decompress(frame, length.map_err(|_| corrupt("part larger than memory"))?)?;
                if !planes::is_filled_with_zeros(&plane, n, width) {
                    return Err(corrupt("packed part not filled with zero bits"));
                }
                Self::Plane(plane.into())
            }
            Part::Rans(body) => {
                let (table, used) = Table::parse(body)?;
                if table.values().last().is_some_and(|&last| u64::from(last) > mask(width)) {
                    return Err(corrupt("table value wider than its component"));
                }
                Self::Rans { table: table.decoder(), stream: body.get(used..).unwrap_or_default() }
            }
        })
    }
}

/// The symbols of a class, in order.
struct Source<'a> {
    from: From<'a>,
    /// Symbols not yet decoded.
    left: usize,
    run: Vec<u16>,
    at: usize,
}

enum From<'a> {
    Constant(u8),
    Packed {
        plane: &'a [u8],
        width: u8,
    },
    /// Boxed for its 64 states.
    Rans(Box<StreamDecoder<'a>>),
}

impl<'a> Source<'a> {
    fn start(store: &'a Store<'_>, n: usize, width: u8) -> Result<Self> {
        let from = match store {
            Store::Constant(value) => From::Constant(*value),
            Store::Plane(plane) => From::Packed { plane, width },
            Store::Rans { table, stream } => From::Rans(Box::new(StreamDecoder::new(table, stream)?)),
        };
        Ok(Self { from, left: n, run: Vec::new(), at: 0 })
    }

    /// Fills `out` with the next symbols.
    fn take(&mut self, mut out: &mut [u16]) -> Result<()> {
        while !out.is_empty() {
            let ready = self.run.get(self.at..).unwrap_or_default();
            if ready.is_empty() {
                self.refill()?;
                continue;
            }
            let n = ready.len().min(out.len());
            let (now, later) = out.split_at_mut(n);
            now.copy_from_slice(ready.get(..n).unwrap_or_default());
            self.at += n;
            out = later;
        }
        Ok(())
    }

    fn refill(&mut self) -> Result<()> {
        let n = self.left.min(RUN);
        if n == 0 {
            return Err(truncated("symbols of a class"));
        }
        self.run.clear();
        self.run.resize(n, 0);
        self.at = 0;
        self.left -= n;
        match &mut self.from {
            From::Constant(value) => self.run.fill(u16::from(*value)),
            From::Packed { plane, width } => {
                planes::merge_packed(plane, *width, 0, &mut self.run);
                let used = usize::try_from(packed_len(n, *width)).unwrap_or(usize::MAX);
                *plane = plane.get(used..).unwrap_or_default();
            }
            From::Rans(stream) => stream.decode(&mut self.run)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        match self.from {
            From::Rans(stream) => stream.finish(),
            _ => Ok(()),
        }
    }
}
