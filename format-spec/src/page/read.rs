//! Reading pages.

use super::{Asset, Dependency, EntryRow, Layout, Page};
use crate::wire::{self, Parse};
use crate::{Fields, FormatError, Limits, Result};
use core::cmp::Ordering;

const WHAT: &str = "index page";

impl Page {
    /// Reads a page that fills `payload`. Offsets of rows come out as file offsets: those stored plus `base`.
    ///
    /// `indexed` pages must keep the order and the rules of the index; pages of descriptor frames come in stream order.
    ///
    /// # Errors
    /// What is malformed, with its offset in the decoded page.
    pub fn parse(payload: &[u8], base: u64, indexed: bool, limits: &Limits) -> Result<Self> {
        let (&mode, rest) = payload.split_first().ok_or(FormatError::Truncated { what: WHAT, offset: 0 })?;
        let inflated;
        let content = match mode {
            0 => rest,
            1 => {
                inflated = inflate(rest, limits)?;
                inflated.as_slice()
            }
            _ => return Err(FormatError::corrupt(WHAT, 0, "unknown page mode")),
        };
        let (rest, page) = wire::finish(WHAT, content, content_of(content, base, limits))?;
        if !rest.is_empty() {
            let at = content.len().saturating_sub(rest.len()) as u64;
            return Err(FormatError::corrupt(WHAT, at, "bytes follow the last column"));
        }
        page.check_rules(indexed)?;
        Ok(page)
    }

    fn check_rules(&self, indexed: bool) -> Result<()> {
        let fail = |why: String| Err(FormatError::Corrupt { what: WHAT, offset: 0, why });
        let mut ordinals: Vec<u32> = self.assets.iter().map(|a| a.ordinal).collect();
        ordinals.sort_unstable();
        if ordinals.windows(2).any(|w| w[0] == w[1]) {
            return fail("an asset is listed twice".into());
        }
        if let Some(bad) = self.assets.iter().find(|a| a.name.contains('\0')) {
            return fail(format!("asset name {:?} holds a zero byte", bad.name));
        }
        let mut spans = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let ordinal = self.assets[row.asset].ordinal;
            let Some(end) = row.end(ordinal) else {
                return fail(format!("the chunks of {:?} end above 2^64", row.name));
            };
            if !row.copy && !row.lengths.is_empty() {
                spans.push((row.offset, end, &row.name));
            }
        }
        spans.sort_unstable();
        if let Some(w) = spans.windows(2).find(|w| w[0].1 > w[1].0) {
            return fail(format!("the chunks of {:?} and {:?} overlap", w[0].2, w[1].2));
        }
        for w in self.rows.windows(2).filter(|_| indexed) {
            let in_order = !w[0].copy && self.compare_rows(&w[0], &w[1]) == Ordering::Less;
            if !w[1].copy && !in_order {
                return fail(format!("row {:?} is out of order", w[1].name));
            }
            let same_name = w[0].asset == w[1].asset && w[0].name == w[1].name && w[0].kind == w[1].kind;
            if !w[0].copy && !w[1].copy && same_name && w[0].id != w[1].id {
                return fail(format!("two entries are named {:?}", w[1].name));
            }
        }
        // Only the first row of a leaf may go on with an entry of the leaf before.
        let mut first_of_entry =
            self.rows.iter().skip(1).zip(&self.rows).filter(|(b, a)| !b.copy && !same_entry(a, b));
        if let Some((row, _)) = first_of_entry.find(|(b, _)| b.first_chunk != 0) {
            return fail(format!("entry {:?} lacks its first chunks", row.name));
        }
        let mut ids: Vec<_> = self.rows.iter().map(|r| (r.copy, r.asset, r.id, r.first_chunk, r)).collect();
        ids.sort_unstable_by_key(|k| (k.0, k.1, k.2, k.3));
        for w in ids.windows(2).filter(|w| w[0].1 == w[1].1 && w[0].2 == w[1].2 && w[0].0 == w[1].0) {
            let (a, b) = (w[0].4, w[1].4);
            let follows =
                a.first_chunk.checked_add(a.lengths.len() as u64).is_some_and(|n| n == b.first_chunk);
            if a.name != b.name || a.kind != b.kind || !follows || a.lengths.is_empty() {
                return fail(format!("entry id {} stands for both {:?} and {:?}", a.id, a.name, b.name));
            }
        }
        Ok(())
    }
}

