use super::*;
use crate::import::numpy;
use crate::import::pieces::Parts;
use crate::import::zip::read_directory;
use mcodec_format::registry::Dtype;
use std::path::PathBuf;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Takes apart what can be; the reason otherwise. What comes out is checked.
fn take(bytes: &[u8]) -> Result<Parts, String> {
    let limits = HeaderLimits::default();
    let parts = if legacy::looks_like_legacy(bytes) {
        legacy::parts(bytes, &limits).map_err(|e| e.to_string())??
    } else {
        let members = read_directory(bytes).map_err(|e| e.to_string())?;
        match root_of(&members) {
            Some(root) => super::parts(bytes, root, &members, &limits).map_err(|e| e.to_string())?,
            None if numpy::is_npz(&members) => {
                numpy::npz_parts(bytes, &members, &limits).map_err(|e| e.to_string())?.ok_or("compressed")?
            }
            None => return Err("another ZIP file".into()),
        }
    };
    let mut places: Vec<(u64, u64)> = Vec::new();
    for tensor in &parts.tensors {
        assert!(tensor.begin <= tensor.end && tensor.end <= bytes.len() as u64, "{tensor:?}");
        if let Some(dtype) = Dtype::by_name(&tensor.dtype) {
            assert_eq!(dtype.byte_len(&tensor.shape), Some(tensor.byte_len()), "{tensor:?}");
        }
        places.extend((tensor.begin < tensor.end).then_some((tensor.begin, tensor.end)));
    }
    places.sort_unstable();
    places.dedup();
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0), "tensors overlap");
    let names: std::collections::HashSet<&str> = parts.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names.len(), parts.tensors.len(), "names occur twice");
    Ok(parts)
}

fn names(parts: &Parts) -> Vec<&str> {
    parts.tensors.iter().map(|t| t.name.as_str()).collect()
}

#[test]
fn views_of_storages_are_placed_once() {
    for name in ["torch/state.pt", "torch/newer.pt", "torch/legacy.pt"] {
        let parts = take(&fixture(name)).unwrap();
        let find = |wanted: &str| parts.tensors.iter().find(|t| t.name == wanted);
        let (emb, head) = (find("emb.weight").unwrap(), find("head.weight").unwrap());
        assert_eq!((emb.begin, &emb.shape), (head.begin, &head.shape), "{name}: tied weights");
        assert_eq!(find("qkv.1").unwrap().begin, find("qkv.0").unwrap().end, "{name}");
        assert_eq!(find("empty").unwrap().shape, [0, 4]);
        assert_eq!(find("scalar").unwrap().shape, [0u64; 0]);
        assert_eq!(find("brain").unwrap().dtype, "BF16");
        assert_eq!(find("complex").unwrap().dtype, "C64");
        assert!(find("turned").is_none() && find("row").is_none(), "{name}: views with strides");
        assert!(parts.notes.iter().any(|n| n.starts_with("2 tensors are views")), "{:?}", parts.notes);
        let rows = parts.tensors.iter().filter(|t| t.name.starts_with("data/"));
        assert_eq!(rows.map(|t| t.shape.clone()).collect::<Vec<_>>(), [[12], [16]], "{name}");
    }
}

#[test]
fn modules_and_checkpoints_are_named_as_state_dicts() {
    let parts = take(&fixture("torch/module.pt")).unwrap();
    for name in ["0.weight", "0.bias", "1.running_mean", "1.num_batches_tracked", "2.bias"] {
        assert!(names(&parts).contains(&name), "{name} of {:?}", names(&parts));
    }
    let parts = take(&fixture("torch/checkpoint.pth")).unwrap();
    for name in ["model.0.weight", "optimizer.state.0.exp_avg", "history.0"] {
        assert!(names(&parts).contains(&name), "{name} of {:?}", names(&parts));
    }
    assert_eq!(names(&take(&fixture("torch/tensor.pt")).unwrap()), ["tensor"]);
}

#[test]
fn what_would_run_code_is_only_data() {
    let parts = take(&fixture("torch/evil.pt")).unwrap();
    assert_eq!(names(&parts), ["a"]);
    let evil = b"cos\nsystem\n(S'touch /tmp/mcodec-was-here'\ntR.";
    assert_eq!(tensor_names(evil, &HeaderLimits::default()), Ok(Vec::new()));
}

