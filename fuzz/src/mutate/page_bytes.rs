//! Pages written without compression, also where they break the rules: zstd at its best level is slower than the parser.

use mcodec_format::wire::{put_string, put_svarint, put_varint};
use mcodec_format::{Dependency, EntryRow, Layout, Page, Root, RootBody};

/// The bytes of `page`; offsets of rows are written as their distance from `base`.
#[must_use]
pub fn page_bytes(page: &Page, base: u64) -> Vec<u8> {
    let mut out = vec![0];
    put_varint(&mut out, page.assets.len() as u64);
    for a in &page.assets {
        put_varint(&mut out, a.ordinal.into());
        put_varint(&mut out, a.kind << 1 | u64::from(a.critical));
        put_string(&mut out, &a.name);
        out.extend_from_slice(&a.hash);
        let fields = a.fields.to_bytes();
        put_varint(&mut out, fields.len() as u64);
        out.extend(fields);
    }
    let rows = &page.rows;
    put_varint(&mut out, rows.len() as u64);
    rows.iter().for_each(|r| put_varint(&mut out, r.asset as u64));
    for r in rows {
        put_varint(&mut out, r.kind << 2 | u64::from(r.copy) << 1 | u64::from(r.critical));
    }
    let mut expected = 0;
    for r in rows {
        put_svarint(&mut out, i64::from(r.id) - expected);
        expected = i64::from(r.id) + 1;
    }
    // No name shares bytes with the one before.
    rows.iter().for_each(|_| out.push(0));
    rows.iter().for_each(|r| put_varint(&mut out, r.name.len() as u64));
    rows.iter().for_each(|r| out.extend_from_slice(r.name.as_bytes()));
    let descriptors: Vec<Vec<u8>> = rows.iter().map(|r| r.fields.to_bytes()).collect();
    descriptors.iter().for_each(|d| put_varint(&mut out, d.len() as u64));
    descriptors.iter().for_each(|d| out.extend_from_slice(d));
    rows.iter().for_each(|r| put_varint(&mut out, r.dependencies.len() as u64));
    rows.iter().flat_map(|r| &r.dependencies).for_each(|d| put_dependency(&mut out, d));
    rows.iter().for_each(|r| put_varint(&mut out, r.first_chunk));
    rows.iter().for_each(|r| put_varint(&mut out, r.lengths.len() as u64));
    out.extend(rows.iter().map(|r| match r.layout {
        Layout::Indexed => 0,
        Layout::Gathered => 1,
        Layout::Described => 2,
    }));
    put_offsets(&mut out, page, base);
    rows.iter().for_each(|r| put_lengths(&mut out, r));
    out
}

fn put_offsets(out: &mut Vec<u8>, page: &Page, base: u64) {
    let mut previous_end = base;
    for r in &page.rows {
        if r.lengths.is_empty() {
            out.push(0);
            continue;
        }
        put_svarint(out, r.offset.wrapping_sub(previous_end) as i64);
        let ordinal = page.asset_of(r).map_or(0, |a| a.ordinal);
        previous_end = r.end(ordinal).unwrap_or(u64::MAX);
    }
}

fn put_dependency(out: &mut Vec<u8>, dependency: &Dependency) {
    match dependency {
        Dependency::Entry(id) => {
            out.push(0);
            put_varint(out, (*id).into());
        }
        Dependency::Other { asset, entry } => {
            out.push(1);
            put_varint(out, (*asset).into());
            put_varint(out, (*entry).into());
        }
        Dependency::External { hash, name } => {
            out.push(2);
            out.extend_from_slice(hash);
            put_string(out, name);
        }
    }
}

fn put_lengths(out: &mut Vec<u8>, row: &EntryRow) {
    let mut previous = None;
    for &len in &row.lengths {
        match previous {
            None => put_varint(out, len),
            Some(p) => put_svarint(out, len.wrapping_sub(p) as i64),
        }
        previous = Some(len);
    }
}

/// The payload of a root frame that will end at `frame_end`, its inline page uncompressed.
#[must_use]
pub fn root_bytes(root: &Root, frame_end: u64) -> Vec<u8> {
    let RootBody::Inline(page) = &root.body else { return root.to_bytes(frame_end) };
    let head = Root { body: RootBody::Leaves(Vec::new()), ..root.clone() };
    // No leaves: the count of zero after which an inline page comes.
    let mut out = head.to_bytes(frame_end);
    out.extend(page_bytes(page, root.data_base));
    out
}
