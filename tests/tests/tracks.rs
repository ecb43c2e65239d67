//! Tracks of latents: several in one asset, on lines of time, with tokens that they refine; what is read of them, and from where they come.

use mcodec_decode::latents::{TrackArray, TrackPart, describe_track, read_track, read_track_to};
use mcodec_decode::{Entry, ReadAt, ReadOptions, Reader, verify};
use mcodec_encode::latents::{
    LatentsOptions, Levels, Precision, TrackOptions, append_latents, encode_latents,
};
use mcodec_encode::{EncodeOptions, Output};
use mcodec_format::registry;
use mcodec_tests::counting::Counting;
use mcodec_tests::inputs::{Tensor, safetensors, tensor};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Smooth values that move, as bf16.
fn wave(t: usize, c: usize, y: usize, x: usize) -> f32 {
    let at = (x * 3 + t * 5 + c) % 11;
    at as f32 * 0.23 - ((y * 2 + t + 3 * c) % 7) as f32 * 0.31
        + ((x * 37 + y * 11 + c * 5) % 64) as f32 / 512.0
}

fn grid(name: &str, [frames, channels, height, width]: [usize; 4], dtype: &str) -> Tensor {
    let mut bytes = Vec::new();
    for t in 0..frames {
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    let value = wave(t, c, y, x);
                    match dtype {
                        "F32" => bytes.extend(value.to_le_bytes()),
                        "BF16" => bytes.extend(&value.to_le_bytes()[2..]),
                        // None of these is no number.
                        _ => bytes.push((value * 20.0) as i8 as u8 & 0xf6),
                    }
                }
            }
        }
    }
    tensor(name, dtype, &[frames, channels, height, width].map(|d| d as u64), bytes)
}

fn encoded(dir: &Path, input: &Path, latents: &LatentsOptions, effort: u8) -> PathBuf {
    let path = dir.join("out.mcodec");
    let output = Output::File { path: path.clone(), force: true };
    encode_latents(input, latents, output, &at_effort(effort)).expect("latents are encoded");
    path
}

fn at_effort(effort: u8) -> EncodeOptions {
    let mut options = EncodeOptions::default();
    options.effort = effort;
    options
}

fn open(path: &Path) -> Reader<File> {
    Reader::open(File::open(path).expect("file is there"), ReadOptions::default()).expect("file opens")
}

fn track<S: ReadAt>(reader: &Reader<S>, asset: &str, name: &str) -> (Entry, TrackArray) {
    let entry = reader.entry(asset, registry::entry::TENSOR, name).expect("the track is there");
    let array = read_track(reader, &entry, &TrackPart::default()).expect("the track is read");
    (entry, array)
}

fn written(dir: &Path, name: &str, tensors: &[Tensor]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, safetensors(None, tensors)).expect("input is written");
    path
}

fn specs(all: &[&str]) -> Vec<TrackOptions> {
    all.iter().map(|text| TrackOptions::parse(text).expect("a track")).collect()
}

fn is_same(array: &TrackArray, source: &Tensor) -> bool {
    array.shape == source.shape && array.bytes == source.bytes
}

#[test]
fn named_tracks_come_back_and_one_is_one_request() {
    let dir = tempfile::tempdir().expect("folder is made");
    let folder = dir.path().join("set");
    fs::create_dir(&folder).expect("folder is made");
    let moments = Tensor { shape: vec![8, 32, 32], ..grid("moments", [1, 8, 32, 32], "F32") };
    let semantics = Tensor { shape: vec![16, 8, 8], ..grid("semantics", [1, 16, 8, 8], "BF16") };
    let global = Tensor { shape: vec![96], ..grid("cls", [1, 96, 1, 1], "F32") };
    let small = Tensor { shape: vec![4, 5, 3], ..grid("small", [1, 4, 5, 3], "F8_E4M3") };
    let beside = tensor("size", "I64", &[2], vec![7; 16]);
    let all = [moments, semantics, global, small, beside];
    for n in 0..3 {
        written(&folder, &format!("s{n}.safetensors"), &all);
    }
    let statistics = |channels: usize| {
        let path = dir.path().join(format!("{channels}.json"));
        let list = |x: f32| vec![x.to_string(); channels].join(",");
        fs::write(&path, format!("{{\"mean\":[{}],\"std\":[{}]}}", list(0.5), list(2.0)))
            .expect("statistics");
        path.display().to_string()
    };
    let vae = format!("vae=moments:CHW,role=distribution,normalised=no,stats={}", statistics(8));
    let sem = format!("sem=semantics:CHW,normalised=yes,step=0.25,stats={}", statistics(16));
    let latents = LatentsOptions { tracks: specs(&[&vae, &sem, "cls=cls:C"]), ..LatentsOptions::default() };
    for effort in [5, 9] {
        let path = encoded(dir.path(), &folder, &latents, effort);
        let reader = open(&path);
        assert!(verify(&reader, true).expect("file is read").damage.is_empty());
        for (source, name) in all.iter().zip(["vae", "sem", "cls", "small", "size"]) {
            let (_, array) = track(&reader, "s1", name);
            assert!(name == "sem" || is_same(&array, source), "{name}");
            assert_eq!(array.shape, source.shape);
        }
        let (entry, _) = track(&reader, "s2", "vae");
        let (about, shape) = describe_track(&entry).expect("a track");
        assert_eq!((about.role.as_deref(), about.key.as_deref()), (Some("distribution"), Some("moments")));
        assert_eq!((about.normalisation.map(|n| n.applied), shape), (Some(false), [1, 8, 32, 32]));
        // Statistics are there once for all samples.
        let objects: usize = ["s0", "s1", "s2"]
            .iter()
            .flat_map(|asset| reader.rows(asset).expect("rows"))
            .filter(|row| row.get().kind == registry::entry::STATISTICS)
            .count();
        assert_eq!(objects, 2);

        let counting = Counting::new(File::open(&path).expect("file"));
        let reader = Reader::open(counting, ReadOptions::default()).expect("file opens");
        reader.entry("s1", registry::entry::TENSOR, "vae").expect("the index is read");
        reader.source().take();
        let (_, array) = track(&reader, "s1", "vae");
        assert!(is_same(&array, &all[0]));
        assert_eq!(reader.source().take().len(), 1, "one request for one track");
    }
}

