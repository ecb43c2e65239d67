//! The header of a safetensors file: read as a stream, with dtypes that this version does not know kept by name.
//!
//! The `safetensors` crate wants the whole file in memory and refuses unknown dtypes; the rules checked here are its own
//! otherwise.

use std::io::Read;

use mcodec_decode::layout::Layout;
use mcodec_decode::safetensors::{HeaderTensor, canonical_order, render_header};
use mcodec_format::registry::Dtype;
use serde::de::{Error as _, SeqAccess, Visitor};

use super::error::HeaderError;
use super::json::{self, Fault};

/// Largest header of the safetensors format.
pub const MAX_HEADER_LEN: u64 = 100_000_000;
/// Most dimensions of a tensor.
pub const MAX_RANK: usize = 255;
/// Longest dtype name, in bytes.
pub const MAX_DTYPE_LEN: usize = 255;
/// Most entries of `__metadata__`.
pub const MAX_METADATA: usize = 1 << 16;

const METADATA: &str = "__metadata__";
/// Tried in this order; 8 is what writers use.
const PADS: [u8; 8] = [8, 1, 16, 32, 64, 128, 4, 2];

/// Bounds on what a header may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderLimits {
    /// Most bytes of JSON; at most [`MAX_HEADER_LEN`] counts.
    pub header_len: u64,
    /// Most tensors.
    pub tensors: usize,
    /// Longest tensor name, in bytes.
    pub name_len: usize,
}

impl Default for HeaderLimits {
    fn default() -> Self {
        Self { header_len: MAX_HEADER_LEN, tensors: 1 << 20, name_len: 1 << 16 }
    }
}

/// A checked header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The text of `__metadata__` as it stands in the file: an object of strings. None if absent or `null`.
    pub metadata: Option<String>,
    /// The tensors in the order of the JSON.
    pub tensors: Vec<HeaderEntry>,
}

/// One tensor of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderEntry {
    /// The tensor's name.
    pub name: String,
    /// The name of its dtype, which need not be a known one.
    pub dtype: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Where its bytes begin, counted from the end of the header.
    pub begin: u64,
    /// Where they end.
    pub end: u64,
}

impl HeaderEntry {
    /// The tensor's length in bytes.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.end.saturating_sub(self.begin)
    }

    fn rendered(&self) -> HeaderTensor<'_> {
        HeaderTensor { name: &self.name, dtype: &self.dtype, shape: &self.shape, byte_len: self.byte_len() }
    }
}

impl Header {
    /// The length of all tensors' bytes.
    #[must_use]
    pub fn data_len(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.end).max().unwrap_or(0)
    }

    /// Indices of the tensors in the order of their bytes; empty tensors come before the one that begins at their place,
    /// equal ones in the order of the JSON.
    #[must_use]
    pub fn data_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.tensors.len()).collect();
        order.sort_by_key(|i| self.tensors.get(*i).map(|tensor| (tensor.begin, tensor.end)));
        order
    }
}

/// The width of an element of the dtype `name` in bits; None if the dtype is not known.
#[must_use]
pub fn dtype_bits(name: &str) -> Option<u32> {
    Dtype::by_name(name).filter(|dtype| dtype.block == 1).map(|dtype| dtype.bits)
}

/// Whether a file that starts with `first_bytes` and is `len` bytes long may be a safetensors file.
#[must_use]
pub fn looks_like_safetensors(first_bytes: &[u8], len: Option<u64>) -> bool {
    let Some((length, json)) = first_bytes.split_first_chunk::<8>() else { return false };
    let json_len = u64::from_le_bytes(*length);
    (2..=MAX_HEADER_LEN).contains(&json_len)
        && json.first() == Some(&b'{')
        && len.is_none_or(|len| json_len <= len.saturating_sub(8))
}

/// Reads and checks the header at the start of `input`: its bytes, with the 8 of the length, and what they say.
///
/// If the length of the whole file is known, the tensors must end where the file does.
///
/// # Errors
/// [`HeaderError`] if reading fails, the header is malformed or breaks a limit, or the file has another length.
pub fn read_header(
    input: &mut impl Read,
    known_len: Option<u64>,
    limits: &HeaderLimits,
) -> Result<(Vec<u8>, Header), HeaderError> {
    let mut bytes = Vec::new();
    fill(input, 8, &mut bytes)?;
    let json_len = bytes.first_chunk::<8>().map_or(0, |length| u64::from_le_bytes(*length));
    check_header_len(json_len, limits)?;
    let header_len = json_len + 8;
    if let Some(actual) = known_len.filter(|actual| *actual < header_len) {
        return Err(HeaderError::Truncated { expected: header_len, actual });
    }
    fill(input, json_len, &mut bytes)?;
    let header = parse_header(bytes.get(8..).unwrap_or_default(), limits)?;
    // `parse_header` keeps the data below 2^63 bytes.
    let expected = header_len.saturating_add(header.data_len());
    match known_len {
        Some(actual) if actual < expected => Err(HeaderError::Truncated { expected, actual }),
        Some(actual) if actual > expected => Err(HeaderError::Trailing { expected, actual }),
        _ => Ok((bytes, header)),
    }
}

