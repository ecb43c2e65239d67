//! GGUF files of every type come back byte for byte; malformed ones are refused.

use mcodec_decode::verify;
use mcodec_encode::import::ImportError;
use mcodec_encode::import::gguf::{GgufError, GgufHeader, GgufLimits, Run, Value, read_header};
use mcodec_encode::{EncodeError, EncodeOptions, Output, encode_path, encode_stream};
use mcodec_tests::files::{decoded, open, options};
use mcodec_tests::gguf::{Gguf, Meta, every_type, string};
use mcodec_tests::inputs::Noise;
use std::path::Path;

fn header(bytes: &[u8]) -> Result<GgufHeader, GgufError> {
    read_header(bytes, bytes.len() as u64, &GgufLimits::default())
}

fn encode(dir: &Path, name: &str, bytes: &[u8], options: &EncodeOptions) -> Vec<u8> {
    let input = dir.join(name);
    std::fs::write(&input, bytes).unwrap();
    let path = dir.join("out.mcodec");
    encode_path(&input, None, Output::File { path: path.clone(), force: true }, options).unwrap();
    std::fs::read(path).unwrap()
}

fn round_trip(dir: &Path, bytes: &[u8], options: &EncodeOptions) {
    let coded = encode(dir, "model.gguf", bytes, options);
    let reader = open(&coded).unwrap();
    let files = decoded(&reader).unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].0, "model/model.gguf");
    assert!(files[0].1 == bytes);
    assert_eq!(verify(&reader, true).unwrap().damage, []);
    // Coded anew from the mcodec file.
    let again = encode(dir, "again.mcodec", &coded, options);
    assert!(decoded(&open(&again).unwrap()).unwrap()[0].1 == bytes);
}

#[test]
fn every_type_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    for (rows, effort, threads) in [(1, 1, 1), (3, 5, 2), (40, 9, 2), (700, 5, 2)] {
        let mut options = options(threads);
        options.effort = effort;
        round_trip(dir.path(), &every_type(rows, rows).to_bytes(), &options);
    }
    let mut mappable = options(1);
    mappable.mappable = true;
    round_trip(dir.path(), &every_type(5, 5).to_bytes(), &mappable);
    let mut small = options(1);
    small.chunk_len = 4096;
    round_trip(dir.path(), &every_type(64, 6).to_bytes(), &small);
}

#[test]
fn odd_but_sound_files_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(2);
    let empty = Gguf::default();
    round_trip(dir.path(), &empty.to_bytes(), &options);
    let mut v2 = every_type(2, 9);
    v2.version = 2;
    round_trip(dir.path(), &v2.to_bytes(), &options);
    // A hole, tensors out of order, bytes at the end, padding that is not zero.
    let mut holes = Gguf::default();
    holes.add("b", 0, &[8], vec![1; 32]).offset = Some(128);
    holes.add("a", 0, &[8], vec![2; 32]).offset = Some(32);
    let mut bytes = holes.to_bytes();
    bytes.extend([7; 200]);
    let header = header(&bytes).unwrap();
    assert_eq!(header.tensors[0].begin - header.data_offset, 128);
    round_trip(dir.path(), &bytes, &options);
}

#[test]
fn a_file_through_a_pipe_is_taken_apart_too() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = every_type(3, 4).to_bytes();
    let path = dir.path().join("piped.mcodec");
    let output = Output::File { path: path.clone(), force: false };
    let report =
        encode_stream(Box::new(std::io::Cursor::new(bytes.clone())), "m", None, output, &options(1)).unwrap();
    assert!(report.tensors > 30);
    let reader = open(&std::fs::read(path).unwrap()).unwrap();
    assert!(decoded(&reader).unwrap() == [("m/m.gguf".to_owned(), bytes)]);
}