#[test]
fn a_first_frame_may_have_a_finer_grid() {
    let dir = tempfile::tempdir().expect("folder is made");
    let tokens = |name: &str, [t, h, w, k]: [usize; 4]| {
        let bytes = (0..t * h * w * k).flat_map(|i| ((i * 31 % 64_000) as u16).to_le_bytes()).collect();
        tensor(name, "U16", &[t, h, w, k].map(|d| d as u64), bytes)
    };
    let (first, rest) = (tokens("first", [1, 8, 10, 2]), tokens("rest", [4, 4, 5, 2]));
    let input = written(dir.path(), "clip.safetensors", &[first.clone(), rest.clone()]);
    let levels = dir.path().join("two.levels.json");
    fs::write(&levels, "[[8,8,8,5,5,5],[40,40,40]]").expect("levels");
    let latents = LatentsOptions { tokens: Some(Levels::FsqFile(levels)), ..LatentsOptions::default() };
    let reader = open(&encoded(dir.path(), &input, &latents, 9));
    assert!(verify(&reader, true).expect("file is read").damage.is_empty());
    for (source, start) in [(&first, 0), (&rest, 1)] {
        let (entry, array) = track(&reader, "clip", &source.name);
        assert!(is_same(&array, source));
        let (about, _) = describe_track(&entry).expect("a track");
        assert_eq!((about.line.as_deref(), about.start), (Some("tokens"), Some(start)));
    }
    let (entry, _) = track(&reader, "clip", "rest");
    let at =
        |frames| read_track(&reader, &entry, &TrackPart { frames: Some(frames), ..TrackPart::default() });
    assert_eq!(at(2..4).expect("frames of the line").bytes, rest.bytes[80..240]);
    assert!(at(0..2).is_err() && at(4..6).is_err());
    let named =
        LatentsOptions { tracks: specs(&["v=first+rest:THWK,fsq=8x8x8x5x5x5"]), ..LatentsOptions::default() };
    let reader = open(&encoded(dir.path(), &input, &named, 5));
    assert!(is_same(&track(&reader, "clip", "v.rest").1, &rest));
}

