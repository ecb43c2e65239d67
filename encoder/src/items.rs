//! Encoding the content of entries: in segments of bounded size, chunks in parallel, bytes independent of the thread count.

use crate::build::{BuiltContent, CodedArray, decoded, order_of};
use crate::latents::{MaskContent, TrackContent};
use crate::packed::{self, Described, Packed};
use crate::plain::Element;
use crate::quantise::QuantContent;
use crate::segment::{Piece, Segment};
use crate::writer::{ContainerWriter, NewEntry};
use crate::{EncodeError, EncodeOptions, Result};
use mcodec_coding::labelled::FloatFormat;
use mcodec_format::{
    Chunking, Dependency, DependencyGroups, FileDescriptor, RecordDescriptor, Representation,
    TensorDescriptor,
    registry::{self, Dtype},
};

/// Floats from which a tensor is coded under labels; fewer do not repay the heads.
const LEAST_LABELLED: u64 = 64;
/// Dependencies of a part of a tensor that is longer than a segment: its classes and its column labels.
pub(crate) const GROUP_DEPENDENCIES: u64 = 2;

/// Fills a buffer with the content's bytes from an offset on. Called in order of offsets.
pub(crate) type ReadContent<'a> = Box<dyn Fn(u64, &mut [u8]) -> Result<()> + Send + Sync + 'a>;

/// What the content of an entry is.
#[derive(Debug, Clone)]
pub(crate) enum Content<'a> {
    Tensor {
        dtype_name: String,
        shape: Vec<u64>,
        owner: Option<u32>,
    },
    File {
        layout: u64,
    },
    Track(std::sync::Arc<TrackContent>),
    Masks(std::sync::Arc<MaskContent>),
    Quantised(std::sync::Arc<QuantContent<'a>>),
    /// Codes that a caller made.
    Coded(std::sync::Arc<CodedArray>),
    /// What is built from other items.
    Built(std::sync::Arc<BuiltContent>),
    /// What other entries' chunks are decoded with.
    Object {
        kind: u64,
    },
    Record {
        schema: String,
        bound: [u8; 32],
        required: bool,
    },
}

/// An entry to be encoded.
pub(crate) struct Item<'a> {
    pub(crate) name: String,
    pub(crate) content: Content<'a>,
    pub(crate) byte_len: u64,
    /// It is an array that tensors are built from, not a tensor of the model.
    pub(crate) array: bool,
    /// Id of the entry with the same bytes that this one is stored as.
    pub(crate) alias_of: Option<u32>,
    /// What it is told against.
    pub(crate) base: Option<ItemBase<'a>>,
    pub(crate) read: ReadContent<'a>,
}

/// A tensor that another is told against.
pub(crate) struct ItemBase<'a> {
    pub(crate) dependency: Dependency,
    /// BLAKE3 of the bytes, if they are the base's.
    pub(crate) same: Option<[u8; 32]>,
    pub(crate) read: ReadContent<'a>,
}

