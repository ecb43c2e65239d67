//! Masks of block-sparse attention: made by the published rule, encoded, read plane by plane.

use mcodec_decode::latents::{MaskPart, describe_masks, read_masks};
use mcodec_decode::{ReadOptions, Reader, verify};
use mcodec_encode::latents::{
    MaskArray, MaskOptions, MaskSettings, MaskSource, append_mask_files, encode_made_masks,
    encode_mask_files, make_masks,
};
use mcodec_encode::{EncodeOptions, Output};
use mcodec_format::registry;
use mcodec_tests::counting::Counting;
use mcodec_tests::inputs::{latents, safetensors, tensor};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Bits of `[steps, layers, heads, rows, columns]`: bands that change from plane to plane.
fn bands([steps, layers, heads, rows, columns]: [usize; 5]) -> Vec<u8> {
    let mut bits = Vec::new();
    for plane in 0..steps * layers * heads {
        for y in 0..rows {
            for x in 0..columns {
                let odd = (plane * 31 + y * 17 + x * 101) % 19 == 0;
                bits.push(u8::from(x.abs_diff(y) < 2 + plane % heads || odd));
            }
        }
    }
    bits
}

/// Bits of a plane.
const PLANE: usize = 128 * 120;

fn output(path: &Path) -> Output {
    Output::File { path: path.to_owned(), force: true }
}

fn open(path: &Path) -> Reader<Counting<File>> {
    Reader::open(Counting::new(File::open(path).expect("file")), ReadOptions::default()).expect("file opens")
}