#[test]
fn latents_refine_tokens_that_they_are_quantised_to() {
    let dir = tempfile::tempdir().expect("folder is made");
    for dtype in ["BF16", "F32", "F8_E4M3"] {
        let source = grid("clip", [9, 8, 6, 7], dtype);
        let input = written(dir.path(), "clip.safetensors", std::slice::from_ref(&source));
        for (precision, effort, group) in [
            (Precision::Lossless, 5, None),
            (Precision::Lossless, 9, Some(4)),
            (Precision::Step(0.25), 9, Some(2)),
        ] {
            let plain = LatentsOptions { precision, group, ..LatentsOptions::default() };
            let alone = track(&open(&encoded(dir.path(), &input, &plain, effort)), "clip", "clip").1;
            let both = LatentsOptions { quantise: Some(vec![8, 8, 5]), ..plain };
            let path = encoded(dir.path(), &input, &both, effort);
            let reader = open(&path);
            assert!(verify(&reader, true).expect("file is read").damage.is_empty());
            let (entry, array) = track(&reader, "clip", "clip");
            assert!(entry.is_refined());
            assert_eq!(array, alone, "{dtype} {precision:?}");
            assert!(precision != Precision::Lossless || is_same(&array, &source));
            let part = TrackPart { frames: Some(3..6), rows: Some(1..3), ..TrackPart::default() };
            let some = read_track(&reader, &entry, &part).expect("the part is read");
            assert_eq!(some.shape, [3, 8, 2, 7]);
            // Memory of earlier reads is used again, whatever is in it.
            for mut memory in [vec![], vec![7; 3], vec![7; 1 << 16]] {
                let shape = read_track_to(&reader, &entry, &part, &mut memory).expect("the part is read");
                assert!(shape == some.shape && memory == some.bytes);
                reader.read_to(&entry, 0..entry.byte_len(), &mut memory).expect("all is read");
                assert_eq!(memory, array.bytes);
            }
            // Tokens are read by themselves, and are the published quantisation of the source.
            let (tokens, array) = track(&reader, "clip", "clip.tokens");
            assert_eq!((&array.shape[..], tokens.base().is_none()), (&[9, 6, 7, 3][..], true));
            let counting = Counting::new(File::open(&path).expect("file"));
            let reader = Reader::open(counting, ReadOptions::default()).expect("file opens");
            let tokens = reader.entry("clip", registry::entry::TENSOR, "clip.tokens").expect("tokens");
            let chunks = tokens.row().spans(0).map(|s| s.frame.end - s.frame.start).sum::<u64>();
            reader.source().take();
            reader.read_all(&tokens).expect("tokens are read");
            let read: u64 = reader.source().take().iter().map(|r| r.end - r.start).sum();
            assert!(read <= chunks, "{read} of {chunks}");
        }
    }
}

#[test]
fn tokens_beside_latents_are_checked() {
    let dir = tempfile::tempdir().expect("folder is made");
    let latents = grid("latent", [5, 3, 6, 7], "BF16");
    let value = |i: usize| {
        f32::from_bits(u32::from(latents.bytes[2 * i]) << 16 | u32::from(latents.bytes[2 * i + 1]) << 24)
    };
    // Digits by halves of a unit: an interval of numbers each, though not those of finite scalar quantisation.
    let token = |t: usize, p: usize| {
        let digit = |c: usize| ((value((t * 3 + c) * 42 + p) * 2.0).floor() as i32 + 8).clamp(0, 15) as u16;
        digit(0) + 16 * digit(1) + 256 * digit(2)
    };
    let bytes: Vec<u8> = (0..5 * 42).flat_map(|i| token(i / 42, i % 42).to_le_bytes()).collect();
    let tokens = tensor("tokens", "U16", &[5, 6, 7], bytes);
    let mut odd = tokens.clone();
    odd.bytes[100] ^= 5;
    for (tokens, refines) in [(tokens, true), (odd, false)] {
        let input = written(dir.path(), "clip.safetensors", &[latents.clone(), tokens.clone()]);
        let options = LatentsOptions {
            tracks: specs(&["tokens=tokens:THW,fsq=16x16x16"]),
            ..LatentsOptions::default()
        };
        let output = Output::File { path: dir.path().join("both.mcodec"), force: true };
        let report = encode_latents(&input, &options, output, &at_effort(9)).expect("encoded");
        let told = report.notes.iter().any(|note| note.contains("two tracks"));
        let reader = open(&dir.path().join("both.mcodec"));
        let (entry, array) = track(&reader, "clip", "latent");
        let apart = describe_track(&entry).expect("a track").0.apart;
        assert_eq!(apart.as_deref(), (!refines).then_some("tokens"));
        assert_eq!((entry.is_refined(), told), (refines, !refines));
        assert!(is_same(&array, &latents) && is_same(&track(&reader, "clip", "tokens").1, &tokens));
    }
}