impl Item<'_> {
    pub(crate) fn kind(&self) -> u64 {
        match self.content {
            Content::Tensor { .. }
            | Content::Track(_)
            | Content::Masks(_)
            | Content::Quantised(_)
            | Content::Coded(_)
            | Content::Built(_) => {
                if self.array {
                    registry::entry::ARRAY
                } else {
                    registry::entry::TENSOR
                }
            }
            Content::File { .. } => registry::entry::FILE,
            Content::Object { kind } => kind,
            Content::Record { .. } => registry::entry::RECORD,
        }
    }

    /// Whether it is a tensor of a model, rather than of a record.
    pub(crate) fn is_tensor(&self) -> bool {
        matches!(self.content, Content::Tensor { owner: None, .. }) && !self.array
    }

    pub(crate) fn element(&self) -> Element {
        match &self.content {
            Content::Tensor { dtype_name, .. } => element_of(dtype_name),
            _ => Element::Bytes,
        }
    }

    /// Dimensions of a tensor.
    pub(crate) fn shape(&self) -> &[u64] {
        match &self.content {
            Content::Tensor { shape, .. } => shape,
            _ => &[],
        }
    }

    /// The type of float, if the content is coded under labels.
    pub(crate) fn float_format(&self, options: &EncodeOptions) -> Option<FloatFormat> {
        let long = |format: &FloatFormat| self.byte_len >= LEAST_LABELLED * format.bytes() as u64;
        self.float()
            .filter(long)
            .filter(|_| !options.mappable && self.alias_of.is_none() && self.base.is_none())
    }

    /// The type of float, if the content is told against a base, number by number.
    pub(crate) fn delta_format(&self) -> Option<FloatFormat> {
        self.float().filter(|_| self.base.as_ref().is_some_and(|b| b.same.is_none()))
    }

    /// Bytes that chunks are made of.
    pub(crate) fn stored_len(&self) -> u64 {
        let same = self.base.as_ref().is_some_and(|b| b.same.is_some());
        let built = matches!(self.content, Content::Built(_));
        if same || built || self.alias_of.is_some() { 0 } else { self.byte_len }
    }

    /// The type of float.
    fn float(&self) -> Option<FloatFormat> {
        let format = match self.dtype()?.name {
            "BF16" => FloatFormat::Bf16,
            "F16" => FloatFormat::F16,
            "F32" => FloatFormat::F32,
            "F64" => FloatFormat::F64,
            _ => return None,
        };
        Some(format)
    }

    /// Chunks of one piece, if the content is longer than a segment: each piece has dependencies of its own.
    pub(crate) fn group_chunks(&self, options: &EncodeOptions) -> Option<u64> {
        let chunk_len = self.chunk_len(options.chunk_len);
        let chunks = (options.segment_len / chunk_len).max(1);
        (self.byte_len > chunks * chunk_len).then_some(chunks)
    }

    /// The dtype, unless the source uses a registered name for something of its own.
    fn dtype(&self) -> Option<Dtype> {
        let Content::Tensor { dtype_name, shape, .. } = &self.content else { return None };
        Dtype::by_name(dtype_name).filter(|d| d.byte_len(shape) == Some(self.byte_len))
    }

    /// The id of the tensor's block type.
    pub(crate) fn block_type(&self) -> Option<u8> {
        self.dtype().filter(|d| d.block > 1).and_then(|d| u8::try_from(d.id).ok())
    }

    /// Chunks hold whole rows where a row fits.
    pub(crate) fn chunk_len(&self, target: u64) -> u64 {
        match &self.content {
            Content::Track(track) => return track.chunk_len(),
            Content::Masks(masks) => return masks.chunk_len(),
            Content::Object { .. } => return self.byte_len.max(1),
            _ => {}
        }
        match &self.content {
            Content::Quantised(content) => return content.chunk_len(target),
            Content::Coded(content) => return content.chunk_len(target),
            Content::Built(_) => return self.byte_len.max(1),
            _ => {}
        }
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

    pub(crate) fn entry(&self, asset: usize, id: u32, options: &EncodeOptions) -> NewEntry {
        let raw = options.mappable && self.kind() == registry::entry::TENSOR;
        let labelled = self.float_format(options).is_some();
        let coding = match self.block_type() {
            _ if raw => registry::coding::RAW,
            _ if self.base.is_some() => registry::coding::DIFFERENCE,
            Some(_) => registry::coding::BLOCKS,
            None if labelled => registry::coding::LABELLED,
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
                    None => match &self.base {
                        Some(base) => {
                            dependencies = vec![base.dependency.clone()];
                            if base.same.is_some() { Representation::Same } else { Representation::Delta }
                        }
                        None => Representation::Plain,
                    },
                };
                let dtype = self.dtype();
                let (dtype_name, shape, owner) = (dtype_name.clone(), shape.clone(), *owner);
                let grouped = labelled || self.delta_format().is_some();
                let groups = self.group_chunks(options).filter(|_| grouped);
                let groups =
                    groups.map(|chunks| DependencyGroups { chunks, dependencies: GROUP_DEPENDENCIES });
                let t =
                    TensorDescriptor { dtype, dtype_name, shape, representation, chunking, owner, groups };
                (t.to_fields(), true)
            }
            Content::Track(track) => {
                dependencies.clone_from(&track.dependencies);
                (track.fields(), true)
            }
            Content::Masks(masks) => (masks.fields(), true),
            Content::Object { .. } => (mcodec_format::Fields::default(), true),
            Content::Quantised(content) => (content.fields(chunking.chunk_len, self.byte_len), true),
            Content::Coded(content) => (content.fields(chunking.chunk_len, self.byte_len), true),
            Content::Built(content) => {
                dependencies = content.dependencies();
                (content.fields(self.byte_len), true)
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

/// The longest configuration that is looked into, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// What each item consists of: codes where a quantiser packed them, else what its dtype says.
pub(crate) fn elements_of(items: &[Item<'_>]) -> Vec<Element> {
    let described = |item: &Item<'_>| match &item.content {
        Content::Tensor { dtype_name, .. } => dtype_name.clone(),
        _ => String::new(),
    };
    let dtypes: Vec<String> = items.iter().map(described).collect();
    let tensors: Vec<Described<'_>> = items
        .iter()
        .zip(&dtypes)
        .map(|(item, dtype)| Described { name: &item.name, dtype, shape: item.shape() })
        .collect();
    let packed = packed::recognise(&tensors, || config_of(items));
    let of = |(item, packed): (&Item<'_>, Option<Packed>)| {
        packed.and_then(Packed::element).unwrap_or_else(|| item.element())
    };
    items.iter().zip(packed).map(of).collect()
}

/// The configuration of a model's folder.
fn config_of(items: &[Item<'_>]) -> Option<serde_json::Value> {
    let is_config = |i: &&Item<'_>| matches!(i.content, Content::File { .. }) && i.name == "config.json";
    let item = items.iter().find(is_config).filter(|i| i.byte_len <= MAX_CONFIG)?;
    let mut bytes = vec![0; item.byte_len as usize];
    (item.read)(0, &mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
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
    let total: u64 = items.iter().map(Item::stored_len).sum();
    let mut segment = Segment::new(writer, asset, first_id, items, options, &mut next_table);
    segment.announce_all()?;
    let mut done = 0u64;
    let mut open: Option<blake3::Hasher> = None;
    let mut pieces: Vec<Piece> = Vec::new();
    let mut held = 0u64;
    for at in order_of(items) {
        let item = &items[at];
        if matches!(item.content, Content::Built(_)) && item.alias_of.is_none() {
            options.check_cancel()?;
            let bytes = pool.install(|| decoded(items, at))?;
            hashes[at] = *blake3::hash(&bytes).as_bytes();
            continue;
        }
        let group = item.group_chunks(options).map(|chunks| chunks * item.chunk_len(options.chunk_len));
        let mut start = 0u64;
        let stored = item.stored_len();
        // An item is not cut but into groups of its own, so that all its chunks may share what they depend on.
        if held > 0 && held + stored > options.segment_len {
            open = pool.install(|| segment.flush(&mut pieces, &mut hashes))?;
            done += held;
            held = 0;
            options.report_bytes(done, total);
        }
        loop {
            let end = start.saturating_add(group.unwrap_or(u64::MAX)).min(stored);
            let last = end == stored;
            let mut bytes = vec![0u8; (end - start) as usize];
            options.check_cancel()?;
            match &item.content {
                // Its codes are made for this.
                Content::Quantised(_) => pool.install(|| (item.read)(start, &mut bytes))?,
                _ => (item.read)(start, &mut bytes)?,
            }
            let mut base = Vec::new();
            if let Some(of) = item.base.as_ref().filter(|_| end > start) {
                base.resize(bytes.len(), 0);
                (of.read)(start, &mut base)?;
            }
            held += end - start;
            let hasher = open.take().unwrap_or_default();
            pieces.push(Piece { item: at, start, bytes, base, hasher, last });
            start = end;
            if held >= options.segment_len || !last {
                open = pool.install(|| segment.flush(&mut pieces, &mut hashes))?;
                done += held;
                held = 0;
                options.report_bytes(done, total);
            }
            if last {
                break;
            }
        }
    }
    pool.install(|| segment.flush(&mut pieces, &mut hashes))?;
    options.report_bytes(total, total);
    borrow_hashes(items, first_id, &mut hashes);
    Ok(hashes)
}

/// Hashes of what has the bytes of a base, or of another item.
fn borrow_hashes(items: &[Item<'_>], first_id: u32, hashes: &mut [[u8; 32]]) {
    for (at, item) in items.iter().enumerate() {
        if let Some(hash) = item.base.as_ref().and_then(|b| b.same) {
            hashes[at] = hash;
        }
    }
    for (at, item) in items.iter().enumerate() {
        if let Some(of) = item.alias_of {
            hashes[at] = hashes[(of - first_id) as usize];
        }
    }
}
