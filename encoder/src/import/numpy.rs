//! NumPy arrays: `.npy` files, and `.npz` files, which are ZIP files of them.

use super::pieces::{Parts, bytes_tensor, shown};
use super::safetensors::{HeaderEntry, HeaderLimits};
use super::zip::{Kept, Member, Source, read_range};
use mcodec_format::registry::Dtype;
use std::io;
use std::ops::Range;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header. NumPy itself asks for leave beyond 10,000 bytes.
const MAX_HEADER: u64 = 1 << 20;
/// Most dimensions. NumPy has 64 at most.
const MAX_RANK: usize = 64;

/// What a note says of an array that is not in the usual order.
pub(crate) const BY_COLUMN: &str = "is in Fortran order";
/// What a note says of members of a `.npz` file that cannot be read by themselves.
pub(crate) const COMPRESSED: &str = "are compressed or encrypted";

/// The header of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The type string, as `<f4`; the text of a list of fields for a structured type.
    pub descr: String,
    /// Whether the first dimension is the fastest.
    pub fortran_order: bool,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Where the data starts.
    pub len: u64,
}

/// Why an array's header is refused. Offsets count from its start.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The input failed.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    /// It breaks off.
    #[error("the array ends early: {expected} bytes were promised, {actual} are there")]
    Truncated {
        /// The least length that the header implies.
        expected: u64,
        /// The length there is.
        actual: u64,
    },
    /// The header is longer than the limit.
    #[error("a header of {0} bytes is too long")]
    Limit(u64),
    /// A version of the format that is not known.
    #[error("version {0}.{1} of the format is not known")]
    Version(u8, u8),
    /// The header is malformed.
    #[error("bad header at byte {offset}: {reason}")]
    Invalid {
        /// Where the fault was met.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Whether a file that starts with these bytes may be an array.
#[must_use]
pub fn looks_like_npy(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(MAGIC)
}

/// Reads the header of the array in the bytes `range` of a source.
///
/// # Errors
/// [`NpyError`] if it is none, breaks off or is malformed.
pub fn read_header(source: &(impl Source + ?Sized), range: Range<u64>) -> Result<Header, NpyError> {
    let actual = range.end.saturating_sub(range.start);
    let available = |expected: u64| {
        if expected > actual { Err(NpyError::Truncated { expected, actual }) } else { Ok(()) }
    };
    available(10)?;
    let head = read_range(source, range.start..range.start + 12.min(actual))?;
    let [_, _, _, _, _, _, major, minor, lengths @ ..] = head.as_slice() else {
        return Err(NpyError::Truncated { expected: 10, actual });
    };
    if !head.starts_with(MAGIC) {
        return Err(NpyError::Invalid { offset: 0, reason: "it does not begin as an array does" });
    }
    let (start, text_len) = match (major, lengths) {
        (1, [a, b, ..]) => (10, u64::from(u16::from_le_bytes([*a, *b]))),
        (2 | 3, [a, b, c, d]) => (12, u64::from(u32::from_le_bytes([*a, *b, *c, *d]))),
        (2 | 3, _) => return Err(NpyError::Truncated { expected: 12, actual }),
        _ => return Err(NpyError::Version(*major, *minor)),
    };
    if text_len > MAX_HEADER {
        return Err(NpyError::Limit(text_len));
    }
    let len = start + text_len;
    available(len)?;
    let text = read_range(source, range.start + start..range.start + len)?;
    let mut header = parse_dict(&text)
        .map_err(|(offset, reason)| NpyError::Invalid { offset: start + offset as u64, reason })?;
    header.len = len;
    Ok(header)
}

type Fault = (usize, &'static str);

/// The dict of a header: a Python literal of three keys.
fn parse_dict(text: &[u8]) -> Result<Header, Fault> {
    let mut literal = Literal { text, at: 0 };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    literal.expect(b'{')?;
    while !literal.ate(b'}') {
        let at = literal.at;
        let key = literal.string()?;
        literal.expect(b':')?;
        let fresh = match key.as_str() {
            "descr" => descr.replace(literal.descr()?).is_none(),
            "fortran_order" => fortran_order.replace(literal.boolean()?).is_none(),
            "shape" => shape.replace(literal.tuple()?).is_none(),
            _ => return Err((at, "a key that is not known")),
        };
        if !fresh {
            return Err((at, "a key that occurs twice"));
        }
        if !literal.ate(b',') {
            literal.expect(b'}')?;
            break;
        }
    }
    literal.space();
    if literal.at != text.len() {
        return Err((literal.at, "something follows the dict"));
    }
    match (descr, fortran_order, shape) {
        (Some(descr), Some(fortran_order), Some(shape)) => Ok(Header { descr, fortran_order, shape, len: 0 }),
        _ => Err((0, "a key is missing")),
    }
}

/// A reader of the few Python literals that a header has.
struct Literal<'a> {
    text: &'a [u8],
    at: usize,
}

impl Literal<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn ate(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.ate(byte) { Ok(()) } else { Err((self.at, "another character is expected")) }
    }

    fn string(&mut self) -> Result<String, Fault> {
        self.space();
        let start = self.at;
        let quote =
            self.peek().filter(|b| matches!(b, b'\'' | b'"')).ok_or((start, "a string is expected"))?;
        self.at += 1;
        let from = self.at;
        while let Some(byte) = self.peek() {
            if byte == b'\\' {
                return Err((self.at, "an escape in a string"));
            }
            self.at += 1;
            if byte == quote {
                let inside = self.text.get(from..self.at - 1).unwrap_or_default();
                return String::from_utf8(inside.to_vec()).map_err(|_| (from, "a string that is not UTF-8"));
            }
        }
        Err((start, "a string without an end"))
    }

    /// A type string, or the text of a list of fields.
    fn descr(&mut self) -> Result<String, Fault> {
        self.space();
        if self.peek() != Some(b'[') {
            return self.string();
        }
        let start = self.at;
        let mut depth = 0u32;
        while let Some(byte) = self.peek() {
            match byte {
                b'\'' | b'"' => {
                    self.string()?;
                    continue;
                }
                b'[' | b'(' => depth += 1,
                b']' | b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                let text = self.text.get(start..self.at).unwrap_or_default();
                return String::from_utf8(text.to_vec()).map_err(|_| (start, "a type that is not UTF-8"));
            }
        }
        Err((start, "a list without an end"))
    }

    fn boolean(&mut self) -> Result<bool, Fault> {
        self.space();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err((self.at, "True or False is expected"))
    }

    fn tuple(&mut self) -> Result<Vec<u64>, Fault> {
        self.expect(b'(')?;
        let mut sizes = Vec::new();
        while !self.ate(b')') {
            if sizes.len() == MAX_RANK {
                return Err((self.at, "too many dimensions"));
            }
            sizes.push(self.size()?);
            if !self.ate(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(sizes)
    }

    fn size(&mut self) -> Result<u64, Fault> {
        self.space();
        let start = self.at;
        let mut value = 0u64;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            let next = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0')));
            value = next.ok_or((start, "a dimension over 64 bits"))?;
            self.at += 1;
        }
        if self.at == start {
            return Err((start, "a dimension is expected"));
        }
        // As Python 2 wrote long integers.
        self.at += usize::from(self.peek() == Some(b'L'));
        Ok(value)
    }
}

/// The dtype of a type string: its name, and the bytes of an element.
pub(crate) fn dtype_of(descr: &str) -> Option<(String, u64)> {
    let native = match descr {
        "<f8" => "F64",
        "<f4" => "F32",
        "<f2" => "F16",
        "<i8" => "I64",
        "<i4" => "I32",
        "<i2" => "I16",
        "|i1" | "<i1" => "I8",
        "<u8" => "U64",
        "<u4" => "U32",
        "<u2" => "U16",
        "|u1" | "<u1" => "U8",
        "|b1" | "<b1" => "BOOL",
        "<c8" => "C64",
        "<c16" => "C128",
        _ => "",
    };
    if let Some(dtype) = Dtype::by_name(native) {
        return Some((dtype.name.into(), u64::from(dtype.bits / 8)));
    }
    // One of the order of bytes, a letter, a count; maybe a unit. Objects are pickles, not elements.
    let rest = descr.strip_prefix(['<', '>', '|', '=']).unwrap_or(descr);
    let kind = rest.chars().next().filter(|kind| "biufcmMSUV".contains(*kind))?;
    let digits = rest.get(1..)?.split('[').next()?;
    let count: u64 = digits.parse().ok().filter(|n| *n > 0 && digits.len() < 9)?;
    Some((descr.to_owned(), if kind == 'U' { count * 4 } else { count }))
}

/// Takes an array apart that fills the bytes `range` of a source: a tensor of this name, and what to tell of it.
fn tensor(
    source: &(impl Source + ?Sized),
    range: Range<u64>,
    name: &str,
) -> Result<(HeaderEntry, Option<String>), NpyError> {
    let header = read_header(source, range.clone())?;
    let begin = range.start + header.len;
    let rest = |why: &str| {
        let told = format!("{:?} is {why}: kept as a row of bytes", shown(name));
        (bytes_tensor(name.into(), begin, range.end), Some(told))
    };
    let Some((dtype, width)) = dtype_of(&header.descr) else {
        return Ok(rest(&format!("of type {:?}", shown(&header.descr))));
    };
    let count = if header.shape.contains(&0) {
        Some(0)
    } else {
        header.shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d))
    };
    let len = count.and_then(|count| count.checked_mul(width)).filter(|len| *len < 1 << 63);
    let Some((count, len)) = count.zip(len) else {
        return Err(NpyError::Invalid { offset: 0, reason: "the dimensions are too large" });
    };
    let actual = range.end - range.start;
    if len > actual - header.len {
        return Err(NpyError::Truncated { expected: header.len.saturating_add(len), actual });
    }
    let by_column = header.fortran_order && header.shape.iter().filter(|d| **d != 1).count() > 1;
    let shape = if by_column { vec![count] } else { header.shape };
    let told = if by_column {
        Some(format!("{:?} {BY_COLUMN}: kept as a row of its {count} elements", shown(name)))
    } else if Dtype::by_name(&dtype).is_none() {
        Some(format!("{:?} is of type {dtype:?}: its dtype is kept by name only", shown(name)))
    } else {
        None
    };
    Ok((HeaderEntry { name: name.into(), dtype, shape, begin, end: begin + len }, told))
}

