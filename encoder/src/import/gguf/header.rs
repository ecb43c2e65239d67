//! The header of a GGUF file, versions 2 and 3: read as a stream, every count and length held against the length of the file.

use std::collections::HashSet;
use std::io::Read;

use mcodec_format::registry::Dtype;

use super::error::GgufError;
use super::value::{KEPT_BYTES, KEPT_ITEMS, Value};

/// The first bytes of a GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// The key that sets the alignment of tensors.
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";
const DEFAULT_ALIGNMENT: u64 = 32;
/// Bytes of the smallest metadata pair and of the smallest tensor description.
const LEAST_PAIR: u64 = 8 + 4 + 1;
const LEAST_TENSOR: u64 = 8 + 4 + 4 + 8;

/// Bounds on what a header may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GgufLimits {
    /// Most bytes of the header, up to the tensors' data.
    pub header_len: u64,
    /// Most metadata pairs.
    pub pairs: u64,
    /// Most tensors.
    pub tensors: u64,
    /// Longest key or tensor name, in bytes.
    pub name_len: u64,
    /// Most dimensions of a tensor.
    pub rank: u64,
    /// Arrays in arrays, at most this deep.
    pub depth: u64,
}

impl Default for GgufLimits {
    fn default() -> Self {
        Self { header_len: 128 << 20, pairs: 1 << 16, tensors: 1 << 20, name_len: 1 << 16, rank: 8, depth: 4 }
    }
}

/// A checked header.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufHeader {
    /// 2 or 3.
    pub version: u32,
    /// Keys and values in the order of the file.
    pub metadata: Vec<(String, Value)>,
    /// Tensors in the order of the file's list.
    pub tensors: Vec<GgufTensor>,
    /// Where the metadata ends.
    pub metadata_end: u64,
    /// Where the descriptions of the tensors end.
    pub end: u64,
    /// Where the tensors' data starts: [`GgufHeader::end`], aligned.
    pub data_offset: u64,
}

/// A tensor of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufTensor {
    /// Name.
    pub name: String,
    /// Id of its type in ggml.
    pub type_id: u32,
    /// Dimensions, outermost first (the file has them innermost first).
    pub shape: Vec<u64>,
    /// Where its bytes start, from the start of the file.
    pub begin: u64,
    /// Its length in bytes. Of a type that is not known: up to the next tensor, or the end of the file.
    pub byte_len: u64,
    /// Where it is described.
    described_at: u64,
}

impl GgufTensor {
    /// The registered element type, if there is one.
    #[must_use]
    pub fn dtype(&self) -> Option<Dtype> {
        dtype_of(self.type_id)
    }

    /// Name of its element type.
    #[must_use]
    pub fn dtype_name(&self) -> String {
        self.dtype().map_or_else(|| format!("GGML_TYPE_{}", self.type_id), |d| d.name.to_owned())
    }
}

/// The element type that ggml knows by this id.
fn dtype_of(type_id: u32) -> Option<Dtype> {
    let plain = match type_id {
        0 => "F32",
        1 => "F16",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        30 => "BF16",
        id => return Dtype::by_id(32 + u64::from(id)).filter(|d| d.block > 1),
    };
    Dtype::by_name(plain)
}

/// Reads and checks the header of a file of `file_len` bytes.
///
/// # Errors
/// [`GgufError`] if it is malformed, breaks a limit, or promises more than the file holds.
pub fn read_header(input: impl Read, file_len: u64, limits: &GgufLimits) -> Result<GgufHeader, GgufError> {
    let mut input = Input { from: input, at: 0, end: file_len.min(limits.header_len), file_len, limits };
    let version = read_version(&mut input)?;
    let tensor_count = input.u64("tensor count")?;
    let pair_count = input.u64("metadata count")?;
    input.count("metadata count", pair_count, LEAST_PAIR, limits.pairs)?;
    input.count("tensor count", tensor_count, LEAST_TENSOR, limits.tensors)?;
    let mut metadata: Vec<(String, Value)> = Vec::new();
    let mut keys = HashSet::new();
    let mut alignment = DEFAULT_ALIGNMENT;
    for _ in 0..pair_count {
        let at = input.at;
        let key = input.name("key")?;
        let kind = Kind::of(&mut input)?;
        let value = input.value(kind, 0)?;
        if key == ALIGNMENT_KEY {
            alignment = checked_alignment(kind, &value, at)?;
        }
        if !keys.insert(key.clone()) {
            return Err(GgufError::Duplicate { what: "key", name: key });
        }
        metadata.push((key, value));
    }
    let metadata_end = input.at;
    let mut tensors = Vec::new();
    let mut names = HashSet::new();
    for _ in 0..tensor_count {
        let tensor = input.tensor()?;
        if !names.insert(tensor.name.clone()) {
            return Err(GgufError::Duplicate { what: "tensor", name: tensor.name });
        }
        tensors.push(tensor);
    }
    let end = input.at;
    let data_offset = end.checked_next_multiple_of(alignment);
    let data_offset = data_offset
        .filter(|&at| at <= file_len || tensors.is_empty())
        .ok_or(GgufError::Truncated { what: "the data of tensors", offset: end, end: file_len })?;
    place(&mut tensors, data_offset, alignment, file_len)?;
    Ok(GgufHeader { version, metadata, tensors, metadata_end, end, data_offset })
}

