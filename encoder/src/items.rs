//! Encoding the content of entries: in segments of bounded size, chunks in parallel, bytes independent of the thread count.

use crate::plain::{ChunkCode, Element, SharedTable, encode_chunk, shared_tables};
use crate::writer::{ContainerWriter, NewEntry};
use crate::{EncodeError, EncodeOptions, Result};
use mcodec_coding::fields;
use mcodec_format::{
    Chunking, Dependency, FileDescriptor, RecordDescriptor, Representation, TensorDescriptor,
    registry::{self, Dtype},
};
use rayon::prelude::*;

/// Bytes of content that are in memory at once.
const SEGMENT: u64 = 32 << 20;
/// Content up to this length is offered shared tables.
const SMALL: u64 = 64 << 10;

/// Fills a buffer with the content's bytes from an offset on. Called in order of offsets.
pub(crate) type ReadContent<'a> = Box<dyn Fn(u64, &mut [u8]) -> Result<()> + Send + Sync + 'a>;

/// What the content of an entry is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Tensor { dtype_name: String, shape: Vec<u64>, owner: Option<u32> },
    File { layout: u64 },
    Record { schema: String, bound: [u8; 32], required: bool },
}

/// An entry to be encoded.
pub(crate) struct Item<'a> {
    pub(crate) name: String,
    pub(crate) content: Content,
    pub(crate) byte_len: u64,
    /// Id of the entry with the same bytes that this one is stored as.
    pub(crate) alias_of: Option<u32>,
    pub(crate) read: ReadContent<'a>,
}

impl Item<'_> {
    fn kind(&self) -> u64 {
        match self.content {
            Content::Tensor { .. } => registry::entry::TENSOR,
            Content::File { .. } => registry::entry::FILE,
            Content::Record { .. } => registry::entry::RECORD,
        }
    }

    fn element(&self) -> Element {
        match &self.content {
            Content::Tensor { dtype_name, .. } => element_of(dtype_name),
            _ => Element::Bytes,
        }
    }

    /// The dtype, unless the source uses a registered name for something of its own.
    fn dtype(&self) -> Option<Dtype> {
        let Content::Tensor { dtype_name, shape, .. } = &self.content else { return None };
        Dtype::by_name(dtype_name).filter(|d| d.byte_len(shape) == Some(self.byte_len))
    }

    /// The id of the tensor's block type.
    fn block_type(&self) -> Option<u8> {
        self.dtype().filter(|d| d.block > 1).and_then(|d| u8::try_from(d.id).ok())
    }

    /// Chunks hold whole rows where a row fits.
    fn chunk_len(&self, target: u64) -> u64 {
        let row = match &self.content {
            Content::Tensor { shape, .. } => {
                let rows = shape.first().copied().unwrap_or(1).max(1);
                if shape.len() > 1 && self.byte_len.is_multiple_of(rows) { self.byte_len / rows } else { 0 }
            }
            _ => 0,
        };
        // Else whole blocks, or whole elements: none is wider than 16 bytes.
        let block = self.dtype().and_then(Dtype::block_bytes);
        let unit = if (1..=target).contains(&row) { row } else { block.map_or(16, u64::from) };
        (target / unit).max(1).saturating_mul(unit).clamp(1, self.byte_len.max(1))
    }

    fn entry(&self, asset: usize, id: u32, options: &EncodeOptions) -> NewEntry {
        let raw = options.mappable && self.kind() == registry::entry::TENSOR;
        let coding = match self.block_type() {
            _ if raw => registry::coding::RAW,
            Some(_) => registry::coding::BLOCKS,
            None => registry::coding::FIELDS,
        };
        let chunking =
            Chunking { coding, chunk_len: self.chunk_len(options.chunk_len), byte_len: self.byte_len };
        let mut dependencies = Vec::new();
        let (fields, critical) = match &self.content {
            Content::Tensor { dtype_name, shape, owner } => {
                let representation = match self.alias_of {
                    Some(of) => {
                        dependencies = vec![Dependency::Entry(of)];
                        Representation::Alias(of)
                    }
                    None => Representation::Plain,
                };
                let dtype = self.dtype();
                let (dtype_name, shape, owner) = (dtype_name.clone(), shape.clone(), *owner);
                let t = TensorDescriptor { dtype, dtype_name, shape, representation, chunking, owner };
                (t.to_fields(), true)
            }
            Content::File { layout } => (FileDescriptor { layout: *layout, chunking }.to_fields(), true),
            Content::Record { schema, bound, required } => {
                let r = RecordDescriptor { schema: schema.clone(), bound: *bound, chunking };
                (r.to_fields(), *required)
            }
        };
        NewEntry { asset, kind: self.kind(), critical, id, name: self.name.clone(), fields, dependencies }
    }
}