/// Appends exactly `count` bytes; the buffer grows with the bytes that are there, not with the number claimed.
fn fill(input: &mut impl Read, count: u64, bytes: &mut Vec<u8>) -> Result<(), HeaderError> {
    let expected = bytes.len() as u64 + count;
    let result = input.by_ref().take(count).read_to_end(bytes);
    let actual = bytes.len() as u64;
    match result {
        Err(source) => Err(HeaderError::Io { offset: actual, source }),
        Ok(_) if actual < expected => Err(HeaderError::Truncated { expected, actual }),
        Ok(_) => Ok(()),
    }
}

fn check_header_len(json_len: u64, limits: &HeaderLimits) -> Result<(), HeaderError> {
    let limit = limits.header_len.min(MAX_HEADER_LEN);
    if json_len > limit {
        return Err(HeaderError::Limit { what: "header length", value: json_len, limit });
    }
    Ok(())
}

impl From<Fault> for HeaderError {
    fn from(fault: Fault) -> Self {
        Self::Json { offset: 8 + fault.offset as u64, reason: fault.reason }
    }
}

/// Checks the JSON of a header, without the 8 bytes of its length.
///
/// # Errors
/// [`HeaderError`] if it is malformed or breaks a limit. Offsets count from the start of the file, 8 bytes before the JSON.
pub fn parse_header(json: &[u8], limits: &HeaderLimits) -> Result<Header, HeaderError> {
    check_header_len(json.len() as u64, limits)?;
    if json.first() != Some(&b'{') {
        return Err(HeaderError::Json { offset: 8, reason: "the header does not start with {".into() });
    }
    let json = json::utf8(json)?;
    json::check_nesting(json)?;
    let mut header = Header::default();
    let mut places = Vec::new();
    let mut has_metadata = false;
    json::walk_object(json, |name, value| {
        let offset = json::offset_in(json, value);
        if name == METADATA {
            if std::mem::replace(&mut has_metadata, true) {
                return Err(HeaderError::Duplicate { name });
            }
            header.metadata = parse_metadata(value, offset)?;
            return Ok(());
        }
        check_limit("tensor name length", name.len(), limits.name_len)?;
        check_limit("tensor count", header.tensors.len() + 1, limits.tensors)?;
        header.tensors.push(parse_tensor(name, value, offset)?);
        places.push(offset);
        Ok(())
    })?;
    check_unique(&header)?;
    check_cover(&header, &places)?;
    Ok(header)
}

fn check_limit(what: &'static str, value: usize, limit: usize) -> Result<(), HeaderError> {
    if value > limit {
        return Err(HeaderError::Limit { what, value: value as u64, limit: limit as u64 });
    }
    Ok(())
}

/// Checks that metadata is an object of strings and returns its text.
fn parse_metadata(text: &str, offset: usize) -> Result<Option<String>, HeaderError> {
    // The safetensors crate takes `null` for no metadata.
    if text == "null" {
        return Ok(None);
    }
    let place = |fault: Fault| Fault { offset: offset.saturating_add(fault.offset), ..fault };
    let mut keys = std::collections::HashSet::new();
    let walked = json::walk_object(text, |key, value| {
        let offset = json::offset_in(text, value);
        if !value.starts_with('"') {
            return Err(Fault { offset, reason: format!("metadata {key:?} is not a string") });
        }
        if let Err(error) = serde_json::from_str::<String>(value) {
            return Err(Fault { offset, reason: format!("metadata {key:?}: {error}") });
        }
        if keys.len() == MAX_METADATA {
            return Err(Fault { offset, reason: format!("more than {MAX_METADATA} entries of metadata") });
        }
        match keys.replace(key) {
            Some(key) => Err(Fault { offset, reason: format!("metadata {key:?} occurs twice") }),
            None => Ok(()),
        }
    });
    walked.map_err(place)?;
    Ok(Some(text.to_owned()))
}

#[derive(serde::Deserialize)]
struct Description {
    dtype: String,
    shape: Shape,
    data_offsets: (u64, u64),
}

fn parse_tensor(name: String, text: &str, offset: usize) -> Result<HeaderEntry, HeaderError> {
    match check_tensor(text) {
        Ok((dtype, shape, (begin, end))) => Ok(HeaderEntry { name, dtype, shape, begin, end }),
        Err(reason) => Err(HeaderError::Tensor { name, offset: 8 + offset as u64, reason }),
    }
}

type Checked = (String, Vec<u64>, (u64, u64));

