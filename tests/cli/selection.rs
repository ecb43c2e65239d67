//! Parts of a file: tensors by name or pattern, rows.

use crate::small_models::tensors_of;
use crate::workplace::Workplace;
use mcodec_decode::{ReadOptions, Reader};
use mcodec_tests::inputs::{Noise, moe_tiny, safetensors, tensor};
use std::fs;

/// Name, shape and bytes of a tensor.
type NamedTensor = (String, Vec<u64>, Vec<u8>);

/// The committed model, encoded, and its tensors.
fn moe() -> (Workplace, Vec<NamedTensor>) {
    let place = Workplace::new();
    let model = moe_tiny().join("model.safetensors");
    place.run(&["encode", model.to_str().unwrap(), "-o", "model.mcodec"]).done();
    (place, tensors_of(&fs::read(model).unwrap()))
}

/// The type, shape and data of a NumPy array.
fn npy(bytes: &[u8]) -> (String, Vec<u64>, Vec<u8>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\0");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!(end.is_multiple_of(64) && bytes[end - 1] == b'\n');
    let head = std::str::from_utf8(&bytes[10..end]).unwrap();
    assert!(head.contains("'fortran_order': False"), "{head}");
    let between = |a: &str, b: &str| head.split_once(a).unwrap().1.split_once(b).unwrap().0.to_owned();
    let shape = between("'shape': (", ")");
    let shape = shape.split(',').filter(|d| !d.trim().is_empty()).map(|d| d.trim().parse().unwrap());
    (between("'descr': '", "'"), shape.collect(), bytes[end..].to_vec())
}

#[test]
fn tensors_by_pattern_are_the_originals() {
    let (place, all) = moe();
    place.run(&["decode", "model.mcodec", "-o", "q.safetensors", "--tensor", "model.layers.3.*"]).done();
    let wanted: Vec<_> = all.iter().filter(|t| t.0.starts_with("model.layers.3.")).cloned().collect();
    assert!(wanted.len() > 20 && tensors_of(&place.read("q.safetensors")) == wanted);
    let two = ["--tensor", "lm_head.weight", "--tensor", "*.layers.0.input_layernorm.weight"];
    let line = [&["decode", "model.mcodec", "-o", "two.safetensors"], &two[..]].concat();
    place.run(&line).done();
    assert_eq!(tensors_of(&place.read("two.safetensors")).len(), 2);
    // The selection is a model, and what both have is equal.
    let diff = place.run(&["diff", "--json", "q.safetensors", "model.mcodec"]).with(4).json();
    assert_eq!(diff["pairs"][0]["content"], serde_json::json!([]));
    assert_eq!(diff["pairs"][0]["compared"], wanted.len());
    // Raw bytes and --format, on the standard output.
    let raw =
        place.run(&["decode", "model.mcodec", "-o", "-", "--tensor", "lm_head.weight", "--format", "raw"]);
    let head = all.iter().find(|t| t.0 == "lm_head.weight").unwrap();
    assert!(raw.done().out == head.2);
    place.run(&["decode", "model.mcodec", "-o", "h.bin", "--tensor", "lm_head.weight"]).done();
    assert!(place.read("h.bin") == head.2);
}

#[test]
fn rows_as_a_numpy_array() {
    let (place, all) = moe();
    let line =
        ["decode", "model.mcodec", "-o", "rows.npy", "--tensor", "lm_head.weight", "--rows", "100..164"];
    let ended = place.run(&line).done();
    assert!(ended.err.contains("BF16 has no NumPy type"), "{}", ended.err);
    let head = all.iter().find(|t| t.0 == "lm_head.weight").unwrap();
    let (descr, shape, data) = npy(&place.read("rows.npy"));
    assert_eq!((descr.as_str(), &shape[..]), ("<u2", &[64, 192][..]));
    assert!(data == head.2[100 * 384..164 * 384]);
    for (rows, from, to) in [("..1", 0, 1), ("255..", 255, 256), ("..", 0, 256), ("7..7", 7, 7)] {
        place
            .run(&[
                "decode",
                "model.mcodec",
                "-f",
                "-o",
                "rows.npy",
                "--tensor",
                "lm_head.weight",
                "--rows",
                rows,
            ])
            .done();
        let (_, shape, data) = npy(&place.read("rows.npy"));
        assert_eq!(shape, [to as u64 - from as u64, 192]);
        assert!(data == head.2[from * 384..to * 384], "{rows}");
    }
    let select = |rows: &str| {
        place.run(&["decode", "model.mcodec", "-o", "x.npy", "--tensor", "lm_head.weight", "--rows", rows])
    };
    select("200..257").refused(2, &["256"]);
    for wrong in ["5..4", "1", "a..b", "1..2..3"] {
        assert!(select(wrong).with(2).err.contains("--rows"));
    }
    place
        .run(&["decode", "model.mcodec", "-o", "x.npy", "--rows", "0..1"])
        .refused(2, &["--rows is for one tensor"]);
    place
        .run(&["decode", "model.mcodec", "-o", "x.npy", "--tensor", "*"])
        .refused(2, &["223 tensors", "--tensor"]);
    assert!(!place.has("x.npy"));
}