/// The first `bytes` of a file as a header, whatever follows: for showing what a file that was checked before says.
///
/// # Errors
/// As [`read_header`].
pub fn parse_header(bytes: &[u8], file_len: u64) -> Result<GgufHeader, GgufError> {
    read_header(bytes, file_len, &GgufLimits::default())
}

fn read_version<R: Read>(input: &mut Input<'_, R>) -> Result<u32, GgufError> {
    if input.array::<4>("magic").map_err(|_| GgufError::Magic)? != MAGIC {
        return Err(GgufError::Magic);
    }
    let version = input.u32("version")?;
    match version {
        2 | 3 => Ok(version),
        // No version is above 2^16, so this one is in the other byte order.
        v if v & 0xFFFF == 0 && v != 0 => {
            Err(GgufError::Version { version: v.swap_bytes(), big_endian: true })
        }
        version => Err(GgufError::Version { version, big_endian: false }),
    }
}

fn checked_alignment(kind: Kind, value: &Value, offset: u64) -> Result<u64, GgufError> {
    match (kind, value) {
        (Kind::Scalar(Scalar::U32), Value::Unsigned(n)) if n.is_power_of_two() => Ok(*n),
        (Kind::Scalar(Scalar::U32), value) => {
            let reason = format!("{ALIGNMENT_KEY} is {value}, not a power of two");
            Err(GgufError::Header { offset, reason })
        }
        _ => Err(GgufError::Header { offset, reason: format!("{ALIGNMENT_KEY} is not of type uint32") }),
    }
}

/// Turns offsets within the data into places in the file, and checks that they are in it and apart.
fn place(tensors: &mut [GgufTensor], data: u64, alignment: u64, file_len: u64) -> Result<(), GgufError> {
    let refuse = |t: &GgufTensor, reason: String| GgufError::Tensor {
        name: t.name.clone(),
        offset: t.described_at,
        reason,
    };
    for tensor in tensors.iter_mut() {
        if !tensor.begin.is_multiple_of(alignment) {
            let reason =
                format!("its offset {} is not a multiple of the alignment {alignment}", tensor.begin);
            return Err(refuse(tensor, reason));
        }
        tensor.begin = tensor.begin.checked_add(data).filter(|&at| at <= file_len).ok_or_else(|| {
            refuse(tensor, format!("it begins beyond the end of the file, byte {file_len}"))
        })?;
    }
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| (tensors[i].begin, tensors[i].byte_len, i));
    let mut next = file_len;
    for &i in order.iter().rev() {
        let tensor = &mut tensors[i];
        let (begin, room) = (tensor.begin, next - tensor.begin);
        if tensor.dtype().is_none() {
            tensor.byte_len = room;
        }
        if tensor.byte_len > room {
            let what = if next == file_len { "the end of the file" } else { "the next tensor" };
            let reason =
                format!("{} bytes from byte {begin} reach beyond {what}, byte {next}", tensor.byte_len);
            return Err(refuse(tensor, reason));
        }
        // An empty tensor is in nobody's way.
        if tensor.byte_len > 0 || tensor.dtype().is_none() {
            next = begin;
        }
    }
    Ok(())
}

/// Types of metadata values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scalar(Scalar),
    Text,
    Array,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scalar {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    U64,
    I64,
    F64,
}

