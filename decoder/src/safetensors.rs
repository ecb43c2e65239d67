//! How a safetensors file is kept in a `file` entry (SPEC 5.4, layouts 1 and 2), and how its header is written again.

use mcodec_format::FormatError;
use mcodec_format::wire::{self, Parse, put_svarint, put_varint};
use std::cmp::Ordering;
use std::io::Write as _;

/// Id of the layout that keeps the header as it was.
pub const LAYOUT_VERBATIM: u8 = 1;
/// Id of the layout whose header is rendered from the tensors.
pub const LAYOUT_RENDERED: u8 = 2;
/// Longest path of a `file` entry, in bytes.
pub const MAX_PATH_LEN: usize = 4096;

/// Why the content of a `file` entry, or a header to be rendered, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The layout is neither 1 nor 2.
    #[error("unknown file layout {0}")]
    Unknown(u8),
    /// The content breaks off.
    #[error("file layout ends early, at byte {offset}")]
    Truncated {
        /// Where the missing bytes should start.
        offset: usize,
    },
    /// The content breaks a rule of the format.
    #[error("bad file layout at byte {offset}: {reason}")]
    Invalid {
        /// Where the bad item starts.
        offset: usize,
        /// The rule that is broken.
        reason: &'static str,
    },
    /// The tensors' lengths or the header's own do not fit 64 bits, or padding is zero.
    #[error("safetensors header cannot be written: {reason}")]
    Unrenderable {
        /// What does not fit.
        reason: &'static str,
    },
}

/// One tensor of a header that is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderTensor<'a> {
    /// The tensor's name, unescaped.
    pub name: &'a str,
    /// The name of its element type.
    pub dtype: &'a str,
    /// Its dimensions, outermost first.
    pub shape: &'a [u64],
    /// Its length in bytes.
    pub byte_len: u64,
}

/// Renders a safetensors header (SPEC 5.4, layout 2): the 8-byte length, then the JSON padded to a multiple of `pad`.
///
/// `metadata_json` is the raw text of `__metadata__`, or empty for none. The tensors come in the order of their data.
///
/// # Errors
/// [`LayoutError::Unrenderable`] if the lengths sum to more than 64 bits or `pad` is zero.
pub fn render_header<'a>(
    metadata_json: &str,
    tensors: impl Iterator<Item = HeaderTensor<'a>>,
    pad: u8,
) -> Result<Vec<u8>, LayoutError> {
    let overflow = LayoutError::Unrenderable { reason: "its tensors are longer than 2^64 bytes together" };
    let mut out = vec![0; 8];
    let mut divider: &[u8] = b"{";
    if !metadata_json.is_empty() {
        out.extend_from_slice(b"{\"__metadata__\":");
        out.extend_from_slice(metadata_json.as_bytes());
        divider = b",";
    }
    let mut begin = 0u64;
    for tensor in tensors {
        let end = begin.checked_add(tensor.byte_len).ok_or_else(|| overflow.clone())?;
        out.extend_from_slice(divider);
        divider = b",";
        push_json_string(&mut out, tensor.name);
        out.extend_from_slice(b":{\"dtype\":");
        push_json_string(&mut out, tensor.dtype);
        out.extend_from_slice(b",\"shape\":[");
        for (i, dim) in tensor.shape.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            push_number(&mut out, *dim);
        }
        out.extend_from_slice(b"],\"data_offsets\":[");
        push_number(&mut out, begin);
        out.push(b',');
        push_number(&mut out, end);
        out.extend_from_slice(b"]}");
        begin = end;
    }
    if divider == b"{" {
        out.push(b'{');
    }
    out.push(b'}');
    let json_len = out.len() - 8;
    let padded = json_len
        .checked_next_multiple_of(usize::from(pad))
        .ok_or(LayoutError::Unrenderable { reason: "it is padded to a multiple of zero" })?;
    out.resize(8 + padded, b' ');
    let length = (padded as u64).to_le_bytes();
    out.iter_mut().zip(length).for_each(|(to, from)| *to = from);
    Ok(out)
}

fn push_number(out: &mut Vec<u8>, value: u64) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{value}");
}

/// Writes a JSON string with the escapes that SPEC 5.4 states (those of serde_json).
fn push_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// The order of tensors in a safetensors file in canonical form (SPEC 5.1, field `source`): by falling width of an
/// element in bits, then bytewise by name. Each side is (bits, name).
#[must_use]
pub fn canonical_order(a: (u32, &str), b: (u32, &str)) -> Ordering {
    b.0.cmp(&a.0).then_with(|| a.1.as_bytes().cmp(b.1.as_bytes()))
}

