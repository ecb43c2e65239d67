//! Writing pages.

use super::{Asset, Dependency, EntryRow, Layout, Page};
use crate::wire::{put_string, put_svarint, put_varint};

/// zstd level of index pages; they are small and read often.
const LEVEL: i32 = 19;

impl Page {
    /// The page's bytes, compressed if that is shorter. Offsets of rows are written as their distance from `base`.
    #[must_use]
    pub fn to_bytes(&self, base: u64) -> Vec<u8> {
        let content = self.content(base);
        let mut stored = vec![0u8];
        if let Ok(frame) = zstd::bulk::compress(&content, LEVEL) {
            let mut packed = vec![1u8];
            put_varint(&mut packed, content.len() as u64);
            packed.extend_from_slice(&frame);
            if packed.len() <= content.len() {
                return packed;
            }
        }
        stored.extend_from_slice(&content);
        stored
    }

    fn content(&self, base: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.assets.len() as u64);
        for a in &self.assets {
            put_asset(&mut out, a);
        }
        put_varint(&mut out, self.rows.len() as u64);
        let rows = &self.rows;
        rows.iter().for_each(|r| put_varint(&mut out, r.asset as u64));
        for r in rows {
            put_varint(&mut out, r.kind << 2 | u64::from(r.copy) << 1 | u64::from(r.critical));
        }
        let mut expected = 0i64;
        for r in rows {
            put_svarint(&mut out, i64::from(r.id).wrapping_sub(expected));
            expected = i64::from(r.id).wrapping_add(1);
        }
        put_names(&mut out, rows);
        let descriptors: Vec<Vec<u8>> = rows.iter().map(|r| r.fields.to_bytes()).collect();
        descriptors.iter().for_each(|d| put_varint(&mut out, d.len() as u64));
        descriptors.iter().for_each(|d| out.extend_from_slice(d));
        rows.iter().for_each(|r| put_varint(&mut out, r.dependencies.len() as u64));
        rows.iter().flat_map(|r| &r.dependencies).for_each(|d| put_dependency(&mut out, d));
        rows.iter().for_each(|r| put_varint(&mut out, r.first_chunk));
        rows.iter().for_each(|r| put_varint(&mut out, r.lengths.len() as u64));
        out.extend(rows.iter().map(|r| match r.layout {
            Layout::Indexed => 0u8,
            Layout::Gathered => 1,
            Layout::Described => 2,
        }));
        self.put_offsets(&mut out, base);
        rows.iter().for_each(|r| put_lengths(&mut out, &r.lengths));
        out
    }

    fn put_offsets(&self, out: &mut Vec<u8>, base: u64) {
        let mut previous_end = base;
        for r in &self.rows {
            if r.lengths.is_empty() {
                put_svarint(out, 0);
                continue;
            }
            put_svarint(out, r.offset.wrapping_sub(previous_end) as i64);
            let ordinal = self.asset_of(r).map_or(0, |a| a.ordinal);
            previous_end = r.end(ordinal).unwrap_or(u64::MAX);
        }
    }
}

fn put_asset(out: &mut Vec<u8>, a: &Asset) {
    put_varint(out, u64::from(a.ordinal));
    put_varint(out, a.kind << 1 | u64::from(a.critical));
    put_string(out, &a.name);
    out.extend_from_slice(&a.hash);
    let fields = a.fields.to_bytes();
    put_varint(out, fields.len() as u64);
    out.extend_from_slice(&fields);
}

fn put_names(out: &mut Vec<u8>, rows: &[EntryRow]) {
    let mut previous: &[u8] = &[];
    let mut shared = Vec::with_capacity(rows.len());
    for r in rows {
        let name = r.name.as_bytes();
        shared.push(name.iter().zip(previous).take_while(|(a, b)| a == b).count());
        previous = name;
    }
    shared.iter().for_each(|&n| put_varint(out, n as u64));
    let suffixes = || rows.iter().zip(&shared).map(|(r, &n)| r.name.as_bytes().get(n..).unwrap_or_default());
    suffixes().for_each(|s| put_varint(out, s.len() as u64));
    suffixes().for_each(|s| out.extend_from_slice(s));
}

fn put_dependency(out: &mut Vec<u8>, d: &Dependency) {
    match d {
        Dependency::Entry(id) => {
            put_varint(out, 0);
            put_varint(out, u64::from(*id));
        }
        Dependency::Other { asset, entry } => {
            put_varint(out, 1);
            put_varint(out, u64::from(*asset));
            put_varint(out, u64::from(*entry));
        }
        Dependency::External { hash, name } => {
            put_varint(out, 2);
            out.extend_from_slice(hash);
            put_string(out, name);
        }
    }
}

fn put_lengths(out: &mut Vec<u8>, lengths: &[u64]) {
    let mut previous = None;
    for &len in lengths {
        match previous {
            None => put_varint(out, len),
            Some(p) => put_svarint(out, len.wrapping_sub(p) as i64),
        }
        previous = Some(len);
    }
}
