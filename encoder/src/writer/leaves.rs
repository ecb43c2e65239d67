//! From a draft to the pages of an index (SPEC sections 3.3 and 4).

use super::draft::Draft;
use crate::{EncodeError, Result};
use mcodec_format::{
    Dependency, EntryRow, LEAF_MAX, LeafPointer, Page, Tag, compare_keys, described_frame, leaf_of,
};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet, VecDeque};

/// Estimated bytes of a page before compression at which the next one is begun.
const PAGE_TARGET: usize = 96 << 10;

/// A leaf that is to be written, or one of an older generation that still holds.
#[derive(Debug)]
pub(crate) enum Leaf {
    New { page: Page, separator: Vec<u8>, first_chunk: u64 },
    Kept(LeafPointer),
}

/// The rows of a draft in key order, cut into leaves, each with copies of what its rows depend on.
///
/// `kept` are the leaves of the generation before, with what they hold; those whose key range still holds the same are used again.
pub(crate) fn leaves_of(draft: &Draft, kept: &[(LeafPointer, Page)]) -> Result<Vec<Leaf>> {
    let index = Dependencies::of(draft);
    let items = sorted(draft);
    let pointers: Vec<LeafPointer> = kept.iter().map(|(p, _)| p.clone()).collect();
    let group_of = |item: &Item| leaf_of(&pointers, &item.key, item.first_chunk).unwrap_or(0);
    let mut leaves = Vec::new();
    let mut rest = items.as_slice();
    let groups = kept.len().max(1);
    for group in 0..groups {
        let len = if kept.is_empty() { rest.len() } else { rest.partition_point(|i| group_of(i) <= group) };
        let (items, after) = rest.split_at(len);
        rest = after;
        let pages = cut(draft, items, &index)?;
        if let Some((pointer, page)) = kept.get(group)
            && pages.len() == 1
            && pages[0].0 == *page
        {
            leaves.push(Leaf::Kept(pointer.clone()));
            continue;
        }
        for (i, (page, separator, first_chunk)) in pages.into_iter().enumerate() {
            let (separator, first_chunk) = match (i, kept.get(group)) {
                (0, Some((pointer, _))) => (pointer.separator.clone(), pointer.first_chunk),
                (0, None) => (Vec::new(), 0),
                _ => (separator, first_chunk),
            };
            leaves.push(Leaf::New { page, separator, first_chunk });
        }
    }
    if leaves.is_empty() {
        leaves.push(Leaf::New { page: Page::default(), separator: Vec::new(), first_chunk: 0 });
    }
    Ok(leaves)
}

/// The frame of a leaf page whose based offsets count from `base`.
pub(crate) fn leaf_frame(page: &Page, base: u64) -> Result<Vec<u8>> {
    let frame = described_frame(Tag::LEAF, &page.to_bytes(base));
    if frame.len() as u64 > LEAF_MAX {
        return Err(EncodeError::Request(format!(
            "an index leaf of {} bytes is above {LEAF_MAX}",
            frame.len()
        )));
    }
    Ok(frame)
}

/// A row, or an asset without rows, at its place in the order of keys.
struct Item {
    key: Vec<u8>,
    first_chunk: u64,
    row: Option<usize>,
    asset: usize,
}

fn sorted(draft: &Draft) -> Vec<Item> {
    let used: HashSet<usize> = draft.rows.iter().map(|r| r.asset).collect();
    let bare = (0..draft.assets.len()).filter(|a| !used.contains(a)).map(|asset| Item {
        key: draft.assets[asset].name.clone().into_bytes(),
        first_chunk: 0,
        row: None,
        asset,
    });
    let rows = draft.rows.iter().enumerate().map(|(i, row)| Item {
        key: [draft.assets[row.asset].name.as_bytes(), &[0], row.name.as_bytes()].concat(),
        first_chunk: row.first_chunk,
        row: Some(i),
        asset: row.asset,
    });
    let mut items: Vec<Item> = bare.chain(rows).collect();
    let tie = |i: &Item| i.row.map(|r| (draft.rows[r].kind, draft.rows[r].id, draft.rows[r].first_chunk));
    items.sort_by(|a, b| compare_keys(&a.key, &b.key).then_with(|| tie(a).cmp(&tie(b))));
    items
}

type Cut = (Page, Vec<u8>, u64);

