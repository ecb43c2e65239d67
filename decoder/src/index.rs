//! The open index of a file, and the look-ups in it, without IO.

use crate::open::{Warning, leaf_page};
use crate::{DecodeError, Result};
use mcodec_format::{
    EntryRow, FormatError, LeafPointer, Limits, Page, Preamble, Root, RootBody, Slot, compare_keys, leaf_of,
};
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// The index of one generation. Leaves are parsed when they are first supplied, and kept.
#[derive(Debug)]
pub struct Index {
    preamble: Preamble,
    slot: Slot,
    file_len: u64,
    root: Root,
    leaves: Vec<OnceLock<Arc<Page>>>,
    warnings: Vec<Warning>,
    limits: Limits,
}

/// A leaf that must be read before a look-up can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedLeaf {
    /// Number of the leaf.
    pub leaf: usize,
    /// Its bytes in the file, for [`Index::supply_leaf`].
    pub range: Range<u64>,
}

/// The outcome of a look-up: what was found, or what is needed to go on.
pub type Lookup<T> = std::result::Result<T, NeedLeaf>;

/// A row of the index together with the page that holds it.
#[derive(Debug, Clone)]
pub struct RowRef {
    /// The page.
    pub page: Arc<Page>,
    /// Number of the row in the page.
    pub row: usize,
}

impl RowRef {
    /// The row.
    #[must_use]
    pub fn get(&self) -> &mcodec_format::EntryRow {
        &self.page.rows[self.row]
    }

    /// The asset of the row.
    #[must_use]
    pub fn asset(&self) -> &mcodec_format::Asset {
        &self.page.assets[self.get().asset]
    }
}

impl Index {
    pub(crate) fn new(
        preamble: Preamble,
        slot: Slot,
        file_len: u64,
        mut root: Root,
        own: Vec<(usize, Page)>,
        warnings: Vec<Warning>,
        limits: Limits,
    ) -> Result<Self, FormatError> {
        let count = match &root.body {
            RootBody::Inline(_) => 1,
            RootBody::Leaves(leaves) => leaves.len(),
        };
        let leaves: Vec<OnceLock<Arc<Page>>> = std::iter::repeat_with(OnceLock::new).take(count).collect();
        if let RootBody::Inline(page) = &mut root.body {
            let page = std::mem::take(page);
            check_extents(&page, slot.committed)?;
            check_keys(&page, &[], 0)?;
            _ = leaves[0].set(Arc::new(page));
        }
        for (i, page) in own {
            check_extents(&page, slot.committed)?;
            if let RootBody::Leaves(pointers) = &root.body {
                check_keys(&page, pointers, i)?;
            }
            _ = leaves[i].set(Arc::new(page));
        }
        Ok(Self { preamble, slot, file_len, root, leaves, warnings, limits })
    }

    /// The preamble.
    #[must_use]
    pub fn preamble(&self) -> &Preamble {
        &self.preamble
    }

    /// The slot of the generation in use.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Length of the file.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// The root of the generation in use. The page of an inline leaf is not in it but in [`Index::leaf`] 0.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// What a reader should know about the file.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The limits that the file was opened with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Number of leaves.
    #[must_use]
    pub fn leaf_count(&self) -> usize {
        self.leaves.len()
    }

    /// Leaf `leaf`, or what to read for it.
    ///
    /// # Errors
    /// [`NeedLeaf`] if it was not supplied yet.
    pub fn leaf(&self, leaf: usize) -> Lookup<Arc<Page>> {
        if let Some(page) = self.leaves.get(leaf).and_then(OnceLock::get) {
            return Ok(Arc::clone(page));
        }
        let range = match &self.root.body {
            RootBody::Leaves(all) => all.get(leaf).map_or(0..0, |l| l.offset..l.offset.saturating_add(l.len)),
            RootBody::Inline(_) => 0..0,
        };
        Err(NeedLeaf { leaf, range })
    }

    /// Gives the bytes of the leaf frame that was asked for.
    ///
    /// # Errors
    /// If the leaf is damaged or names bytes beyond the committed length.
    pub fn supply_leaf(&self, need: &NeedLeaf, frame: &[u8]) -> Result<Arc<Page>> {
        let based = match &self.root.body {
            RootBody::Leaves(all) => all.get(need.leaf).is_some_and(|l| l.based),
            RootBody::Inline(_) => false,
        };
        let base = if based { self.root.data_base } else { 0 };
        let page = leaf_page(frame, need.range.start, base, &self.limits)?;
        check_extents(&page, self.slot.committed)?;
        if let RootBody::Leaves(pointers) = &self.root.body {
            check_keys(&page, pointers, need.leaf)?;
        }
        match self.leaves.get(need.leaf) {
            Some(cell) => Ok(Arc::clone(cell.get_or_init(|| Arc::new(page)))),
            None => Err(DecodeError::Request(format!("there is no leaf {}", need.leaf))),
        }
    }