#[test]
fn big_endian_numbers_are_not_taken_for_others() {
    let parts = take(&fixture("torch/big.pt")).unwrap();
    let dtypes: Vec<&str> = parts.tensors.iter().map(|t| t.dtype.as_str()).collect();
    assert_eq!(dtypes, ["F32_BE", "U8"]);
}

#[test]
fn pickles_that_are_not_understood_leave_storages() {
    let mut bytes = fixture("torch/tensor.pt");
    let at = bytes.windows(13).position(|w| w == b"ctorch._utils").unwrap();
    bytes[at] = 0xFF;
    let parts = take(&bytes).unwrap();
    assert_eq!(names(&parts), ["data/0"]);
    assert_eq!(parts.tensors[0].shape, [48]);
    assert!(parts.notes[0].contains("0xff"), "{:?}", parts.notes);
    let mut bytes = fixture("torch/tensor.pt");
    let at = bytes.windows(18).position(|w| w == b"_rebuild_tensor_v2").unwrap();
    bytes[at + 17] = b'9';
    assert_eq!(names(&take(&bytes).unwrap()), ["data/0"], "a call that is not known");
}

/// Files with a bit flipped, or cut short, are taken apart soundly or refused.
#[test]
fn damaged_files_do_no_harm() {
    for name in ["torch/tensor.pt", "torch/evil.pt", "torch/legacy.pt", "numpy/odd.npz"] {
        let whole = fixture(name);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            for bit in [0, 3, 7] {
                bytes[at] ^= 1 << bit;
                _ = take(&bytes);
                bytes[at] ^= 1 << bit;
            }
            _ = take(&whole[..at]);
        }
    }
}

/// The places of `what` in a file.
fn finds(bytes: &[u8], what: &[u8]) -> Vec<usize> {
    (0..bytes.len()).filter(|&at| bytes[at..].starts_with(what)).collect()
}

#[test]
fn unsound_directories_are_refused() {
    let whole = fixture("torch/state.pt");
    let directory = finds(&whole, b"PK\x01\x02");
    let of = |name: &[u8]| *directory.iter().find(|&&at| whole[at + 46..].starts_with(name)).unwrap();
    let (zero, one) = (of(b"state/data/0"), of(b"state/data/1"));
    let refused = |change: &dyn Fn(&mut Vec<u8>), why: &str| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        let error = take(&bytes).unwrap_err();
        assert!(error.contains(why), "{error:?} does not say {why:?}");
    };
    refused(&|b| b[zero + 42..zero + 46].copy_from_slice(&whole[one + 42..one + 46]), "another name");
    refused(&|b| b[zero + 20..zero + 28].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]), "overlaps");
    refused(&|b| b[zero + 24] += 1, "are said to be");
    refused(&|b| b[zero + 20..zero + 28].fill(0x7F), "run into the directory");
    refused(&|b| b[zero + 42..zero + 46].fill(0x7F), "data/0");
    refused(&|b| finds(&whole, b"state/data/1").iter().for_each(|&at| b[at + 11] = b'0'), "twice");
    refused(&|b| b[zero + 46] = 0xFF, "not UTF-8");
    refused(&|b| b.truncate(b.len() - 30), "");
}

#[test]
fn names_are_names_only_and_what_is_compressed_stays() {
    let whole = fixture("torch/state.pt");
    let mut bytes = whole.clone();
    for at in finds(&whole, b"state/data/0") {
        bytes[at..at + 12].copy_from_slice(b"../../../etc");
    }
    let parts = take(&bytes).unwrap();
    assert!(!names(&parts).contains(&"emb.weight"));
    assert!(parts.notes.iter().any(|n| n.contains("have no storage")), "{:?}", parts.notes);

    let mut bytes = whole.clone();
    let directory = finds(&whole, b"PK\x01\x02");
    let zero = *directory.iter().find(|&&at| whole[at + 46..].starts_with(b"state/data/0")).unwrap();
    bytes[zero + 8] |= 1;
    let parts = take(&bytes).unwrap();
    assert!(!names(&parts).contains(&"emb.weight"));
    assert!(parts.notes.iter().any(|n| n.contains("encrypted")), "{:?}", parts.notes);
}

