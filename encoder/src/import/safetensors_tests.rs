use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::PathBuf;

use mcodec_decode::layout::Layout;
use mcodec_decode::safetensors::{HeaderTensor, render_header};
use safetensors::SafeTensors;

use super::error::HeaderError;
use super::safetensors::*;

const LIMITS: HeaderLimits = HeaderLimits { header_len: MAX_HEADER_LEN, tensors: 1000, name_len: 1 << 16 };

fn with_length(json: &[u8]) -> Vec<u8> {
    [&(json.len() as u64).to_le_bytes()[..], json].concat()
}

fn file(json: &str, data_len: usize) -> Vec<u8> {
    let mut bytes = with_length(json.as_bytes());
    bytes.resize(bytes.len() + data_len, 7);
    bytes
}

fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
    read_header(&mut &bytes[..], Some(bytes.len() as u64), &LIMITS).map(|(_, header)| header)
}

fn parse(json: &str) -> Result<Header, HeaderError> {
    parse_header(json.as_bytes(), &LIMITS)
}

fn one(dtype: &str, shape: &str, end: u64) -> String {
    format!("{{\"t\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[0,{end}]}}}}")
}

#[track_caller]
fn refused_tensor(json: &str, tensor: &str, part: &str) {
    match parse(json) {
        Err(HeaderError::Tensor { name, reason, offset }) => {
            assert_eq!(name, tensor);
            assert!(reason.contains(part), "{reason:?} has no {part:?}");
            assert!(offset > 8 && offset < 8 + json.len() as u64);
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused_json(json: &str, part: &str) {
    match parse(json) {
        Err(HeaderError::Json { reason, .. }) => assert!(reason.contains(part), "{reason:?} has no {part:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_header_keeps_its_order_and_its_unknowns() {
    let json = concat!(
        "{\"z\":{\"dtype\":\"Q9_Z\",\"shape\":[3,1],\"data_offsets\":[4,9]},",
        "\"__metadata__\": { \"a\" :\"\\u0041\"} ,",
        "\"\\u0061\":{\"shape\":[],\"more\":[{}],\"data_offsets\":[0,4],\"dtype\":\"F32\"}}  "
    );
    let bytes = file(json, 9);
    let (kept, header) = read_header(&mut &bytes[..], Some(bytes.len() as u64), &LIMITS).unwrap();
    assert_eq!(kept, with_length(json.as_bytes()));
    assert_eq!(header.metadata.as_deref(), Some("{ \"a\" :\"\\u0041\"}"));
    let names: Vec<_> = header.tensors.iter().map(|tensor| (&*tensor.name, &*tensor.dtype)).collect();
    assert_eq!(names, [("z", "Q9_Z"), ("a", "F32")]);
    assert_eq!((header.data_len(), header.data_order()), (9, vec![1, 0]));
    assert_eq!(header.tensors[0].byte_len(), 5);
    let layout = layout_for(&kept, &header, |i| 10 + i as u32);
    assert_eq!(layout, Layout::Verbatim { ids: vec![11, 10], header: kept });
}

#[test]
fn framing_faults_are_typed() {
    let bytes = file(&one("F32", "[2]", 8), 8);
    assert!(read(&bytes).is_ok());
    for end in 0..bytes.len() {
        let expected = match read(&bytes[..end]) {
            Err(HeaderError::Truncated { expected, actual }) if actual == end as u64 => expected,
            other => panic!("{end}: {other:?}"),
        };
        assert!(expected > end as u64);
        // Of a stream only the header can be missing.
        let streamed = read_header(&mut &bytes[..end], None, &LIMITS);
        assert_eq!(streamed.is_ok(), end >= bytes.len() - 8);
    }
    let longer = [&bytes[..], b"PK\x03\x04"].concat();
    assert!(
        matches!(read(&longer), Err(HeaderError::Trailing { expected, actual }) if actual - expected == 4)
    );
    for length in [MAX_HEADER_LEN + 1, 1 << 31, 1 << 63, u64::MAX - 7, u64::MAX] {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        assert!(matches!(read(&bytes), Err(HeaderError::Limit { what: "header length", .. })), "{length}");
    }
    assert!(matches!(read(&file("", 0)), Err(HeaderError::Json { offset: 8, .. })));
    refused_json(" {}", "start with {");
    refused_json("[]", "start with {");
    refused_json("{}x", "trailing");
    refused_json("{", "EOF");
    assert!(matches!(parse_header(b"{\"\xFF\":1}", &LIMITS), Err(HeaderError::Json { offset: 10, .. })));
}

/// Gives one byte a call, interrupted before each; remembers how much was asked for at once.
struct Drip<'a>(&'a [u8], bool, usize);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.2 = self.2.max(buffer.len());
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = buffer.len().min(1);
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn readers_that_drip_interrupt_or_fail() {
    let bytes = file(&one("F32", "[2]", 8), 8);
    let whole = read_header(&mut &bytes[..], None, &LIMITS).unwrap();
    let mut drip = Drip(&bytes, false, 0);
    assert_eq!(read_header(&mut drip, None, &LIMITS).unwrap(), whole);
    assert_eq!(drip.0, &bytes[bytes.len() - 8..], "nothing is taken beyond the header");

    struct FailAt(usize, io::ErrorKind);
    impl Read for FailAt {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::Error::from(self.1))?;
            buffer[..1].fill(1);
            Ok(1)
        }
    }
    for (after, kind) in (0..20).flat_map(|n| [(n, io::ErrorKind::WouldBlock), (n, io::ErrorKind::Other)]) {
        let error =
            read_header(&mut FailAt(after, kind), None, &HeaderLimits { header_len: u64::MAX, ..LIMITS });
        match error {
            Err(HeaderError::Io { offset, source }) => {
                assert_eq!((offset, source.kind()), (after as u64, kind));
            }
            // Eight ones are a length over the limit.
            Err(HeaderError::Limit { .. }) => assert!(after >= 8),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_claimed_length_reserves_nothing() {
    let bytes = [&MAX_HEADER_LEN.to_le_bytes()[..], b"{"].concat();
    let mut drip = Drip(&bytes, false, 0);
    assert!(matches!(read_header(&mut drip, None, &LIMITS), Err(HeaderError::Truncated { actual: 9, .. })));
    assert!(drip.2 <= 1 << 16, "{} bytes asked for at once", drip.2);
}

#[test]
fn names() {
    let entry = "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";
    let named = |names: &[&str]| {
        let members: Vec<_> = names.iter().map(|name| format!("\"{name}\":{entry}")).collect();
        parse(&format!("{{{}}}", members.join(",")))
    };
    assert!(matches!(named(&["a", "b", "\\u0061"]), Err(HeaderError::Duplicate { name }) if name == "a"));
    let twice = "{\"__metadata__\":{},\"\\u005f_metadata__\":{}}";
    assert!(matches!(parse(twice), Err(HeaderError::Duplicate { name }) if name == "__metadata__"));
    // Tensor names are no paths: all are kept as they are, and compared without normalisation.
    let odd =
        ["", "../x", "/etc/x", "C:\\\\x", "a/../../b", "\\u0000", "\\n", "\\u001b[31m", "\u{e9}", "e\u{301}"];
    let header = named(&odd).unwrap();
    assert_eq!(header.tensors.len(), odd.len());
    assert_eq!(header.tensors[7].name, "\u{1b}[31m");
    assert!(named(&[&"n".repeat(1 << 16)]).is_ok());
    let long = named(&[&"n".repeat((1 << 16) + 1)]);
    assert!(matches!(
        long,
        Err(HeaderError::Limit { what: "tensor name length", value: 65537, limit: 65536 })
    ));
    refused_json("{\"\\ud800\":1}", "hex escape");
    let many: Vec<String> = (0..1001).map(|i| i.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(named(&many[..1000]).is_ok());
    assert!(matches!(named(&many), Err(HeaderError::Limit { what: "tensor count", value: 1001, .. })));
    // The message shows control characters escaped.
    let error = parse("{\"a\\u001b[31m\":1}").unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "{error:?}");
}

#[test]
fn json_faults_are_typed_and_name_the_tensor() {
    refused_json("{\"__metadata__\":[]}", "a JSON object");
    refused_json("{\"__metadata__\":{\"k\":1}}", "metadata \"k\" is not a string");
    refused_json("{\"__metadata__\":{\"k\":null}}", "not a string");
    refused_json("{\"__metadata__\":{\"k\":\"\\ud800\"}}", "metadata \"k\"");
    refused_json("{\"__metadata__\":{\"k\":\"\",\"k\":\"\"}}", "occurs twice");
    let metadata = "{\"__metadata__\":{\"long\":\"\",\"k\":1}}";
    let place = metadata.find('1').unwrap() as u64 + 8;
    assert!(matches!(parse(metadata), Err(HeaderError::Json { offset, .. }) if offset == place));

    for open in ["[", "{\"a\":"] {
        refused_json(&format!("{{\"t\":{}", open.repeat(100_000)), "nesting");
        refused_json(&format!("{{\"__metadata__\":{}", open.repeat(100_000)), "nesting");
    }
    refused_tensor("{\"t\":null}", "t", "not an object");
    refused_tensor("{\"t\":[\"U8\",[0],[0,0]]}", "t", "not an object");
    refused_tensor("{\"t\":{\"dtype\":\"U8\",\"shape\":[0]}}", "t", "missing field `data_offsets`");
    refused_tensor(
        "{\"t\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
        "t",
        "duplicate",
    );
    refused_tensor(&one("U8", "[1e999]", 0), "t", "number out of range");
    for (shape, part) in
        [("[-1]", "invalid value"), ("[1.0]", "invalid type"), ("[18446744073709551616]", "invalid type")]
    {
        refused_tensor(&one("U8", shape, 1), "t", part);
    }
    refused_tensor(&one("U8", "7", 1), "t", "an array of dimensions");
    refused_tensor("{\"t\":{\"dtype\":8,\"shape\":[0],\"data_offsets\":[0,0]}}", "t", "invalid type");
    refused_tensor("{\"t\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0,0]}}", "t", "trailing");
    refused_tensor(&one(&"x".repeat(256), "[1]", 1), "t", "longer than 255");
}

#[test]
fn shapes() {
    for shape in ["[4294967296,4294967296]", "[9223372036854775808,2,1,1]", "[9223372036854775808,2,0]"] {
        for dtype in ["U8", "F64", "unheard-of"] {
            refused_tensor(&one(dtype, shape, 0), "t", "overflows");
        }
    }
    refused_tensor(&one("F64", "[9223372036854775807]", 8), "t", "takes 73786976294838206456 bytes");
    refused_tensor(&one("U8", "[9223372036854775808]", 1 << 63), "t", "beyond 2^63");
    assert_eq!(
        parse(&one("U8", "[9223372036854775807]", i64::MAX as u64)).unwrap().data_len(),
        i64::MAX as u64
    );
    for (dtype, shape, end) in
        [("F32", "[0]", 0), ("F32", "[3,0,5]", 0), ("F32", "[]", 4), ("C128", "[2]", 32)]
    {
        assert!(parse(&one(dtype, shape, end)).is_ok(), "{dtype} {shape}");
    }
    assert_eq!(read(&file("{}", 0)).unwrap(), Header::default());
    assert!(matches!(read(&file("{}", 1)), Err(HeaderError::Trailing { .. })));
    let ones = |n: usize| format!("[{}]", vec!["1"; n].join(","));
    assert_eq!(parse(&one("U8", &ones(255), 1)).unwrap().tensors[0].shape.len(), 255);
    refused_tensor(&one("U8", &ones(256), 1), "t", "more than 255");
    for (dtype, good, bad) in
        [("F4", "[3,2]", "[3]"), ("U4", "[2]", "[1]"), ("I4", "[2]", "[7]"), ("F6_E2M3", "[4]", "[2]")]
    {
        assert!(parse(&one(dtype, good, 3)).is_ok() || parse(&one(dtype, good, 1)).is_ok());
        refused_tensor(&one(dtype, bad, 1), "t", "whole number of bytes");
    }
    refused_tensor(&one("F32", "[2]", 7), "t", "takes 8 bytes, but it has 7");
    refused_tensor(
        "{\"t\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[1,0]}}",
        "t",
        "before it begins",
    );
}

#[test]
fn offsets_must_cover_the_data() {
    let two = |a: (u64, u64), b: (u64, u64)| {
        format!(
            "{{\"a\":{{\"dtype\":\"U8\",\"shape\":[{}],\"data_offsets\":[{},{}]}},\"b\":{{\"dtype\":\"U8\",\"shape\":[{}],\"data_offsets\":[{},{}]}}}}",
            a.1 - a.0,
            a.0,
            a.1,
            b.1 - b.0,
            b.0,
            b.1
        )
    };
    assert!(parse(&two((0, 2), (2, 5))).is_ok());
    assert_eq!(parse(&two((3, 5), (0, 3))).unwrap().data_order(), [1, 0]);
    assert_eq!(parse(&two((0, 3), (0, 0))).unwrap().data_order(), [1, 0]);
    refused_tensor(&two((0, 2), (3, 5)), "b", "a hole");
    refused_tensor(&two((1, 2), (2, 5)), "a", "a hole");
    refused_tensor(&two((0, 3), (2, 5)), "b", "overlaps");
    refused_tensor(&two((0, 3), (0, 3)), "b", "overlaps");
    refused_tensor(&two((0, 3), (1, 1)), "b", "overlaps");
}

#[test]
fn layouts_of_written_files() {
    use safetensors::tensor::{Dtype, TensorView};
    let data = [0u8; 64];
    let view =
        |dtype, shape: &[usize], len: usize| TensorView::new(dtype, shape.to_vec(), &data[..len]).unwrap();
    let tensors = [
        ("a\"\n\u{1}é", view(Dtype::U8, &[3], 3)),
        ("w10", view(Dtype::BF16, &[2, 2], 8)),
        ("w2", view(Dtype::BF16, &[2, 2], 8)),
        ("s", view(Dtype::F32, &[], 4)),
        ("none", view(Dtype::I64, &[0, 2], 0)),
        ("half", view(Dtype::F4, &[2, 3], 3)),
    ];
    let plain = safetensors::serialize(tensors.clone(), None).unwrap();
    let (bytes, header) = read_header(&mut &plain[..], Some(plain.len() as u64), &LIMITS).unwrap();
    assert!(is_canonical(&bytes, &header));
    let ids: Vec<u32> = (0..6).collect();
    let expected = Layout::Rendered { pad: 8, metadata: String::new(), ids: ids.clone() };
    assert_eq!(layout_for(&bytes, &header, |i| i as u32), expected);

    let metadata = Some([("k\"".to_string(), "v".to_string())].into());
    let with_metadata = safetensors::serialize(tensors, metadata).unwrap();
    let (bytes, header) = read_header(&mut &with_metadata[..], None, &LIMITS).unwrap();
    assert!(!is_canonical(&bytes, &header));
    let expected = Layout::Rendered { pad: 8, metadata: "{\"k\\\"\":\"v\"}".into(), ids };
    assert_eq!(layout_for(&bytes, &header, |i| i as u32), expected);
}

#[test]
fn layouts_of_other_writers() {
    let layout = |json: &str| {
        let bytes = with_length(json.as_bytes());
        let header = parse(json).unwrap();
        (is_canonical(&bytes, &header), layout_for(&bytes, &header, |i| i as u32))
    };
    let rendered = |pad, metadata: &str, count| Layout::Rendered {
        pad,
        metadata: metadata.into(),
        ids: (0..count).collect(),
    };
    assert_eq!(layout("{}"), (false, rendered(1, "", 0)));
    assert_eq!(layout("{}      "), (true, rendered(8, "", 0)));
    assert_eq!(layout(&format!("{{}}{}", " ".repeat(62))), (false, rendered(64, "", 0)));
    assert_eq!(layout("{\"__metadata__\":{} }").1.to_bytes().0, 1);
    assert_eq!(layout("{\"__metadata__\":{ }}"), (false, rendered(1, "{ }", 0)));
    let text = one("F8_E4M3", "[3]", 3);
    assert_eq!(layout(&text), (false, rendered(1, "", 1)));
    // An unknown dtype has no width to be ordered by.
    let padded = |mut text: String| {
        text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
        text
    };
    assert_eq!(layout(&padded(one("Q", "[3]", 5))), (false, rendered(8, "", 1)));
    assert_eq!(layout(&padded(text.clone())), (true, rendered(8, "", 1)));
    // Metadata that is null, stands last, or a header in another style: kept as it is.
    for json in [
        "{\"__metadata__\":null}".to_string(),
        text.replacen('}', "} ", 1),
        text.replace("[0,3]", "[0, 3]"),
        text.replace("\"t\"", "\"\\u0074\""),
        text.replace("{\"t\"", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[3,4]},\"t\""),
        text.replace("]}}", "]},\"__metadata__\":{}}"),
        format!("{{}}{}", " ".repeat(7)),
        format!("{text}\n"),
    ] {
        let (canonical, layout) = layout(&json);
        assert!(!canonical);
        assert_eq!(layout.to_bytes().0, 1, "{json}");
    }
    let order = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"b\":{\"dtype\":\"U16\",\"shape\":[1],\"data_offsets\":[1,3]}}";
    let (canonical, layout) = layout(&padded(order.to_string()));
    assert_eq!((canonical, layout.to_bytes().0), (false, 2));
}

#[test]
fn sniffing() {
    let bytes = file(&one("F32", "[2]", 8), 8);
    assert!(looks_like_safetensors(&bytes, Some(bytes.len() as u64)));
    assert!(looks_like_safetensors(&bytes[..9], None));
    assert!(!looks_like_safetensors(&bytes[..8], None));
    assert!(!looks_like_safetensors(&bytes[..9], Some(9)));
    assert!(!looks_like_safetensors(b"GGUF\x03\0\0\0{", None));
    assert!(!looks_like_safetensors(b"\x02\0\0\0\0\0\0\0[]", None));
    assert!(!looks_like_safetensors(&[0xFF; 16], None));
    assert!(!looks_like_safetensors(b"", Some(0)));
}

/// Random edits of valid headers: we accept what the `safetensors` crate accepts, but for the stated exceptions.
#[test]
fn agrees_with_the_safetensors_crate() {
    let seeds = [
        file(
            "{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[8,9]}} ",
            9,
        ),
        file(
            "{\"b\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[8,9]},\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},\"c\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[8,8]}}",
            9,
        ),
    ];
    let alphabet = b"{}[]\",:0123456789abckvFIU_ \\n-.e";
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) as usize) % below
    };
    let (mut both, mut neither) = (0, 0);
    for round in 0..40_000 {
        let seed = &seeds[round % seeds.len()];
        assert!(SafeTensors::deserialize(seed).is_ok() && read(seed).is_ok());
        let mut bytes = seed.clone();
        let json_end = bytes.len() - 9;
        for _ in 0..1 + random(2) {
            bytes[8 + random(json_end - 8)] = alphabet[random(alphabet.len())];
        }
        let (ours, theirs) = (read(&bytes), SafeTensors::deserialize(&bytes));
        let shown = String::from_utf8_lossy(&bytes[8..json_end]).into_owned();
        match (&ours, &theirs) {
            (Ok(header), Ok(theirs)) => {
                both += 1;
                let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
                assert_eq!(
                    names(header.tensors.iter().map(|t| &*t.name).collect()),
                    names(theirs.names()),
                    "{shown}"
                );
            }
            (Err(_), Err(_)) => neither += 1,
            // Dtypes that the crate does not know are kept.
            (Ok(header), Err(_)) => assert!(
                header
                    .tensors
                    .iter()
                    .any(|t| dtype_bits(&t.dtype).is_none() || t.dtype == "U4" || t.dtype == "I4"),
                "{shown}"
            ),
            // The crate lets the last of two equal names win.
            (Err(error), Ok(_)) => assert!(
                matches!(error, HeaderError::Duplicate { .. }) || error.to_string().contains("occurs twice"),
                "{shown}: {error}"
            ),
        }
    }
    assert!(both > 500 && neither > 10_000, "{both} {neither}");
}

/// The shared data, where it is there.
pub(super) fn data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MCODEC_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    Some(root.join(path)).filter(|path| path.exists())
}

