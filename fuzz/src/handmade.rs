//! Small files made by hand, with whatever they say: for what no encoder writes.

use crate::mutate::page_bytes::{page_bytes, root_bytes};
use mcodec_format::wire::put_varint;
use mcodec_format::{
    Asset, Check, ChunkPlace, Dependency, EntryRow, Fields, Layout, LeafPointer, Page, Preamble, Root,
    RootBody, Slot, SlotState, Tag, check_bytes, described_frame, described_len, registry,
};

/// An entry: what its row says, and the payloads of its chunks.
#[derive(Debug, Clone)]
pub struct Handmade {
    /// Kind.
    pub kind: u64,
    /// Name.
    pub name: &'static str,
    /// Descriptor.
    pub fields: Fields,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
    /// Payloads.
    pub chunks: Vec<Vec<u8>>,
}

impl Handmade {
    /// An entry without dependencies and chunks.
    #[must_use]
    pub fn new(kind: u64, name: &'static str, fields: Fields) -> Self {
        Self { kind, name, fields, dependencies: Vec::new(), chunks: Vec::new() }
    }

    /// With this chunk.
    #[must_use]
    pub fn chunk(mut self, payload: &[u8]) -> Self {
        self.chunks.push(payload.to_vec());
        self
    }

    /// Depending on the entry with this id.
    #[must_use]
    pub fn needs(mut self, id: u32) -> Self {
        self.dependencies.push(Dependency::Entry(id));
        self
    }
}

/// Fields that each hold one varint or these bytes.
#[must_use]
pub fn fields(all: &[(u64, &[u64])]) -> Fields {
    let mut fields = Fields::default();
    for (id, numbers) in all {
        let mut value = Vec::new();
        numbers.iter().for_each(|&n| put_varint(&mut value, n));
        fields.set(*id, true, value);
    }
    fields
}

/// A finished file of one model `m` with these entries, whose ids are their indices.
#[must_use]
pub fn finished(entries: &[Handmade]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut rows = Vec::new();
    for (id, entry) in (0u32..).zip(entries) {
        let offset = data.len() as u64;
        for (chunk, payload) in (0..).zip(&entry.chunks) {
            data.push(Tag::INDEXED.0);
            data.extend(payload);
            data.extend(check_bytes(ChunkPlace { asset: 0, entry: id, chunk }, payload));
        }
        rows.push(EntryRow {
            asset: 0,
            kind: entry.kind,
            copy: false,
            critical: true,
            id,
            name: entry.name.into(),
            fields: entry.fields.clone(),
            dependencies: entry.dependencies.clone(),
            first_chunk: 0,
            layout: Layout::Indexed,
            offset,
            lengths: entry.chunks.iter().map(|c| c.len() as u64).collect(),
        });
    }
    let asset = Asset {
        ordinal: 0,
        kind: registry::asset::MODEL,
        critical: true,
        name: "m".into(),
        hash: [0; 32],
        fields: Fields::default(),
    };
    let mut page = Page { assets: vec![asset], rows };
    page.rows = {
        let mut rows = page.rows.clone();
        rows.sort_by(|a, b| page.compare_rows(a, b));
        rows
    };
    lay_out(page, &data)
}

/// The file of this page, offsets in it counting from the start of `data`.
#[must_use]
pub fn lay_out(page: Page, data: &[u8]) -> Vec<u8> {
    let mut root = Root {
        generation: 1,
        assets: page.assets.len() as u64,
        data_base: 0,
        previous: None,
        fields: Fields::default(),
        body: RootBody::Inline(page.clone()),
    };
    let mut payload = root_bytes(&root, 0);
    for _ in 0..4 {
        root.data_base = 96 + described_len(payload.len() as u64);
        let mut moved = page.clone();
        for row in moved.rows.iter_mut().filter(|r| !r.lengths.is_empty()) {
            row.offset += root.data_base;
        }
        root.body = RootBody::Inline(moved);
        payload = root_bytes(&root, root.data_base);
    }
    let frame = described_frame(Tag::ROOT, &payload);
    let slot = Slot {
        generation: 1,
        root_len: frame.len() as u32,
        root_offset: 96,
        committed: (96 + frame.len() + data.len()) as u64,
    };
    let preamble = Preamble { slots: [SlotState::Whole(slot), SlotState::Empty], ..Preamble::default() };
    [&preamble.to_bytes()[..], &frame, data].concat()
}

/// A streaming file of these frames, without an index.
#[must_use]
pub fn streaming(frames: &[Vec<u8>]) -> Vec<u8> {
    [&Preamble::default().to_bytes()[..], &frames.concat()].concat()
}

/// A `C` frame.
#[must_use]
pub fn chunk_frame(place: ChunkPlace, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![Tag::CHUNK.0];
    for n in [payload.len() as u64, place.asset.into(), place.entry.into(), place.chunk] {
        put_varint(&mut out, n);
    }
    out.extend(payload);
    out.extend(Check::chunk(place, payload).0.to_le_bytes());
    out
}