fn check_tensor(text: &str) -> Result<Checked, String> {
    // serde would take an array of the members' values as well.
    if !text.starts_with('{') {
        return Err("its description is not an object".into());
    }
    let found: Description = serde_json::from_str(text).map_err(|error| json::fault(text, &error).reason)?;
    let (dtype, Shape(shape), (begin, end)) = (found.dtype, found.shape, found.data_offsets);
    if dtype.len() > MAX_DTYPE_LEN {
        return Err(format!("its dtype name is longer than {MAX_DTYPE_LEN} bytes"));
    }
    let length =
        end.checked_sub(begin).ok_or_else(|| format!("it ends at {end}, before it begins at {begin}"))?;
    if end > i64::MAX.unsigned_abs() {
        return Err("it ends beyond 2^63 bytes".into());
    }
    let overflow = || format!("shape {shape:?} of {dtype:?} overflows");
    let elements =
        shape.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim)).ok_or_else(overflow)?;
    if let Some(width) = dtype_bits(&dtype) {
        let bits = u128::from(elements) * u128::from(width);
        if bits % 8 != 0 {
            return Err(format!("shape {shape:?} of {dtype} is not a whole number of bytes"));
        }
        if bits / 8 != u128::from(length) {
            return Err(format!("shape {shape:?} of {dtype} takes {} bytes, but it has {length}", bits / 8));
        }
    }
    Ok((dtype, shape, (begin, end)))
}

/// Dimensions, bounded while they are read.
struct Shape(Vec<u64>);

impl<'de> serde::Deserialize<'de> for Shape {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Dims;
        impl<'de> Visitor<'de> for Dims {
            type Value = Shape;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array of dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(dim) = items.next_element()? {
                    if shape.len() == MAX_RANK {
                        return Err(A::Error::custom(format_args!("more than {MAX_RANK} dimensions")));
                    }
                    shape.push(dim);
                }
                Ok(Shape(shape))
            }
        }
        input.deserialize_seq(Dims)
    }
}

fn check_unique(header: &Header) -> Result<(), HeaderError> {
    let mut names: Vec<&str> = header.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    let twice = names.iter().zip(names.iter().skip(1)).find(|(a, b)| a == b);
    twice.map_or(Ok(()), |(name, _)| Err(HeaderError::Duplicate { name: (*name).to_owned() }))
}

/// Checks that the tensors follow each other from offset 0 without holes or overlap.
fn check_cover(header: &Header, places: &[usize]) -> Result<(), HeaderError> {
    let mut at = 0;
    for index in header.data_order() {
        let (Some(tensor), Some(place)) = (header.tensors.get(index), places.get(index)) else { continue };
        if tensor.begin != at {
            let kind = if tensor.begin > at { "a hole before it" } else { "it overlaps another tensor" };
            return Err(HeaderError::Tensor {
                name: tensor.name.clone(),
                offset: 8 + *place as u64,
                reason: format!("data begins at {}, but {at} was due: {kind}", tensor.begin),
            });
        }
        at = tensor.end;
    }
    Ok(())
}

/// How the file with this header is kept (SPEC 5.4): rendered if the rendering gives the same bytes, else verbatim.
///
/// `id_of` gives the entry id of the tensor at an index of [`Header::tensors`].
pub fn layout_for(header_bytes: &[u8], header: &Header, id_of: impl Fn(usize) -> u32) -> Layout {
    let metadata = header.metadata.as_deref().unwrap_or_default();
    if let Some(pad) = matching_pad(header_bytes, header, metadata) {
        // The rendering counts offsets up in the order of the JSON, so that is the order of the data too.
        let ids = (0..header.tensors.len()).map(id_of).collect();
        return Layout::Rendered { pad, metadata: metadata.to_owned(), ids };
    }
    let ids = header.data_order().into_iter().map(id_of).collect();
    Layout::Verbatim { ids, header: header_bytes.to_vec() }
}

/// Whether the file is in canonical form (SPEC 5.1, `source` 1), so that no `file` entry is needed.
#[must_use]
pub fn is_canonical(header_bytes: &[u8], header: &Header) -> bool {
    let widths: Option<Vec<u32>> = header.tensors.iter().map(|tensor| dtype_bits(&tensor.dtype)).collect();
    let Some(widths) = widths else { return false };
    header.metadata.is_none()
        && widths
            .iter()
            .zip(&header.tensors)
            .map(|(bits, tensor)| (*bits, tensor.name.as_str()))
            .is_sorted_by(|a, b| canonical_order(*a, *b).is_lt())
        && matching_pad(header_bytes, header, "") == Some(8)
}

/// The padding with which the rendered header is `header_bytes`, if there is one.
fn matching_pad(header_bytes: &[u8], header: &Header, metadata: &str) -> Option<u8> {
    let plain = render_header(metadata, header.tensors.iter().map(HeaderEntry::rendered), 1).ok()?;
    let (json, plain) = (header_bytes.get(8..)?, plain.get(8..)?);
    let spaces = json.strip_prefix(plain)?;
    if spaces.iter().any(|byte| *byte != b' ') {
        return None;
    }
    PADS.into_iter().find(|pad| plain.len().next_multiple_of(usize::from(*pad)) == json.len())
}