fn same_entry(a: &EntryRow, b: &EntryRow) -> bool {
    (a.copy, a.asset, a.id) == (b.copy, b.asset, b.id)
}

fn inflate(input: &[u8], limits: &Limits) -> Result<Vec<u8>> {
    let (frame, len) = wire::finish(WHAT, input, wire::varint(input))?;
    Limits::check("index page size", len, limits.page_bytes)?;
    let damaged = |why: &str| FormatError::corrupt(WHAT, 1, why);
    match zstd::zstd_safe::get_frame_content_size(frame) {
        Ok(Some(n)) if n == len => {}
        _ => return Err(damaged("the zstd frame does not state the page's length")),
    }
    if zstd::zstd_safe::find_frame_compressed_size(frame).ok() != Some(frame.len()) {
        return Err(damaged("the page is not exactly one zstd frame"));
    }
    let mut out = Vec::new();
    let fits = usize::try_from(len).is_ok_and(|n| out.try_reserve_exact(n).is_ok());
    if !fits {
        return Err(FormatError::Limit { what: "index page size", value: len, limit: limits.page_bytes });
    }
    let done = zstd::bulk::Decompressor::new().and_then(|mut d| d.decompress_to_buffer(frame, &mut out));
    match done {
        Ok(n) if n as u64 == len => Ok(out),
        _ => Err(damaged("the zstd frame does not decode to the page's length")),
    }
}

fn content_of<'a>(input: &'a [u8], base: u64, limits: &Limits) -> Parse<'a, Page> {
    let (mut rest, n) = wire::count(input, "assets in a page", limits.assets)?;
    let mut assets = Vec::new();
    for _ in 0..n {
        let (after, asset) = asset(rest, limits)?;
        assets.push(asset);
        rest = after;
    }
    let (rest, n) = wire::count(rest, "entries in a page", limits.entries)?;
    let ordinals: Vec<u32> = assets.iter().map(|a: &Asset| a.ordinal).collect();
    let (rest, rows) = rows(rest, n, &ordinals, base, limits)?;
    Ok((rest, Page { assets, rows }))
}

fn asset<'a>(input: &'a [u8], limits: &Limits) -> Parse<'a, Asset> {
    let (rest, ordinal) = wire::varint_within(input, "asset ordinal", u64::from(u32::MAX))?;
    let (rest, kind) = wire::varint(rest)?;
    let (rest, name) = wire::string(rest, "asset name length", limits.name_bytes)?;
    let (rest, hash) = wire::bytes(rest, 32)?;
    let Ok(hash) = hash.try_into() else { return wire::broken(rest, "content hash") };
    let (rest, len) = wire::varint(rest)?;
    let (rest, fields) = fields(rest, len)?;
    let name = name.to_owned();
    let ordinal = ordinal as u32;
    Ok((rest, Asset { ordinal, kind: kind >> 1, critical: kind & 1 == 1, name, hash, fields }))
}

fn fields(input: &[u8], len: u64) -> Parse<'_, Fields> {
    let (rest, raw) = wire::bytes(input, len)?;
    match Fields::parse(WHAT, raw) {
        Ok(fields) => Ok((rest, fields)),
        Err(_) => wire::broken(input, "malformed fields"),
    }
}

