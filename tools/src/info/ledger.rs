//! Where the bytes of a file go: every byte is counted once, by layer of the format.

use super::inventory::{Inventory, Item, extent};
use crate::interrupt::Cancel;
use mcodec_coding::{blocks, fields, labelled};
use mcodec_decode::quantised::Counted;
use mcodec_decode::{ReadAt, Reader};
use mcodec_format::{Dependency, EntryDescriptor, FrameHead, PREAMBLE_LEN, RootBody, Tag, registry};
use serde::Serialize;
use std::collections::HashSet;

/// Bytes of a file by layer. All numbers together are the file's size.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Ledger {
    /// What holds the rest together.
    pub(super) container: Container,
    /// The coded content of tensors.
    pub(super) coding: Coding,
    /// Content that is not tensors of the asset: sets of Gaussians, files, records.
    pub(super) domain: Domain,
    /// The sum.
    pub(super) total: u64,
    /// Of these, what quantised tensors take; null if there are none.
    pub(super) quantised: Option<Quantised>,
}

/// Bytes of quantised tensors, which are also counted above. What is within chunks is 0 without a look into them.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Quantised {
    /// Tensors.
    pub(super) tensors: u64,
    /// Weights in them.
    pub(super) weights: u64,
    /// Coded magnitudes: words and lane states of rANS streams.
    pub(super) codes: u64,
    /// Signs, low bits, and codes written in full.
    pub(super) packed: u64,
    /// Step exponents of rows and columns.
    pub(super) steps: u64,
    /// Classes of rows and columns.
    pub(super) classes: u64,
    /// Tables.
    pub(super) tables: u64,
    /// Heads of chunks.
    pub(super) heads: u64,
    /// Chunks that are stored, or were not looked into.
    pub(super) other: u64,
    /// Frames and checks of their chunks and objects.
    pub(super) frames: u64,
    /// Their part of the index, by their share of its rows.
    pub(super) index: f64,
    /// Bits for each of the weights, all of this included.
    pub(super) bits_per_weight: f64,
}

/// Bytes of the container.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Container {
    /// Preamble with its slots.
    pub(super) preamble: u64,
    /// Root frame of the current generation.
    pub(super) root: u64,
    /// Its leaf frames.
    pub(super) leaves: u64,
    /// Tags, lengths and checks of chunk frames.
    pub(super) frames: u64,
    /// Padding frames.
    pub(super) padding: u64,
    /// Descriptors that travel before their chunks, and trailers.
    pub(super) in_band: u64,
    /// Frames that the current generation does not use.
    pub(super) superseded: u64,
    /// Bytes after the committed length.
    pub(super) trailing: u64,
}

/// Bytes of coded tensors. Without a look into the chunks, all but what they share is `unread`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Coding {
    /// Heads of chunks and fields, and labels within chunks.
    pub(super) heads: u64,
    /// Tables within chunks.
    pub(super) own_tables: u64,
    /// Tables that several entries share, with what says how they are used.
    pub(super) shared_tables: u64,
    /// Column labels that several chunks share.
    pub(super) shared_labels: u64,
    /// Lane states of rANS streams.
    pub(super) states: u64,
    /// Words of rANS streams.
    pub(super) entropy_coded: u64,
    /// Fields stored bit for bit.
    pub(super) packed: u64,
    /// Zstd frames.
    pub(super) zstd: u64,
    /// Chunks stored as they are.
    pub(super) stored: u64,
    /// Payloads that were not looked into, or that do not parse.
    pub(super) unread: u64,
}

/// Bytes of other content, as stored.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Domain {
    /// Layers of images.
    pub(super) gaussians: u64,
    /// Files that travel along, and headers of safetensors files.
    pub(super) files: u64,
    /// Records and their tensors.
    pub(super) records: u64,
    /// Entries of unknown kinds.
    pub(super) unknown: u64,
}