#[test]
fn a_plane_is_one_request_for_its_group() {
    let dir = tempfile::tempdir().expect("folder");
    let shape = [4usize, 3, 2, 128, 120];
    // Half of it is noise, so that the file is longer than its first read.
    let noise = |i: usize| {
        let mixed = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 40 & 1) as u8
    };
    let bits: Vec<u8> = bands(shape)
        .into_iter()
        .enumerate()
        .map(|(i, bit)| if i % 2 == 0 { noise(i) } else { bit })
        .collect();
    let sizes = shape.map(|n| n as u64);
    let input = dir.path().join("m.safetensors");
    fs::write(&input, safetensors(None, &[tensor("mask", "BOOL", &sizes, bits.clone())])).expect("written");
    let settings = MaskSettings::parse("block=128,energy=0.95,ratio=0.05..0.2").expect("settings");
    for (group, planes_in_group) in [(Some(4), 4u64), (Some(1), 1), (Some(6), 6), (None, 8), (Some(0), 24)] {
        let path = dir.path().join("m.mcodec");
        let masks = MaskOptions { group, settings: settings.clone(), ..MaskOptions::default() };
        encode_mask_files(&input, &masks, output(&path), &EncodeOptions::default()).expect("encoded");
        let reader = open(&path);
        assert!(verify(&reader, true).expect("file is read").damage.is_empty());
        let entry = reader.entry("m", registry::entry::TENSOR, "mask").expect("the index is read");
        let (order, stored) = describe_masks(&entry).expect("sound").expect("masks");
        assert_eq!((order.text().as_str(), stored), ("SLHQK", [3, 2, 4, 128, 120]));
        assert_eq!(entry.chunking().chunk_len, planes_in_group * PLANE as u64);
        let whole = read_masks(&reader, &entry, &MaskPart::default()).expect("read");
        assert!(whole.bytes == bits && whole.shape == sizes);
        // Nothing is kept of what was read before.
        let reader = open(&path);
        let entry = reader.entry("m", registry::entry::TENSOR, "mask").expect("the index is read");
        reader.source().take();
        let one = |n: u64| Some(n..n + 1);
        let part = MaskPart { steps: one(3), layers: one(2), heads: one(1) };
        let plane = read_masks(&reader, &entry, &part).expect("read");
        assert_eq!(plane.shape, [1, 1, 1, 128, 120]);
        assert_eq!(plane.bytes, bits[((3 * 3 + 2) * 2 + 1) * PLANE..][..PLANE]);
        // All that is read is the group that has the plane, and the check that goes with it.
        let reads = reader.source().take();
        assert_eq!(reads.len(), 1, "one request");
        let of_group = entry.row().spans(0).map(|s| s.payload.end - s.payload.start).max().unwrap_or(0);
        assert!(reads[0].end - reads[0].start <= of_group + 64, "{reads:?}");
        let part = MaskPart { steps: Some(1..3), heads: one(0), ..MaskPart::default() };
        let some = read_masks(&reader, &entry, &part).expect("read");
        let wanted: Vec<u8> = (1..3)
            .flat_map(|s| (0..3).flat_map(move |l| [(s * 3 + l) * 2]))
            .flat_map(|plane| bits[plane * PLANE..][..PLANE].to_vec())
            .collect();
        assert!(some.bytes == wanted && some.shape == [2, 3, 1, 128, 120]);
        assert!(
            read_masks(&reader, &entry, &MaskPart { layers: Some(2..4), ..MaskPart::default() }).is_err()
        );
        let record = reader.entry("m", registry::entry::RECORD, "masks").expect("a record");
        mcodec_decode::check_record(&record).expect("it is bound to the asset");
        let told: serde_json::Value =
            serde_json::from_slice(&reader.read_all(&record).expect("read")).expect("JSON");
        assert_eq!((&told["block"], &told["max_ratio"]), (&128.into(), &0.2.into()));
    }
    // What is added comes beside it; what is no mask is refused.
    let path = dir.path().join("m.mcodec");
    let more = dir.path().join("more.safetensors");
    fs::write(&more, safetensors(None, &[tensor("mask", "U8", &[128, 120], bits[..PLANE].to_vec())]))
        .expect("written");
    append_mask_files(&path, &more, &MaskOptions::default(), &EncodeOptions::default()).expect("added");
    let reader = open(&path);
    let entry = reader.entry("more", registry::entry::TENSOR, "mask").expect("an entry");
    assert_eq!(read_masks(&reader, &entry, &MaskPart::default()).expect("read").bytes, bits[..PLANE]);
    for (dtype, shape, bytes, why) in [
        ("U8", vec![2u64, 2], vec![0u8, 1, 2, 1], "element 2 is 2"),
        ("F16", vec![2, 1], vec![0; 4], "masks are bool or u8"),
        ("U8", vec![4], vec![0; 4], "1 axes"),
    ] {
        fs::write(&more, safetensors(None, &[tensor("mask", dtype, &shape, bytes)])).expect("written");
        let path = dir.path().join("no.mcodec");
        let refused =
            encode_mask_files(&more, &MaskOptions::default(), output(&path), &EncodeOptions::default());
        let refused = refused.expect_err("refused").to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

/// Queries and keys of three steps and two heads, as `tests/make_attention.py` makes them, but without places: random directions of a clip's noisy
/// channels.
fn attention(clip: &[u8], channels: usize, positions: usize) -> [Vec<u8>; 2] {
    const DIM: usize = 16;
    let mut state = 6u64;
    let mut random = || {
        // A sum of four is near enough to a normal number.
        let mut sum = 0f32;
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (state >> 40) as f32 / (1u32 << 24) as f32 - 0.5;
        }
        sum * 1.732
    };
    let floats: Vec<f32> =
        clip.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let frames = floats.len() / channels / positions;
    let mut scales = Vec::new();
    for c in 0..channels {
        let of = |t: usize| &floats[(t * channels + c) * positions..][..positions];
        let count = (frames * positions) as f32;
        let mean = (0..frames).flat_map(|t| of(t).iter()).sum::<f32>() / count;
        let square = (0..frames).flat_map(|t| of(t).iter()).map(|x| (x - mean) * (x - mean)).sum::<f32>();
        scales.push((mean, (square / count).sqrt().max(1e-6)));
    }
    let noise: Vec<f32> = (0..floats.len()).map(|_| random()).collect();
    let weights: Vec<f32> =
        (0..2 * 2 * channels * DIM).map(|_| random() / (channels as f32).sqrt()).collect();
    let mut out = [Vec::new(), Vec::new()];
    for level in [0.8f32, 0.5, 0.2] {
        for head in 0..2 {
            for t in 0..frames {
                for p in 0..positions {
                    let seen = |c: usize| {
                        let at = (t * channels + c) * positions + p;
                        (1.0 - level) * (floats[at] - scales[c].0) / scales[c].1 + level * noise[at]
                    };
                    for (which, out) in out.iter_mut().enumerate() {
                        let of = &weights[(head * 2 + which * head) * channels * DIM..];
                        for d in 0..DIM {
                            let sum = (0..channels).map(|c| seen(c) * of[c * DIM + d]).sum::<f32>();
                            out.extend_from_slice(&(3.0 * sum).to_le_bytes());
                        }
                    }
                }
            }
        }
    }
    out
}

fn entropy(density: f64) -> f64 {
    -(density * density.log2() + (1.0 - density) * (1.0 - density).log2())
}