#[test]
fn metadata_is_read() {
    let header = header(&every_type(1, 1).to_bytes()).unwrap();
    let value = |key: &str| &header.metadata.iter().find(|(k, _)| k == key).unwrap().1;
    assert_eq!(*value("test.i8"), Value::Signed(-6));
    assert_eq!(*value("test.u64"), Value::Unsigned(u64::MAX));
    assert_eq!(value("test.nested").to_string(), "1 of array: [2 of uint8: [1, 2]]");
    let tokens = value("tokenizer.ggml.tokens").to_string();
    assert_eq!(tokens, "4 of string: [\"a\", \"\u{FFFD}\u{FFFD}\", \"\\u{1b}[31m\", \"\"]");
    let long = Gguf::default()
        .with("k", Meta::text(&[b'x'; 5000]))
        .with("l", Meta::array(4, &vec![vec![0; 4]; 100]));
    let header = self::header(&long.to_bytes()).unwrap();
    assert!(header.metadata[0].1.to_string().ends_with("... (5000 bytes)"));
    assert_eq!(header.metadata[1].1.to_string(), "100 of uint32: [0, 0, 0, 0, 0, 0, 0, 0, ...]");
}

#[test]
fn every_prefix_is_refused_and_none_overruns() {
    let bytes = every_type(1, 2).to_bytes();
    let whole = header(&bytes).unwrap();
    for end in 0..bytes.len() {
        match header(&bytes[..end]) {
            Ok(cut) => assert!(end as u64 >= whole.data_offset && cut.tensors.len() == whole.tensors.len()),
            Err(e) => assert!(!e.to_string().is_empty()),
        }
    }
    // Only the tensor of unknown type, which is last, can be cut.
    let last = whole.tensors.iter().map(|t| t.begin).max().unwrap() as usize;
    assert!((0..last).all(|end| header(&bytes[..end]).is_err()));
    assert!(header(&bytes[..last]).is_ok());
}

fn refused(file: &Gguf, why: &str) {
    refused_bytes(&file.to_bytes(), why);
}

fn refused_bytes(bytes: &[u8], why: &str) {
    let error = header(bytes).expect_err(why).to_string();
    assert!(error.contains(why), "{error:?} does not say {why:?}");
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("bad.gguf");
    std::fs::write(&input, bytes).unwrap();
    let path = dir.path().join("bad.mcodec");
    let output = Output::File { path: path.clone(), force: false };
    let error = encode_path(&input, None, output, &options(1)).expect_err(why);
    assert!(matches!(error, EncodeError::Import(ImportError::Gguf { .. })));
    assert!(error.to_string().contains(why), "{error} does not say {why:?}");
    assert!(!path.exists());
}

fn one(type_id: u32, ne: &[u64], bytes: usize) -> Gguf {
    let mut file = Gguf::default();
    file.add("w", type_id, ne, vec![0; bytes]);
    file
}

/// The defects that readers of this format had.
#[test]
fn sizes_that_overflow_are_refused() {
    refused(&one(0, &[1 << 32, 1 << 32], 64), "too large");
    refused(&one(0, &[u64::MAX, 2, 1, 1], 64), "too large");
    refused(&one(2, &[1 << 62, 1 << 62], 64), "too large");
    refused(&one(0, &[1 << 61], 64), "too large");
    refused(&one(0, &[17], 64), "reach beyond the end of the file");
    let mut file = one(0, &[16], 64);
    file.tensors[0].offset = Some(u64::MAX - 31);
    refused(&file, "begins beyond the end of the file");
    file.tensors[0].offset = Some(1 << 40);
    refused(&file, "begins beyond the end of the file");
    file.tensors[0].offset = Some(32);
    refused(&file, "reach beyond the end of the file");
    file.tensors[0].offset = Some(8);
    refused(&file, "not a multiple of the alignment");
}

