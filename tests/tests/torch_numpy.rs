//! Files of PyTorch and NumPy come back byte for byte, and their tensors are read by name. `tests/data/torch` and `tests/data/numpy` were made by
//! those libraries, with what is in them beside.

use mcodec_decode::{ReadOptions, Reader, verify};
use mcodec_encode::{EncodeOptions, Output, encode_path, encode_stream};
use mcodec_tests::files::{decoded, open, options};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// In the files of one state dict these are views that no tensor can be: their storages are rows instead.
const NOT_LISTED: [&str; 2] = ["turned", "row"];

fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(folder)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let of = |path: &PathBuf| {
        path.extension().is_some_and(|e| ["pt", "pth", "npz", "npy"].iter().any(|x| e == *x))
    };
    let mut all: Vec<PathBuf> =
        fs::read_dir(data(folder)).unwrap().map(|entry| entry.unwrap().path()).filter(of).collect();
    all.sort();
    assert!(all.len() > 5);
    all
}

fn encoded(path: &Path, options: &EncodeOptions) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("m.mcodec");
    encode_path(path, None, Output::File { path: out.clone(), force: true }, options).unwrap();
    fs::read(out).unwrap()
}

/// The streaming form.
fn streamed(bytes: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("s.mcodec");
    let input = Box::new(std::io::Cursor::new(bytes.to_vec()));
    let output = Output::Stream(Box::new(File::create(&out).unwrap()));
    encode_stream(input, "stream", None, output, &options(1)).unwrap();
    fs::read(out).unwrap()
}

fn comes_back(encoded: Vec<u8>, original: &[u8], what: &str) {
    let reader = open(&encoded).unwrap();
    assert_eq!(verify(&reader, true).unwrap().damage, [], "{what}");
    let files = decoded(&reader).unwrap();
    assert_eq!(files.len(), 1, "{what}");
    assert!(files[0].1 == original, "{what} comes back differently");
}

#[test]
fn every_file_comes_back() {
    for path in [files("torch"), files("numpy")].concat() {
        let original = fs::read(&path).unwrap();
        let what = path.display().to_string();
        let mut mappable = options(1);
        mappable.mappable = true;
        comes_back(encoded(&path, &options(2)), &original, &what);
        comes_back(encoded(&path, &mappable), &original, &format!("{what}, mappable"));
        comes_back(streamed(&original), &original, &format!("{what}, piped"));
    }
}

#[test]
fn tensors_are_what_the_library_says() {
    for folder in ["torch", "numpy"] {
        let text = fs::read_to_string(data(folder).join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (name, tensors) in expected["files"].as_object().unwrap() {
            if name == "compressed.npz" {
                continue;
            }
            let reader = open(&encoded(&data(folder).join(name), &options(1))).unwrap();
            let asset = reader.asset(None).unwrap();
            for (tensor, fields) in tensors.as_object().unwrap() {
                if NOT_LISTED.contains(&tensor.as_str()) {
                    assert!(reader.tensor(&asset.name, tensor).is_err());
                    continue;
                }
                let entry =
                    reader.tensor(&asset.name, tensor).unwrap_or_else(|e| panic!("{name}: {tensor}: {e}"));
                let found = entry.tensor().unwrap();
                let shape: Vec<u64> = serde_json::from_value(fields[1].clone()).unwrap();
                assert_eq!(
                    (found.dtype_name.as_str(), &found.shape),
                    (fields[0].as_str().unwrap(), &shape),
                    "{tensor}"
                );
                let bytes = reader.read_all(&entry).unwrap();
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                assert_eq!(hex, fields[2], "{name}: {tensor}");
            }
        }
    }
}

#[test]
fn what_cannot_be_taken_apart_is_a_blob_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let state = fs::read(data("torch").join("state.pt")).unwrap();
    let compressed = fs::read(data("numpy").join("compressed.npz")).unwrap();
    let whole = fs::read(data("numpy").join("single.npy")).unwrap();
    for (name, bytes, why) in [
        ("a.pt", &state[..state.len() - 1], "zip directory"),
        ("b.npz", &compressed[..], "compressed arrays"),
        ("c.npy", &whole[..whole.len() - 1], "promised"),
        ("d.zip", b"PK\x03\x04", "zip directory"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let out = dir.path().join("m.mcodec");
        let output = Output::File { path: out.clone(), force: true };
        let report = encode_path(&path, None, output, &options(1)).unwrap();
        let note = report.notes.join("\n").to_lowercase();
        assert!(note.contains(why) && note.contains("encoded as a blob"), "{name}: {note:?}");
        comes_back(fs::read(&out).unwrap(), bytes, name);
        let kind = Some(mcodec_encode::AssetKind::Model);
        encode_path(&path, kind, Output::File { path: out, force: true }, &options(1)).unwrap_err();
    }
}

#[test]
fn shards_of_pytorch_come_back_as_a_folder() {
    let folder = data("torch").join("shards");
    let reader = open(&encoded(&folder, &options(1))).unwrap();
    for (name, bytes) in decoded(&reader).unwrap() {
        let name = name.split_once('/').unwrap().1;
        assert!(fs::read(folder.join(name)).unwrap() == bytes, "{name}");
    }
    let asset = reader.asset(None).unwrap();
    for tensor in ["a.weight", "a.bias", "b.weight"] {
        assert_eq!(reader.tensor(&asset.name, tensor).unwrap().tensor().unwrap().dtype_name, "F32");
    }
}

/// Two files of a folder may both have a storage that no name is known of.
#[test]
fn rows_of_several_shards_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let mut map = String::new();
    for name in ["x.bin", "y.bin"] {
        fs::copy(data("torch").join("state.pt"), dir.path().join(name)).unwrap();
        map += &format!("{}\"{name}\": \"{name}\"", if map.is_empty() { "" } else { ", " });
    }
    let index = dir.path().join("pytorch_model.bin.index.json");
    fs::write(index, format!("{{\"weight_map\": {{{map}}}}}")).unwrap();
    let reader = open(&encoded(dir.path(), &options(1))).unwrap();
    let asset = reader.asset(None).unwrap();
    for tensor in ["emb.weight", "y.bin/emb.weight", "y.bin/data/13"] {
        reader.tensor(&asset.name, tensor).unwrap_or_else(|e| panic!("{tensor}: {e}"));
    }
    let state = fs::read(data("torch").join("state.pt")).unwrap();
    let files = decoded(&reader).unwrap();
    assert_eq!(files.iter().filter(|(_, bytes)| *bytes == state).count(), 2);
    drop(Reader::open(encoded(dir.path(), &options(1)), ReadOptions::default()).unwrap());
}
