//! What the tagged fields of an entry say, typed and checked (SPEC sections 5 and 6).

use crate::registry::{self, Dtype, coding, field, file_layout, representation};
use crate::wire;
use crate::{Built, Fields, FormatError, LayerDescriptor, Limits, Result};

/// How the content of an entry is cut and coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunking {
    /// Coding id of every chunk ([`registry::coding`]).
    pub coding: u64,
    /// Decoded bytes of every chunk but the last; at least 1.
    pub chunk_len: u64,
    /// Decoded bytes of the whole entry.
    pub byte_len: u64,
}

impl Chunking {
    /// Number of chunks.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        self.byte_len.div_ceil(self.chunk_len.max(1))
    }

    /// Decoded bytes `start..end` of chunk `ordinal` within the entry.
    #[must_use]
    pub fn chunk_range(&self, ordinal: u64) -> core::ops::Range<u64> {
        let start = ordinal.saturating_mul(self.chunk_len).min(self.byte_len);
        start..start.saturating_add(self.chunk_len).min(self.byte_len)
    }
}

/// How the chunks of an entry divide its dependencies between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DependencyGroups {
    /// Consecutive chunks of a group; at least 1.
    pub chunks: u64,
    /// Consecutive dependencies of a group; at least 1.
    pub dependencies: u64,
}

impl DependencyGroups {
    /// Which of `all` dependencies chunk `chunk` may need.
    #[must_use]
    pub fn of(&self, chunk: u64, all: usize) -> core::ops::Range<usize> {
        let first = chunk.checked_div(self.chunks).unwrap_or(0).saturating_mul(self.dependencies);
        let end = first.saturating_add(self.dependencies);
        let within = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(all);
        within(first)..within(end)
    }
}

/// How an array is rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Representation {
    /// The chunks are its bytes.
    Plain,
    /// Its bytes are those of this entry of the same asset.
    Alias(u32),
    /// Its chunks tell it against the tensor that is its first dependency.
    Delta,
    /// Its bytes are those of the tensor that is its first dependency.
    Same,
    /// Its chunks are groups of frames, each under its neighbours.
    Predicted,
    /// Likewise, by what the tokens tell that are its first dependency.
    Refined,
    /// Its chunks are integers and steps of their rows and columns.
    Quant,
    /// It is built from the arrays that are its dependencies.
    Built(Built),
}

impl Representation {
    /// Whether the first dependency is the base that it is told against.
    #[must_use]
    pub fn has_base(&self) -> bool {
        matches!(self, Self::Delta | Self::Same | Self::Refined)
    }

    /// Its id ([`registry::representation`]).
    #[must_use]
    pub fn id(&self) -> u64 {
        match self {
            Self::Plain => representation::PLAIN,
            Self::Alias(_) => representation::ALIAS,
            Self::Delta => representation::DELTA,
            Self::Same => representation::SAME,
            Self::Predicted => representation::PREDICTED,
            Self::Refined => representation::REFINED,
            Self::Quant => representation::QUANT,
            Self::Built(Built::LowRank { .. }) => representation::LOW_RANK,
            Self::Built(Built::Select { .. }) => representation::SELECT,
            Self::Built(Built::Tiers { .. }) => representation::TIERS,
        }
    }

    /// Whether it has no chunks of its own.
    #[must_use]
    pub fn is_borrowed(&self) -> bool {
        matches!(self, Self::Alias(_) | Self::Same | Self::Built(_))
    }

    /// How it is built from other arrays, if it is.
    #[must_use]
    pub fn built(&self) -> Option<&Built> {
        match self {
            Self::Built(built) => Some(built),
            _ => None,
        }
    }
}

/// A tensor's descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorDescriptor {
    /// Element type; `None` if only the source knows it.
    pub dtype: Option<Dtype>,
    /// Name of the element type, as the source writes it.
    pub dtype_name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// How it is rebuilt.
    pub representation: Representation,
    /// How its content is cut and coded.
    pub chunking: Chunking,
    /// The record it belongs to.
    pub owner: Option<u32>,
    /// Which dependencies go with which chunks; `None`: all with all.
    pub groups: Option<DependencyGroups>,
}