fn element_of(dtype_name: &str) -> Element {
    match dtype_name {
        "BF16" => Element::Bf16,
        "F16" => Element::F16,
        "F32" | "C64" => Element::F32,
        "F64" | "C128" => Element::F64,
        "F8_E4M3" | "F8_E5M2" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" | "F8_E8M0" => Element::Fp8,
        "BOOL" => Element::Bool,
        "I16" | "U16" => Element::Int { bits: 16 },
        "I32" | "U32" => Element::Int { bits: 32 },
        "I64" | "U64" => Element::Int { bits: 64 },
        _ => Element::Bytes,
    }
}

/// Content of one item within a segment.
struct Piece {
    item: usize,
    start: u64,
    bytes: Vec<u8>,
    hasher: blake3::Hasher,
    last: bool,
}

/// Encodes the items as entries `first_id..` of an asset of the writer's draft. Returns the BLAKE3 of each item's bytes.
pub(crate) fn encode_items(
    writer: &mut ContainerWriter,
    asset: usize,
    first_id: u32,
    items: &[Item<'_>],
    options: &EncodeOptions,
) -> Result<Vec<[u8; 32]>> {
    options.check()?;
    // A zero byte divides the names of asset and entry in the keys of the index.
    let bad = |i: &&Item<'_>| i.name.contains('\0') || i.name.len() as u64 > options.limits.name_bytes;
    if let Some(item) = items.iter().find(bad) {
        return Err(EncodeError::Request(format!("{:?} cannot be the name of an entry", item.name)));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let pool =
        pool.map_err(|e| EncodeError::Request(format!("cannot start {} threads: {e}", options.threads)))?;
    let mut next_table = first_id + items.len() as u32;
    let mut hashes = vec![[0u8; 32]; items.len()];
    let total: u64 = items.iter().filter(|i| i.alias_of.is_none()).map(|i| i.byte_len).sum();
    let mut segment = Segment::new(writer, asset, first_id, items, options, &mut next_table);
    segment.announce_all()?;
    let mut done = 0u64;
    let mut open: Option<blake3::Hasher> = None;
    let mut pieces: Vec<Piece> = Vec::new();
    let mut held = 0u64;
    for (at, item) in items.iter().enumerate() {
        let chunk_len = item.chunk_len(options.chunk_len);
        let mut start = 0u64;
        loop {
            let room = (SEGMENT.saturating_sub(held) / chunk_len).max(1) * chunk_len;
            let end =
                if item.alias_of.is_some() { start } else { start.saturating_add(room).min(item.byte_len) };
            let last = item.alias_of.is_some() || end == item.byte_len;
            let mut bytes = vec![0u8; (end - start) as usize];
            options.check_cancel()?;
            (item.read)(start, &mut bytes)?;
            held += end - start;
            let hasher = open.take().unwrap_or_default();
            pieces.push(Piece { item: at, start, bytes, hasher, last });
            start = end;
            if held >= SEGMENT || !last {
                open = pool.install(|| segment.flush(&mut pieces, &mut hashes))?;
                done += held;
                held = 0;
                options.report(done, total);
            }
            if last {
                break;
            }
        }
    }
    pool.install(|| segment.flush(&mut pieces, &mut hashes))?;
    options.report(total, total);
    for (at, item) in items.iter().enumerate() {
        if let Some(of) = item.alias_of {
            hashes[at] = hashes[(of - first_id) as usize];
        }
    }
    Ok(hashes)
}

struct Segment<'w, 'i> {
    writer: &'w mut ContainerWriter,
    asset: usize,
    first_id: u32,
    items: &'w [Item<'i>],
    options: &'w EncodeOptions,
    next_table: &'w mut u32,
}

impl<'w, 'i> Segment<'w, 'i> {
    fn new(
        writer: &'w mut ContainerWriter,
        asset: usize,
        first_id: u32,
        items: &'w [Item<'i>],
        options: &'w EncodeOptions,
        next_table: &'w mut u32,
    ) -> Self {
        Self { writer, asset, first_id, items, options, next_table }
    }

    /// A forward-only reader needs all shapes before the first byte of a file that they are in.
    fn announce_all(&mut self) -> Result<()> {
        let rows: Vec<usize> = (0..self.items.len())
            .map(|at| {
                let id = self.first_id + at as u32;
                let entry = self.items[at].entry(self.asset, id, self.options);
                self.writer.draft().add_entry(entry)
            })
            .collect();
        self.writer.announce(&rows)
    }

    /// Encodes and writes the pieces; returns the hash state of a last piece whose item goes on.
    fn flush(&mut self, pieces: &mut Vec<Piece>, hashes: &mut [[u8; 32]]) -> Result<Option<blake3::Hasher>> {
        let items = self.items;
        let small =
            |p: &Piece| p.start == 0 && p.last && !p.bytes.is_empty() && p.bytes.len() as u64 <= SMALL;
        let offered: Vec<(&[u8], Element)> = pieces
            .iter()
            .filter(|p| items[p.item].block_type().is_none())
            .filter(|p| small(p) && p.bytes.len() as u64 <= items[p.item].chunk_len(self.options.chunk_len))
            .map(|p| (p.bytes.as_slice(), items[p.item].element()))
            .collect();
        let EncodeOptions { effort, chunk_len, .. } = *self.options;
        let tables = if self.options.mappable || offered.len() < 2 {
            Vec::new()
        } else {
            shared_tables(&offered, effort).map_err(EncodeError::coding("shared tables"))?
        };
        let mappable = self.options.mappable;
        let coded: Vec<Coded> = pieces
            .par_iter_mut()
            .map(|piece| {
                let item = &items[piece.item];
                piece.hasher.update(&piece.bytes);
                let raw = mappable && item.kind() == registry::entry::TENSOR;
                let offered: &[SharedTable] = if small(piece) { &tables } else { &[] };
                encode_piece(item, &piece.bytes, offered, (effort, chunk_len), raw)
                    .map_err(EncodeError::coding(&item.name))
            })
            .collect::<Result<_>>()?;
        let ids = self.write_tables(&tables, &coded)?;
        let mut open = None;
        for (piece, coded) in pieces.drain(..).zip(coded) {
            self.write_piece(&piece, &coded, &ids)?;
            if piece.last {
                hashes[piece.item] = *piece.hasher.finalize().as_bytes();
            } else {
                open = Some(piece.hasher);
            }
        }
        Ok(open)
    }

    /// Stores the tables that some chunk uses; returns their entry ids.
    fn write_tables(&mut self, tables: &[SharedTable], coded: &[Coded]) -> Result<Vec<Option<u32>>> {
        let mut ids = vec![None; tables.len()];
        for (at, table) in tables.iter().enumerate() {
            if !coded.iter().any(|c| c.tables.contains(&at)) {
                continue;
            }
            let id = *self.next_table;
            *self.next_table += 1;
            let entry = NewEntry {
                asset: self.asset,
                kind: registry::entry::TABLE,
                critical: true,
                id,
                name: format!("table-{id}"),
                fields: mcodec_format::Fields::default(),
                dependencies: Vec::new(),
            };
            let row = self.writer.draft().add_entry(entry);
            self.writer.announce(&[row])?;
            self.writer.put_chunk(self.asset, id, &table.table.to_bytes())?;
            ids[at] = Some(id);
        }
        Ok(ids)
    }

    fn write_piece(&mut self, piece: &Piece, coded: &Coded, tables: &[Option<u32>]) -> Result<()> {
        let id = self.first_id + piece.item as u32;
        let used: Vec<Dependency> =
            coded.tables.iter().filter_map(|&at| tables[at].map(Dependency::Entry)).collect();
        if !used.is_empty() {
            let asset = self.asset;
            let rows = &mut self.writer.draft().rows;
            let row = rows.iter().position(|r| r.asset == asset && r.id == id).unwrap_or_default();
            rows[row].dependencies = used;
            self.writer.announce(&[row])?;
        }
        let raw = self.options.mappable && self.items[piece.item].kind() == registry::entry::TENSOR;
        for payload in &coded.payloads {
            if raw {
                self.writer.put_gathered(self.asset, id, payload)?;
            } else {
                self.writer.put_chunk(self.asset, id, payload)?;
            }
        }
        if piece.last { self.writer.end_gathered() } else { Ok(()) }
    }
}

