//! How a safetensors header is written again (SPEC 5.4, layout 2).

use crate::layout::LayoutError;
use std::cmp::Ordering;
use std::io::Write as _;

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
    fn canonical_order_is_width_then_name() {
        let mut names = [(16, "b"), (64, "z"), (16, "B"), (4, "a"), (64, "y10"), (64, "y2")];
        names.sort_by(|a, b| canonical_order(*a, *b));
        assert_eq!(names, [(64, "y10"), (64, "y2"), (64, "z"), (16, "B"), (16, "b"), (4, "a")]);
    }
}