/// The ledger of an open file; `deep` reads all chunks of tensors.
pub(super) fn ledger<S: ReadAt>(
    reader: &Reader<S>,
    inventory: &Inventory,
    deep: bool,
    cancel: &Cancel,
) -> anyhow::Result<Ledger> {
    let mut ledger = Ledger::default();
    let mut quantised = None;
    for item in &inventory.items {
        ledger.container.frames += item.overhead;
        match item.kind() {
            registry::entry::FILE => ledger.domain.files += item.coded,
            registry::entry::RECORD => ledger.domain.records += item.coded,
            registry::entry::TABLE
            | registry::entry::CLASSES
            | registry::entry::DIFFERENCE_TABLES
            | registry::entry::TOKEN_MODEL
            | registry::entry::STATISTICS
            | registry::entry::DIGITS
            | registry::entry::LEVEL => {
                ledger.coding.shared_tables += item.coded;
            }
            registry::entry::COLUMN_LABELS
            | registry::entry::DIFFERENCE_COLUMNS
            | registry::entry::INDEX_MAP
            | registry::entry::BUNDLES => {
                ledger.coding.shared_labels += item.coded;
            }
            registry::entry::COLUMN_STEPS | registry::entry::COLUMN_CLASSES | registry::entry::CODEBOOK => {
                ledger.coding.shared_labels += item.coded;
            }
            registry::entry::TENSOR if item.is_owned() => ledger.domain.records += item.coded,
            registry::entry::TENSOR | registry::entry::ARRAY if deep && item.is_of_codes() => {
                let found = quantised.get_or_insert_default();
                inside_codes(reader, item, (&mut ledger.coding, found), cancel)?;
            }
            registry::entry::TENSOR | registry::entry::ARRAY if deep => {
                inside(reader, item, &mut ledger.coding, cancel)?;
            }
            registry::entry::TENSOR | registry::entry::ARRAY => ledger.coding.unread += item.coded,
            registry::entry::LAYER => ledger.domain.gaussians += item.coded,
            _ => ledger.domain.unknown += item.coded,
        }
    }
    around(reader, inventory, &mut ledger.container);
    ledger.total = reader.index().file_len();
    let index = ledger.container.preamble + ledger.container.root + ledger.container.leaves;
    ledger.quantised = sum_up(inventory, quantised, index);
    Ok(ledger)
}

/// What quantised tensors take in all, `within` their chunks as found.
fn sum_up(inventory: &Inventory, within: Option<Quantised>, index: u64) -> Option<Quantised> {
    let rows = inventory.items.iter().flat_map(|item| &item.parts);
    let counted = Counted::of(rows.map(|row| (row.asset().ordinal, row.get())), index);
    if counted.tensors == 0 {
        return None;
    }
    let mut all = within.unwrap_or_default();
    let needed: HashSet<(u32, u32)> = inventory
        .items
        .iter()
        .filter(|item| item.is_of_codes())
        .flat_map(|item| {
            let row = item.row.get();
            let id = |d: &Dependency| if let Dependency::Entry(id) = d { Some(*id) } else { None };
            let asset = item.row.asset().ordinal;
            row.dependencies.iter().filter_map(id).map(move |id| (asset, id))
        })
        .collect();
    for item in &inventory.items {
        if !needed.contains(&(item.row.asset().ordinal, item.row.get().id)) {
            continue;
        }
        match item.kind() {
            registry::entry::CLASSES | registry::entry::CODEBOOK => all.tables += item.coded,
            registry::entry::COLUMN_STEPS => all.steps += item.coded,
            registry::entry::COLUMN_CLASSES => all.classes += item.coded,
            _ => {}
        }
    }
    let within = all.codes + all.packed + all.steps + all.classes + all.tables + all.heads;
    Some(Quantised {
        tensors: counted.tensors,
        weights: counted.weights,
        other: (counted.chunks + counted.shared).saturating_sub(within),
        frames: counted.frames,
        index: counted.index,
        bits_per_weight: counted.bits_per_weight(),
        ..all
    })
}