#[test]
fn counts_and_lengths_are_held_against_the_file() {
    let bytes = every_type(1, 3).to_bytes();
    for (at, what) in [(8, "tensor count"), (16, "metadata count"), (24, "key")] {
        for count in [u64::MAX, 1 << 63, 1 << 40, bytes.len() as u64] {
            let mut bytes = bytes.clone();
            bytes[at..at + 8].copy_from_slice(&count.to_le_bytes());
            refused_bytes(&bytes, what);
        }
    }
    let huge = |kind: u32, len: u64| {
        Gguf::default().with("k", Meta(9, [&kind.to_le_bytes()[..], &len.to_le_bytes()].concat()))
    };
    for kind in [0, 4, 8, 9, 12] {
        refused(&huge(kind, 1 << 60), "length of an array");
        refused(&huge(kind, u64::MAX), "length of an array");
    }
    refused(&Gguf::default().with("k", Meta(8, u64::MAX.to_le_bytes().to_vec())), "a string");
    let mut rank = one(0, &[1; 9], 4);
    refused_limit(&rank.to_bytes(), "rank of 9");
    rank.tensors[0].ne = vec![1; 8];
    header(&rank.to_bytes()).unwrap();
    let mut deep = Meta::array(0, &[]);
    for _ in 0..4 {
        deep = Meta::array(9, &[deep.1]);
    }
    refused_limit(&Gguf::default().with("k", deep).to_bytes(), "depth of arrays");
}

/// What is only larger than the limits is kept whole, as a blob.
fn refused_limit(bytes: &[u8], why: &str) {
    let error = header(bytes).expect_err(why);
    assert!(error.is_unsupported() && error.to_string().contains(why), "{error}");
    kept_as_blob(bytes, why);
}

fn kept_as_blob(bytes: &[u8], note: &str) {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("old.gguf");
    std::fs::write(&input, bytes).unwrap();
    let path = dir.path().join("old.mcodec");
    let output = Output::File { path: path.clone(), force: false };
    let report = encode_path(&input, None, output, &options(1)).unwrap();
    assert!(report.notes[0].contains(note), "{:?}", report.notes);
    assert!(decoded(&open(&std::fs::read(path).unwrap()).unwrap()).unwrap()[0].1 == bytes);
}

#[test]
fn other_versions_and_byte_orders_are_kept_whole() {
    let mut file = every_type(1, 5);
    for version in [0, 1, 4, 77] {
        file.version = version;
        kept_as_blob(&file.to_bytes(), &format!("GGUF version {version} is not taken apart"));
    }
    file.version = 3u32.swap_bytes();
    kept_as_blob(&file.to_bytes(), "GGUF version 3 in big-endian order");
}

#[test]
fn broken_rules_are_refused() {
    let with = |key: &str, value: Meta| Gguf::default().with(key, value);
    refused(&with("general.alignment", Meta::text(b"32")), "not of type uint32");
    refused(&with("general.alignment", Meta(10, 32u64.to_le_bytes().to_vec())), "not of type uint32");
    for alignment in [0, 33, u32::MAX] {
        refused(&with("general.alignment", Meta::u32(alignment)), "not a power of two");
    }
    let mut large = with("general.alignment", Meta::u32(1 << 31));
    large.add("w", 0, &[1], vec![0; 4]);
    refused(&large, "the data of tensors");
    refused(&with("k", Meta(13, vec![0; 8])), "unknown type of a value, 13");
    refused(&with("k", Meta(7, vec![2])), "a bool of value 2");
    refused(&with("k", Meta::u32(1)).with("k", Meta::u32(2)), "key \"k\" is there twice");
    let mut file = Gguf::default();
    file.metadata.push((b"\xFF".to_vec(), Meta::u32(0)));
    refused(&file, "not UTF-8");
    refused(&with("a\0b", Meta::u32(0)), "zero byte");
    let mut twice = one(0, &[8], 32);
    twice.add("w", 0, &[8], vec![0; 32]);
    refused(&twice, "tensor \"w\" is there twice");
    twice.tensors[1].name = "v".into();
    twice.tensors[1].offset = Some(0);
    refused(&twice, "reach beyond the next tensor");
    refused(&one(2, &[31], 18), "whole blocks of 32");
    refused(&one(12, &[128, 2], 144), "whole blocks of 256");
    refused(&one(12, &[], 144), "whole blocks of 256");
    refused_bytes(b"GGUF", "version");
    assert!(matches!(header(b"GGU"), Err(GgufError::Magic)));
    assert!(matches!(header(b"GGML\x03\0\0\0"), Err(GgufError::Magic)));
}

