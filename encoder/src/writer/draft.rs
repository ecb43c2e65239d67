//! What a file holds, before it is laid out as an index.

use mcodec_format::{Asset, Dependency, EntryRow, Fields, Layout};
use std::collections::HashMap;

/// Chunks of one row at most: longer entries are cut into parts, so that a leaf stays small.
pub(crate) const PART_CHUNKS: usize = 16_384;

/// Assets and rows. A row's `asset` is an index into `assets`; its offset counts from the data base in a finished file,
/// otherwise from the start of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) assets: Vec<Asset>,
    pub(crate) rows: Vec<EntryRow>,
    /// The last part of each entry, by asset index and entry id.
    open: HashMap<(usize, u32), usize>,
}

/// An entry whose chunks are yet to come.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry {
    pub(crate) asset: usize,
    pub(crate) kind: u64,
    pub(crate) critical: bool,
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) fields: Fields,
    pub(crate) dependencies: Vec<Dependency>,
}

impl Draft {
    pub(crate) fn add_asset(&mut self, asset: Asset) -> usize {
        self.assets.push(asset);
        self.assets.len() - 1
    }

    pub(crate) fn add_entry(&mut self, entry: NewEntry) -> usize {
        let NewEntry { asset, kind, critical, id, name, fields, dependencies } = entry;
        self.rows.push(EntryRow {
            asset,
            kind,
            copy: false,
            critical,
            id,
            name,
            fields,
            dependencies,
            first_chunk: 0,
            layout: Layout::Indexed,
            offset: 0,
            lengths: Vec::new(),
        });
        let row = self.rows.len() - 1;
        self.open.insert((asset, id), row);
        row
    }

    /// The last part of an entry.
    pub(crate) fn row_of(&self, asset: usize, id: u32) -> usize {
        self.open[&(asset, id)]
    }

    /// Gives all parts of an entry the dependencies of its last.
    pub(crate) fn share_dependencies(&mut self, asset: usize, id: u32) {
        let all = self.rows[self.row_of(asset, id)].dependencies.clone();
        for row in self.rows.iter_mut().filter(|row| row.asset == asset && row.id == id) {
            row.dependencies.clone_from(&all);
        }
    }

    /// Next free entry id of an asset.
    pub(crate) fn next_id(&self, asset: usize) -> u32 {
        self.rows.iter().filter(|r| r.asset == asset).map(|r| r.id + 1).max().unwrap_or(0)
    }

    /// The ordinal of the next chunk of an entry.
    pub(crate) fn next_chunk(&self, asset: usize, id: u32) -> u64 {
        let row = &self.rows[self.open[&(asset, id)]];
        row.first_chunk + row.lengths.len() as u64
    }

    /// Notes that the next chunk of an entry lies at `offset`; starts a new part where it does not follow the one before.
    pub(crate) fn place_chunk(&mut self, asset: usize, id: u32, layout: Layout, offset: u64, len: u64) {
        let ordinal = self.assets[asset].ordinal;
        let open = self.open[&(asset, id)];
        let row = &self.rows[open];
        let follows = row.layout == layout
            && row.lengths.len() < PART_CHUNKS
            && (layout == Layout::Gathered || row.end(ordinal) == Some(offset));
        let at = if row.lengths.is_empty() || follows {
            open
        } else {
            let first_chunk = row.first_chunk + row.lengths.len() as u64;
            self.rows.push(EntryRow { first_chunk, lengths: Vec::new(), ..row.clone() });
            self.open.insert((asset, id), self.rows.len() - 1);
            self.rows.len() - 1
        };
        let row = &mut self.rows[at];
        if row.lengths.is_empty() {
            row.offset = offset;
            row.layout = layout;
        }
        row.lengths.push(len);
    }

    /// Rows that were read from an index, as parts of a draft.
    pub(crate) fn adopt(&mut self, row: EntryRow) {
        self.rows.push(row);
        let at = self.rows.len() - 1;
        let row = &self.rows[at];
        let key = (row.asset, row.id);
        let later = self.open.get(&key).is_none_or(|&old| self.rows[old].first_chunk <= row.first_chunk);
        if later {
            self.open.insert(key, at);
        }
    }
}