impl Kind {
    fn of<R: Read>(input: &mut Input<'_, R>) -> Result<Self, GgufError> {
        let offset = input.at;
        Ok(Self::Scalar(match input.u32("type of a value")? {
            0 => Scalar::U8,
            1 => Scalar::I8,
            2 => Scalar::U16,
            3 => Scalar::I16,
            4 => Scalar::U32,
            5 => Scalar::I32,
            6 => Scalar::F32,
            7 => Scalar::Bool,
            8 => return Ok(Self::Text),
            9 => return Ok(Self::Array),
            10 => Scalar::U64,
            11 => Scalar::I64,
            12 => Scalar::F64,
            other => {
                return Err(GgufError::Header {
                    offset,
                    reason: format!("unknown type of a value, {other}"),
                });
            }
        }))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Array => "array",
            Self::Scalar(s) => match s {
                Scalar::U8 => "uint8",
                Scalar::I8 => "int8",
                Scalar::U16 => "uint16",
                Scalar::I16 => "int16",
                Scalar::U32 => "uint32",
                Scalar::I32 => "int32",
                Scalar::F32 => "float32",
                Scalar::Bool => "bool",
                Scalar::U64 => "uint64",
                Scalar::I64 => "int64",
                Scalar::F64 => "float64",
            },
        }
    }

    /// Bytes of the smallest value.
    fn least_len(self) -> u64 {
        match self {
            Self::Text => 8,
            Self::Array => 12,
            Self::Scalar(s) => match s {
                Scalar::U8 | Scalar::I8 | Scalar::Bool => 1,
                Scalar::U16 | Scalar::I16 => 2,
                Scalar::U32 | Scalar::I32 | Scalar::F32 => 4,
                Scalar::U64 | Scalar::I64 | Scalar::F64 => 8,
            },
        }
    }
}

/// A file read forward, which knows where it is and where it must stop.
struct Input<'a, R> {
    from: R,
    at: u64,
    /// Where the header must end: the end of the file, or the limit on the header.
    end: u64,
    file_len: u64,
    limits: &'a GgufLimits,
}