/// The coded chunks of a piece, and the shared tables they use (in the order of their dependency indices).
struct Coded {
    payloads: Vec<Vec<u8>>,
    tables: Vec<usize>,
}

fn encode_piece(
    item: &Item<'_>,
    bytes: &[u8],
    offered: &[SharedTable],
    (effort, chunk_len): (u8, u64),
    raw: bool,
) -> Result<Coded, mcodec_coding::CodingError> {
    let element = item.element();
    let chunk_len = item.chunk_len(chunk_len) as usize;
    if raw {
        let payloads = bytes.chunks(chunk_len).map(<[u8]>::to_vec).collect();
        return Ok(Coded { payloads, tables: Vec::new() });
    }
    if let Some(kind) = item.block_type() {
        let chunks = bytes.par_chunks(chunk_len);
        let payloads =
            chunks.map(|chunk| crate::blocks::encode_chunk(chunk, kind, effort)).collect::<Result<_, _>>()?;
        return Ok(Coded { payloads, tables: Vec::new() });
    }
    if !offered.is_empty() && bytes.len() <= chunk_len {
        let all: Vec<(u32, &SharedTable)> = (0u32..).zip(offered).collect();
        let code = encode_chunk(bytes, element, effort, &all)?;
        let used = if code.raw { Vec::new() } else { fields::dependencies(&code.payload, bytes.len())? };
        let few: Vec<(u32, &SharedTable)> =
            (0u32..).zip(used.iter().filter_map(|&i| offered.get(i as usize))).collect();
        let code = if used.is_empty() { code } else { encode_chunk(bytes, element, effort, &few)? };
        let tables = used.iter().map(|&i| i as usize).collect();
        return Ok(Coded { payloads: vec![payload_of(code)], tables });
    }
    let payloads = bytes
        .par_chunks(chunk_len)
        .map(|chunk| encode_chunk(chunk, element, effort, &[]).map(payload_of))
        .collect::<Result<_, _>>()?;
    Ok(Coded { payloads, tables: Vec::new() })
}

/// A chunk that does not gain is stored, after a zero byte.
fn payload_of(code: ChunkCode) -> Vec<u8> {
    if !code.raw {
        return code.payload;
    }
    let mut stored = Vec::with_capacity(code.payload.len() + 1);
    stored.push(0);
    stored.extend(code.payload);
    stored
}