/// A file's descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDescriptor {
    /// Layout id ([`registry::file_layout`]).
    pub layout: u64,
    /// How its content is cut and coded.
    pub chunking: Chunking,
}

/// A record's descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordDescriptor {
    /// Schema id.
    pub schema: String,
    /// Content hash of what it is about.
    pub bound: [u8; 32],
    /// How its JSON text is cut and coded.
    pub chunking: Chunking,
}

/// The descriptor of any entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryDescriptor {
    /// A tensor.
    Tensor(TensorDescriptor),
    /// A file.
    File(FileDescriptor),
    /// A table, classes or column labels, stored raw in one chunk.
    Shared,
    /// A record.
    Record(RecordDescriptor),
    /// A layer of an image.
    Layer(LayerDescriptor),
}

const WHAT: &str = "descriptor";

impl EntryDescriptor {
    /// How a tensor is rebuilt.
    #[must_use]
    pub fn representation(&self) -> Option<&Representation> {
        match self {
            Self::Tensor(t) => Some(&t.representation),
            _ => None,
        }
    }

    /// Reads the fields of an entry of `kind`.
    ///
    /// # Errors
    /// [`FormatError::Unsupported`] for an unknown kind, critical field, representation, coding or layout; otherwise what is
    /// malformed.
    pub fn parse(kind: u64, fields: &Fields, limits: &Limits) -> Result<Self> {
        if let Some(unknown) = fields.unknown(&field::IDS).find(|f| f.critical) {
            return Err(unsupported(format!("critical descriptor field {}", unknown.id)));
        }
        match kind {
            registry::entry::TENSOR | registry::entry::ARRAY => {
                TensorDescriptor::parse(fields, limits).map(Self::Tensor)
            }
            registry::entry::FILE => {
                let layout = fields.varint(WHAT, field::FILE_LAYOUT)?.unwrap_or(0);
                if registry::name_of(&file_layout::ALL, layout).is_none() {
                    return Err(unsupported(format!("file layout {layout}")));
                }
                Ok(Self::File(FileDescriptor { layout, chunking: stated_chunking(fields, limits)? }))
            }
            registry::entry::LAYER => LayerDescriptor::parse(fields, limits).map(Self::Layer),
            kind if registry::entry::is_shared_object(kind) => Ok(Self::Shared),
            registry::entry::RECORD => {
                let schema = fields.text(WHAT, field::SCHEMA)?.unwrap_or_default().to_owned();
                Limits::check("record schema length", schema.len() as u64, limits.name_bytes)?;
                let bound = fields.get(field::BOUND_HASH).and_then(|b| b.try_into().ok());
                let Some(bound) = bound else {
                    return Err(FormatError::corrupt(WHAT, 0, "a record needs a bound hash of 32 bytes"));
                };
                Ok(Self::Record(RecordDescriptor {
                    schema,
                    bound,
                    chunking: stated_chunking(fields, limits)?,
                }))
            }
            other => Err(unsupported(format!("entry kind {other}"))),
        }
    }

    /// How the entry's content is cut and coded; a shared object's length is that of its only chunk.
    #[must_use]
    pub fn chunking(&self) -> Option<Chunking> {
        match self {
            Self::Tensor(t) => Some(t.chunking),
            Self::File(f) => Some(f.chunking),
            Self::Record(r) => Some(r.chunking),
            Self::Layer(l) => Some(l.chunking),
            Self::Shared => None,
        }
    }

