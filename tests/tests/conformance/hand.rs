//! Files made by hand from the wire types, also such as no encoder writes.

use mcodec_coding::Table;
use mcodec_coding::fields::{FieldCode, FieldSpec, encode};
use mcodec_format::registry::{asset, coding, entry};
use mcodec_format::{
    Asset, Check, ChunkPlace, Chunking, Dependency, EntryRow, Fields, FileDescriptor, Layout, LeafPointer,
    Page, Preamble, RecordDescriptor, Representation, Root, RootBody, Slot, SlotState, Tag, TensorDescriptor,
    check_bytes, described_frame, pad_frame, registry::Dtype, wire,
};

/// Assets and rows, with the payloads of the rows' chunks.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    pub page: Page,
    pub payloads: Vec<Vec<Vec<u8>>>,
    /// Start the payloads of gathered runs at multiples of 64.
    pub aligned: bool,
}

/// What a finished file consists of besides its data.
#[derive(Debug, Clone)]
pub struct Shell {
    pub preamble: Preamble,
    pub root_fields: Fields,
    pub generation: u32,
    pub assets: Option<u64>,
}

impl Default for Shell {
    fn default() -> Self {
        // Pages may come out as zstd frames.
        let preamble = Preamble { required: 1, ..Preamble::default() };
        Self { preamble, root_fields: Fields::default(), generation: 1, assets: None }
    }
}

pub fn model(ordinal: u32, name: &str) -> Asset {
    Asset {
        ordinal,
        kind: asset::MODEL,
        critical: true,
        name: name.into(),
        hash: [0; 32],
        fields: Fields::default(),
    }
}

pub fn blob(ordinal: u32, name: &str, content: &[u8]) -> Asset {
    Asset { kind: asset::BLOB, hash: *blake3::hash(content).as_bytes(), ..model(ordinal, name) }
}

pub fn row(id: u32, kind: u64, name: &str, fields: Fields) -> EntryRow {
    EntryRow {
        asset: 0,
        kind,
        copy: false,
        critical: true,
        id,
        name: name.into(),
        fields,
        dependencies: Vec::new(),
        first_chunk: 0,
        layout: Layout::Indexed,
        offset: 0,
        lengths: Vec::new(),
    }
}

pub fn chunking(coding: u64, chunk_len: usize, byte_len: usize) -> Chunking {
    Chunking { coding, chunk_len: chunk_len as u64, byte_len: byte_len as u64 }
}

/// The descriptor of a tensor of bytes, cut as `chunking` says.
pub fn bytes_tensor(chunking: Chunking) -> TensorDescriptor {
    TensorDescriptor {
        dtype: Dtype::by_name("U8"),
        dtype_name: "U8".into(),
        shape: vec![chunking.byte_len],
        representation: Representation::Plain,
        chunking,
        owner: None,
        groups: None,
    }
}

/// A tensor `bytes` of one raw chunk.
pub fn raw_tensor(id: u32, name: &str, bytes: &[u8]) -> (EntryRow, Vec<Vec<u8>>) {
    let descriptor = bytes_tensor(chunking(coding::RAW, bytes.len().max(1), bytes.len()));
    let payloads = if bytes.is_empty() { Vec::new() } else { vec![bytes.to_vec()] };
    (row(id, entry::TENSOR, name, descriptor.to_fields()), payloads)
}

/// A tensor of bytes with one chunk that has this payload of coding `fields`.
pub fn fields_tensor(id: u32, name: &str, byte_len: usize, payload: Vec<u8>) -> (EntryRow, Vec<Vec<u8>>) {
    let descriptor = bytes_tensor(chunking(coding::FIELDS, byte_len, byte_len));
    (row(id, entry::TENSOR, name, descriptor.to_fields()), vec![payload])
}

pub fn record(id: u32, name: &str, schema: &str, bound: [u8; 32], json: &str) -> (EntryRow, Vec<Vec<u8>>) {
    let descriptor = RecordDescriptor {
        schema: schema.into(),
        bound,
        chunking: chunking(coding::RAW, json.len(), json.len()),
    };
    let row = EntryRow { critical: false, ..row(id, entry::RECORD, name, descriptor.to_fields()) };
    (row, vec![json.as_bytes().to_vec()])
}

pub fn file(id: u32, name: &str, layout: u64, content: &[u8]) -> (EntryRow, Vec<Vec<u8>>) {
    let descriptor = FileDescriptor { layout, chunking: chunking(coding::RAW, content.len(), content.len()) };
    (row(id, entry::FILE, name, descriptor.to_fields()), vec![content.to_vec()])
}

/// A table of the symbols of `bytes` and its row.
pub fn table(id: u32, name: &str, bytes: &[u8]) -> (Table, (EntryRow, Vec<Vec<u8>>)) {
    let table = table_of(bytes);
    let payload = table.to_bytes();
    (table, (row(id, entry::TABLE, name, Fields::default()), vec![payload]))
}

