//! Models come back byte for byte, through the finished and the streaming form, at any effort and thread count.

use mcodec_decode::{ReadOptions, Reader, source_files, verify};
use mcodec_encode::{EncodeOptions, Output, SymbolCodes, encode_path, encode_stream, pack};
use mcodec_tests::inputs::{Noise, models, safetensors, tensor};
use std::fs::File;
use std::path::Path;

fn decode_all(path: &Path, threads: usize) -> Vec<(String, Vec<u8>)> {
    let reader = Reader::open(File::open(path).unwrap(), ReadOptions::default().threads(threads)).unwrap();
    assert_eq!(reader.warnings(), []);
    let mut all = Vec::new();
    for asset in reader.assets().unwrap() {
        for file in source_files(&reader, &asset).unwrap() {
            let bytes = file.read(&reader).unwrap();
            all.push((file.name, bytes));
        }
    }
    all
}

fn sound(path: &Path) {
    let reader = Reader::open(File::open(path).unwrap(), ReadOptions::default()).unwrap();
    let report = verify(&reader, true).unwrap();
    assert_eq!(report.damage, []);
    assert_eq!(report.bytes, std::fs::metadata(path).unwrap().len());
}

#[test]
fn every_model_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    for model in models() {
        let original = std::fs::read(&model).unwrap();
        let out = dir.path().join("m.mcodec");
        let output = Output::File { path: out.clone(), force: true };
        let report = encode_path(&model, None, output, &EncodeOptions::default()).unwrap();
        eprintln!("{}: {} -> {}", model.display(), original.len(), report.output_bytes);
        assert!(report.output_bytes < original.len() as u64);
        let files = decode_all(&out, 2);
        assert_eq!(files.len(), 1);
        assert!(files[0].1 == original, "{}", model.display());
        sound(&out);
    }
}

#[test]
fn a_stream_comes_back_and_packs_into_the_finished_form() {
    let dir = tempfile::tempdir().unwrap();
    let mut noise = Noise(1);
    let bytes = safetensors(
        Some(r#"{"format":"pt"}"#),
        &[
            tensor("b", "BF16", &[300, 700], noise.bf16(300 * 700)),
            tensor("a", "F32", &[0, 7], vec![]),
            tensor("z", "U8", &[5], vec![1, 2, 3, 4, 5]),
            tensor("x", "F9_NEW", &[3], vec![1, 2, 3, 4]),
        ],
    );
    let path = dir.path().join("s.mcodec");
    let out = Box::new(File::create(&path).unwrap());
    let input = Box::new(std::io::Cursor::new(bytes.clone()));
    encode_stream(input, "s", None, Output::Stream(out), &EncodeOptions::default()).unwrap();
    assert!(decode_all(&path, 1)[0].1 == bytes);
    sound(&path);
    let packed = dir.path().join("p.mcodec");
    pack(&path, Output::File { path: packed.clone(), force: false }, &EncodeOptions::default()).unwrap();
    assert!(decode_all(&packed, 1)[0].1 == bytes);
    sound(&packed);
}

/// Prefix codes take the place of rANS where a user asks for them; a model is little larger then.
#[test]
fn prefix_codes_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/moe-tiny/model.safetensors");
    let original = std::fs::read(&path).unwrap();
    for effort in [1, 5] {
        let mut lengths = Vec::new();
        for codes in [SymbolCodes::Rans, SymbolCodes::Prefix] {
            let mut options = EncodeOptions::default();
            (options.effort, options.codes) = (effort, codes);
            let out = dir.path().join("m.mcodec");
            let output = Output::File { path: out.clone(), force: true };
            lengths.push(encode_path(&path, None, output, &options).unwrap().output_bytes);
            assert!(decode_all(&out, 2)[0].1 == original, "{codes:?}, effort {effort}");
            sound(&out);
        }
        let loss = lengths[1] as f64 / lengths[0] as f64;
        assert!((1.001..1.01).contains(&loss), "effort {effort}: {lengths:?}");
    }
}
