//! What variants take, counted in chunks as they were written.

use crate::items::{Content, Item};
use crate::writer::{ContainerWriter, NewEntry};
use crate::{EncodeError, Result};
use mcodec_format::{Built, Bundles, CutAxis, Fields, MatrixAxis, NestOrder, built, registry};
use std::collections::HashMap;

/// How many rows, columns and terms of an array are needed, from the first on.
#[derive(Clone, Copy)]
struct Needed {
    rows: u64,
    columns: u64,
    rank: u64,
}

const ALL: Needed = Needed { rows: u64::MAX, columns: u64::MAX, rank: u64::MAX };

/// Checks the bundles of an asset whose items are written, counts what variants take, and writes the entry `bundles` under id `id`.
pub(crate) fn write_bundles(
    writer: &mut ContainerWriter,
    asset: usize,
    id: u32,
    items: &[Item<'_>],
    mut bundles: Bundles,
) -> Result<()> {
    bundles.check().map_err(|e| EncodeError::Request(e.to_string()))?;
    check(items, &bundles)?;
    let mut chunks: HashMap<u32, Vec<u64>> = HashMap::new();
    for row in writer.draft().rows.iter().filter(|row| row.asset == asset) {
        chunks.entry(row.id).or_default().extend(&row.lengths);
    }
    for at in 0..bundles.variants.len() {
        bundles.variants[at].bytes = bytes_of(items, &bundles, at, &chunks);
    }
    let entry = NewEntry {
        asset,
        kind: registry::entry::BUNDLES,
        critical: false,
        id,
        name: "bundles".into(),
        fields: Fields::default(),
        dependencies: Vec::new(),
    };
    let row = writer.draft().add_entry(entry);
    writer.announce(&[row])?;
    writer.put_chunk(asset, id, &bundles.to_bytes())
}

fn shape_of<'i>(item: &'i Item<'_>) -> Option<&'i [u64]> {
    match &item.content {
        Content::Tensor { shape, .. } => Some(shape),
        Content::Quantised(content) => Some(content.shape()),
        Content::Coded(content) => Some(content.shape()),
        Content::Built(content) => Some(&content.shape),
        _ => None,
    }
}

/// The rules of section 6.2 that a reader checks.
fn check(items: &[Item<'_>], bundles: &Bundles) -> Result<()> {
    let mut cut: HashMap<(u32, CutAxis), &str> = HashMap::new();
    for bundle in &bundles.bundles {
        let mut map = None;
        for member in &bundle.members {
            let fail = |why: &str| {
                let name = items.get(member.entry as usize).map_or("", |item| &*item.name);
                Err(EncodeError::Request(format!("bundle {:?}: {name:?} {why}", bundle.name)))
            };
            let item = items.get(member.entry as usize);
            let Some((item, (rows, columns))) =
                item.and_then(|item| Some((item, built::matrix(shape_of(item)?)?)))
            else {
                return fail("is no array");
            };
            if let Some(other) = cut.insert((member.entry, member.axis), &bundle.name) {
                return fail(&format!("is cut by bundle {other:?} already"));
            }
            let how = match &item.content {
                Content::Built(content) => Some(&content.how),
                _ => None,
            };
            let places = match (member.axis, how) {
                (CutAxis::Rows, _) => rows,
                (CutAxis::Columns, _) => columns,
                (CutAxis::Rank, Some(Built::LowRank { ranks, .. })) => ranks.last().copied().unwrap_or(0),
                (CutAxis::Rank, _) => return fail("has no rank"),
            };
            if places == 0 || !places.is_multiple_of(bundle.unit) {
                return fail(&format!("has {places} places, which are no whole units of {}", bundle.unit));
            }
            let (Content::Built(content), Some(Built::Select { rows, columns })) = (&item.content, how)
            else {
                continue;
            };
            let at = match member.axis {
                CutAxis::Rows if *rows => 1,
                CutAxis::Columns if *columns => 1 + usize::from(*rows),
                _ => continue,
            };
            let own = content.items().nth(at);
            if map.is_some() && map != own {
                return fail("is selected by another map than the others");
            }
            map = own;
        }
    }
    Ok(())
}

/// Bytes of the chunks that a variant needs.
fn bytes_of(items: &[Item<'_>], bundles: &Bundles, variant: usize, chunks: &HashMap<u32, Vec<u64>>) -> u64 {
    let mut own: HashMap<u32, Needed> = HashMap::new();
    for (bundle, level) in bundles.bundles.iter().zip(&bundles.variants[variant].levels) {
        let width = bundle.levels.get(*level as usize).copied().unwrap_or(bundle.unit);
        for member in &bundle.members {
            let needed = own.entry(member.entry).or_insert(ALL);
            let shape = items.get(member.entry as usize).and_then(shape_of).and_then(built::matrix);
            let (rows, columns) = shape.unwrap_or_default();
            let prefix = |places: u64| {
                if bundle.order == NestOrder::Prefix && bundle.unit == places { width } else { u64::MAX }
            };
            match member.axis {
                CutAxis::Rows => needed.rows = prefix(rows),
                CutAxis::Columns => needed.columns = prefix(columns),
                CutAxis::Rank => needed.rank = width,
            }
        }
    }
    let mut taken: HashMap<u32, u64> = HashMap::new();
    for (at, item) in items.iter().enumerate().filter(|(_, item)| !item.array) {
        if !matches!(item.content, Content::Object { .. }) {
            visit(items, at as u32, ALL, (&own, chunks), &mut taken);
        }
    }
    let in_items = items.len() as u32;
    let objects = chunks.iter().filter(|(id, _)| **id >= in_items).map(|(_, all)| all.iter().sum::<u64>());
    taken.values().sum::<u64>() + objects.sum::<u64>()
}

fn visit(
    items: &[Item<'_>],
    at: u32,
    from: Needed,
    (own, chunks): (&HashMap<u32, Needed>, &HashMap<u32, Vec<u64>>),
    taken: &mut HashMap<u32, u64>,
) {
    let Some(item) = items.get(at as usize) else { return };
    if let Some(of) = item.alias_of {
        return visit(items, of, from, (own, chunks), taken);
    }
    let level = own.get(&at).copied().unwrap_or(ALL);
    let needed = Needed {
        rows: from.rows.min(level.rows),
        columns: from.columns.min(level.columns),
        rank: level.rank,
    };
    let mut next = |at: u32, needed: Needed| visit(items, at, needed, (own, chunks), taken);
    let Content::Built(content) = &item.content else {
        let all = chunks.get(&at).map_or(&[][..], Vec::as_slice);
        let rows = shape_of(item).and_then(built::matrix).map_or(1, |(rows, _)| rows).max(1);
        let used = if needed.rows >= rows {
            all.len()
        } else {
            // Chunks are whole rows.
            let per_row = item.byte_len / rows;
            let chunk = item.byte_len.div_ceil(all.len().max(1) as u64).max(1);
            ((needed.rows * per_row).div_ceil(chunk) as usize).min(all.len())
        };
        let used = if needed.columns == 0 { 0 } else { used };
        let bytes = all[..used].iter().sum();
        let known = taken.entry(at).or_insert(0);
        *known = (*known).max(bytes);
        return;
    };
    let on: Vec<u32> = content.items().map(|id| id as u32).collect();
    match &content.how {
        Built::LowRank { left_by_rank, right_by_column, has_base, .. } => {
            let inner = &on[on.len().saturating_sub(2)..];
            if let (true, Some(base)) = (*has_base && on.len() > 2, on.first()) {
                next(*base, needed);
            }
            let turn = |turn: bool, rows: u64, columns: u64| {
                let (rows, columns) = if turn { (columns, rows) } else { (rows, columns) };
                Needed { rows, columns, rank: u64::MAX }
            };
            next(inner[0], turn(*left_by_rank, needed.rows, needed.rank));
            next(inner[1], turn(*right_by_column, needed.rank, needed.columns));
        }
        Built::Tiers { axis, runs } => {
            let (mut start, mut there) = (0, on.iter());
            for (len, is_there) in runs {
                let Some(run) = is_there.then(|| there.next()).flatten() else {
                    start += len;
                    continue;
                };
                let all = if *axis == MatrixAxis::Rows { needed.rows } else { needed.columns };
                let left = all.saturating_sub(start);
                start += len;
                if left > 0 {
                    let of = Needed { rank: u64::MAX, ..needed };
                    next(
                        *run,
                        if *axis == MatrixAxis::Rows {
                            Needed { rows: left, ..of }
                        } else {
                            Needed { columns: left, ..of }
                        },
                    );
                }
            }
        }
        _ => on.iter().for_each(|id| next(*id, ALL)),
    }
}