pub fn table_of(bytes: &[u8]) -> Table {
    let values: Vec<u16> = (0..256).collect();
    let mut counts = vec![0u64; 256];
    bytes.iter().for_each(|&b| counts[usize::from(b)] += 1);
    Table::from_counts(&values, &counts, 10).expect("counts make a table")
}

/// A payload of coding `fields` whose units are bytes under the shared table that dependency 0 is.
pub fn shared_payload(table: &Table, bytes: &[u8]) -> Vec<u8> {
    let code = FieldCode::RansShared { dependency: 0, table, lanes_log2: 1 };
    encode(bytes, 8, &[FieldSpec { width: 8, code }]).expect("payload is coded")
}

impl Draft {
    pub fn of(assets: Vec<Asset>) -> Self {
        Self { page: Page { assets, rows: Vec::new() }, payloads: Vec::new(), aligned: false }
    }

    pub fn add(&mut self, entry: (EntryRow, Vec<Vec<u8>>)) {
        let (mut row, payloads) = entry;
        row.lengths = payloads.iter().map(|p| p.len() as u64).collect();
        self.page.rows.push(row);
        self.payloads.push(payloads);
    }

    pub fn add_of(&mut self, asset: usize, entry: (EntryRow, Vec<Vec<u8>>)) {
        self.add((EntryRow { asset, ..entry.0 }, entry.1));
    }

    pub fn depend(&mut self, on: Dependency) {
        self.page.rows.last_mut().expect("there is a row").dependencies.push(on);
    }

    /// Puts rows in key order.
    pub fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.page.rows.len()).collect();
        order.sort_by(|&a, &b| self.page.compare_rows(&self.page.rows[a], &self.page.rows[b]));
        self.page.rows = order.iter().map(|&i| self.page.rows[i].clone()).collect();
        self.payloads = order.iter().map(|&i| self.payloads[i].clone()).collect();
    }

    /// Sets the content hash of a model from the bytes of its tensors.
    pub fn hash(&mut self, asset: usize, tensors: &[(&str, &str, &[u64], &[u8])]) {
        let mut hasher = mcodec_decode::ModelHasher::default();
        for (name, dtype, shape, bytes) in tensors {
            hasher.add(name, dtype, shape, *blake3::hash(bytes).as_bytes());
        }
        self.page.assets[asset].hash = hasher.finish();
    }

    /// Lays out the frames of all chunks from file offset `base`; the rows' offsets say where they are.
    pub fn lay_out(&mut self, base: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for (row, payloads) in self.page.rows.iter_mut().zip(&self.payloads) {
            if payloads.is_empty() {
                continue;
            }
            let ordinal = self.page.assets[row.asset].ordinal;
            let mut at = base + out.len() as u64;
            if row.layout == Layout::Gathered && self.aligned && !at.is_multiple_of(64) {
                let gap = 64 - at % 64;
                out.extend(pad_frame(if gap < 2 { gap + 64 } else { gap }));
                at = base + out.len() as u64;
            }
            row.offset = at;
            let mut checks = Vec::new();
            for (chunk, payload) in (row.first_chunk..).zip(payloads) {
                let place = ChunkPlace { asset: ordinal, entry: row.id, chunk };
                match row.layout {
                    Layout::Indexed => {
                        out.push(Tag::INDEXED.0);
                        out.extend_from_slice(payload);
                        out.extend(check_bytes(place, payload));
                    }
                    Layout::Gathered => {
                        out.extend_from_slice(payload);
                        checks.extend(check_bytes(place, payload));
                    }
                    Layout::Described => out.extend(described_chunk(place, payload)),
                }
            }
            if row.layout == Layout::Gathered {
                out.push(Tag::GATHERED.0);
                out.extend(checks);
            }
        }
        out
    }

    /// The finished file, its index inline in the root.
    pub fn finished(mut self, shell: &Shell) -> Vec<u8> {
        self.sort();
        let mut base = 200;
        loop {
            let data = self.lay_out(base);
            let file = inline_file(shell, base, self.page.clone(), &data);
            let found = (file.len() - data.len()) as u64;
            if found == base {
                return file;
            }
            base = found;
        }
    }
}

pub fn described_chunk(place: ChunkPlace, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![Tag::CHUNK.0];
    for v in [payload.len() as u64, place.asset.into(), place.entry.into(), place.chunk] {
        wire::put_varint(&mut out, v);
    }
    out.extend_from_slice(payload);
    out.extend(Check::chunk(place, payload).0.to_le_bytes());
    out
}