/// A model `m` of raw tensors `w0`, `w1`…, of which each has `chunks` chunks of one byte, and each is the only row of its leaf
/// but the last, which is cut in two parts over two leaves. A generation above 1 lies at the end of the file.
#[must_use]
pub fn with_leaves(tensors: u32, chunks: u64, generation: u32) -> Vec<u8> {
    let asset = Asset {
        ordinal: 0,
        kind: registry::asset::MODEL,
        critical: true,
        name: "m".into(),
        hash: [0; 32],
        fields: Fields::default(),
    };
    let mut data = Vec::new();
    let mut leaves = Vec::new();
    for id in 0..tensors {
        let half = if id + 1 == tensors { chunks / 2 } else { chunks };
        for part in [0..half, half..chunks].into_iter().filter(|p| !p.is_empty()) {
            let row = tensor_part(id, chunks, part, &mut data);
            leaves.push((
                row.name.clone(),
                row.first_chunk,
                Page { assets: vec![asset.clone()], rows: vec![row] },
            ));
        }
    }
    if generation == 1 { leading(&leaves, &data) } else { trailing(&leaves, &data, generation) }
}

fn tensor_part(id: u32, chunks: u64, part: core::ops::Range<u64>, data: &mut Vec<u8>) -> EntryRow {
    let offset = data.len() as u64;
    for chunk in part.clone() {
        let payload = [chunk as u8];
        data.push(Tag::INDEXED.0);
        data.extend(payload);
        data.extend(check_bytes(ChunkPlace { asset: 0, entry: id, chunk }, &payload));
    }
    use registry::field;
    EntryRow {
        asset: 0,
        kind: registry::entry::TENSOR,
        copy: false,
        critical: true,
        id,
        name: format!("w{id}"),
        fields: fields(&[
            (field::DTYPE, &[registry::Dtype::by_name("U8").map_or(0, |d| d.id)]),
            (field::SHAPE, &[chunks]),
            (field::CODING, &[registry::coding::RAW]),
            (field::CHUNK_LENGTH, &[1]),
        ]),
        dependencies: Vec::new(),
        first_chunk: part.start,
        layout: Layout::Indexed,
        offset,
        lengths: part.map(|_| 1).collect(),
    }
}

type Leaves = [(String, u64, Page)];

fn pointers(
    leaves: &Leaves,
    frames: &[Vec<u8>],
    mut at: u64,
    based: bool,
    generation: u32,
) -> Vec<LeafPointer> {
    let mut all = Vec::new();
    for ((name, first_chunk, _), frame) in leaves.iter().zip(frames) {
        let separator = if all.is_empty() { Vec::new() } else { [b"m\0", name.as_bytes()].concat() };
        let len = frame.len() as u64;
        all.push(LeafPointer { offset: at, len, based, generation, separator, first_chunk: *first_chunk });
        at += len;
    }
    all
}

/// Root, leaves, data.
fn leading(leaves: &Leaves, data: &[u8]) -> Vec<u8> {
    let frames: Vec<_> = leaves.iter().map(|l| described_frame(Tag::LEAF, &page_bytes(&l.2, 0))).collect();
    let leaves_len = frames.concat().len() as u64;
    let mut root = root_of(1, 0, Vec::new());
    let mut end = 96;
    for _ in 0..4 {
        root.data_base = end + leaves_len;
        root.body = RootBody::Leaves(pointers(leaves, &frames, end, true, 1));
        end = 96 + described_len(root_bytes(&root, end).len() as u64);
    }
    let frame = described_frame(Tag::ROOT, &root_bytes(&root, end));
    let slot = Slot {
        generation: 1,
        root_len: frame.len() as u32,
        root_offset: 96,
        committed: end + leaves_len + data.len() as u64,
    };
    let preamble = Preamble { slots: [SlotState::Whole(slot), SlotState::Empty], ..Preamble::default() };
    [&preamble.to_bytes()[..], &frame, &frames.concat(), data].concat()
}

/// Data, leaves, root.
fn trailing(leaves: &Leaves, data: &[u8], generation: u32) -> Vec<u8> {
    let mut moved = leaves.to_vec();
    moved.iter_mut().flat_map(|l| &mut l.2.rows).for_each(|r| r.offset += 96);
    let frames: Vec<_> = moved.iter().map(|l| described_frame(Tag::LEAF, &page_bytes(&l.2, 0))).collect();
    let at = 96 + data.len() as u64;
    let root_offset = at + frames.concat().len() as u64;
    let root = root_of(generation, 0, pointers(leaves, &frames, at, false, generation));
    let mut frame = Vec::new();
    for _ in 0..4 {
        let payload = root_bytes(&root, root_offset + frame.len() as u64);
        frame = described_frame(Tag::ROOT, &payload);
    }
    let root_len = frame.len() as u32;
    let slot = Slot { generation, root_len, root_offset, committed: root_offset + u64::from(root_len) };
    let preamble = Preamble { slots: [SlotState::Empty, SlotState::Whole(slot)], ..Preamble::default() };
    [&preamble.to_bytes()[..], data, &frames.concat(), &frame].concat()
}

fn root_of(generation: u32, data_base: u64, leaves: Vec<LeafPointer>) -> Root {
    let body = RootBody::Leaves(leaves);
    Root { generation, assets: 1, data_base, previous: None, fields: Fields::default(), body }
}
