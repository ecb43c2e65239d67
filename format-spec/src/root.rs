//! The root page (SPEC section 3.3).

use crate::natural_order::natural_cmp;
use crate::wire::{self, Parse};
use crate::{Fields, FormatError, LEAF_MAX, Limits, Page, Result};
use core::cmp::Ordering;

/// The top of a generation's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Generation, from 1.
    pub generation: u32,
    /// Number of assets in the file.
    pub assets: u64,
    /// Offset from which the offsets in based leaves count.
    pub data_base: u64,
    /// Offset and length of the previous generation's root frame.
    pub previous: Option<(u64, u64)>,
    /// Fields of the file.
    pub fields: Fields,
    /// The index itself, or where it is.
    pub body: RootBody,
}

/// What a root holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootBody {
    /// The only leaf.
    Inline(Page),
    /// Pointers to leaves, in key order.
    Leaves(Vec<LeafPointer>),
}

/// Where a leaf is, and which keys it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafPointer {
    /// File offset of the leaf frame.
    pub offset: u64,
    /// Length of the leaf frame.
    pub len: u64,
    /// Offsets in the leaf count from the root's data base.
    pub based: bool,
    /// Generation that wrote the leaf.
    pub generation: u32,
    /// Separator: at most the leaf's first key, and above the last key of the leaf before.
    pub separator: Vec<u8>,
    /// First chunk of the leaf's first row, if that continues an entry of the leaf before; else 0.
    pub first_chunk: u64,
}

impl LeafPointer {
    fn compare(&self, key: &[u8], chunk: u64) -> Ordering {
        compare_keys(&self.separator, key).then(self.first_chunk.cmp(&chunk))
    }
}

const WHAT: &str = "root page";

impl Root {
    /// Reads the payload of a root frame whose frame ends at file offset `frame_end`.
    ///
    /// # Errors
    /// What is malformed, with its offset in the payload.
    pub fn parse(payload: &[u8], frame_end: u64, limits: &Limits) -> Result<Self> {
        let (rest, mut root) = wire::finish(WHAT, payload, head(payload))?;
        let at = |rest: &[u8]| payload.len().saturating_sub(rest.len()) as u64;
        let (page, count) = wire::finish(WHAT, rest, wire::count(rest, "leaves", limits.leaves))
            .map_err(|e| e.at(at(rest)))?;
        if count == 0 {
            let page = Page::parse(page, root.data_base, true, limits).map_err(|e| e.at(at(page)))?;
            root.body = RootBody::Inline(page);
            return Ok(root);
        }
        let parsed = leaves(page, count, frame_end, root.generation, limits);
        let (end, leaves) = wire::finish(WHAT, page, parsed).map_err(|e| e.at(at(page)))?;
        if !end.is_empty() {
            return Err(FormatError::corrupt(WHAT, at(end), "bytes follow the last leaf pointer"));
        }
        let ordered = |w: &[LeafPointer]| w[0].compare(&w[1].separator, w[1].first_chunk) == Ordering::Less;
        if !leaves.windows(2).all(ordered) {
            return Err(FormatError::corrupt(WHAT, at(page), "separators are not in order"));
        }
        root.body = RootBody::Leaves(leaves);
        Ok(root)
    }

    /// The payload of the root frame, which will end at file offset `frame_end`.
    #[must_use]
    pub fn to_bytes(&self, frame_end: u64) -> Vec<u8> {
        let mut out = Vec::new();
        wire::put_varint(&mut out, u64::from(self.generation));
        wire::put_varint(&mut out, self.assets);
        wire::put_varint(&mut out, self.data_base);
        let (offset, len) = self.previous.unwrap_or_default();
        wire::put_varint(&mut out, offset);
        wire::put_varint(&mut out, len);
        let fields = self.fields.to_bytes();
        wire::put_varint(&mut out, fields.len() as u64);
        out.extend_from_slice(&fields);
        match &self.body {
            RootBody::Inline(page) => {
                wire::put_varint(&mut out, 0);
                out.extend_from_slice(&page.to_bytes(self.data_base));
            }
            RootBody::Leaves(leaves) => {
                wire::put_varint(&mut out, leaves.len() as u64);
                put_leaves(&mut out, leaves, frame_end);
            }
        }
        out
    }
}

/// The order of keys: asset name, then entry name, both in natural order.
#[must_use]
pub fn compare_keys(a: &[u8], b: &[u8]) -> Ordering {
    let (a_asset, a_entry) = split_key(a);
    let (b_asset, b_entry) = split_key(b);
    natural_cmp(a_asset, b_asset)
        // An asset name alone sorts before all of its entries.
        .then_with(|| a_entry.is_some().cmp(&b_entry.is_some()))
        .then_with(|| natural_cmp(a_entry.unwrap_or_default(), b_entry.unwrap_or_default()))
}

