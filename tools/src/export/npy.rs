//! NumPy arrays, format version 1.0 (2.0 where the header is long).

use mcodec_format::TensorDescriptor;

/// How a tensor is shown to NumPy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    /// NumPy's type string.
    descr: &'static str,
    /// Flat: dimensions that NumPy cannot express give way to a row of bytes.
    flat: bool,
    /// Elements and bytes of a block: the last dimension becomes bytes.
    block: Option<(u64, u64)>,
    /// What the user should know.
    pub(crate) note: Option<String>,
}

impl Form {
    /// The form of bits, each 0 or 1 in a byte.
    pub(crate) fn of_bits() -> Self {
        Self { descr: "|b1", flat: false, block: None, note: None }
    }

    /// The form of a tensor's elements.
    pub(crate) fn of(tensor: &TensorDescriptor) -> Self {
        let name = tensor.dtype_name.as_str();
        let dtype = tensor.dtype.map_or("", |d| d.name);
        let native = |descr| Self { descr, flat: false, block: None, note: None };
        let as_bits = |descr, what: &str| {
            let note = format!("{name} has no NumPy type: the array holds its bits as {what}");
            Self { descr, flat: false, block: None, note: Some(note) }
        };
        match dtype {
            "F64" => native("<f8"),
            "F32" => native("<f4"),
            "F16" => native("<f2"),
            "I64" => native("<i8"),
            "I32" => native("<i4"),
            "I16" => native("<i2"),
            "I8" => native("|i1"),
            "U64" => native("<u8"),
            "U32" => native("<u4"),
            "U16" => native("<u2"),
            "U8" => native("|u1"),
            "BOOL" => native("|b1"),
            "C64" => native("<c8"),
            "C128" => native("<c16"),
            "BF16" => as_bits("<u2", "u16"),
            "F8_E4M3" | "F8_E5M2" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" | "F8_E8M0" => as_bits("|u1", "u8"),
            _ if tensor.dtype.is_some_and(|d| d.block > 1) => {
                let block =
                    tensor.dtype.and_then(|d| Some((u64::from(d.block), u64::from(d.block_bytes()?))));
                let note =
                    format!("{name} comes in blocks: the array holds their bytes (--as f32 dequantises)");
                Self { descr: "|u1", flat: false, block, note: Some(note) }
            }
            _ => {
                let note = format!("{name:?} has no NumPy type: the array holds its bytes, in a row of u8");
                Self { descr: "|u1", flat: true, block: None, note: Some(note) }
            }
        }
    }
}

impl Form {
    /// The form of elements that come out as f32.
    pub(crate) fn f32() -> Self {
        Self { descr: "<f4", flat: false, block: None, note: None }
    }
}

/// The bytes before the array's data, for a tensor of `shape` that takes `byte_len` bytes.
pub(crate) fn header(form: &Form, shape: &[u64], byte_len: u64) -> Vec<u8> {
    let flat = [byte_len];
    let mut in_bytes = shape.to_vec();
    if let (Some((elements, bytes)), Some(last)) = (form.block, in_bytes.last_mut()) {
        *last = *last / elements * bytes;
    }
    let shape = if form.flat { &flat[..] } else { &in_bytes[..] };
    let mut tuple: String = shape.iter().map(|d| format!("{d}, ")).collect();
    // (), (5,) and (5, 6) are how Python writes them.
    tuple.truncate(tuple.trim_end_matches(if shape.len() == 1 { " " } else { ", " }).len());
    let dict = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({tuple}), }}", form.descr);
    let length = |head: usize| (head + dict.len() + 1).next_multiple_of(64) - head;
    let short = length(10);
    let (mut out, len) = match u16::try_from(short) {
        Ok(len) => ([b"\x93NUMPY\x01\0".as_slice(), &len.to_le_bytes()].concat(), short),
        Err(_) => {
            let len = length(12);
            ([b"\x93NUMPY\x02\0".as_slice(), &(len as u32).to_le_bytes()].concat(), len)
        }
    };
    let end = out.len() + len;
    out.extend_from_slice(dict.as_bytes());
    out.resize(end - 1, b' ');
    out.push(b'\n');
    out
}

/// The channels of a drawn image as an array of f32: height, width, channels.
#[cfg(feature = "images")]
pub(crate) fn of_image(drawn: &crate::export::picture::Drawn, raw: bool) -> Vec<u8> {
    let [width, height] = drawn.size.map(u64::from);
    let bytes: Vec<u8> = drawn.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let shape = [height, width, drawn.image.channel_count() as u64];
    let mut out = if raw { Vec::new() } else { header(&Form::f32(), &shape, bytes.len() as u64) };
    out.extend(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcodec_format::registry::{DTYPES, Dtype};
    use mcodec_format::{Chunking, Representation};

    fn tensor(dtype: Option<Dtype>, name: &str) -> TensorDescriptor {
        TensorDescriptor {
            dtype,
            dtype_name: name.into(),
            shape: Vec::new(),
            representation: Representation::Plain,
            chunking: Chunking { coding: 0, chunk_len: 1, byte_len: 0 },
            owner: None,
            groups: None,
        }
    }

    fn text(form: &Form, shape: &[u64], byte_len: u64) -> String {
        let bytes = header(form, shape, byte_len);
        assert_eq!(bytes.len() % 64, 0);
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\0");
        assert_eq!(usize::from(u16::from_le_bytes([bytes[8], bytes[9]])), bytes.len() - 10);
        assert_eq!(bytes.last(), Some(&b'\n'));
        String::from_utf8(bytes[10..].to_vec()).unwrap().trim_end().to_owned()
    }

    #[test]
    fn headers_are_as_numpy_writes_them() {
        let f32 = Form::of(&tensor(Dtype::by_name("F32"), "F32"));
        assert_eq!(text(&f32, &[2, 3], 24), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
        assert_eq!(text(&f32, &[5], 20), "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }");
        assert_eq!(text(&f32, &[], 4), "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
        assert_eq!(text(&f32, &[0, 3], 0), "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }");
        let f4 = Form::of(&tensor(Dtype::by_name("F4"), "F4"));
        assert_eq!(text(&f4, &[4, 4], 8), "{'descr': '|u1', 'fortran_order': False, 'shape': (8,), }");
        let q4 = Form::of(&tensor(Dtype::by_name("Q4_K"), "Q4_K"));
        assert_eq!(
            text(&q4, &[3, 512], 864),
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 288), }"
        );
        assert_eq!(Form::f32(), f32);
        let long = header(&f32, &[u64::MAX; 4000], 4);
        assert_eq!(&long[..8], b"\x93NUMPY\x02\0");
        assert_eq!(long.len() % 64, 0);
    }

    #[test]
    fn what_is_not_native_is_told() {
        for dtype in DTYPES {
            let form = Form::of(&tensor(Some(dtype), dtype.name));
            let width = |digits: &str| digits.parse::<u32>().unwrap() * 8;
            if !form.flat {
                assert_eq!(width(&form.descr[2..]), dtype.bits, "{}", dtype.name);
            }
            let native = dtype.name != "BF16" && !dtype.name.starts_with("F8") && dtype.bits >= 8;
            assert_eq!(form.note.is_none(), native, "{}", dtype.name);
        }
        let own = Form::of(&tensor(None, "F3\u{1b}X"));
        assert!(own.flat && !own.note.unwrap().contains('\u{1b}'));
    }
}