impl<R: Read> Input<'_, R> {
    /// Checks that `len` bytes are left.
    fn need(&self, what: &'static str, len: u64) -> Result<(), GgufError> {
        if self.at.checked_add(len).is_some_and(|end| end <= self.end) {
            return Ok(());
        }
        if self.end < self.file_len && self.at.checked_add(len).is_some_and(|end| end <= self.file_len) {
            let value = self.at + len;
            return Err(GgufError::Limit { what: "header length", value, limit: self.end });
        }
        Err(GgufError::Truncated { what, offset: self.at, end: self.file_len })
    }

    /// Checks that `count` items of at least `least` bytes each are left, and within the limit.
    fn count(&self, what: &'static str, count: u64, least: u64, limit: u64) -> Result<(), GgufError> {
        let len = count.checked_mul(least);
        let len = len.ok_or(GgufError::Truncated { what, offset: self.at, end: self.file_len })?;
        self.need(what, len)?;
        if count > limit {
            return Err(GgufError::Limit { what, value: count, limit });
        }
        Ok(())
    }

    fn fill(&mut self, what: &'static str, buf: &mut [u8]) -> Result<(), GgufError> {
        self.need(what, buf.len() as u64)?;
        self.from.read_exact(buf).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                GgufError::Truncated { what, offset: self.at, end: self.file_len }
            }
            _ => GgufError::Io { offset: self.at, source },
        })?;
        self.at += buf.len() as u64;
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(what, &mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    fn skip(&mut self, what: &'static str, len: u64) -> Result<(), GgufError> {
        self.need(what, len)?;
        let mut buf = [0u8; 4096];
        let mut left = len;
        while left > 0 {
            let n = left.min(buf.len() as u64) as usize;
            self.fill(what, &mut buf[..n])?;
            left -= n as u64;
        }
        Ok(())
    }

    /// A key or a tensor's name: UTF-8, within the limit.
    fn name(&mut self, what: &'static str) -> Result<String, GgufError> {
        let offset = self.at;
        let len = self.u64(what)?;
        self.need(what, len)?;
        if len > self.limits.name_len {
            return Err(GgufError::Limit { what, value: len, limit: self.limits.name_len });
        }
        let mut bytes = vec![0; len as usize];
        self.fill(what, &mut bytes)?;
        match String::from_utf8(bytes) {
            Ok(name) if !name.contains('\0') => Ok(name),
            Ok(_) => Err(GgufError::Header { offset, reason: format!("a {what} with a zero byte") }),
            Err(_) => Err(GgufError::Header { offset, reason: format!("a {what} that is not UTF-8") }),
        }
    }

    fn value(&mut self, kind: Kind, depth: u64) -> Result<Value, GgufError> {
        match kind {
            Kind::Scalar(scalar) => self.scalar(scalar),
            Kind::Text => self.text(),
            Kind::Array => {
                if depth == self.limits.depth {
                    let (value, limit) = (depth + 1, depth);
                    return Err(GgufError::Limit { what: "depth of arrays in arrays", value, limit });
                }
                let of = Kind::of(self)?;
                let len = self.u64("length of an array")?;
                self.count("length of an array", len, of.least_len(), u64::MAX)?;
                let mut items = Vec::new();
                for i in 0..len {
                    if i < KEPT_ITEMS as u64 {
                        items.push(self.value(of, depth + 1)?);
                    } else if let Kind::Scalar(_) = of {
                        self.skip("items of an array", (len - i) * of.least_len())?;
                        break;
                    } else {
                        self.value(of, depth + 1)?;
                    }
                }
                Ok(Value::Array { of: of.name(), len, items })
            }
        }
    }

    fn text(&mut self) -> Result<Value, GgufError> {
        let len = self.u64("length of a string")?;
        self.need("a string", len)?;
        let mut kept = vec![0; len.min(KEPT_BYTES as u64) as usize];
        self.fill("a string", &mut kept)?;
        self.skip("a string", len - kept.len() as u64)?;
        Ok(Value::Text { text: String::from_utf8_lossy(&kept).into_owned(), len })
    }

    fn scalar(&mut self, scalar: Scalar) -> Result<Value, GgufError> {
        let what = "a value";
        Ok(match scalar {
            Scalar::U8 => Value::Unsigned(u64::from(u8::from_le_bytes(self.array(what)?))),
            Scalar::I8 => Value::Signed(i64::from(i8::from_le_bytes(self.array(what)?))),
            Scalar::U16 => Value::Unsigned(u64::from(u16::from_le_bytes(self.array(what)?))),
            Scalar::I16 => Value::Signed(i64::from(i16::from_le_bytes(self.array(what)?))),
            Scalar::U32 => Value::Unsigned(u64::from(self.u32(what)?)),
            Scalar::I32 => Value::Signed(i64::from(i32::from_le_bytes(self.array(what)?))),
            Scalar::F32 => Value::Single(f32::from_le_bytes(self.array(what)?)),
            Scalar::U64 => Value::Unsigned(self.u64(what)?),
            Scalar::I64 => Value::Signed(i64::from_le_bytes(self.array(what)?)),
            Scalar::F64 => Value::Double(f64::from_le_bytes(self.array(what)?)),
            Scalar::Bool => {
                let offset = self.at;
                match self.array(what)? {
                    [byte @ (0 | 1)] => Value::Bool(byte == 1),
                    [byte] => {
                        return Err(GgufError::Header { offset, reason: format!("a bool of value {byte}") });
                    }
                }
            }
        })
    }

    fn tensor(&mut self) -> Result<GgufTensor, GgufError> {
        let described_at = self.at;
        let name = self.name("tensor name")?;
        let rank = u64::from(self.u32("rank")?);
        self.count("rank", rank, 8, self.limits.rank)?;
        let mut shape = (0..rank).map(|_| self.u64("dimension")).collect::<Result<Vec<u64>, _>>()?;
        shape.reverse();
        let type_id = self.u32("type of a tensor")?;
        let begin = self.u64("offset of a tensor")?;
        let refuse = |reason: String| GgufError::Tensor { name: name.clone(), offset: described_at, reason };
        let byte_len = match dtype_of(type_id) {
            None => 0,
            Some(dtype) => dtype.byte_len(&shape).ok_or_else(|| {
                let blocks = if dtype.block > 1 {
                    format!("not rows of whole blocks of {}, or too large", dtype.block)
                } else {
                    "too large".into()
                };
                refuse(format!("shape {shape:?} of {} is {blocks}", dtype.name))
            })?,
        };
        Ok(GgufTensor { name, type_id, shape, begin, byte_len, described_at })
    }
}