    /// The name of the only asset, if there is only one.
    ///
    /// # Errors
    /// [`NeedLeaf`] if a leaf must be read to tell.
    pub fn only_asset(&self) -> Lookup<Option<String>> {
        if self.root.assets != 1 {
            return Ok(None);
        }
        if let RootBody::Leaves(leaves) = &self.root.body
            && let Some(name) = leaves.get(1).and_then(|l| l.separator.split(|&b| b == 0).next())
            && let Ok(name) = std::str::from_utf8(name)
        {
            return Ok(Some(name.to_owned()));
        }
        Ok(self.leaf(0)?.assets.first().map(|a| a.name.clone()))
    }

    /// The row that holds chunk `chunk` (or, of an entry without chunks, the row) of the entry of `kind` and `name` in the asset named `asset`.
    ///
    /// # Errors
    /// [`NeedLeaf`] if its leaf must be read first.
    pub fn find(&self, asset: &str, kind: u64, name: &str, chunk: u64) -> Lookup<Option<RowRef>> {
        let key = key(asset, name);
        let Some(leaf) = (match &self.root.body {
            RootBody::Inline(_) => Some(0),
            RootBody::Leaves(leaves) => leaf_of(leaves, &key, chunk),
        }) else {
            return Ok(None);
        };
        let page = self.leaf(leaf)?;
        let owned = page.rows.partition_point(|row| !row.copy);
        let from = page.rows[..owned].partition_point(|row| {
            let asset = page.asset_of(row).map_or("", |a| &a.name);
            compare_keys(&self::key(asset, &row.name), &key) == Ordering::Less
        });
        let row = page.rows[from..owned]
            .iter()
            .take_while(|row| row.name == name)
            .position(|row| row.kind == kind && covers(row, chunk))
            .map(|i| from + i);
        Ok(row.map(|row| RowRef { page: Arc::clone(&page), row }))
    }
}

fn covers(row: &mcodec_format::EntryRow, chunk: u64) -> bool {
    row.first_chunk <= chunk && chunk - row.first_chunk < (row.lengths.len() as u64).max(1)
}

fn key(asset: &str, entry: &str) -> Vec<u8> {
    [asset.as_bytes(), &[0], entry.as_bytes()].concat()
}

/// The keys of leaf `leaf` must lie between its separator and the next one, and its first row begin where its pointer says.
fn check_keys(page: &Page, pointers: &[LeafPointer], leaf: usize) -> Result<(), FormatError> {
    let key_of = |row: &EntryRow| key(page.asset_of(row).map_or("", |a| &a.name), &row.name);
    let mut owned = page.rows.iter().filter(|row| !row.copy);
    let Some(first) = owned.next() else { return Ok(()) };
    let last = owned.next_back().unwrap_or(first);
    let pointer = pointers.get(leaf);
    let begins = pointer.is_none_or(|p| compare_keys(&p.separator, &key_of(first)) != Ordering::Greater);
    let ends = pointers.get(leaf + 1).is_none_or(|next| match compare_keys(&key_of(last), &next.separator) {
        Ordering::Less => true,
        Ordering::Equal => next.first_chunk > 0,
        Ordering::Greater => false,
    });
    if !begins || !ends || first.first_chunk != pointer.map_or(0, |p| p.first_chunk) {
        let offset = pointer.map_or(0, |p| p.offset);
        return Err(FormatError::corrupt(
            "leaf page",
            offset,
            "its keys are not those that its pointer promises",
        ));
    }
    Ok(())
}

/// A row must lie within the committed bytes, after the preamble.
fn check_extents(page: &Page, committed: u64) -> Result<(), FormatError> {
    for row in page.rows.iter().filter(|row| !row.lengths.is_empty()) {
        let ordinal = page.asset_of(row).map_or(0, |a| a.ordinal);
        let inside =
            row.offset >= mcodec_format::PREAMBLE_LEN && row.end(ordinal).is_some_and(|e| e <= committed);
        if !inside {
            let why = format!("the chunks of {:?} lie outside the committed {committed} bytes", row.name);
            return Err(FormatError::corrupt("index page", row.offset, why));
        }
    }
    Ok(())
}
