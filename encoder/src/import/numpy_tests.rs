use super::numpy::{Header, NpyError, npy_parts, read_header};
use super::safetensors::HeaderLimits;

fn file(version: u8, dict: &str, data: usize) -> Vec<u8> {
    let mut bytes = [b"\x93NUMPY".as_slice(), &[version, 0]].concat();
    match version {
        1 => bytes.extend((dict.len() as u16).to_le_bytes()),
        _ => bytes.extend((dict.len() as u32).to_le_bytes()),
    }
    bytes.extend(dict.as_bytes());
    bytes.extend((0..data).map(|i| i as u8));
    bytes
}

fn header(dict: &str) -> Result<Header, NpyError> {
    let bytes = file(1, dict, 0);
    read_header(bytes.as_slice(), 0..bytes.len() as u64)
}

#[test]
fn headers_are_read() {
    let found = header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n").unwrap();
    assert_eq!((found.descr.as_str(), found.fortran_order, found.shape), ("<f4", false, vec![2, 3]));
    let found = header("{\"shape\":(5L,),'fortran_order':True,\"descr\":[('a', '<f4', (2,))]}").unwrap();
    assert_eq!((found.descr.as_str(), found.fortran_order), ("[('a', '<f4', (2,))]", true));
    assert_eq!(found.shape, [5]);
    assert_eq!(header("{'descr':'|b1','fortran_order':False,'shape':()}").unwrap().shape, [0u64; 0]);
    for version in [2, 3] {
        let bytes = file(version, "{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }", 4);
        let parts = npy_parts(bytes.as_slice(), "x", &HeaderLimits::default()).unwrap();
        assert_eq!((parts.tensors[0].dtype.as_str(), parts.tensors[0].byte_len()), ("F16", 4));
    }
}

#[test]
fn wrong_headers_are_refused() {
    for (dict, why) in [
        ("", "another character"),
        ("{}", "a key is missing"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } x", "follows the dict"),
        ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", "twice"),
        ("{'descr': '<f4', 'order': False, 'shape': ()}", "not known"),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", "True or False"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "dimension is expected"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "over 64 bits"),
        ("{'descr': '<f4", "without an end"),
        ("{'descr': [('a', ", "without an end"),
        ("{'descr': '<\\x66'}", "an escape"),
    ] {
        let error = header(dict).unwrap_err().to_string();
        assert!(error.contains(why), "{dict}: {error:?} does not say {why:?}");
    }
    let many = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({})}}", "1,".repeat(65));
    assert!(header(&many).unwrap_err().to_string().contains("too many dimensions"));
}

#[test]
fn lengths_must_agree() {
    let limits = HeaderLimits::default();
    let parts = |shape: &str, data: usize| {
        let dict = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}");
        npy_parts(file(1, &dict, data).as_slice(), "x", &limits).map_err(|e| e.to_string())
    };
    assert_eq!(parts("(2,)", 16).unwrap().tensors[0].shape, [2]);
    assert!(parts("(2,)", 15).unwrap_err().contains("promised"));
    assert!(parts("(2,)", 17).unwrap_err().contains("bytes follow"));
    assert!(parts("(4294967296, 4294967296)", 0).unwrap_err().contains("too large"));
    assert!(parts("(9223372036854775808, 2, 1, 1)", 0).unwrap_err().contains("too large"));
    assert_eq!(parts("(0, 9223372036854775808, 9223372036854775808)", 0).unwrap().tensors[0].byte_len(), 0);
    let whole = file(2, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", 16);
    for len in 0..whole.len() {
        npy_parts(&whole[..len], "x", &limits).unwrap_err();
    }
    let mut long = whole.clone();
    long[8..12].fill(0xFF);
    assert!(matches!(npy_parts(long.as_slice(), "x", &limits), Err(NpyError::Limit(_))));
    long[6] = 9;
    assert!(matches!(npy_parts(long.as_slice(), "x", &limits), Err(NpyError::Version(9, 0))));
}

#[test]
fn what_is_not_plain_is_told() {
    let limits = HeaderLimits::default();
    let parts = |descr: &str, order: &str, shape: &str, data: usize| {
        let dict = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}");
        npy_parts(file(1, &dict, data).as_slice(), "x", &limits).unwrap()
    };
    let column = parts("'<f4'", "True", "(2, 3)", 24);
    assert_eq!((column.tensors[0].shape.as_slice(), column.notes.len()), (&[6][..], 1));
    let vector = parts("'<f4'", "True", "(1, 6)", 24);
    assert_eq!((vector.tensors[0].shape.as_slice(), vector.notes.len()), (&[1, 6][..], 0));
    let big = parts("'>f4'", "False", "(6,)", 24);
    assert_eq!((big.tensors[0].dtype.as_str(), big.notes.len()), (">f4", 1));
    let text = parts("'<U2'", "False", "(3,)", 24);
    assert_eq!((text.tensors[0].dtype.as_str(), text.tensors[0].byte_len()), ("<U2", 24));
    let object = parts("'|O'", "False", "(3,)", 24);
    assert_eq!(
        (object.tensors[0].dtype.as_str(), object.tensors[0].byte_len(), object.notes.len()),
        ("U8", 24, 1)
    );
}

#[test]
fn reading_fails_by_kind() {
    use super::error::ImportError;
    use super::zip::Source;
    struct Failing;
    impl Source for Failing {
        fn byte_len(&self) -> u64 {
            100
        }
        fn read(&self, _: u64, _: &mut [u8]) -> std::io::Result<()> {
            Err(std::io::ErrorKind::TimedOut.into())
        }
    }
    assert!(matches!(read_header(&Failing, 0..100), Err(NpyError::Io(_))));
    assert!(matches!(header("{"), Err(NpyError::Invalid { .. })));
    assert!(matches!(read_header(&b"\x93NUMPY"[..], 0..6), Err(NpyError::Truncated { .. })));
    let dir = tempfile::tempdir().unwrap();
    let open = |bytes: &[u8]| {
        let path = dir.path().join("x");
        std::fs::write(&path, bytes).unwrap();
        super::ModelSource::open(&path, &super::ImportOptions::default()).map(|_| ())
    };
    assert!(matches!(open(b"\x93NUMPY\x09\0\0\0"), Err(ImportError::Npy { .. })));
    assert!(matches!(open(b"PK\x03\x04"), Err(ImportError::Zip { .. })));
    let empty = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0a";
    let record = b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a";
    let end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x2F\0\0\0\x1F\0\0\0\0\0";
    assert!(matches!(open(&[&empty[..], record, end].concat()), Err(ImportError::Opaque { .. })));
}
