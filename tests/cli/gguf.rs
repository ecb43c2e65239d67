//! GGUF files: round trip, rows as blocks and as f32, metadata, comparison.

use crate::workplace::Workplace;
use mcodec_decode::dequantise;
use mcodec_format::registry::{BLOCKS, Dtype};
use mcodec_tests::gguf::{Gguf, Meta, every_type, random_blocks};
use mcodec_tests::inputs::Noise;
use std::path::Path;

fn place() -> (Workplace, Gguf) {
    let place = Workplace::new();
    let file = every_type(9, 7);
    place.write("m.gguf", file.to_bytes());
    place.run(&["encode", "m.gguf", "-o", "m.mcodec"]).done();
    (place, file)
}

#[test]
fn every_type_comes_back_through_files_and_pipes() {
    let (place, file) = place();
    let original = file.to_bytes();
    place.run(&["decode", "m.mcodec", "-o", "back.gguf"]).done();
    assert!(place.read("back.gguf") == original);
    place.run(&["verify", "--deep", "m.mcodec"]).done();
    // In streaming form, decoded as it arrives.
    let streamed = place.feed(&["encode", "-", "-o", "-"], &original).done().out;
    let back = place.feed(&["decode", "-", "-o", "-"], &streamed).done().out;
    assert!(back == original);
    place.run(&["encode", "m.mcodec", "-o", "again.mcodec", "-e9"]).done();
    place.run(&["decode", "again.mcodec", "-o", "again.gguf"]).done();
    assert!(place.read("again.gguf") == original);
}

#[test]
fn rows_are_blocks_or_numbers() {
    let (place, file) = place();
    for dtype in BLOCKS {
        let tensor = file.tensors.iter().find(|t| t.name.ends_with(&format!(".{}", dtype.name))).unwrap();
        let row = tensor.bytes.len() / 9;
        let wanted = &tensor.bytes[row * 4..row * 6];
        let select = ["--tensor", &tensor.name, "--rows", "4..6"];
        let decode = |more: &[&str], out: &str| {
            place.run(&[&["decode", "m.mcodec", "-f", "-o", out], &select[..], more].concat()).done();
            place.read(out)
        };
        assert!(decode(&[], "rows.bin") == wanted);
        assert!(decode(&["--as", "blocks"], "rows.npy").ends_with(wanted));
        let mut numbers = vec![0f32; wanted.len() / (dtype.bits as usize / 8) * dtype.block as usize];
        dequantise(dtype, wanted, &mut numbers).unwrap();
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let array = decode(&["--as", "f32"], "rows.npy");
        let head = String::from_utf8_lossy(&array[10..128]).into_owned();
        assert!(head.contains("'<f4'") && head.contains(&format!("(2, {})", dtype.block * 2)), "{head}");
        // NaN has many forms, and they come out as they are.
        assert!(array.ends_with(&bytes), "{}", dtype.name);
    }
    // Halves and brain floats are widened; all of a selection in a safetensors file.
    place.run(&["decode", "m.mcodec", "-o", "f.safetensors", "--as", "f32", "--tensor", "[FB]*"]).with(2);
    place
        .run(&[
            "decode",
            "m.mcodec",
            "-o",
            "f.safetensors",
            "--as",
            "f32",
            "--tensor",
            "BF16",
            "--tensor",
            "blk.34.*",
        ])
        .done();
    let tensors = crate::small_models::tensors_of(&place.read("f.safetensors"));
    assert_eq!(tensors.len(), 2);
    assert_eq!((tensors[0].1.clone(), tensors[0].2.len()), (vec![1, 9, 7], 9 * 7 * 4));
    assert_eq!((tensors[1].1.clone(), tensors[1].2.len()), (vec![9, 64], 9 * 64 * 4));
    let refused = place.run(&["decode", "m.mcodec", "-o", "i.npy", "--as", "f32", "--tensor", "I32"]).with(2);
    assert!(refused.err.contains("has no f32 form"), "{}", refused.err);
}

#[test]
fn only_the_chunks_of_the_rows_are_read() {
    let place = Workplace::new();
    let dtype = Dtype::by_name("Q4_K").unwrap();
    let mut file = Gguf::default();
    file.add("w", 12, &[1024, 4096], random_blocks(dtype, 4 * 4096, &mut Noise(1)));
    place.write("big.gguf", file.to_bytes());
    place.run(&["encode", "big.gguf", "-o", "big.mcodec"]).done();
    let reader = mcodec_decode::Reader::open(
        std::fs::File::open(place.path("big.mcodec")).unwrap(),
        mcodec_decode::ReadOptions::default(),
    )
    .unwrap();
    let entry = reader.tensor("big", "w").unwrap();
    let plan = reader.plan(&entry, entry.row_bytes(2000..2001).unwrap()).unwrap();
    assert_eq!(plan.chunks.len(), 1);
    let bytes: u64 = plan.reads.iter().map(|r| r.end - r.start).sum();
    assert!(bytes <= 256 << 10, "{bytes}");
}