/// Takes an `.npy` file apart: one tensor of the name `name`.
///
/// # Errors
/// [`NpyError`] if it is malformed, or bytes follow the array.
pub fn npy_parts(
    source: &(impl Source + ?Sized),
    name: &str,
    limits: &HeaderLimits,
) -> Result<Parts, NpyError> {
    let len = source.byte_len();
    let (tensor, told) = tensor(source, 0..len, name)?;
    if tensor.end != len {
        return Err(NpyError::Invalid { offset: tensor.end, reason: "bytes follow the array" });
    }
    let mut parts = Parts { tensors: vec![tensor], notes: told.into_iter().collect() };
    parts.settle_names(limits.name_len);
    Ok(parts)
}

/// Whether a ZIP file is one of arrays.
#[must_use]
pub fn is_npz(members: &[Member]) -> bool {
    members.iter().any(|m| m.name.ends_with(".npy"))
}

/// Takes an `.npz` file apart whose directory has been read: a tensor for each member, named as NumPy does. None if nothing in it can be read by
/// itself, since all is compressed.
///
/// # Errors
/// If reading fails. A member that is no array is kept as it is.
pub fn npz_parts(
    source: &(impl Source + ?Sized),
    members: &[Member],
    limits: &HeaderLimits,
) -> io::Result<Option<Parts>> {
    let mut parts = Parts::default();
    let mut compressed = 0u64;
    for member in members {
        let Some(name) = member.name.strip_suffix(".npy") else { continue };
        if member.kept != Kept::Stored {
            compressed += 1;
            continue;
        }
        if parts.tensors.len() == limits.tensors {
            parts.notes.push(format!("only the first {} arrays are listed", limits.tensors));
            break;
        }
        match tensor(source, member.body.clone(), name) {
            Ok((tensor, told)) => {
                parts.tensors.push(tensor);
                parts.notes.extend(told);
            }
            Err(NpyError::Io(e)) => return Err(e),
            Err(e) => parts.notes.push(format!("{:?}: {e}: kept as it is", shown(&member.name))),
        }
    }
    if parts.tensors.is_empty() && compressed > 0 {
        return Ok(None);
    }
    if compressed > 0 {
        parts
            .notes
            .push(format!("{compressed} members {COMPRESSED}: kept as they are, without their arrays"));
    }
    limit_notes(&mut parts.notes);
    parts.fill_gaps(source.byte_len());
    parts.settle_names(limits.name_len);
    Ok(Some(parts))
}

/// One note for each array may be many.
fn limit_notes(notes: &mut Vec<String>) {
    const MOST: usize = 20;
    if notes.len() > MOST {
        let more = notes.len() - MOST;
        notes.truncate(MOST);
        notes.push(format!("and {more} more such arrays"));
    }
}

/// The name of the tensor that an `.npy` file becomes: the file's without its extension.
#[must_use]
pub fn npy_name(file_name: &str) -> &str {
    let stem = file_name.strip_suffix(".npy").unwrap_or(file_name);
    if stem.is_empty() { file_name } else { stem }
}