#[test]
fn real_headers_are_rendered() {
    let mut paths: Vec<PathBuf> = [
        "models/moe-tiny/model.safetensors",
        "models/moe-tiny/tuned-100steps.safetensors",
        "models/fracast.f32.safetensors",
        "models/rescue-moe.f32.safetensors",
        "models/typeseg-mamba.npz.safetensors",
    ]
    .into_iter()
    .filter_map(data)
    .collect();
    paths.extend(std::env::var_os("MCODEC_MORE").iter().flat_map(std::env::split_paths));
    for path in paths {
        let file = std::fs::File::open(&path).unwrap();
        let len = file.metadata().unwrap().len();
        let (bytes, header) = read_header(&mut &file, Some(len), &HeaderLimits::default()).unwrap();
        let layout = layout_for(&bytes, &header, |i| i as u32);
        println!(
            "{path:?}: canonical {}, layout {}, {} of {}",
            is_canonical(&bytes, &header),
            layout.to_bytes().0,
            layout.to_bytes().1.len(),
            bytes.len()
        );
        assert_eq!(Layout::parse(layout.to_bytes().0, &layout.to_bytes().1), Ok(layout.clone()));
        let Layout::Rendered { pad: 8, metadata, ids } = layout else { panic!("{path:?} is verbatim") };
        let tensors = ids.iter().map(|id| &header.tensors[*id as usize]).map(|tensor| HeaderTensor {
            name: &tensor.name,
            dtype: &tensor.dtype,
            shape: &tensor.shape,
            byte_len: tensor.byte_len(),
        });
        assert_eq!(render_header(&metadata, tensors, 8).unwrap(), bytes);
        let whole = std::fs::read(&path).unwrap();
        let (n, theirs) = SafeTensors::read_metadata(&whole).unwrap();
        assert_eq!(n + 8, bytes.len());
        assert_eq!(theirs.data_len() as u64, header.data_len());
        for tensor in &header.tensors {
            let info = theirs.info(&tensor.name).unwrap();
            assert_eq!(info.dtype.to_string(), tensor.dtype);
            assert_eq!(info.dtype.bitsize() as u32, dtype_bits(&tensor.dtype).unwrap());
            assert_eq!((info.data_offsets.0 as u64, info.data_offsets.1 as u64), (tensor.begin, tensor.end));
        }
    }
}

#[test]
fn many_tensors_and_much_metadata() {
    let mut json = String::from("{");
    for i in 0..200_000u64 {
        let comma = if i == 0 { "" } else { "," };
        let end = i + 1;
        json.push_str(&format!(
            "{comma}\"t{i:06}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{i},{end}]}}"
        ));
    }
    json.push('}');
    json.extend(std::iter::repeat_n(' ', json.len().next_multiple_of(8) - json.len()));
    let header = parse_header(json.as_bytes(), &HeaderLimits::default()).unwrap();
    assert_eq!((header.tensors.len(), header.data_len()), (200_000, 200_000));
    assert!(is_canonical(&with_length(json.as_bytes()), &header));

    let metadata = |count: usize| {
        let members: Vec<String> = (0..count).map(|i| format!("\"{i}\":\"\"")).collect();
        format!("{{\"__metadata__\":{{{}}}}}", members.join(","))
    };
    assert!(parse(&metadata(MAX_METADATA)).is_ok());
    refused_json(&metadata(MAX_METADATA + 1), "more than 65536 entries");
}
