//! Levels of precision of latents, and that what is decoded does not depend on the order of groups, on threads, or on vector instructions.

use mcodec_coding::labelled::Level as Instructions;
use mcodec_decode::latents::{Fidelity, TrackPart, levels_of, read_track};
use mcodec_decode::{ReadOptions, Reader, verify};
use mcodec_encode::latents::{LatentsOptions, Levels, Precision, encode_latents};
use mcodec_encode::{EncodeOptions, Output};
use mcodec_format::registry;
use mcodec_tests::counting::{Counting, bytes_of};
use mcodec_tests::inputs::{Tensor, safetensors, tensor};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const SHAPE: [usize; 4] = [6, 6, 16, 24];

/// Waves that move, with noise, as elements of a type.
fn clip(dtype: &str) -> Tensor {
    let [frames, channels, height, width] = SHAPE;
    let value = |i: usize| {
        let (x, y, c, t) =
            (i % width, i / width % height, i / width / height % channels, i / width / height / channels);
        let noise = ((i * 2_654_435_761) >> 7) % 1000;
        ((x as f32 + 1.7 * t as f32) * 0.9 + c as f32).sin() * 2.0 - (y as f32 * 0.6).cos()
            + noise as f32 / 1500.0
    };
    let of = |i: usize| match dtype {
        "F32" => value(i).to_le_bytes().to_vec(),
        _ => value(i).to_le_bytes()[2..].to_vec(),
    };
    let bytes = (0..frames * channels * height * width).flat_map(of).collect();
    tensor("x", dtype, &SHAPE.map(|n| n as u64), bytes)
}

fn encoded(dir: &Path, clip: &Tensor, latents: &LatentsOptions, effort: u8, threads: usize) -> PathBuf {
    let (input, path) = (dir.join("clip.safetensors"), dir.join("clip.mcodec"));
    fs::write(&input, safetensors(None, std::slice::from_ref(clip))).expect("written");
    let mut options = EncodeOptions::default();
    (options.effort, options.threads) = (effort, threads);
    let output = Output::File { path: path.clone(), force: true };
    encode_latents(&input, latents, output, &options).expect("it is encoded");
    path
}

fn open(path: &Path, threads: usize) -> Reader<Counting<File>> {
    let source = Counting::new(File::open(path).expect("file"));
    Reader::open(source, ReadOptions::default().threads(threads)).expect("file opens")
}

fn values(dtype: &str, bytes: &[u8]) -> Vec<f64> {
    let float = |b: &[u8]| match dtype {
        "F32" => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        _ => f32::from_le_bytes([0, 0, b[0], b[1]]),
    };
    bytes.chunks(if dtype == "F32" { 4 } else { 2 }).map(|b| float(b).into()).collect()
}

fn part(fidelity: Fidelity, frames: Option<std::ops::Range<u64>>) -> TrackPart {
    TrackPart { fidelity, frames, ..TrackPart::default() }
}