/// A file whose root holds `page`, followed by `data`.
pub fn inline_file(shell: &Shell, data_base: u64, page: Page, data: &[u8]) -> Vec<u8> {
    let root = Root {
        generation: shell.generation,
        assets: shell.assets.unwrap_or(page.assets.len() as u64),
        data_base,
        previous: None,
        fields: shell.root_fields.clone(),
        body: RootBody::Inline(page),
    };
    root_file(shell, &root.to_bytes(0), data)
}

/// A file with this root payload, followed by `data`, whatever it means.
pub fn root_file(shell: &Shell, root: &[u8], data: &[u8]) -> Vec<u8> {
    let frame = described_frame(Tag::ROOT, root);
    let committed = (96 + frame.len() + data.len()) as u64;
    let slot =
        Slot { generation: shell.generation, root_len: frame.len() as u32, root_offset: 96, committed };
    let mut preamble = shell.preamble.clone();
    preamble.slots[0] = SlotState::Whole(slot);
    [&preamble.to_bytes()[..], &frame, data].concat()
}

/// One leaf of a file that [`leafy_file`] makes: the rows it owns, and those that it repeats.
pub struct Leaf {
    pub separator: Vec<u8>,
    pub first_chunk: u64,
    pub owned: Vec<usize>,
    pub copies: Vec<usize>,
}

/// A finished file with leaves of their own; rows are numbered as `draft` has them.
pub fn leafy_file(mut draft: Draft, leaves: &[Leaf]) -> Vec<u8> {
    let shell = Shell::default();
    let mut base = 200;
    loop {
        let data = draft.lay_out(base);
        let frames: Vec<Vec<u8>> = leaves
            .iter()
            .map(|leaf| described_frame(Tag::LEAF, &leaf_page(&draft.page, leaf).to_bytes(base)))
            .collect();
        let pointers = |root_end: u64| {
            let mut offset = root_end;
            let pointer = |(leaf, frame): (&Leaf, &Vec<u8>)| {
                let at = offset;
                offset += frame.len() as u64;
                LeafPointer {
                    offset: at,
                    len: frame.len() as u64,
                    based: true,
                    generation: 1,
                    separator: leaf.separator.clone(),
                    first_chunk: leaf.first_chunk,
                }
            };
            leaves.iter().zip(&frames).map(pointer).collect::<Vec<_>>()
        };
        let root = |end| {
            Root {
                generation: 1,
                assets: draft.page.assets.len() as u64,
                data_base: base,
                previous: None,
                fields: Fields::default(),
                body: RootBody::Leaves(pointers(end)),
            }
            .to_bytes(end)
        };
        let end = 96 + described_frame(Tag::ROOT, &root(0)).len() as u64;
        let rest = [frames.concat(), data.clone()].concat();
        let file = root_file(&shell, &root(end), &rest);
        let found = (file.len() - data.len()) as u64;
        if found == base {
            return file;
        }
        base = found;
    }
}

fn leaf_page(all: &Page, leaf: &Leaf) -> Page {
    let mut page = Page::default();
    let copies = leaf.copies.iter().map(|&i| EntryRow { copy: true, ..all.rows[i].clone() });
    for row in leaf.owned.iter().map(|&i| all.rows[i].clone()).chain(copies) {
        let owner = &all.assets[row.asset];
        let known = page.assets.iter().position(|a| a.ordinal == owner.ordinal);
        let asset = known.unwrap_or_else(|| {
            page.assets.push(owner.clone());
            page.assets.len() - 1
        });
        page.rows.push(EntryRow { asset, ..row });
    }
    page
}

/// A streaming file: descriptors, chunks, then `extra` frames, the root and the trailer.
pub fn streaming_file(mut draft: Draft, extra: &[u8]) -> Vec<u8> {
    draft.sort();
    draft.page.rows.iter_mut().for_each(|r| r.layout = Layout::Described);
    let mut announced = draft.page.clone();
    announced.rows.iter_mut().for_each(|r| r.lengths.clear());
    announced.assets.iter_mut().for_each(|a| a.hash = [0; 32]);
    let mut out = Shell::default().preamble.to_bytes().to_vec();
    out.extend(described_frame(Tag::DESCRIPTORS, &announced.to_bytes(0)));
    let data = draft.lay_out(out.len() as u64);
    out.extend(data);
    out.extend_from_slice(extra);
    let body = RootBody::Inline(draft.page.clone());
    let assets = draft.page.assets.len() as u64;
    let root = Root { generation: 1, assets, data_base: 0, previous: None, fields: Fields::default(), body };
    let frame = described_frame(Tag::ROOT, &root.to_bytes(0));
    let (root_offset, root_len) = (out.len() as u64, frame.len() as u32);
    out.extend(frame);
    let committed = out.len() as u64 + 33;
    out.extend(Slot { generation: 1, root_len, root_offset, committed }.to_trailer());
    out
}