    /// Which of the entry's `all` dependencies chunk `chunk` may need, its base apart.
    #[must_use]
    pub fn dependencies_of(&self, chunk: u64, all: usize) -> core::ops::Range<usize> {
        let Self::Tensor(tensor) = self else { return 0..all };
        let base = usize::from(tensor.representation.has_base()).min(all);
        let after = all.saturating_sub(base);
        let own = tensor.groups.map_or(0..after, |groups| groups.of(chunk, after));
        own.start.saturating_add(base)..own.end.saturating_add(base)
    }
}

impl TensorDescriptor {
    fn parse(fields: &Fields, limits: &Limits) -> Result<Self> {
        let shape = shape(fields.get(field::SHAPE).unwrap_or_default(), limits)?;
        let Some(id) = fields.varint(WHAT, field::DTYPE)? else {
            return Err(FormatError::corrupt(WHAT, 0, "a tensor needs a dtype"));
        };
        let (dtype, dtype_name, byte_len) = if id == registry::OPAQUE_DTYPE {
            let name = fields.text(WHAT, field::DTYPE_NAME)?.unwrap_or_default().to_owned();
            Limits::check("dtype name length", name.len() as u64, limits.name_bytes)?;
            let len = fields.varint(WHAT, field::BYTE_LENGTH)?.filter(|&n| n < 1 << 63);
            let Some(len) = len else {
                return Err(FormatError::corrupt(WHAT, 0, "an opaque dtype needs a byte length below 2^63"));
            };
            (None, name, len)
        } else {
            let Some(dtype) = Dtype::by_id(id) else { return Err(unsupported(format!("dtype {id}"))) };
            let Some(len) = dtype.byte_len(&shape) else {
                return Err(FormatError::corrupt(
                    WHAT,
                    0,
                    "the shape is not a whole number of bytes below 2^63",
                ));
            };
            (Some(dtype), dtype.name.to_owned(), len)
        };
        let representation = representation(fields.get(field::REPRESENTATION))?;
        let owner = match fields.varint(WHAT, field::OWNER)? {
            None => None,
            Some(id) => Some(entry_id(id)?),
        };
        let chunking = chunking(fields, byte_len, representation.is_borrowed(), limits)?;
        let of_grids = match representation {
            Representation::Refined => chunking.coding == coding::GRID_DENSE,
            Representation::Predicted => coding::is_of_grids(chunking.coding),
            _ => !coding::is_of_grids(chunking.coding),
        };
        if !of_grids {
            let why = "the codings of grids are those of predicted tensors, and of nothing else";
            return Err(FormatError::corrupt(WHAT, 0, why));
        }
        if (chunking.coding == coding::DIFFERENCE) != (representation == Representation::Delta) {
            return Err(FormatError::corrupt(
                WHAT,
                0,
                "differences are the coding of deltas, and of nothing else",
            ));
        }
        if coding::is_of_quantised(chunking.coding) != (representation == Representation::Quant) {
            let why = "codes, grouped or not, are the codings of quantised tensors, and of nothing else";
            return Err(FormatError::corrupt(WHAT, 0, why));
        }
        if representation == Representation::Quant && !matches!(&*dtype_name, "F32" | "F16" | "BF16") {
            return Err(FormatError::corrupt(WHAT, 0, "a quantised tensor is not of F32, F16 or BF16"));
        }
        if let Representation::Built(built) = &representation {
            built.check(dtype, &shape)?;
        }
        let groups = fields.get(field::DEPENDENCY_GROUPS).map(groups).transpose()?;
        Ok(Self { dtype, dtype_name, shape, representation, chunking, owner, groups })
    }