#[test]
fn masks_of_a_clip_are_small() {
    // A shared clip if there is one; else waves.
    let (clip, [frames, height, width]) = match latents("bikes_a.taef2.f32.npy") {
        Some(file) => (file[file.len() - 17 * 32 * 20 * 48 * 4..].to_vec(), [17usize, 20, 48]),
        None => {
            let value = |i: usize| {
                let (x, y, c, t) = (i % 48, i / 48 % 20, i / 960 % 32, i / 960 / 32);
                ((x + t + 3 * c) % 16) as f32 * 0.25 - ((y + c) % 7) as f32 * 0.5
                    + (i * 37 % 64) as f32 / 64.0
            };
            ((0..6 * 32 * 960).flat_map(|i| value(i).to_le_bytes()).collect(), [6, 20, 48])
        }
    };
    let dir = tempfile::tempdir().expect("folder");
    let [q, k] = attention(&clip, 32, height * width);
    let shape = [3u64, 1, 2, (frames * height * width) as u64, 16];
    let file = dir.path().join("qk.safetensors");
    fs::write(&file, safetensors(None, &[tensor("q", "F32", &shape, q), tensor("k", "F32", &shape, k)]))
        .expect("written");
    let settings = MaskSettings { grid: Some([frames, height, width]), ..MaskSettings::default() };
    let options = EncodeOptions::default();
    let source = MaskSource::One { path: file, softmax: false };
    let masks = make_masks(&source, &settings, &options).expect("masks are made");
    assert_eq!(masks.in_order(), make_masks(&source, &settings, &options).expect("again").in_order());
    let [steps, layers, heads, rows, columns] = masks.sizes();
    assert_eq!(
        [steps, layers, heads, rows, columns],
        [3, 1, 2, (frames * 960).div_ceil(128), (frames * 960).div_ceil(128)]
    );
    for row in masks.in_order().chunks(columns) {
        let kept = row.iter().map(|&b| usize::from(b)).sum::<usize>();
        assert!((columns / 20..=columns / 5).contains(&kept), "{kept} of {columns}");
    }
    check_size(&masks, &settings, dir.path());
}

fn check_size(masks: &MaskArray, settings: &MaskSettings, dir: &Path) {
    let path: PathBuf = dir.join("masks.mcodec");
    let options = MaskOptions { settings: settings.record(), ..MaskOptions::default() };
    encode_made_masks("clip", masks.clone(), &options, output(&path), &EncodeOptions::default())
        .expect("encoded");
    let reader = open(&path);
    let entry = reader.entry("clip", registry::entry::TENSOR, "masks").expect("an entry");
    assert!(read_masks(&reader, &entry, &MaskPart::default()).expect("read").bytes == masks.in_order());
    let bits = masks.sizes().iter().product::<usize>() as f64;
    let share = fs::metadata(&path).expect("file").len() as f64 * 8.0 / bits / entropy(masks.density());
    println!("density {:.4}, file {share:.4} of the order-0 entropy", masks.density());
    assert!(share <= 0.9, "{share}");
}

#[test]
fn scores_make_masks_too() {
    let dir = tempfile::tempdir().expect("folder");
    let scores: Vec<f32> = (0..2 * 10 * 10).map(|i| ((i * 7919) % 101) as f32 / 100.0).collect();
    let bytes = |of: &[f32]| of.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let path = dir.path().join("s.safetensors");
    fs::write(&path, safetensors(None, &[tensor("s", "F32", &[2, 10, 10], bytes(&scores))]))
        .expect("written");
    let settings = MaskSettings { min_ratio: 0.2, max_ratio: 0.2, ..MaskSettings::default() };
    let source = |softmax| MaskSource::One { path: path.clone(), softmax };
    let options = EncodeOptions::default();
    let masks = make_masks(&source(false), &settings, &options).expect("made");
    assert_eq!((masks.sizes(), masks.density()), ([1, 1, 2, 10, 10], 0.2));
    // A softmax keeps the order.
    assert_eq!(make_masks(&source(true), &settings, &options).expect("made").in_order(), masks.in_order());
    let below: Vec<f32> = scores.iter().map(|s| s - 0.5).collect();
    fs::write(&path, safetensors(None, &[tensor("s", "F32", &[2, 10, 10], bytes(&below))])).expect("written");
    assert!(
        make_masks(&source(false), &settings, &options)
            .expect_err("refused")
            .to_string()
            .contains("--softmax")
    );
    assert!(make_masks(&source(true), &settings, &options).is_ok());
    fs::write(&path, safetensors(None, &[tensor("s", "F32", &[1, 2], bytes(&[f32::NAN, 1.0]))]))
        .expect("written");
    assert!(
        make_masks(&source(true), &settings, &options)
            .expect_err("refused")
            .to_string()
            .contains("not finite")
    );
}