#[test]
fn a_track_is_read_at_any_of_its_levels() {
    let dir = tempfile::tempdir().expect("folder");
    for (dtype, precision, effort) in [
        ("BF16", Precision::Lossless, 9),
        ("F32", Precision::Lossless, 7),
        ("BF16", Precision::Step(0.0625), 9),
        ("BF16", Precision::Step(0.0625), 5),
    ] {
        let clip = clip(dtype);
        let latents =
            LatentsOptions { progressive: Some(4), precision, group: Some(2), ..LatentsOptions::default() };
        let path = encoded(dir.path(), &clip, &latents, effort, 2);
        let reader = open(&path, 2);
        assert!(verify(&reader, true).expect("file is read").damage.is_empty());
        let entry = reader.entry("clip", registry::entry::TENSOR, "x").expect("an entry");
        assert_eq!(levels_of(&entry).len(), 4);
        let whole = read_track(&reader, &entry, &TrackPart::default()).expect("it is read");
        assert_eq!(precision == Precision::Lossless, whole.bytes == clip.bytes, "{dtype}");
        let source = values(dtype, &clip.bytes);
        let (mut read, mut last) = (0, f64::INFINITY);
        for level in 0..4 {
            reader.source().take();
            let coarse =
                read_track(&reader, &entry, &part(Fidelity::Level(level), Some(2..4))).expect("it is read");
            let bytes = bytes_of(&reader.source().take());
            // What lies in the first read of the file is not read again.
            assert!(bytes >= read, "{level}: {bytes} after {read}");
            let all = read_track(&reader, &entry, &part(Fidelity::Level(level), None)).expect("it is read");
            let frame = clip.bytes.len() / 6;
            assert!(coarse.bytes == all.bytes[2 * frame..4 * frame], "{level}");
            let pairs = source.iter().zip(values(dtype, &all.bytes));
            let error = pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
            assert!(error < last || error == 0.0, "{dtype} {level}: {error} after {last}");
            (read, last) = (bytes, error);
        }
        // The coarsest is a small part of what is stored.
        let stored = |entry: &mcodec_decode::Entry| -> u64 {
            entry.row().spans(0).map(|span| span.payload.end - span.payload.start).sum()
        };
        let sizes: Vec<u64> = levels_of(&entry).iter().map(stored).collect();
        assert!(sizes[0] * 2 < sizes.iter().sum::<u64>(), "{sizes:?}");
        let all = read_track(&reader, &entry, &part(Fidelity::Level(9), None)).expect("it is read");
        assert!(all == whole);
    }
    // A track without levels has none.
    let path = encoded(dir.path(), &clip("BF16"), &LatentsOptions::default(), 5, 1);
    let reader = open(&path, 1);
    let entry = reader.entry("clip", registry::entry::TENSOR, "x").expect("an entry");
    let refused = read_track(&reader, &entry, &part(Fidelity::Level(0), None)).expect_err("refused");
    assert!(refused.to_string().contains("no levels of precision"));
}

/// The groups of a track, each read by itself, in an order that is not theirs.
fn by_groups(reader: &Reader<Counting<File>>, name: &str, order: &[u64]) -> Vec<Vec<u8>> {
    let entry = reader.entry("clip", registry::entry::TENSOR, name).expect("an entry");
    let mut groups = vec![Vec::new(); order.len()];
    for &at in order {
        let frames = Some(2 * at..2 * at + 2);
        groups[at as usize] =
            read_track(reader, &entry, &part(Fidelity::Whole, frames)).expect("it is read").bytes;
    }
    groups
}

#[test]
fn order_threads_and_instructions_change_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let group = Some(2);
    let base = LatentsOptions { group, ..LatentsOptions::default() };
    let floats = clip("BF16");
    let codes: Vec<u8> = (0..6 * 6 * 8 * 4).map(|i| ((i * 7 / 5) % 200) as u8).collect();
    let tokens = tensor("x", "U8", &[6, 6, 8, 4], codes);
    let kinds = [
        (&floats, base.clone()),
        (&floats, LatentsOptions { precision: Precision::Step(0.125), ..base.clone() }),
        (&floats, LatentsOptions { quantise: Some(vec![8, 5]), ..base.clone() }),
        (&floats, LatentsOptions { progressive: Some(3), ..base.clone() }),
        (&tokens, LatentsOptions { are_tokens: true, tokens: Some(Levels::Vocabulary(200)), ..base.clone() }),
        (&tokens, LatentsOptions { are_tokens: true, tokens: Some(Levels::Fsq(vec![5, 8, 5])), ..base }),
    ];
    let best = Instructions::detect();
    for (at, (clip, latents)) in kinds.iter().enumerate() {
        for effort in [5, 7, 9] {
            let mut first: Option<(Vec<u8>, Vec<Vec<u8>>)> = None;
            for instructions in [Instructions::Scalar, best] {
                instructions.cap();
                for (threads, order) in [(1, [0u64, 1, 2]), (2, [2, 0, 1]), (8, [1, 2, 0])] {
                    let path = encoded(dir.path(), clip, latents, effort, threads);
                    let file = fs::read(&path).expect("file");
                    let groups = by_groups(&open(&path, threads), "x", &order);
                    match &first {
                        None => first = Some((file, groups)),
                        Some((same_file, same)) => {
                            assert!(*same_file == file, "kind {at}, effort {effort}: files differ");
                            assert!(*same == groups, "kind {at}, effort {effort}: groups differ");
                        }
                    }
                }
            }
        }
    }
}