fn column<'a, T>(mut rest: &'a [u8], n: usize, one: impl Fn(&'a [u8]) -> Parse<'a, T>) -> Parse<'a, Vec<T>> {
    let mut values = Vec::new();
    for _ in 0..n {
        let (after, value) = one(rest)?;
        values.push(value);
        rest = after;
    }
    Ok((rest, values))
}

fn rows<'a>(
    input: &'a [u8],
    n: usize,
    ordinals: &[u32],
    base: u64,
    limits: &Limits,
) -> Parse<'a, Vec<EntryRow>> {
    let (rest, asset) = column(input, n, wire::varint)?;
    if asset.iter().any(|&a| a >= ordinals.len() as u64) {
        return wire::broken(input, "a row's asset is not in the page");
    }
    let (rest, kind) = column(rest, n, wire::varint)?;
    let (rest, id_delta) = column(rest, n, wire::svarint)?;
    let Some(id) = running_ids(&id_delta) else { return wire::broken(rest, "an entry id is above 2^32") };
    let (rest, names) = names(rest, n, limits)?;
    let (rest, descriptor_len) = column(rest, n, wire::varint)?;
    let mut rest = rest;
    let mut descriptors = Vec::new();
    for len in descriptor_len {
        let (after, value) = fields(rest, len)?;
        descriptors.push(value);
        rest = after;
    }
    let (rest, dependencies) = all_dependencies(rest, n, limits)?;
    let (rest, first_chunk) = column(rest, n, wire::varint)?;
    let (rest, chunk_count) =
        column(rest, n, |i| wire::varint_within(i, "chunks of an entry", limits.chunks))?;
    let (rest, layout) = column(rest, n, layout)?;
    let (mut rest, offset) = column(rest, n, wire::svarint)?;
    let mut all = Vec::new();
    let mut previous_end = 0u64;
    let parts = names.into_iter().zip(descriptors).zip(dependencies);
    for (i, ((name, fields), dependencies)) in parts.enumerate() {
        let (after, lengths) = lengths(rest, chunk_count[i])?;
        let mut row = EntryRow {
            asset: asset[i] as usize,
            kind: kind[i] >> 2,
            copy: kind[i] & 2 != 0,
            critical: kind[i] & 1 != 0,
            id: id[i],
            name,
            fields,
            dependencies,
            first_chunk: first_chunk[i],
            layout: layout[i],
            offset: 0,
            lengths,
        };
        if row.first_chunk.checked_add(chunk_count[i]).is_none_or(|n| n > 1 << 32) {
            return wire::broken(rest, "a chunk ordinal is above 2^32");
        }
        if !row.lengths.is_empty() {
            let (offset, end) =
                match place(&mut row, previous_end, offset[i], base, ordinals[asset[i] as usize]) {
                    Some(places) => places,
                    None => return wire::broken(rest, "a row's chunks end above 2^64"),
                };
            row.offset = offset;
            previous_end = end;
        } else if offset[i] != 0 {
            return wire::broken(rest, "a row without chunks has an offset");
        }
        all.push(row);
        rest = after;
    }
    Ok((rest, all))
}

/// The file offset of a row, and its end counted from `base`.
fn place(row: &mut EntryRow, previous_end: u64, delta: i64, base: u64, ordinal: u32) -> Option<(u64, u64)> {
    row.offset = previous_end.checked_add_signed(delta)?;
    let end = row.end(ordinal)?;
    end.checked_add(base)?;
    Some((row.offset.checked_add(base)?, end))
}

fn running_ids(deltas: &[i64]) -> Option<Vec<u32>> {
    let mut expected = 0i64;
    deltas
        .iter()
        .map(|&d| {
            let id = u32::try_from(expected.checked_add(d)?).ok()?;
            expected = i64::from(id).checked_add(1)?;
            Some(id)
        })
        .collect()
}