/// Counts what is within the chunks of a quantised tensor.
fn inside_codes<S: ReadAt>(
    reader: &Reader<S>,
    item: &Item,
    (coding, quantised): (&mut Coding, &mut Quantised),
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let entry = reader.resolve(item.row.clone()).ok();
    for part in &item.parts {
        for span in part.get().spans(part.asset().ordinal) {
            cancel.check()?;
            let len = span.payload.end - span.payload.start;
            let found = entry.as_ref().and_then(|e| reader.codes_ledger(e, span.place.chunk).ok()?);
            let Some(found) = found else {
                coding.unread += len;
                continue;
            };
            coding.heads += found.head + found.steps + found.classes;
            coding.states += found.states;
            coding.packed += found.packed;
            coding.entropy_coded += found.entropy_coded;
            quantised.heads += found.head;
            quantised.steps += found.steps;
            quantised.classes += found.classes;
            quantised.packed += found.packed;
            quantised.codes += found.states + found.entropy_coded;
        }
    }
    Ok(())
}

/// Counts what is within the chunks of a tensor.
fn inside<S: ReadAt>(
    reader: &Reader<S>,
    item: &Item,
    coding: &mut Coding,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let entry = reader.resolve(item.row.clone()).ok();
    let chunking = item.descriptor.as_ref().ok().and_then(EntryDescriptor::chunking);
    let mut payload = Vec::new();
    for part in &item.parts {
        for span in part.get().spans(part.asset().ordinal) {
            cancel.check()?;
            let len = span.payload.end - span.payload.start;
            let Some(chunking) = chunking.filter(|_| len <= reader.limits().memory) else {
                coding.unread += len;
                continue;
            };
            if chunking.coding == registry::coding::RAW {
                coding.stored += len;
                continue;
            }
            payload.resize(len as usize, 0);
            if reader.source().read_exact_at(span.payload.start, &mut payload).is_err() {
                coding.unread += len;
                continue;
            }
            let range = chunking.chunk_range(span.place.chunk);
            let decoded_len = (range.end - range.start) as usize;
            let of_parts = || inside_chunk(chunking.coding, &payload, decoded_len);
            let of_labelled = || reader.labelled_ledger(entry.as_ref()?, span.place.chunk).ok()?;
            let is_difference = chunking.coding == registry::coding::DIFFERENCE;
            let is_labelled = is_difference || chunking.coding == registry::coding::LABELLED;
            let of_rest = || fields::ledger(payload.get(1..)?, decoded_len).ok();
            let known = match payload.first() {
                Some(_) if is_difference && len == 1 => {
                    coding.heads += 1;
                    true
                }
                Some(2..) if is_difference => {
                    of_rest().map(|f| (coding.heads += 1, coding.add_fields(&f))).is_some()
                }
                Some(0) => {
                    coding.heads += 1;
                    coding.stored += len - 1;
                    true
                }
                Some(&labelled::FORM) if is_labelled => {
                    of_labelled().map(|f| coding.add_labelled(&f)).is_some()
                }
                _ => of_parts().map(|f| coding.add_fields(&f)).is_some(),
            };
            coding.unread += if known { 0 } else { len };
        }
    }
    Ok(())
}

impl Coding {
    fn add_fields(&mut self, found: &fields::Ledger) {
        self.heads += found.heads;
        self.own_tables += found.tables;
        self.states += found.states;
        self.entropy_coded += found.entropy_coded;
        self.packed += found.packed;
        self.zstd += found.zstd;
    }

    fn add_labelled(&mut self, found: &labelled::LabelledLedger) {
        self.heads += found.labels;
        self.states += found.states;
        self.packed += found.packed;
        self.entropy_coded += found.entropy_coded;
    }
}

/// The parts of a chunk's payload. Classes of blocks are known only from the content.
fn inside_chunk(coding: u64, payload: &[u8], decoded_len: usize) -> Option<fields::Ledger> {
    if coding != registry::coding::BLOCKS {
        return fields::ledger(payload, decoded_len).ok();
    }
    let mut chunk = vec![0; decoded_len];
    blocks::decode(payload, &mut chunk).ok()?;
    blocks::ledger(payload, &chunk).ok()
}