#[test]
fn info_shows_metadata() {
    let (place, _) = place();
    let shown = place.run(&["info", "m.mcodec"]).done();
    let text = shown.text();
    for part in [
        "GGUF version 3, architecture test, tokenizer gpt2",
        "tokenizer.ggml.tokens = 4 of string: [",
        "\\u{1b}[31m",
        "test.f64 = 1e300",
        "general.alignment = 64",
        "file \"m.gguf\": pieces",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\u{1b}'));
    let json = place.run(&["info", "--json", "m.mcodec"]).done().json();
    let gguf = &json["assets"][0]["gguf"];
    assert_eq!((&gguf["version"], &gguf["architecture"]), (&3.into(), &"test".into()));
    assert_eq!(gguf["metadata"][2], serde_json::json!({"key": "test.u8", "value": "250"}));
    let ledger = place.run(&["info", "--ledger", "m.mcodec"]).done();
    assert!(!ledger.text().contains("not looked into") && !ledger.text().contains("unread"));
}

#[test]
fn two_files_are_compared_tensor_by_tensor() {
    let (place, mut file) = place();
    place.run(&["diff", "m.gguf", "m.mcodec"]).done();
    file.tensors[3].bytes[5] ^= 1;
    let name = file.tensors[3].name.clone();
    file.metadata.retain(|(key, _)| key != b"test.u8");
    let file = file.with("test.new", Meta::u32(5));
    place.write("n.gguf", file.to_bytes());
    place.run(&["encode", "n.gguf", "-o", "n.mcodec"]).done();
    for (a, b) in [("m.gguf", "n.gguf"), ("m.mcodec", "n.gguf"), ("m.mcodec", "n.mcodec")] {
        let report = place.run(&["diff", "--json", a, b]).with(4).json();
        let pair = &report["pairs"][0];
        let content = pair["content"].as_array().unwrap();
        assert_eq!(content.len(), 1, "{a} {b}: {report}");
        assert!(content[0].to_string().contains(&name), "{report}");
        let structure = pair["structure"].to_string();
        assert!(structure.contains("test.u8 = 250") && structure.contains("test.new = 5"), "{structure}");
    }
}

#[test]
fn a_malformed_file_is_refused_by_name_unless_it_is_a_blob() {
    let place = Workplace::new();
    let mut bytes = every_type(1, 1).to_bytes();
    bytes.truncate(2000);
    place.write("cut.gguf", &bytes);
    let refused = place.run(&["encode", "cut.gguf", "-o", "cut.mcodec"]).with(1);
    assert!(refused.err.contains("cut.gguf") && refused.err.contains("2000"), "{}", refused.err);
    assert!(!place.has("cut.mcodec"));
    place.run(&["encode", "--as", "blob", "cut.gguf", "-o", "cut.mcodec"]).done();
    place.run(&["decode", "cut.mcodec", "-o", "cut"]).done();
    assert!(place.read("cut") == bytes);
}

#[test]
fn a_folder_becomes_a_gguf_file() {
    let place = Workplace::new();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/moe-tiny");
    place.run(&["encode", model.to_str().unwrap(), "-e1", "-o", "m"]).done();
    place.run(&["decode", "m", "--to", "gguf", "--dtype", "bf16", "-o", "x.gguf"]).done();
    place.run(&["encode", "x.gguf", "-e1", "-o", "y"]).done();
    let raw = |file: &str, name: &str| {
        place.run(&["decode", file, "--tensor", name, "--format", "raw", "-o", "-", "--quiet"]).done().out
    };
    assert!(raw("y", "token_embd.weight") == raw("m", "model.embed_tokens.weight"));
    assert!(raw("y", "blk.2.attn_v.weight") == raw("m", "model.layers.2.self_attn.v_proj.weight"));
    let expert = |e: usize| raw("m", &format!("model.layers.1.block_sparse_moe.experts.{e}.w3.weight"));
    assert!(raw("y", "blk.1.ffn_up_exps.weight") == (0..16).flat_map(expert).collect::<Vec<u8>>());
    // Two key heads of 32 rows of 192 numbers of 2 bytes; row 1 is that half a head below.
    let (old, new) = (raw("m", "model.layers.0.self_attn.k_proj.weight"), raw("y", "blk.0.attn_k.weight"));
    let row = |bytes: &[u8], at: usize| bytes[at * 384..(at + 1) * 384].to_vec();
    for (to, from) in [(0, 0), (1, 16), (2, 1), (31, 31), (32, 32), (33, 48)] {
        assert!(row(&new, to) == row(&old, from), "{to}");
    }
    let norm = raw("y", "blk.3.ffn_norm.weight");
    let halves = raw("m", "model.layers.3.post_attention_layernorm.weight");
    assert!(norm == halves.chunks(2).flat_map(|h| [0, 0, h[0], h[1]]).collect::<Vec<u8>>());
    place.run(&["decode", "m", "--to", "gguf", "-o", "q.gguf"]).done();
    let info = place.run(&["info", "y", "--json"]).done().json();
    assert!(info.to_string().contains("blk.0.ffn_gate_inp.weight"), "{info}");
    let (whole, small) = (place.read("x.gguf").len(), place.read("q.gguf").len());
    assert!(small < whole * 55 / 100, "{small} {whole}");
    place.write("plain.bin", "no model");
    place.run(&["encode", "plain.bin", "-o", "b"]).done();
    place.run(&["decode", "b", "--to", "gguf", "-o", "z"]).refused(2, &["models"]);
    assert!(!place.has("z"));
}