fn names<'a>(input: &'a [u8], n: usize, limits: &Limits) -> Parse<'a, Vec<String>> {
    let (rest, shared) = column(input, n, wire::varint)?;
    let (mut rest, suffix_len) = column(rest, n, wire::varint)?;
    let mut all: Vec<String> = Vec::new();
    let mut previous: Vec<u8> = Vec::new();
    let mut total = 0u64;
    for (&shared, &suffix_len) in shared.iter().zip(&suffix_len) {
        if shared > previous.len() as u64 {
            return wire::broken(rest, "a name shares more bytes than the name before it has");
        }
        let (after, suffix) = wire::bytes(rest, suffix_len)?;
        let len = shared.saturating_add(suffix_len);
        wire::within(rest, "entry name length", len, limits.name_bytes)?;
        // Front coding can repeat one long name for two bytes each.
        total = total.saturating_add(len);
        wire::within(rest, "bytes of names in a page", total, limits.page_bytes)?;
        previous.truncate(shared as usize);
        previous.extend_from_slice(suffix);
        match core::str::from_utf8(&previous) {
            Ok(name) if !name.contains('\0') => all.push(name.to_owned()),
            Ok(_) => return wire::broken(rest, "an entry name holds a zero byte"),
            Err(_) => return wire::broken(rest, "an entry name is not UTF-8"),
        }
        rest = after;
    }
    Ok((rest, all))
}

fn all_dependencies<'a>(input: &'a [u8], n: usize, limits: &Limits) -> Parse<'a, Vec<Vec<Dependency>>> {
    let (mut rest, counts) =
        column(input, n, |i| wire::varint_within(i, "dependencies of an entry", limits.dependencies))?;
    let mut all = Vec::new();
    for count in counts {
        let (after, list) = column(rest, count as usize, |i| dependency(i, limits))?;
        all.push(list);
        rest = after;
    }
    Ok((rest, all))
}

fn dependency<'a>(input: &'a [u8], limits: &Limits) -> Parse<'a, Dependency> {
    let id = |i| wire::varint_within(i, "entry id", u64::from(u32::MAX));
    let (rest, kind) = wire::varint(input)?;
    match kind {
        0 => {
            let (rest, entry) = id(rest)?;
            Ok((rest, Dependency::Entry(entry as u32)))
        }
        1 => {
            let (rest, asset) = id(rest)?;
            let (rest, entry) = id(rest)?;
            Ok((rest, Dependency::Other { asset: asset as u32, entry: entry as u32 }))
        }
        2 => {
            let (rest, hash) = wire::bytes(rest, 32)?;
            let Ok(hash) = hash.try_into() else { return wire::broken(rest, "content hash") };
            let (rest, name) = wire::string(rest, "entry name length", limits.name_bytes)?;
            Ok((rest, Dependency::External { hash, name: name.to_owned() }))
        }
        _ => wire::broken(input, "unknown kind of dependency"),
    }
}

fn layout(input: &[u8]) -> Parse<'_, Layout> {
    let (rest, id) = wire::u8(input)?;
    match id {
        0 => Ok((rest, Layout::Indexed)),
        1 => Ok((rest, Layout::Gathered)),
        2 => Ok((rest, Layout::Described)),
        _ => wire::broken(input, "unknown layout of chunks"),
    }
}

fn lengths(input: &[u8], count: u64) -> Parse<'_, Vec<u64>> {
    let mut all = Vec::new();
    let mut rest = input;
    for i in 0..count {
        let length = match all.last() {
            None => {
                let (after, first) = wire::varint(rest)?;
                rest = after;
                Some(first)
            }
            Some(&previous) => {
                let (after, delta) = wire::svarint(rest)?;
                rest = after;
                u64::checked_add_signed(previous, delta)
            }
        };
        let Some(length) = length else { return wire::broken(rest, "a chunk length is out of range") };
        if i == 0 {
            let bound = usize::try_from(count).unwrap_or(usize::MAX).min(rest.len().saturating_add(1));
            all.reserve_exact(bound);
        }
        all.push(length);
    }
    Ok((rest, all))
}