#[test]
fn every_type_has_a_numpy_form() {
    let mut noise = Noise(8);
    let types =
        [("F64", "<f8", 8), ("F32", "<f4", 4), ("F16", "<f2", 2), ("I16", "<i2", 2), ("U8", "|u1", 1)];
    let tensors: Vec<_> = types
        .iter()
        .map(|&(dtype, _, width)| tensor(dtype, dtype, &[2, 3], noise.bytes(6 * width)))
        .collect();
    let place = Workplace::new();
    let file = place.encoded("m.safetensors", &safetensors(None, &tensors));
    for (t, (name, descr, _)) in tensors.iter().zip(types) {
        place.run(&["decode", &file, "-f", "-o", "t.npy", "--tensor", name]).done().silent();
        assert_eq!(npy(&place.read("t.npy")), (descr.into(), vec![2, 3], t.bytes.clone()));
    }
}

#[test]
fn only_what_is_asked_for_is_read() {
    let (place, all) = moe();
    // Every chunk but those of one layer and one head is ruined: what is asked for does not notice.
    let mut bytes = place.read("model.mcodec");
    let reader = Reader::open(bytes.clone(), ReadOptions::default()).unwrap();
    let needed = |name: &str| name.starts_with("model.layers.3.") || name == "lm_head.weight";
    for row in reader.rows("model").unwrap() {
        let entry = reader.resolve(row).unwrap();
        if entry.tensor().is_some() && !needed(entry.name()) {
            for span in entry.content().get().spans(0) {
                bytes[span.payload.start as usize..span.payload.end as usize].fill(0xee);
            }
        }
    }
    place.write("model.mcodec", &bytes);
    place.run(&["verify", "model.mcodec"]).with(1);
    place.run(&["decode", "model.mcodec", "-o", "all"]).refused(1, &["checksum"]);
    place.run(&["decode", "model.mcodec", "-o", "q.safetensors", "--tensor", "model.layers.3.*"]).done();
    let wanted: Vec<_> = all.iter().filter(|t| t.0.starts_with("model.layers.3.")).cloned().collect();
    assert!(tensors_of(&place.read("q.safetensors")) == wanted);
    place
        .run(&["decode", "model.mcodec", "-o", "r.npy", "--tensor", "lm_head.weight", "--rows", "1..2"])
        .done();
    place.run(&["decode", "model.mcodec", "-o", "x.npy", "--tensor", "model.layers.2.*norm.weight"]).with(2);
    let one = ["decode", "model.mcodec", "-o", "x.npy", "--tensor", "model.layers.2.input_layernorm.weight"];
    place.run(&one).refused(1, &["model.layers.2.input_layernorm.weight", "checksum"]);
    assert!(!place.has("all") && !place.has("x.npy"));
}

#[test]
fn rows_of_a_long_tensor_touch_only_their_chunks() {
    let place = Workplace::new();
    let bytes = Noise(4).bf16(4096 * 512);
    let file = place
        .encoded("m.safetensors", &safetensors(None, &[tensor("t", "BF16", &[4096, 512], bytes.clone())]));
    let mut coded = place.read(&file);
    let reader = Reader::open(coded.clone(), ReadOptions::default()).unwrap();
    let spans: Vec<_> = reader.tensor("m", "t").unwrap().content().get().spans(0).collect();
    assert!(spans.len() > 8);
    // Chunks of 256 KiB hold 256 rows: rows 1000..1030 are in the fourth and the fifth.
    for (i, span) in spans.iter().enumerate().filter(|(i, _)| ![3, 4].contains(i)) {
        coded[span.payload.start as usize + i] ^= 1;
    }
    place.write(&file, &coded);
    place.run(&["decode", &file, "-o", "rows.npy", "--tensor", "t", "--rows", "1000..1030"]).done();
    assert!(npy(&place.read("rows.npy")).2 == bytes[1000 * 1024..1030 * 1024]);
    place.run(&["decode", &file, "-o", "x.npy", "--tensor", "t", "--rows", "0..1"]).refused(1, &["\"t\""]);
}

#[test]
fn what_is_not_there_is_said_helpfully() {
    let (place, _) = moe();
    let unknown = place.run(&["decode", "model.mcodec", "-o", "x.npy", "--tensor", "lm_head.weigth"]);
    unknown.refused(1, &["\"lm_head.weigth\"", "no tensor", "\"model\""]);
    place.run(&["decode", "model.mcodec", "-o", "x", "--asset", "nope"]).refused(1, &["\"nope\""]);
    place.run(&["decode", "model.mcodec", "-o", "x", "--record", "nope"]).refused(1, &["\"nope\""]);
    place
        .run(&["decode", "model.mcodec", "-o", "x.txt", "--tensor", "lm_head.weight"])
        .refused(2, &["--format"]);
    place.run(&["decode", "model.mcodec", "-o", "x.npy", "--tensor", "[a"]).refused(2, &["[a", "pattern"]);
    assert_eq!(place.everything().len(), 1);
}