    /// The fields that say this.
    #[must_use]
    pub fn to_fields(&self) -> Fields {
        let mut f = Fields::default();
        f.set_varint(field::DTYPE, true, self.dtype.map_or(registry::OPAQUE_DTYPE, |d| d.id));
        if self.dtype.is_none() {
            f.set(field::DTYPE_NAME, true, self.dtype_name.clone().into_bytes());
            f.set_varint(field::BYTE_LENGTH, true, self.chunking.byte_len);
        }
        if !self.shape.is_empty() {
            let mut dims = Vec::new();
            self.shape.iter().for_each(|&d| wire::put_varint(&mut dims, d));
            f.set(field::SHAPE, true, dims);
        }
        match self.representation {
            Representation::Plain => {}
            Representation::Alias(id) => {
                let mut value = Vec::new();
                wire::put_varint(&mut value, representation::ALIAS);
                wire::put_varint(&mut value, u64::from(id));
                f.set(field::REPRESENTATION, true, value);
            }
            Representation::Delta => f.set_varint(field::REPRESENTATION, true, representation::DELTA),
            Representation::Same => f.set_varint(field::REPRESENTATION, true, representation::SAME),
            Representation::Predicted => f.set_varint(field::REPRESENTATION, true, representation::PREDICTED),
            Representation::Refined => f.set_varint(field::REPRESENTATION, true, representation::REFINED),
            Representation::Quant => f.set_varint(field::REPRESENTATION, true, representation::QUANT),
            Representation::Built(ref built) => f.set(field::REPRESENTATION, true, built.to_bytes()),
        }
        if !self.representation.is_borrowed() {
            put_chunking(&mut f, &self.chunking);
        }
        if let Some(owner) = self.owner {
            f.set_varint(field::OWNER, true, u64::from(owner));
        }
        if let Some(groups) = self.groups {
            let mut value = Vec::new();
            wire::put_varint(&mut value, groups.chunks);
            wire::put_varint(&mut value, groups.dependencies);
            f.set(field::DEPENDENCY_GROUPS, true, value);
        }
        f
    }
}

impl FileDescriptor {
    /// The fields that say this.
    #[must_use]
    pub fn to_fields(&self) -> Fields {
        let mut f = Fields::default();
        f.set_varint(field::BYTE_LENGTH, true, self.chunking.byte_len);
        put_chunking(&mut f, &self.chunking);
        if self.layout != file_layout::BYTES {
            f.set_varint(field::FILE_LAYOUT, true, self.layout);
        }
        f
    }
}

impl RecordDescriptor {
    /// The fields that say this.
    #[must_use]
    pub fn to_fields(&self) -> Fields {
        let mut f = Fields::default();
        f.set_varint(field::BYTE_LENGTH, true, self.chunking.byte_len);
        put_chunking(&mut f, &self.chunking);
        f.set(field::SCHEMA, true, self.schema.clone().into_bytes());
        f.set(field::BOUND_HASH, true, self.bound.to_vec());
        f
    }
}

fn unsupported(what: String) -> FormatError {
    FormatError::Unsupported { what, needs: "the entry needs a newer reader".into() }
}

fn entry_id(id: u64) -> Result<u32> {
    u32::try_from(id).map_err(|_| FormatError::corrupt(WHAT, 0, "an entry id is above 2^32"))
}

fn shape(mut rest: &[u8], limits: &Limits) -> Result<Vec<u64>> {
    let mut dims = Vec::new();
    while !rest.is_empty() {
        let (after, dim) = wire::finish(WHAT, rest, wire::varint(rest))?;
        dims.push(dim);
        Limits::check("tensor rank", dims.len() as u64, limits.rank)?;
        rest = after;
    }
    Ok(dims)
}

fn representation(value: Option<&[u8]>) -> Result<Representation> {
    let Some(value) = value else { return Ok(Representation::Plain) };
    let (rest, id) = wire::finish(WHAT, value, wire::varint(value))?;
    match id {
        representation::PLAIN if rest.is_empty() => Ok(Representation::Plain),
        representation::ALIAS => match wire::finish(WHAT, rest, wire::varint(rest))? {
            ([], id) => Ok(Representation::Alias(entry_id(id)?)),
            _ => Err(FormatError::corrupt(WHAT, 0, "bytes follow the representation")),
        },
        representation::DELTA if rest.is_empty() => Ok(Representation::Delta),
        representation::SAME if rest.is_empty() => Ok(Representation::Same),
        representation::PREDICTED if rest.is_empty() => Ok(Representation::Predicted),
        representation::REFINED if rest.is_empty() => Ok(Representation::Refined),
        representation::QUANT if rest.is_empty() => Ok(Representation::Quant),
        representation::PLAIN
        | representation::DELTA
        | representation::SAME
        | representation::PREDICTED
        | representation::REFINED
        | representation::QUANT => Err(FormatError::corrupt(WHAT, 0, "bytes follow the representation")),
        representation::LOW_RANK | representation::SELECT | representation::TIERS => {
            Built::parse(id, rest).map(Representation::Built)
        }
        other => Err(unsupported(format!("representation {other}"))),
    }
}