#[test]
fn each_refusal_has_its_kind() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("no"))
        }
    }
    let limits = GgufLimits::default();
    // The first read is of the magic, whatever becomes of it.
    let input = std::io::Read::chain(&b"GGUF"[..], Failing);
    assert!(matches!(read_header(input, 100, &limits), Err(GgufError::Io { offset: 4, .. })));
    assert!(matches!(header(b"GGUF\x03\0"), Err(GgufError::Truncated { offset: 4, .. })));
    let v1 = Gguf { version: 1, ..Gguf::default() };
    assert!(matches!(header(&v1.to_bytes()), Err(GgufError::Version { version: 1, big_endian: false })));
    let small = GgufLimits { header_len: 30, ..limits };
    let bytes = every_type(1, 1).to_bytes();
    let cut = read_header(&bytes[..], bytes.len() as u64, &small);
    assert!(matches!(cut, Err(GgufError::Limit { what: "header length", .. })), "{cut:?}");
    let bad = Gguf::default().with("k", Meta(7, vec![9]));
    assert!(matches!(header(&bad.to_bytes()), Err(GgufError::Header { .. })));
    let twice = Gguf::default().with("k", Meta::u32(1)).with("k", Meta::u32(1));
    assert!(matches!(header(&twice.to_bytes()), Err(GgufError::Duplicate { what: "key", .. })));
    assert!(matches!(header(&one(2, &[31], 18).to_bytes()), Err(GgufError::Tensor { .. })));
}

#[test]
fn any_flipped_byte_of_a_header_is_handled() {
    let bytes = every_type(1, 8).to_bytes();
    let end = header(&bytes).unwrap().data_offset as usize;
    let mut noise = Noise(3);
    for at in 0..end {
        let mut bytes = bytes.clone();
        bytes[at] ^= noise.bytes(1)[0] | 1;
        if let Ok(header) = header(&bytes) {
            assert!(header.tensors.iter().all(|t| t.begin + t.byte_len <= bytes.len() as u64));
        }
    }
}

#[test]
fn a_part_of_a_split_model_is_a_file_and_a_folder_of_them_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("split");
    std::fs::create_dir(&folder).unwrap();
    let mut first =
        Gguf::default().with("split.no", Meta(2, vec![0, 0])).with("split.count", Meta(2, vec![2, 0]));
    first.add("a", 0, &[8], vec![1; 32]);
    std::fs::write(folder.join("m-00001-of-00002.gguf"), first.to_bytes()).unwrap();
    std::fs::write(folder.join("m-00002-of-00002.gguf"), first.to_bytes()).unwrap();
    let output = || Output::File { path: dir.path().join("out.mcodec"), force: true };
    let refused = encode_path(&folder, None, output(), &options(1)).unwrap_err().to_string();
    assert!(refused.contains("name a GGUF file itself"), "{refused}");
    encode_path(&folder.join("m-00001-of-00002.gguf"), None, output(), &options(1)).unwrap();
    let files = decoded(&open(&std::fs::read(dir.path().join("out.mcodec")).unwrap()).unwrap()).unwrap();
    assert!(files == [("m-00001-of-00002/m-00001-of-00002.gguf".to_owned(), first.to_bytes())]);
    // The only one of a folder is its model, and what belongs to it travels along.
    std::fs::remove_file(folder.join("m-00002-of-00002.gguf")).unwrap();
    std::fs::write(folder.join("config.json"), "{}").unwrap();
    encode_path(&folder, None, output(), &options(1)).unwrap();
    let files = decoded(&open(&std::fs::read(dir.path().join("out.mcodec")).unwrap()).unwrap()).unwrap();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["split/config.json", "split/m-00001-of-00002.gguf"]);
    assert!(files[1].1 == first.to_bytes());
}