/// Whether `name` can be the path of a `file` entry: relative, divided by `/`, and inside the folder it is joined to on
/// every system.
///
/// Besides what SPEC 5.4 names, control characters and paths over [`MAX_PATH_LEN`] bytes are refused.
#[must_use]
pub fn is_safe_path(name: &str) -> bool {
    name.len() <= MAX_PATH_LEN
        && !name.contains(|c: char| c == '\\' || c.is_control())
        && name.split('/').all(|part| !matches!(part, "" | "." | "..") && !has_drive_letter(part))
}

/// Any component counts: on Windows, joining `C:x` to a folder leaves that folder.
fn has_drive_letter(part: &str) -> bool {
    matches!(part.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// The content of a `file` entry of layout 1 or 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Layout 1: the header is kept as it was.
    Verbatim {
        /// Entry ids of the tensors, in the order of their data.
        ids: Vec<u32>,
        /// The header: 8-byte length and JSON.
        header: Vec<u8>,
    },
    /// Layout 2: the header is rendered from the tensors (see [`render_header`]).
    Rendered {
        /// The JSON is padded with spaces to a multiple of this, at least 1.
        pad: u8,
        /// Raw text of `__metadata__`; empty: none.
        metadata: String,
        /// Entry ids of the tensors, in the order of their data.
        ids: Vec<u32>,
    },
}

impl Layout {
    /// Reads the content of a `file` entry of layout `layout_id`.
    ///
    /// # Errors
    /// If the layout is unknown, or the content breaks off, has bytes left over, or breaks a rule of the format.
    pub fn parse(layout_id: u8, bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut input = Input { bytes, at: 0 };
        match layout_id {
            LAYOUT_VERBATIM => {
                let ids = input.ids()?;
                let at = input.at;
                let header = input.rest();
                let (length, json) =
                    header.split_first_chunk::<8>().ok_or(LayoutError::Truncated { offset: bytes.len() })?;
                if u64::from_le_bytes(*length) != json.len() as u64 {
                    return Err(LayoutError::Invalid {
                        offset: at,
                        reason: "the header's length is not that of its JSON",
                    });
                }
                Ok(Self::Verbatim { ids, header: header.to_vec() })
            }
            LAYOUT_RENDERED => {
                let pad = input.byte()?;
                if pad == 0 {
                    return Err(LayoutError::Invalid { offset: 0, reason: "padding to a multiple of zero" });
                }
                let metadata = input.string()?.to_owned();
                let ids = input.ids()?;
                if input.at != bytes.len() {
                    return Err(LayoutError::Invalid {
                        offset: input.at,
                        reason: "bytes after the last tensor",
                    });
                }
                Ok(Self::Rendered { pad, metadata, ids })
            }
            other => Err(LayoutError::Unknown(other)),
        }
    }

    /// The layout's id and the content of its entry.
    #[must_use]
    pub fn to_bytes(&self) -> (u8, Vec<u8>) {
        let mut out = Vec::new();
        match self {
            Self::Verbatim { ids, header } => {
                put_ids(&mut out, ids);
                out.extend_from_slice(header);
                (LAYOUT_VERBATIM, out)
            }
            Self::Rendered { pad, metadata, ids } => {
                out.push(*pad);
                put_varint(&mut out, metadata.len() as u64);
                out.extend_from_slice(metadata.as_bytes());
                put_ids(&mut out, ids);
                (LAYOUT_RENDERED, out)
            }
        }
    }

    /// Entry ids of the tensors, in the order of their data.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        match self {
            Self::Verbatim { ids, .. } | Self::Rendered { ids, .. } => ids,
        }
    }
}