/// A tar of one member after another.
fn tar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in members {
        let mut head = [0u8; 512];
        head[..name.len()].copy_from_slice(name.as_bytes());
        head[100..107].copy_from_slice(b"0000644");
        head[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        head[156] = b'0';
        head[257..263].copy_from_slice(b"ustar\0");
        head[148..156].fill(b' ');
        let sum: u32 = head.iter().map(|&b| u32::from(b)).sum();
        head[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
        head[154] = 0;
        out.extend(head);
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend([0; 1024]);
    out
}

#[test]
fn samples_of_a_tar_are_clips() {
    let dir = tempfile::tempdir().expect("folder is made");
    let clip = grid("clip", [2, 3, 4, 5], "BF16");
    let other = grid("other", [1, 4, 4, 4], "F32");
    let file = |t: &Tensor| safetensors(None, std::slice::from_ref(t));
    let members = [
        ("a/000.latent.safetensors", file(&clip)),
        ("a/000.json", b"{}".to_vec()),
        ("a/000.more.safetensors", file(&other)),
        ("a/001.latent.safetensors", file(&clip)),
    ];
    let input = dir.path().join("shard.tar");
    fs::write(&input, tar(&members)).expect("tar is written");
    let reader = open(&encoded(dir.path(), &input, &LatentsOptions::default(), 5));
    assert_eq!(reader.assets().expect("assets").len(), 2);
    assert!(is_same(&track(&reader, "a/000", "latent").1, &clip));
    assert!(is_same(&track(&reader, "a/000", "more").1, &other));
    let whole = tar(&members);
    let mut damaged = whole.clone();
    damaged[10] ^= 1;
    for broken in [damaged, whole[..700].to_vec()] {
        fs::write(&input, broken).expect("tar is written");
        let output = Output::File { path: dir.path().join("no.mcodec"), force: true };
        let refused = encode_latents(&input, &LatentsOptions::default(), output, &EncodeOptions::default());
        assert!(refused.expect_err("it is refused").to_string().contains("shard.tar"));
    }
}

#[test]
fn one_of_a_thousand_clips_is_two_reads_and_clips_are_appended() {
    let dir = tempfile::tempdir().expect("folder is made");
    let folder = dir.path().join("clips");
    fs::create_dir(&folder).expect("folder is made");
    let clip = |n: usize| {
        let mut clip = grid("x", [40, 2, 3, 3], "BF16");
        let len = clip.bytes.len();
        clip.bytes.rotate_left(2 * n % len);
        clip
    };
    for n in 0..1000 {
        written(&folder, &format!("clip_{n:04}.safetensors"), &[clip(n)]);
    }
    let latents = LatentsOptions { group: Some(17), ..LatentsOptions::default() };
    let path = encoded(dir.path(), &folder, &latents, 5);
    let counting = Counting::new(File::open(&path).expect("file"));
    let reader = Reader::open(counting, ReadOptions::default()).expect("file opens");
    assert_eq!(reader.source().take().len(), 1, "read 1");
    let entry = reader.entry("clip_0642", registry::entry::TENSOR, "x").expect("the clip is there");
    assert_eq!(reader.source().take().len(), 1, "one read of the index");
    let part = TrackPart { frames: Some(17..34), ..TrackPart::default() };
    let some = read_track(&reader, &entry, &part).expect("frames are read");
    assert_eq!(reader.source().take().len(), 1, "one read of data");
    assert_eq!(some.bytes, clip(642).bytes[17 * 36..34 * 36]);

    let more = dir.path().join("more");
    fs::create_dir(&more).expect("folder is made");
    written(&more, "clip_1000.safetensors", &[clip(1000)]);
    let before = fs::metadata(&path).expect("file").len();
    append_latents(&path, &more, &latents, &at_effort(5)).expect("appended");
    assert!(append_latents(&path, &more, &latents, &at_effort(5)).is_err(), "it is there already");
    assert!(fs::metadata(&path).expect("file").len() > before);
    let reader = open(&path);
    assert!(is_same(&track(&reader, "clip_1000", "x").1, &clip(1000)));
    assert!(is_same(&track(&reader, "clip_0003", "x").1, &clip(3)));
}

#[test]
fn models_are_known() {
    let dir = tempfile::tempdir().expect("folder is made");
    let source = grid("x", [16, 5, 4, 4], "BF16");
    let input = written(dir.path(), "clip.safetensors", std::slice::from_ref(&source));
    let latents = LatentsOptions {
        model: Some("Wan 2.1".into()),
        model_hash: Some(vec![1, 2, 3]),
        normalised: Some(false),
        ..LatentsOptions::default()
    };
    let reader = open(&encoded(dir.path(), &input, &latents, 5));
    let (entry, array) = track(&reader, "clip", "x");
    assert!(is_same(&array, &source));
    let (about, shape) = describe_track(&entry).expect("a track");
    assert_eq!((shape, about.axes.map(|a| a.text()).as_deref()), ([5, 16, 4, 4], Some("CTHW")));
    assert_eq!((about.factors, about.first_frames), (Some([4, 8, 8]), Some(1)));
    assert_eq!(about.normalisation.map(|n| (n.applied, n.statistics)), Some((false, Some(0))));
    let tokens = tensor("t", "U16", &[3, 2, 2], (0..12u16).flat_map(|i| (i * 80).to_le_bytes()).collect());
    let input = written(dir.path(), "tokens.safetensors", std::slice::from_ref(&tokens));
    let latents =
        LatentsOptions { model: Some("commaVQ".into()), are_tokens: true, ..LatentsOptions::default() };
    let reader = open(&encoded(dir.path(), &input, &latents, 5));
    assert!(is_same(&track(&reader, "tokens", "t").1, &tokens));
    assert!(reader.asset(None).expect("an asset").fields.get(registry::asset_field::FRAME_RATE).is_some());
}