#[test]
fn runs_cover_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let mut file = every_type(2, 2);
    file.add("tail", 0, &[1], vec![0; 4]);
    std::fs::write(&path, file.to_bytes()).unwrap();
    let source = mcodec_encode::import::gguf::GgufSource::open(&path, &GgufLimits::default()).unwrap();
    let mut at = 0;
    for run in source.runs() {
        let (begin, len) = match run {
            Run::Other(begin, len) => (begin, len),
            Run::Tensor(i) => {
                let t = &source.header.tensors[i];
                (if t.byte_len == 0 { at } else { t.begin }, t.byte_len)
            }
        };
        assert_eq!(begin, at);
        at += len;
    }
    assert_eq!(at, source.byte_len);
    assert_eq!(string(b"ab").len(), 10);
}

fn entropy_bits(symbols: &[u8]) -> f64 {
    let mut counts = [0u64; 256];
    symbols.iter().for_each(|&s| counts[usize::from(s)] += 1);
    let n = symbols.len() as f64;
    counts.iter().filter(|c| **c > 0).map(|&c| c as f64 * (n / c as f64).log2()).sum()
}

/// Weights about normal, quantised to MXFP4 as ggml does: the scale is that of the largest of 32.
fn mxfp4(blocks: usize, noise: &mut Noise) -> Vec<u8> {
    const MAGNITUDES: [f64; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let mut out = Vec::new();
    for _ in 0..blocks {
        let sum = |b: &[u8]| b.iter().map(|&b| f64::from(b)).sum::<f64>();
        let weights: Vec<f64> =
            noise.bytes(32 * 12).chunks(12).map(|b| (sum(b) / 12.0 - 127.5) / 600.0).collect();
        let largest = weights.iter().fold(0.0f64, |m, w| m.max(w.abs()));
        let e = (largest.log2().floor() - 2.0) as i32;
        let code = |w: f64| {
            let scaled = w.abs() / 2f64.powi(e);
            let nearest = (0..8usize)
                .min_by(|&a, &b| (MAGNITUDES[a] - scaled).abs().total_cmp(&(MAGNITUDES[b] - scaled).abs()));
            nearest.unwrap() as u8 | if w < 0.0 { 8 } else { 0 }
        };
        out.push((e + 127) as u8);
        out.extend((0..16).map(|i| code(weights[i]) | code(weights[i + 16]) << 4));
    }
    out
}

#[test]
fn mxfp4_comes_to_its_entropy() {
    let blocks = (256 << 10) / 17;
    let bytes = mxfp4(blocks, &mut Noise(77));
    let codes: Vec<u8> =
        bytes.chunks(17).flat_map(|b| b[1..].iter().flat_map(|c| [c & 15, c >> 4])).collect();
    let scales: Vec<u8> = bytes.chunks(17).map(|b| b[0]).collect();
    let ideal = (entropy_bits(&codes) + entropy_bits(&scales)) / 8.0;
    // A chunk of the same scales without codes says what the scales take.
    let bare: Vec<u8> = scales.iter().flat_map(|&s| [&[s][..], &[0; 16]].concat()).collect();
    for effort in [1, 5, 9] {
        let payload = mcodec_encode::blocks::encode_chunk(&bytes, 71, effort).unwrap();
        assert!((payload.len() as f64) < ideal * 1.01, "{} for {ideal} at effort {effort}", payload.len());
        let scales = mcodec_encode::blocks::encode_chunk(&bare, 71, effort).unwrap();
        let per_weight = scales.len() as f64 * 8.0 / (blocks * 32) as f64;
        assert!(per_weight <= 0.06, "{per_weight} bits per weight for scales");
    }
}
