//! Every entry of a file, its rows added up.

use mcodec_decode::{ReadAt, Reader, RowRef};
use mcodec_format::{Asset, EntryDescriptor, Layout, Representation};
use std::collections::HashMap;

/// An entry.
pub(super) struct Item {
    /// Its first row.
    pub(super) row: RowRef,
    /// All rows.
    pub(super) parts: Vec<RowRef>,
    /// What it is, or why this version cannot tell.
    pub(super) descriptor: Result<EntryDescriptor, String>,
    /// Chunks in the file.
    pub(super) chunks: u64,
    /// Bytes of their payloads.
    pub(super) coded: u64,
    /// Bytes of their frames besides the payloads.
    pub(super) overhead: u64,
}

/// What the index lists.
pub(super) struct Inventory {
    /// Assets in key order.
    pub(super) assets: Vec<Asset>,
    /// Entries in key order.
    pub(super) items: Vec<Item>,
    /// Leaves that cannot be read.
    pub(super) faults: Vec<String>,
}

impl Inventory {
    /// Reads the whole index.
    pub(super) fn of<S: ReadAt>(reader: &Reader<S>) -> Self {
        let mut all = Self { assets: Vec::new(), items: Vec::new(), faults: Vec::new() };
        let mut places: HashMap<(u32, u32), usize> = HashMap::new();
        let mut known: HashMap<u32, ()> = HashMap::new();
        for leaf in 0..reader.index().leaf_count() {
            let page = match reader.leaf(leaf) {
                Ok(page) => page,
                Err(e) => {
                    all.faults.push(format!("leaf {leaf} of the index: {e}"));
                    continue;
                }
            };
            for asset in &page.assets {
                if known.insert(asset.ordinal, ()).is_none() {
                    all.assets.push(asset.clone());
                }
            }
            for row in (0..page.rows.len()).filter(|&row| !page.rows[row].copy) {
                let row = RowRef { page: page.clone(), row };
                let key = (row.asset().ordinal, row.get().id);
                let at = *places.entry(key).or_insert(all.items.len());
                if at == all.items.len() {
                    all.items.push(Item::new(row.clone(), reader));
                }
                all.items[at].add(row);
            }
        }
        all
    }
}

impl Item {
    /// Whether it is a quantised tensor.
    pub(super) fn is_of_codes(&self) -> bool {
        let representation = self.descriptor.as_ref().ok().and_then(EntryDescriptor::representation);
        representation == Some(&Representation::Quant)
    }

    fn new<S: ReadAt>(row: RowRef, reader: &Reader<S>) -> Self {
        let found = row.get();
        let descriptor = EntryDescriptor::parse(found.kind, &found.fields, reader.limits());
        let descriptor = descriptor.map_err(|e| e.to_string());
        Self { row, parts: Vec::new(), descriptor, chunks: 0, coded: 0, overhead: 0 }
    }

    fn add(&mut self, part: RowRef) {
        let row = part.get();
        let coded = row.lengths.iter().fold(0u64, |sum, &n| sum.saturating_add(n));
        self.chunks = self.chunks.saturating_add(row.lengths.len() as u64);
        self.coded = self.coded.saturating_add(coded);
        if let Some((start, end)) = extent(&part) {
            self.overhead = self.overhead.saturating_add((end - start).saturating_sub(coded));
        }
        self.parts.push(part);
    }

    /// Name.
    pub(super) fn name(&self) -> &str {
        &self.row.get().name
    }

    /// Kind.
    pub(super) fn kind(&self) -> u64 {
        self.row.get().kind
    }

    /// Whether it is of this asset.
    pub(super) fn is_of(&self, asset: &Asset) -> bool {
        self.row.asset().ordinal == asset.ordinal
    }

    /// Whether it belongs to a record.
    pub(super) fn is_owned(&self) -> bool {
        matches!(&self.descriptor, Ok(EntryDescriptor::Tensor(t)) if t.owner.is_some())
    }
}

/// The bytes of the file that a row's frames take.
pub(super) fn extent(part: &RowRef) -> Option<(u64, u64)> {
    let row = part.get();
    let end = row.end(part.asset().ordinal)?;
    (!row.lengths.is_empty()).then_some((row.offset, end))
}

/// What a layout of frames is called.
pub(super) fn layout_name(layout: Layout) -> &'static str {
    match layout {
        Layout::Indexed => "indexed",
        Layout::Gathered => "gathered",
        Layout::Described => "described",
    }
}
