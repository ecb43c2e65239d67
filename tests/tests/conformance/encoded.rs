//! Files as the encoder makes them.

use crate::vector::{Expect, Vector};
use mcodec_encode::{Attachment, EncodeOptions, Output, append, attach, detach, encode_path};
use mcodec_tests::files::{finished, streaming};
use mcodec_tests::inputs::{Noise, moe_tiny, safetensors, tensor};
use std::fs;
use std::path::Path;

fn options() -> EncodeOptions {
    let mut options = EncodeOptions::default();
    options.chunk_len = 512;
    options.threads = 1;
    options
}

fn weights(seed: u64) -> Vec<u8> {
    let mut noise = Noise(seed);
    let tied = noise.bf16(300);
    safetensors(
        None,
        &[
            tensor("head.bias", "F32", &[3], vec![0; 12]),
            tensor("embed.weight", "BF16", &[30, 10], tied.clone()),
            tensor("head.weight", "BF16", &[30, 10], tied),
            tensor("scale", "BF16", &[], noise.bf16(1)),
        ],
    )
}

pub fn all() -> Vec<Vector> {
    let dir = tempfile::tempdir().expect("folder is made");
    let dir = dir.path();
    let read = |path: &Path| fs::read(path).expect("file is there");
    let canonical = read(&finished(dir, "canonical.safetensors", &weights(1), None, &options()));
    let mut mappable = options();
    mappable.mappable = true;
    let mapped = read(&finished(dir, "mapped.safetensors", &weights(2), None, &mappable));
    let streamed = streaming(dir, &weights(3), &options());
    let stream = read(&streamed);
    append_small(&streamed, dir, "later");
    let appended_stream = read(&streamed);
    let appended = generations(dir);
    let mut torn = read(&appended);
    let newer = usize::from(read_generation(&torn, 32) < read_generation(&torn, 64));
    torn[32 + 32 * newer + 9] ^= 0x40;
    let expect = Expect { warnings: &["is damaged"], damage: &["is damaged"], ..Expect::default() };
    let note = finished(dir, "note.bin", &Noise(9).bytes(200), None, &options());
    vec![
        Vector::encoded("e_canonical", "a canonical safetensors file with tied tensors", canonical),
        Vector::encoded("e_mappable", "tensors to be mapped: raw, gathered, aligned", mapped),
        Vector::encoded("e_streaming", "streaming form", stream),
        Vector::encoded("e_streaming_appended", "streaming form, then a second generation", appended_stream),
        Vector::encoded(
            "e_generations",
            "five generations: an asset appended, two records attached, one detached",
            read(&appended),
        ),
        Vector {
            expect,
            ..Vector::encoded("x_torn_slot", "the newer slot is torn: the older generation is read", torn)
        },
        Vector::encoded("e_blob", "an opaque file", read(&note)),
        Vector::encoded("e_folder", "a folder of shards and side files", folder(dir)),
    ]
}

fn read_generation(file: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]])
}

fn append_small(target: &Path, dir: &Path, name: &str) {
    let more = dir.join(format!("{name}.safetensors"));
    fs::write(&more, safetensors(None, &[tensor("w", "I8", &[4], vec![1, 2, 3, 4])]))
        .expect("input is written");
    append(target, &more, None, &options()).expect("asset is appended");
}

fn generations(dir: &Path) -> std::path::PathBuf {
    let bytes = safetensors(Some(r#"{"a":"b"}"#), &[tensor("x", "U8", &[2, 2], vec![9, 8, 7, 6])]);
    let path = finished(dir, "first.safetensors", &bytes, None, &options());
    append_small(&path, dir, "second");
    for name in ["eval", "notes"] {
        let attachment = Attachment {
            name,
            asset: Some("first"),
            schema: "json",
            required: false,
            json: br#"{"score":1}"#,
            tensors: None,
        };
        attach(&path, &attachment, &options()).expect("record is attached");
    }
    detach(&path, Some("first"), "eval", &options()).expect("record is detached");
    path
}

fn folder(dir: &Path) -> Vec<u8> {
    let folder = dir.join("folder");
    fs::create_dir(&folder).expect("folder is made");
    let file = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("input is written");
    file("config.json", br#"{"layers":2}"#);
    file(
        "model.safetensors",
        &safetensors(
            Some(r#"{"format":"pt"}"#),
            &[tensor("b", "F16", &[2], vec![0, 60, 0, 64]), tensor("a", "F8_E4M3", &[3], vec![1, 2, 3])],
        ),
    );
    let path = dir.join("folder.mcodec");
    let output = Output::File { path: path.clone(), force: false };
    encode_path(&folder, None, output, &options()).expect("folder is encoded");
    fs::read(path).expect("file is there")
}

/// A model of f32 with every third element moved by up to `most` last places, and one in a hundred by much more.
fn stepped(file: &[u8], most: u32) -> Vec<u8> {
    let mut noise = Noise(u64::from(most));
    let mut out = file.to_vec();
    let head = 8 + u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize;
    for element in out[head..].as_chunks_mut::<4>().0 {
        let by = match noise.word() % 300 {
            0..3 => noise.word() as u32 & 0xFF_FFFF,
            3..100 => noise.word() as u32 % (most << 9),
            _ => continue,
        };
        *element = u32::from_le_bytes(*element).wrapping_add(by).to_le_bytes();
    }
    out
}

/// Encodes the committed models into `dir`: finished, streaming, appended, mappable.
pub fn write_models(dir: &Path) {
    let input = dir.join("input");
    fs::create_dir(&input).expect("folder is made");
    let encode = |from: &Path, name: &str, options: &EncodeOptions| {
        let path = dir.join(name);
        let output = Output::File { path: path.clone(), force: false };
        encode_path(from, None, output, options).expect("model is encoded");
        path
    };
    let moe = encode(&moe_tiny(), "moe.mcodec", &EncodeOptions::default());
    let fracast = moe_tiny().join("../models/fracast.f32.safetensors");
    encode(&fracast, "fracast.mcodec", &EncodeOptions::default());
    let mut mappable = EncodeOptions::default();
    mappable.mappable = true;
    encode(&fracast, "mapped.mcodec", &mappable);
    append(&moe, &fracast, None, &EncodeOptions::default()).expect("model is appended");
    // A model of the sizes and steps of the real one, told against another of the same file, and against another file.
    let (older, newer) = (input.join("older.safetensors"), input.join("newer.safetensors"));
    fs::write(&older, stepped(&fs::read(&fracast).expect("model is read"), 1)).expect("input is written");
    fs::write(&newer, stepped(&fs::read(&fracast).expect("model is read"), 9)).expect("input is written");
    let run = encode(&fracast, "run.mcodec", &EncodeOptions::default());
    append(&run, &older, None, &EncodeOptions::default()).expect("model is appended");
    append(&run, &newer, None, &EncodeOptions::default()).expect("model is appended");
    let mut against = EncodeOptions::default();
    against.effort = 9;
    against.bases = mcodec_encode::open_bases(&[run], Some("older"), &against).expect("base is opened");
    encode(&newer, "delta.mcodec", &against);
    let gguf = input.join("every-type.gguf");
    fs::write(&gguf, mcodec_tests::gguf::every_type(20, 1).to_bytes()).expect("input is written");
    encode(&gguf, "gguf.mcodec", &EncodeOptions::default());
    let bytes = fs::read(&fracast).expect("model is read");
    let stream = streaming(&input, &bytes, &EncodeOptions::default());
    fs::rename(stream, dir.join("stream.mcodec")).expect("file is moved");
}