/// Counts what is around the chunks: index, padding, and what no index names.
fn around<S: ReadAt>(reader: &Reader<S>, inventory: &Inventory, container: &mut Container) {
    let index = reader.index();
    let slot = index.slot();
    container.preamble = PREAMBLE_LEN.min(index.file_len());
    container.root = slot.root_len.into();
    let mut used: Vec<(u64, u64)> =
        vec![(0, PREAMBLE_LEN), (slot.root_offset, slot.root_offset + u64::from(slot.root_len))];
    if let RootBody::Leaves(leaves) = &index.root().body {
        container.leaves = leaves.iter().fold(0, |sum, leaf| sum + leaf.len);
        used.extend(leaves.iter().map(|leaf| (leaf.offset, leaf.offset.saturating_add(leaf.len))));
    }
    used.extend(inventory.items.iter().flat_map(|item| item.parts.iter().filter_map(extent)));
    used.sort_unstable();
    let committed = slot.committed.min(index.file_len());
    container.trailing = index.file_len() - committed;
    let mut at = 0;
    for (start, end) in used.into_iter().chain([(committed, committed)]) {
        gap(reader, at, start, container);
        at = at.max(end);
    }
}

/// Walks the frames of a gap between what the index names.
fn gap<S: ReadAt>(reader: &Reader<S>, start: u64, end: u64, container: &mut Container) {
    let mut at = start;
    while at < end {
        let mut head = vec![0u8; (end - at).min(FrameHead::MAX_LEN) as usize];
        let read = reader.source().read_exact_at(at, &mut head);
        let head = read.ok().and_then(|()| FrameHead::parse(&head).ok());
        let len = head.and_then(|h| h.frame_len()).filter(|&len| len <= end - at);
        let (Some(head), Some(len)) = (head, len) else {
            // Indexed frames of an older generation: their lengths are in its index only.
            container.superseded += end - at;
            return;
        };
        match head.tag {
            Tag::PAD => container.padding += len,
            Tag::DESCRIPTORS | Tag::TRAILER => container.in_band += len,
            _ => container.superseded += len,
        }
        at += len;
    }
}

impl Quantised {
    /// Name and bytes of every line.
    pub(super) fn lines(&self) -> [(&'static str, u64); 9] {
        [
            ("codes", self.codes),
            ("signs and low bits", self.packed),
            ("steps", self.steps),
            ("classes", self.classes),
            ("tables", self.tables),
            ("heads", self.heads),
            ("not looked into", self.other),
            ("frames", self.frames),
            ("index, its part", self.index.round() as u64),
        ]
    }
}

impl Ledger {
    /// Name and bytes of every line, by layer.
    pub(super) fn lines(&self) -> [(&'static str, Vec<(&'static str, u64)>); 3] {
        let (c, d, o) = (&self.container, &self.coding, &self.domain);
        [
            (
                "container",
                vec![
                    ("preamble", c.preamble),
                    ("root", c.root),
                    ("leaves", c.leaves),
                    ("frames", c.frames),
                    ("padding", c.padding),
                    ("in-band descriptors", c.in_band),
                    ("superseded", c.superseded),
                    ("trailing", c.trailing),
                ],
            ),
            (
                "coding",
                vec![
                    ("heads", d.heads),
                    ("own tables", d.own_tables),
                    ("shared tables", d.shared_tables),
                    ("shared labels", d.shared_labels),
                    ("rANS states", d.states),
                    ("entropy-coded", d.entropy_coded),
                    ("packed bits", d.packed),
                    ("zstd", d.zstd),
                    ("stored", d.stored),
                    ("not looked into", d.unread),
                ],
            ),
            (
                "domain",
                vec![
                    ("Gaussians", o.gaussians),
                    ("files", o.files),
                    ("records", o.records),
                    ("unknown", o.unknown),
                ],
            ),
        ]
    }
}