fn groups(value: &[u8]) -> Result<DependencyGroups> {
    let (rest, chunks) = wire::finish(WHAT, value, wire::varint(value))?;
    match wire::finish(WHAT, rest, wire::varint(rest))? {
        ([], dependencies) if chunks > 0 => Ok(DependencyGroups { chunks, dependencies }),
        _ => Err(FormatError::corrupt(WHAT, 0, "dependency groups are not two counts, the first above zero")),
    }
}

fn stated_chunking(fields: &Fields, limits: &Limits) -> Result<Chunking> {
    let Some(byte_len) = fields.varint(WHAT, field::BYTE_LENGTH)?.filter(|&n| n < 1 << 63) else {
        return Err(FormatError::corrupt(WHAT, 0, "a byte length below 2^63 is missing"));
    };
    chunking(fields, byte_len, false, limits)
}

/// `aliased`: the entry has no chunks of its own.
fn chunking(fields: &Fields, byte_len: u64, aliased: bool, limits: &Limits) -> Result<Chunking> {
    let id = fields.varint(WHAT, field::CODING)?.unwrap_or(coding::FIELDS);
    if registry::name_of(&coding::ALL, id).is_none() {
        return Err(unsupported(format!("coding {id}")));
    }
    let chunk_len = match fields.varint(WHAT, field::CHUNK_LENGTH)? {
        None => byte_len.max(1),
        Some(0) => return Err(FormatError::corrupt(WHAT, 0, "the chunk length is zero")),
        Some(n) => n,
    };
    if !aliased {
        Limits::check("chunk length", chunk_len.min(byte_len), limits.chunk_bytes)?;
    }
    let chunking = Chunking { coding: id, chunk_len, byte_len };
    if chunking.chunk_count() > 1 << 32 {
        return Err(FormatError::corrupt(WHAT, 0, "more than 2^32 chunks"));
    }
    Ok(chunking)
}