fn put_ids(out: &mut Vec<u8>, ids: &[u32]) {
    put_varint(out, ids.len() as u64);
    let mut expected = 0i64;
    for id in ids {
        let id = i64::from(*id);
        put_svarint(out, id - expected);
        expected = id + 1;
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn byte(&mut self) -> Result<u8, LayoutError> {
        let byte = *self.bytes.get(self.at).ok_or(LayoutError::Truncated { offset: self.at })?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, LayoutError> {
        self.integer(wire::varint)
    }

    fn integer<T>(&mut self, parse: impl Fn(&'a [u8]) -> Parse<'a, T>) -> Result<T, LayoutError> {
        let input = self.rest();
        match wire::finish("file layout", input, parse(input)) {
            Ok((rest, value)) => {
                self.at += input.len() - rest.len();
                Ok(value)
            }
            Err(FormatError::Truncated { .. }) => Err(LayoutError::Truncated { offset: self.bytes.len() }),
            Err(_) => Err(LayoutError::Invalid {
                offset: self.at,
                reason: "an integer over 64 bits or not in its shortest form",
            }),
        }
    }

    fn string(&mut self) -> Result<&'a str, LayoutError> {
        let length = self.varint()?;
        let offset = self.at;
        let bytes = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest().get(..length))
            .ok_or(LayoutError::Truncated { offset: self.bytes.len() })?;
        self.at += bytes.len();
        std::str::from_utf8(bytes)
            .map_err(|_| LayoutError::Invalid { offset, reason: "a string that is not UTF-8" })
    }

    fn ids(&mut self) -> Result<Vec<u32>, LayoutError> {
        let list_at = self.at;
        let count = self.varint()?;
        // Each id takes a byte at least, so a larger count cannot be served and must not be reserved.
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.rest().len())
            .ok_or(LayoutError::Truncated { offset: self.bytes.len() })?;
        let mut ids = Vec::with_capacity(count);
        let mut expected = 0i64;
        for _ in 0..count {
            let offset = self.at;
            let difference = self.integer(wire::svarint)?;
            let id = expected
                .checked_add(difference)
                .and_then(|id| u32::try_from(id).ok())
                .ok_or(LayoutError::Invalid { offset, reason: "a tensor id outside 32 bits" })?;
            expected = i64::from(id) + 1;
            ids.push(id);
        }
        // A tensor listed many times would let a short entry stand for a file of any length.
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(LayoutError::Invalid { offset: list_at, reason: "a tensor listed twice" });
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(metadata: &str, tensors: &[HeaderTensor<'_>], pad: u8) -> String {
        let bytes = render_header(metadata, tensors.iter().copied(), pad).unwrap();
        assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()), bytes.len() as u64 - 8);
        String::from_utf8(bytes[8..].to_vec()).unwrap()
    }

    #[test]
    fn renders_as_the_text_says() {
        let a = HeaderTensor { name: "a", dtype: "BF16", shape: &[2, 3], byte_len: 12 };
        let b = HeaderTensor { name: "b", dtype: "F32", shape: &[], byte_len: 4 };
        assert_eq!(rendered("", &[], 8), "{}      ");
        assert_eq!(rendered("", &[], 1), "{}");
        assert_eq!(rendered("{\"k\": \"v\"}", &[], 1), "{\"__metadata__\":{\"k\": \"v\"}}");
        let body = "\"a\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[12,16]}";
        assert_eq!(rendered("", &[a, b], 1), format!("{{{body}}}"));
        assert_eq!(rendered("{}", &[a, b], 1), format!("{{\"__metadata__\":{{}},{body}}}"));
        assert_eq!(rendered("", &[a, b], 255).len(), 255);
        assert_eq!(rendered("", &[a, b], 8).len() % 8, 0);
    }

    #[test]
    fn names_are_escaped_as_stated() {
        let name = "q\"\\\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}/é\u{2028}";
        let tensor = HeaderTensor { name, dtype: "X\"Y", shape: &[0], byte_len: 0 };
        assert_eq!(
            rendered("", &[tensor], 1),
            "{\"q\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}/é\u{2028}\":{\"dtype\":\"X\\\"Y\",\"shape\":[0],\"data_offsets\":[0,0]}}"
        );
    }

    #[test]
    fn lengths_that_overflow_are_refused() {
        let long = HeaderTensor { name: "a", dtype: "U8", shape: &[u64::MAX], byte_len: u64::MAX };
        let error = render_header("", [long, long].into_iter(), 8).unwrap_err();
        assert!(matches!(error, LayoutError::Unrenderable { .. }));
        assert!(matches!(render_header("", [].into_iter(), 0), Err(LayoutError::Unrenderable { .. })));
    }

    #[test]
    fn layouts_round_trip() {
        for ids in [vec![], vec![0], vec![0, 1, 2, 3], vec![7, 3, u32::MAX, 0], (0..1000).rev().collect()] {
            let verbatim = Layout::Verbatim { ids: ids.clone(), header: b"\x02\0\0\0\0\0\0\0{}".to_vec() };
            let rendered = Layout::Rendered { pad: 8, metadata: "{\"a\":\"ü\"}".into(), ids: ids.clone() };
            for layout in [verbatim, rendered] {
                let (id, bytes) = layout.to_bytes();
                assert_eq!(Layout::parse(id, &bytes), Ok(layout.clone()));
                assert_eq!(layout.ids(), ids);
                for end in 0..bytes.len() {
                    assert!(Layout::parse(id, &bytes[..end]).is_err(), "prefix of {end}");
                }
                let longer = [&bytes[..], b"x"].concat();
                assert!(matches!(Layout::parse(id, &longer), Err(LayoutError::Invalid { .. })));
            }
        }
    }

    #[test]
    fn ids_in_order_cost_a_byte_each() {
        let layout = Layout::Rendered { pad: 1, metadata: String::new(), ids: vec![0, 1, 2, 5, 4] };
        assert_eq!(layout.to_bytes(), (2, vec![1, 0, 5, 0, 0, 0, 4, 3]));
    }

    #[test]
    fn bad_contents_are_refused() {
        let refuse = |id: u8, bytes: &[u8]| Layout::parse(id, bytes).unwrap_err();
        assert_eq!(refuse(0, b""), LayoutError::Unknown(0));
        assert_eq!(refuse(3, b""), LayoutError::Unknown(3));
        assert_eq!(refuse(2, b""), LayoutError::Truncated { offset: 0 });
        let invalid: [(u8, &[u8]); 10] = [
            (2, &[0, 0, 0]),
            (2, &[1, 1, 0xFF, 0]),
            (2, &[1, 0x80, 0x00, 0]),
            (2, &[1, 0, 1, 1]),
            (2, &[1, 0, 2, 0, 1]),
            (2, &[1, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x20]),
            (2, &[1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2]),
            (2, &[1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x81, 0]),
            (1, &[0, 3, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']),
            (1, &[0, 255, 255, 255, 255, 255, 255, 255, 255, b'{', b'}']),
        ];
        for (id, bytes) in invalid {
            assert!(matches!(refuse(id, bytes), LayoutError::Invalid { .. }), "{bytes:?}");
        }
        let largest = [&[1u8, 0, 1][..], &[0xFF; 9], &[1]].concat();
        assert!(matches!(refuse(2, &largest), LayoutError::Invalid { .. }));
        // Counts and lengths that the bytes cannot hold reserve nothing.
        let huge = [&[1u8, 0][..], &[0xFF; 9], &[1]].concat();
        assert!(matches!(refuse(2, &huge), LayoutError::Truncated { .. }));
        let huge = [&[1u8][..], &[0xFF; 9], &[1]].concat();
        assert!(matches!(refuse(2, &huge), LayoutError::Truncated { .. }));
    }

    #[test]
    fn canonical_order_is_width_then_name() {
        let mut names = [(16, "b"), (64, "z"), (16, "B"), (4, "a"), (64, "y10"), (64, "y2")];
        names.sort_by(|a, b| canonical_order(*a, *b));
        assert_eq!(names, [(64, "y10"), (64, "y2"), (64, "z"), (16, "B"), (16, "b"), (4, "a")]);
    }

    #[test]
    fn safe_paths() {
        for good in [
            "a",
            "a/b.json",
            "model-00001-of-00002.safetensors",
            "...",
            "..a",
            "a..",
            ".git",
            "é/ü",
            "ab:c",
            " ",
        ] {
            assert!(is_safe_path(good), "{good:?}");
        }
        let bad = [
            "",
            "/",
            "/etc/x",
            "../x",
            "a/../../b",
            "a/..",
            "..",
            ".",
            "./a",
            "a/.",
            "a//b",
            "a/",
            "C:\\x",
            "C:x",
            "c:",
            "a/C:x",
            "a\\b",
            "\\\\host\\x",
            "a\0b",
            "a\nb",
            "a\u{1b}[31m",
            "\u{7f}",
            "\u{85}",
        ];
        for bad in bad {
            assert!(!is_safe_path(bad), "{bad:?}");
        }
        assert!(is_safe_path(&"a".repeat(MAX_PATH_LEN)));
        assert!(!is_safe_path(&"a".repeat(MAX_PATH_LEN + 1)));
    }
}