#[test]
fn hostile_pickles_are_bounded() {
    let limits = HeaderLimits { tensors: 1000, ..HeaderLimits::default() };
    let names = |bytes: &[u8]| tensor_names(bytes, &limits);
    // A list of two of the last list, many times over.
    let mut laughs = b"(KKt].".to_vec();
    laughs.clear();
    laughs.extend(b"]q\x00");
    for _ in 0..60 {
        laughs.extend(b"](h\x00h\x00eq\x00");
    }
    laughs.push(b'.');
    assert!(names(&laughs).unwrap_err().contains("too deeply, or hold each other too often"));
    // A list that holds itself.
    assert!(names(b"]q\x00h\x00a.").unwrap_err().contains("too deeply"));
    // Nested deeply.
    let deep = [b"]".repeat(100_000), b"a".repeat(99_999), b".".to_vec()].concat();
    assert!(names(&deep).unwrap_err().contains("too deeply"));
    use pickle::PickleError;
    let read = |bytes: &[u8]| Pickle::read(bytes).unwrap_err();
    assert_eq!(read(b"K"), PickleError::Truncated(1));
    assert_eq!(read(b"N\x82"), PickleError::Opcode { opcode: 0x82, at: 1 });
    assert!(matches!(read(b"Nt"), PickleError::Invalid { at: 1, .. }));
    for (bytes, why) in [
        (&b""[..], "ends early"),
        (b"X\xFF\xFF\xFF\xFFabc", "ends early"),
        (b"\x8d\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFabc", "ends early"),
        (b"h\x01.", "memo entry"),
        (b".", "missing on the stack"),
        (b"t.", "no mark"),
        (b"}(K\x01u.", "without a value"),
        (b"K\x01K\x02a.", "no list"),
        (b"K\x01K\x02K\x03s.", "no dict"),
        (b"c\xFF\n\n.", "not UTF-8"),
        (b"\x82\x01.", "0x82"),
        (b"(o.", "class is missing"),
    ] {
        let error = names(bytes).unwrap_err();
        assert!(error.contains(why), "{error:?} does not say {why:?}");
    }
    // The name of a global, made of one long text twice, again and again.
    let mut long = [b"X\0\0\x10\0".to_vec(), vec![b'a'; 1 << 20], b"q\0".to_vec()].concat();
    long.extend(b"h\0h\0\x93".repeat(1000));
    assert!(names(&long).unwrap_err().contains("too long"));
}

/// Sources fail; ZIP files have more than is taken.
#[test]
fn directories_fail_by_kind() {
    use crate::import::zip::{Source, ZipError};
    struct Failing(Vec<u8>);
    impl Source for Failing {
        fn byte_len(&self) -> u64 {
            self.0.byte_len()
        }
        fn read(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
            if offset < 100 { Err(std::io::ErrorKind::TimedOut.into()) } else { self.0.read(offset, buffer) }
        }
    }
    let whole = fixture("torch/state.pt");
    assert!(matches!(read_directory(&Failing(whole.clone())), Err(ZipError::Io(_))));
    assert!(matches!(read_directory(&whole[..30]), Err(ZipError::Record(_))));
    let directory = finds(&whole, b"PK\x01\x02");
    let mut bytes = whole.clone();
    bytes[directory[0] + 24] += 1;
    assert!(matches!(read_directory(bytes.as_slice()), Err(ZipError::Member { .. })));
    // A directory of over a million records without a name, all of one empty member.
    let mut record = [0; 46];
    record[..4].copy_from_slice(b"PK\x01\x02");
    let count = (1 << 20) + 1;
    let mut many = record.repeat(count);
    let size = (many.len() as u32).to_le_bytes();
    many.extend(b"PK\x05\x06\0\0\0\0\xFF\xFF\xFF\xFF");
    many.extend(size);
    many.extend([0; 6]);
    assert!(matches!(
        read_directory(many.as_slice()),
        Err(ZipError::Limit { what: "number of members", .. })
    ));
}