fn put_chunking(f: &mut Fields, c: &Chunking) {
    if c.coding != coding::FIELDS {
        f.set_varint(field::CODING, true, c.coding);
    }
    if c.chunk_len < c.byte_len {
        f.set_varint(field::CHUNK_LENGTH, true, c.chunk_len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor() -> TensorDescriptor {
        TensorDescriptor {
            dtype: Dtype::by_name("BF16"),
            dtype_name: "BF16".into(),
            shape: vec![1000, 512],
            representation: Representation::Plain,
            chunking: Chunking { coding: coding::FIELDS, chunk_len: 262_144, byte_len: 1_024_000 },
            owner: None,
            groups: None,
        }
    }

    fn parse(kind: u64, f: &Fields) -> Result<EntryDescriptor> {
        EntryDescriptor::parse(kind, f, &Limits::default())
    }

    #[test]
    fn descriptors_round_trip() {
        let t = tensor();
        assert_eq!(parse(1, &t.to_fields()).unwrap(), EntryDescriptor::Tensor(t.clone()));
        assert_eq!(t.chunking.chunk_count(), 4);
        assert_eq!(t.chunking.chunk_range(3), 786_432..1_024_000);
        let f = FileDescriptor {
            layout: 2,
            chunking: Chunking { coding: coding::RAW, chunk_len: 5, byte_len: 5 },
        };
        assert_eq!(parse(2, &f.to_fields()).unwrap(), EntryDescriptor::File(f));
        let r = RecordDescriptor {
            schema: "json".into(),
            bound: [7; 32],
            chunking: Chunking { coding: coding::FIELDS, chunk_len: 10, byte_len: 15 },
        };
        assert_eq!(parse(4, &r.to_fields()).unwrap(), EntryDescriptor::Record(r));
        let grouped = DependencyGroups { chunks: 3, dependencies: 2 };
        let t = TensorDescriptor { groups: Some(grouped), ..tensor() };
        assert_eq!(parse(1, &t.to_fields()).unwrap(), EntryDescriptor::Tensor(t));
        assert_eq!((grouped.of(0, 5), grouped.of(2, 5), grouped.of(3, 5)), (0..2, 0..2, 2..4));
        assert_eq!((grouped.of(6, 5), grouped.of(u64::MAX, 5)), (4..5, 5..5));
        let opaque = TensorDescriptor { dtype: None, dtype_name: "F3_X".into(), ..tensor() };
        assert_eq!(parse(1, &opaque.to_fields()).unwrap(), EntryDescriptor::Tensor(opaque));
    }

    #[test]
    fn codes_are_of_quantised_floats() {
        let chunking = Chunking { coding: coding::CODES, ..tensor().chunking };
        let t = TensorDescriptor { representation: Representation::Quant, chunking, ..tensor() };
        assert_eq!(parse(1, &t.to_fields()).unwrap(), EntryDescriptor::Tensor(t.clone()));
        let plain = TensorDescriptor { representation: Representation::Plain, ..t.clone() };
        assert!(matches!(parse(1, &plain.to_fields()), Err(FormatError::Corrupt { .. })));
        let fields = TensorDescriptor { representation: Representation::Quant, ..tensor() };
        assert!(matches!(parse(1, &fields.to_fields()), Err(FormatError::Corrupt { .. })));
        let dtype = Dtype::by_name("I16");
        let of_integers = TensorDescriptor { dtype, dtype_name: "I16".into(), ..t };
        assert!(matches!(parse(1, &of_integers.to_fields()), Err(FormatError::Corrupt { .. })));
    }

    #[test]
    fn hostile_descriptors_are_refused() {
        let with = |id, v: &[u8]| {
            let mut f = tensor().to_fields();
            f.set(id, true, v.to_vec());
            parse(1, &f).unwrap_err()
        };
        assert!(
            matches!(with(field::DTYPE, &[99]), FormatError::Unsupported { what, .. } if what == "dtype 99")
        );
        assert!(matches!(with(field::REPRESENTATION, &[77]), FormatError::Unsupported { .. }));
        assert!(matches!(with(field::CODING, &[77]), FormatError::Unsupported { .. }));
        assert!(matches!(with(63, &[]), FormatError::Unsupported { .. }));
        assert!(matches!(with(field::CHUNK_LENGTH, &[0]), FormatError::Corrupt { .. }));
        assert!(matches!(with(field::DEPENDENCY_GROUPS, &[1]), FormatError::Truncated { .. }));
        assert!(matches!(with(field::DEPENDENCY_GROUPS, &[0, 1]), FormatError::Corrupt { .. }));
        assert!(matches!(with(field::DEPENDENCY_GROUPS, &[1, 1, 1]), FormatError::Corrupt { .. }));
        assert!(matches!(with(field::SHAPE, &[1; 256]), FormatError::Limit { .. }));
        let huge = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
        assert!(matches!(with(field::SHAPE, &huge), FormatError::Corrupt { .. }));
        assert!(matches!(parse(99, &Fields::default()), Err(FormatError::Unsupported { .. })));
        assert!(matches!(parse(4, &Fields::default()), Err(FormatError::Corrupt { .. })));
        assert!(matches!(parse(2, &Fields::default()), Err(FormatError::Corrupt { .. })));
    }
}
