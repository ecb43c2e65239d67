//! Recovery: what was whole in a truncated or damaged file, and only that.

use mcodec_decode::{Reader, verify};
use mcodec_encode::{Attachment, EncodeError, Output, RecoverReport, append, attach, recover};
use mcodec_tests::files::{decoded, finished, open, options, streaming};
use mcodec_tests::inputs::{Noise, safetensors, tensor};
use std::path::Path;

const COUNT: usize = 40;

fn model() -> Vec<u8> {
    let mut noise = Noise(21);
    let all: Vec<_> = (0..COUNT)
        .map(|i| tensor(&format!("layers.{i}.weight"), "BF16", &[40, 50], noise.bf16(2000)))
        .collect();
    safetensors(Some(r#"{"format":"pt"}"#), &all)
}

fn run(dir: &Path, broken: &[u8]) -> Result<(RecoverReport, Reader<Vec<u8>>), EncodeError> {
    let input = dir.join("broken.mcodec");
    std::fs::write(&input, broken).unwrap();
    let path = dir.join("saved.mcodec");
    let report = recover(&input, Output::File { path: path.clone(), force: true }, &options(1))?;
    let saved = std::fs::read(&path).unwrap();
    assert_eq!(report.output_bytes, saved.len() as u64);
    let reader = open(&saved).unwrap();
    assert_eq!(reader.warnings(), []);
    assert_eq!(verify(&reader, true).unwrap().damage, []);
    Ok((report, reader))
}

/// Every tensor that was saved has its bytes.
fn check(reader: &Reader<Vec<u8>>) -> usize {
    let original = open_original();
    let mut count = 0;
    for asset in reader.assets().unwrap() {
        for row in reader.rows(&asset.name).unwrap() {
            let entry = reader.resolve(row).unwrap();
            if entry.tensor().is_some() {
                let (_, bytes) = original.iter().find(|(n, _)| n == entry.name()).unwrap();
                assert!(reader.read_all(&entry).unwrap() == *bytes);
                count += 1;
            }
        }
    }
    count
}

fn open_original() -> Vec<(String, Vec<u8>)> {
    let bytes = model();
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    all.tensors().into_iter().map(|(n, t)| (n, t.data().to_vec())).collect()
}

#[test]
fn a_sound_file_is_saved_whole() {
    let dir = tempfile::tempdir().unwrap();
    for path in [
        finished(dir.path(), "m.safetensors", &model(), None, &options(1)),
        streaming(dir.path(), &model(), &options(1)),
    ] {
        let (report, reader) = run(dir.path(), &std::fs::read(path).unwrap()).unwrap();
        assert!(report.complete && report.lost.is_empty());
        assert!(decoded(&reader).unwrap()[0].1 == model());
    }
}

#[test]
fn of_a_truncated_stream_the_finished_tensors_are_saved() {
    let dir = tempfile::tempdir().unwrap();
    let good = std::fs::read(streaming(dir.path(), &model(), &options(1))).unwrap();
    let mut last = 0;
    for part in [30, 50, 80, 99] {
        let (report, reader) = run(dir.path(), &good[..good.len() * part / 100]).unwrap();
        let count = check(&reader);
        assert!(!report.complete || count == COUNT);
        assert!(count >= last && count + 1 >= COUNT * (part - 20) / 100, "{part}%: {count}");
        last = count;
    }
    // Without index and trailer, nothing of the content is lost.
    let index = open(&good).unwrap().index().slot().root_offset as usize;
    let (report, reader) = run(dir.path(), &good[..index]).unwrap();
    assert!(report.complete, "{:?}", report.lost);
    assert!(decoded(&reader).unwrap()[0].1 == model());
}

#[test]
fn of_a_truncated_finished_file_the_leading_tensors_are_saved() {
    let dir = tempfile::tempdir().unwrap();
    let good = std::fs::read(finished(dir.path(), "m.safetensors", &model(), None, &options(1))).unwrap();
    let (report, reader) = run(dir.path(), &good[..good.len() / 2]).unwrap();
    let count = check(&reader);
    assert!(!report.complete && (COUNT / 3..COUNT).contains(&count), "{count}");
    assert!(report.lost.iter().any(|l| l.contains("layers.39.weight")), "{:?}", report.lost);
    // What it was a part of is not claimed any more.
    assert!(decoded(&reader).unwrap().is_empty());
}

#[test]
fn damage_costs_only_what_it_hits() {
    let dir = tempfile::tempdir().unwrap();
    let path = finished(dir.path(), "m.safetensors", &model(), None, &options(1));
    let good = std::fs::read(&path).unwrap();
    let entry = open(&good).unwrap().tensor("m", "layers.7.weight").unwrap();
    let mut broken = good.clone();
    broken[entry.content().get().offset as usize + 100] ^= 4;
    let (report, reader) = run(dir.path(), &broken).unwrap();
    assert_eq!(check(&reader), COUNT - 1);
    assert!(report.lost.iter().any(|l| l.starts_with("m/layers.7.weight: chunk 0")), "{:?}", report.lost);
    // Damage to a slot or the preamble costs nothing.
    for at in [40, 9] {
        let mut broken = good.clone();
        broken[at] ^= 1;
        let (report, reader) = run(dir.path(), &broken).unwrap();
        assert!(report.complete, "{:?}", report.lost);
        assert!(decoded(&reader).unwrap()[0].1 == model());
    }
}

#[test]
fn records_and_generations_are_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = finished(dir.path(), "m.safetensors", &model(), None, &options(1));
    let more = dir.path().join("more.safetensors");
    std::fs::write(&more, safetensors(None, &[tensor("x", "U8", &[3], vec![1, 2, 3])])).unwrap();
    append(&path, &more, None, &options(1)).unwrap();
    let record = Attachment {
        name: "eval",
        asset: Some("m"),
        schema: "lab.score",
        required: false,
        json: b"{}",
        tensors: None,
    };
    attach(&path, &record, &options(1)).unwrap();
    let good = std::fs::read(&path).unwrap();
    let (report, reader) = run(dir.path(), &[&good[..], b"tail"].concat()).unwrap();
    assert!(report.complete);
    assert_eq!(reader.assets().unwrap().len(), 2);
    assert!(report.saved.contains(&"m/eval".to_owned()) && report.saved.contains(&"more/x".to_owned()));
    // Of a file whose every index is gone, described frames are still found.
    let mut broken = good.clone();
    broken[32..96].fill(0xff);
    broken[100] ^= 0xff;
    let (_, reader) = run(dir.path(), &broken).unwrap();
    assert!(reader.tensor("more", "x").is_ok());
}

#[test]
fn nothing_to_save_is_said() {
    let dir = tempfile::tempdir().unwrap();
    for broken in [&b""[..], b"not mcodec at all", &[0u8; 4096]] {
        assert!(matches!(run(dir.path(), broken), Err(EncodeError::Request(_))));
    }
}