/// Cuts items into pages of about [`PAGE_TARGET`] bytes.
fn cut(draft: &Draft, items: &[Item], index: &Dependencies) -> Result<Vec<Cut>> {
    let mut pages = Vec::new();
    let mut start = 0;
    let mut size = 0;
    for (i, item) in items.iter().enumerate() {
        let cost = item.row.map_or(64, |r| estimate(&draft.rows[r]) + index.base_estimate(draft, r));
        let same_key = i > 0 && items[i - 1].key == item.key;
        if i > start && size + cost > PAGE_TARGET && !(same_key && item.first_chunk == 0) {
            pages.push(page(draft, items, start..i, index)?);
            start = i;
            size = 0;
        }
        size += cost;
    }
    if start < items.len() {
        pages.push(page(draft, items, start..items.len(), index)?);
    }
    Ok(pages)
}

fn estimate(row: &EntryRow) -> usize {
    32 + row.name.len() + 2 * row.lengths.len() + 4 * row.dependencies.len()
}

fn page(draft: &Draft, items: &[Item], range: std::ops::Range<usize>, index: &Dependencies) -> Result<Cut> {
    let first = &items[range.start];
    let separator = match range.start.checked_sub(1).map(|i| &items[i]) {
        None => Vec::new(),
        Some(_) if first.first_chunk > 0 => first.key.clone(),
        Some(before) => shortest_separator(&before.key, &first.key),
    };
    let first_chunk = if range.start > 0 { first.first_chunk } else { 0 };
    let owned: Vec<usize> = items[range.clone()].iter().filter_map(|i| i.row).collect();
    let copies = index.closure(draft, &owned)?;
    let mut page = Page::default();
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut assets = items[range].iter().map(|i| i.asset).chain(copies.iter().map(|&r| draft.rows[r].asset));
    for asset in assets.by_ref() {
        places.entry(asset).or_insert_with(|| {
            page.assets.push(draft.assets[asset].clone());
            page.assets.len() - 1
        });
    }
    for (rows, copy) in [(&owned, false), (&copies, true)] {
        for &row in rows {
            let row = &draft.rows[row];
            page.rows.push(EntryRow { asset: places[&row.asset], copy, ..row.clone() });
        }
    }
    Ok((page, separator, first_chunk))
}

/// A short string above `before` and at most `first`, that still tells the asset apart.
fn shortest_separator(before: &[u8], first: &[u8]) -> Vec<u8> {
    let least = first.iter().position(|&b| b == 0).map_or(0, |at| at + 1);
    (least..first.len())
        .map(|len| &first[..len])
        .find(|s| {
            std::str::from_utf8(s).is_ok()
                && compare_keys(before, s) == Ordering::Less
                && compare_keys(s, first) == Ordering::Less
        })
        .unwrap_or(first)
        .to_vec()
}

/// First rows of entries, by asset ordinal and entry id.
struct Dependencies(HashMap<(u32, u32), usize>);

impl Dependencies {
    fn of(draft: &Draft) -> Self {
        let firsts = draft.rows.iter().enumerate().filter(|(_, r)| r.first_chunk == 0);
        Self(firsts.map(|(i, r)| ((draft.assets[r.asset].ordinal, r.id), i)).collect())
    }

    /// What copies of the rows of a row's base take, and of the base's base, with what they depend on.
    fn base_estimate(&self, draft: &Draft, row: usize) -> usize {
        let mut sum = 0;
        let mut at = row;
        // Paths are short; a circle is found when the page is made.
        for _ in 0..8 {
            let Some(Dependency::Other { asset, entry }) = draft.rows[at].dependencies.first() else { break };
            let Some(&base) = self.0.get(&(*asset, *entry)) else { break };
            at = base;
            sum += estimate(&draft.rows[at]) * (1 + draft.rows[at].dependencies.len().min(3));
        }
        sum
    }

    /// Rows that rows `owned` depend on, to any depth, without `owned` themselves.
    fn closure(&self, draft: &Draft, owned: &[usize]) -> Result<Vec<usize>> {
        let mut seen: HashSet<usize> = owned.iter().copied().collect();
        let mut queue: VecDeque<usize> = owned.iter().copied().collect();
        let mut copies = Vec::new();
        while let Some(at) = queue.pop_front() {
            let row = &draft.rows[at];
            for dependency in &row.dependencies {
                let key = match dependency {
                    Dependency::Entry(id) => (draft.assets[row.asset].ordinal, *id),
                    Dependency::Other { asset, entry } => (*asset, *entry),
                    Dependency::External { .. } => continue,
                };
                let Some(&target) = self.0.get(&key) else {
                    let (name, asset) = (&row.name, key.0);
                    let why =
                        format!("{name:?} depends on entry {} of asset {asset}, which is not there", key.1);
                    return Err(EncodeError::Request(why));
                };
                if seen.insert(target) {
                    copies.push(target);
                    queue.push_back(target);
                }
            }
        }
        copies.sort_unstable();
        Ok(copies)
    }
}