fn split_key(key: &[u8]) -> (&[u8], Option<&[u8]>) {
    match key.iter().position(|&b| b == 0) {
        Some(at) => (key.get(..at).unwrap_or_default(), key.get(at.saturating_add(1)..)),
        None => (key, None),
    }
}

/// Index of the leaf that holds chunk `chunk` of the entry with `key` (asset name, zero byte, entry name), if any does.
#[must_use]
pub fn leaf_of(leaves: &[LeafPointer], key: &[u8], chunk: u64) -> Option<usize> {
    leaves.partition_point(|leaf| leaf.compare(key, chunk) != Ordering::Greater).checked_sub(1)
}

fn head(input: &[u8]) -> Parse<'_, Root> {
    let (rest, generation) = wire::varint_within(input, "generation", u64::from(u32::MAX))?;
    if generation == 0 {
        return wire::broken(input, "generation zero");
    }
    let (rest, assets) = wire::varint(rest)?;
    let (rest, data_base) = wire::varint(rest)?;
    let (rest, offset) = wire::varint(rest)?;
    let (rest, len) = wire::varint(rest)?;
    let (rest, fields_len) = wire::varint(rest)?;
    let (rest, raw) = wire::bytes(rest, fields_len)?;
    let Ok(fields) = Fields::parse(WHAT, raw) else { return wire::broken(rest, "malformed fields") };
    if fields.iter().any(|f| f.critical) {
        return wire::broken(rest, "a critical field of the file that this reader does not know");
    }
    let previous = (len != 0).then_some((offset, len));
    let body = RootBody::Leaves(Vec::new());
    Ok((rest, Root { generation: generation as u32, assets, data_base, previous, fields, body }))
}

fn leaves<'a>(
    input: &'a [u8],
    count: usize,
    frame_end: u64,
    generation: u32,
    limits: &Limits,
) -> Parse<'a, Vec<LeafPointer>> {
    let mut all: Vec<LeafPointer> = Vec::new();
    let mut rest = input;
    let mut expected = frame_end;
    let mut key_bytes = 0u64;
    for _ in 0..count {
        let (r, delta) = wire::svarint(rest)?;
        let (r, len) = wire::varint_within(r, "leaf frame length", LEAF_MAX)?;
        let (r, based) = wire::u8(r)?;
        let (r, leaf_generation) = wire::varint_within(r, "leaf generation", u64::from(generation))?;
        let (r, shared) = wire::varint(r)?;
        let (r, suffix_len) = wire::varint(r)?;
        let (r, suffix) = wire::bytes(r, suffix_len)?;
        let (r, first_chunk) = wire::varint(r)?;
        let previous = all.last().map_or(&[][..], |l| &l.separator);
        let Some(shared) = usize::try_from(shared).ok().and_then(|n| previous.get(..n)) else {
            return wire::broken(rest, "a separator shares more bytes than the one before it has");
        };
        let separator = [shared, suffix].concat();
        key_bytes = key_bytes.saturating_add(separator.len() as u64);
        wire::within(rest, "bytes of separators", key_bytes, limits.page_bytes)?;
        let place = expected.checked_add_signed(delta).and_then(|at| Some((at, at.checked_add(len)?)));
        let Some((offset, end)) = place else { return wire::broken(rest, "a leaf's offset is out of range") };
        if based > 1 {
            return wire::broken(rest, "unknown base of a leaf");
        }
        let generation = leaf_generation as u32;
        all.push(LeafPointer { offset, len, based: based == 1, generation, separator, first_chunk });
        expected = end;
        rest = r;
    }
    Ok((rest, all))
}

fn put_leaves(out: &mut Vec<u8>, leaves: &[LeafPointer], frame_end: u64) {
    let mut expected = frame_end;
    let mut previous: &[u8] = &[];
    for leaf in leaves {
        wire::put_svarint(out, leaf.offset.wrapping_sub(expected) as i64);
        wire::put_varint(out, leaf.len);
        out.push(u8::from(leaf.based));
        wire::put_varint(out, u64::from(leaf.generation));
        let shared = leaf.separator.iter().zip(previous).take_while(|(a, b)| a == b).count();
        wire::put_varint(out, shared as u64);
        let suffix = leaf.separator.get(shared..).unwrap_or_default();
        wire::put_varint(out, suffix.len() as u64);
        out.extend_from_slice(suffix);
        wire::put_varint(out, leaf.first_chunk);
        expected = leaf.offset.wrapping_add(leaf.len);
        previous = &leaf.separator;
    }
}
