//! Appending: whatever is cut, torn or flipped, the last good generation is read, and `verify` says so.

use mcodec_decode::{DecodeError, Reader, Warning, verify};
use mcodec_encode::{Attachment, EncodeError, EncodeOptions, Output, append, attach, detach, pack};
use mcodec_format::{FormatError, PREAMBLE_LEN, Root};
use mcodec_tests::break_file::each_bit_flip;
use mcodec_tests::files::{decoded, finished, open, options, streaming};
use mcodec_tests::inputs::{Noise, safetensors, tensor};
use std::path::{Path, PathBuf};

fn small(seed: u64) -> Vec<u8> {
    let mut noise = Noise(seed);
    safetensors(
        Some(r#"{"format":"pt"}"#),
        &[
            tensor("a.weight", "BF16", &[16, 16], noise.bf16(256)),
            tensor("b.bias", "F32", &[8], noise.bytes(32)),
        ],
    )
}

/// A file before and after an append, in finished or streaming form.
fn pair(dir: &Path, stream: bool) -> (Vec<u8>, Vec<u8>) {
    let path = if stream {
        streaming(dir, &small(1), &options(1))
    } else {
        finished(dir, "one.safetensors", &small(1), None, &options(1))
    };
    let before = std::fs::read(&path).unwrap();
    let more = dir.join("two.safetensors");
    std::fs::write(&more, small(2)).unwrap();
    append(&path, &more, None, &options(1)).unwrap();
    (before, std::fs::read(&path).unwrap())
}

fn damage(reader: &Reader<Vec<u8>>) -> usize {
    verify(reader, false).unwrap().damage.len()
}

#[test]
fn an_appended_file_has_both_assets_and_is_sound() {
    for stream in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (before, after) = pair(dir.path(), stream);
        assert_eq!(after[PREAMBLE_LEN as usize..before.len()], before[PREAMBLE_LEN as usize..]);
        let reader = open(&after).unwrap();
        assert_eq!((reader.warnings(), reader.index().root().generation), (&[][..], 2));
        let files = decoded(&reader).unwrap();
        assert_eq!(files.len(), 2);
        assert!(files.iter().any(|f| f.1 == small(1)) && files.iter().any(|f| f.1 == small(2)));
        let report = verify(&reader, true).unwrap();
        assert_eq!((report.damage, report.bytes), (vec![], after.len() as u64));
    }
}

#[test]
fn a_kill_between_or_within_writes_leaves_the_generation_before() {
    for stream in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (before, after) = pair(dir.path(), stream);
        // A streaming file first gets a slot for what it is (slot B), then the frames, then slot A.
        let (old_slot, new_slot) = if stream { (64..96, 32..64) } else { (32..64, 64..96) };
        let mut states: Vec<Vec<u8>> = Vec::new();
        let mut state = before.clone();
        for i in old_slot.filter(|_| stream) {
            state[i] = after[i];
            states.push(state.clone());
        }
        for end in before.len()..=after.len() {
            states.push([&state[..], &after[before.len()..end]].concat());
        }
        state.extend(&after[before.len()..]);
        for i in new_slot {
            state[i] = after[i];
            states.push(state.clone());
        }
        assert!(state == after);
        for (i, state) in states.iter().enumerate() {
            let reader = open(state).unwrap_or_else(|e| panic!("{stream} {i}: {e}"));
            let files = decoded(&reader).unwrap();
            assert!(files.iter().any(|f| f.1 == small(1)));
            let done = *state == after;
            assert_eq!(files.len(), if done { 2 } else { 1 }, "{stream} {i}");
            let untouched = *state == before
                || stream
                    && state[..64] == before[..64]
                    && state.len() == before.len()
                    && state[64..96] == after[64..96];
            assert_eq!(damage(&reader) == 0, done || untouched, "{stream} {i}");
        }
    }
}

#[test]
fn after_a_kill_the_next_append_cuts_the_tail() {
    let dir = tempfile::tempdir().unwrap();
    let (before, after) = pair(dir.path(), false);
    let path = dir.path().join("killed.mcodec");
    let killed = [&before[..], &after[before.len()..after.len() - 9]].concat();
    std::fs::write(&path, &killed).unwrap();
    assert!(matches!(open(&killed).unwrap().warnings(), [Warning::TrailingBytes { .. }]));
    append(&path, &dir.path().join("two.safetensors"), None, &options(1)).unwrap();
    assert!(std::fs::read(&path).unwrap() == after);
}

#[test]
fn every_flipped_bit_of_an_appended_file_is_found_and_a_whole_generation_is_read() {
    for stream in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (before, after) = pair(dir.path(), stream);
        each_bit_flip(&after, |bit, broken| match open(broken) {
            // Only the fixed part of the preamble has no second copy.
            Err(_) => assert!(bit < 32 * 8, "{stream}: bit {bit} of byte {}", bit / 8),
            Ok(reader) => {
                assert!(damage(&reader) > 0, "{stream}: bit {bit} of byte {}", bit / 8);
                let generation = reader.index().root().generation;
                if bit / 8 < before.len() && bit >= 96 * 8 {
                    assert_eq!(generation, 2);
                }
                if generation == 1 {
                    assert!(!reader.warnings().is_empty());
                    assert!(decoded(&reader).unwrap().iter().any(|f| f.1 == small(1)));
                }
            }
        });
    }
}

#[test]
fn every_flipped_bit_and_every_prefix_of_a_finished_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = finished(dir.path(), "m.safetensors", &small(1), None, &options(1));
    let good = std::fs::read(&path).unwrap();
    each_bit_flip(&good, |bit, broken| {
        if let Ok(reader) = open(broken) {
            assert!(damage(&reader) > 0, "bit {bit} of byte {}", bit / 8);
            if (32 * 8..96 * 8).contains(&bit) {
                assert!(!reader.warnings().is_empty());
                assert!(decoded(&reader).unwrap()[0].1 == small(1));
            }
        }
    });
    let stream = std::fs::read(streaming(dir.path(), &small(1), &options(1))).unwrap();
    for good in [&good, &stream] {
        for len in 0..good.len() {
            let e = open(&good[..len]).map(|_| ()).unwrap_err();
            let truncated = matches!(&e, DecodeError::Format(FormatError::Truncated { offset, .. }) if *offset == len as u64);
            assert!(truncated || len == 0, "{len}: {e}");
        }
    }
}

#[test]
fn swapped_chunks_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut noise = Noise(9);
    let a = tensor("a", "U8", &[1000], noise.bytes(1000));
    let b = tensor("b", "U8", &[1000], noise.bytes(1000));
    let path = finished(dir.path(), "m.safetensors", &safetensors(None, &[a, b]), None, &options(1));
    let mut bytes = std::fs::read(&path).unwrap();
    let reader = open(&bytes).unwrap();
    let frames: Vec<_> = ["a", "b"]
        .iter()
        .map(|n| {
            let entry = reader.tensor("m", n).unwrap();
            entry.content().get().spans(0).next().unwrap().frame
        })
        .collect();
    let len = (frames[0].end - frames[0].start) as usize;
    assert_eq!(frames[1].end - frames[1].start, len as u64);
    let (x, y) = bytes.split_at_mut(frames[1].start as usize);
    x[frames[0].start as usize..][..len].swap_with_slice(&mut y[..len]);
    let reader = open(&bytes).unwrap();
    assert_eq!(damage(&reader), 2);
    let e = reader.read_all(&reader.tensor("m", "a").unwrap()).unwrap_err();
    assert!(e.is_damage() && e.to_string().contains("\"a\""), "{e}");
}

#[test]
fn many_generations_share_untouched_leaves_and_pack_into_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut noise = Noise(7);
    let many: Vec<_> = (0..4000)
        .map(|i| tensor(&format!("layers.{}.very.long.name.{}", i / 9, i % 9), "U8", &[65], noise.bytes(65)))
        .collect();
    let original = safetensors(None, &many);
    let path = finished(dir.path(), "many.safetensors", &original, None, &options(1));
    let first = std::fs::metadata(&path).unwrap().len();
    for i in 0..6u64 {
        let more = dir.path().join(format!("more{i}.safetensors"));
        std::fs::write(&more, small(i)).unwrap();
        append(&path, &more, None, &options(1)).unwrap();
    }
    let grown = std::fs::metadata(&path).unwrap().len() - first;
    assert!(grown < 6 * 60_000, "{grown} bytes for six small assets");
    let reader = open(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(reader.index().root().generation, 7);
    assert_eq!(verify(&reader, true).unwrap().damage, []);
    let packed = dir.path().join("packed.mcodec");
    pack(&path, Output::File { path: packed.clone(), force: false }, &options(1)).unwrap();
    let packed = open(&std::fs::read(&packed).unwrap()).unwrap();
    assert_eq!(verify(&packed, true).unwrap().damage, []);
    assert!(decoded(&packed).unwrap() == decoded(&reader).unwrap());
    assert!(decoded(&packed).unwrap().iter().any(|f| f.1 == original));
}

fn record<'a>(name: &'a str, json: &'a [u8]) -> Attachment<'a> {
    Attachment { name, asset: None, schema: "json", required: false, json, tensors: None }
}

#[test]
fn records_are_attached_read_and_detached() {
    let dir = tempfile::tempdir().unwrap();
    let path = finished(dir.path(), "m.safetensors", &small(1), None, &options(1));
    let prompt = dir.path().join("prompt.safetensors");
    std::fs::write(&prompt, small(3)).unwrap();
    attach(&path, &record("eval/2026-11", b"{\"score\": 1}"), &options(1)).unwrap();
    attach(&path, &Attachment { tensors: Some(&prompt), ..record("soft", b"[]") }, &options(1)).unwrap();
    let read = |path: &PathBuf| open(&std::fs::read(path).unwrap()).unwrap();
    let reader = read(&path);
    let asset = reader.asset(None).unwrap();
    let kind = mcodec_format::registry::entry::RECORD;
    let json = reader.entry(&asset.name, kind, "eval/2026-11").unwrap();
    assert_eq!(reader.read_all(&json).unwrap(), b"{\"score\": 1}");
    assert_eq!(reader.read_all(&reader.tensor(&asset.name, "soft/b.bias").unwrap()).unwrap().len(), 32);
    assert!(decoded(&reader).unwrap()[0].1 == small(1));
    assert_eq!(verify(&reader, true).unwrap().damage, []);
    // They survive coding anew and packing.
    let again = dir.path().join("again.mcodec");
    let output = Output::File { path: again.clone(), force: false };
    mcodec_encode::encode_path(&path, None, output, &options(1)).unwrap();
    let reader = read(&again);
    assert_eq!(verify(&reader, true).unwrap().damage, []);
    assert!(reader.entry(&asset.name, kind, "soft").is_ok() && decoded(&reader).unwrap()[0].1 == small(1));
    detach(&path, None, "soft", &options(1)).unwrap();
    let reader = read(&path);
    assert!(matches!(reader.entry(&asset.name, kind, "soft"), Err(DecodeError::NotFound { .. })));
    assert!(reader.tensor(&asset.name, "soft/b.bias").is_err());
    assert!(reader.entry(&asset.name, kind, "eval/2026-11").is_ok());
    assert_eq!(verify(&reader, true).unwrap().damage, []);
}

#[test]
fn wrong_edits_are_refused_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = finished(dir.path(), "m.safetensors", &small(1), None, &options(1));
    let before = std::fs::read(&path).unwrap();
    let o = EncodeOptions::default();
    let request = |r: Result<(), EncodeError>| assert!(matches!(r, Err(EncodeError::Request(_))), "{r:?}");
    request(attach(&path, &record("r", b"{not json"), &o));
    request(attach(&path, &Attachment { asset: Some("blake3:00"), ..record("r", b"{}") }, &o));
    request(attach(&path, &record("../r", b"{}"), &o));
    request(detach(&path, None, "none", &o));
    request(append(&path, &dir.path().join("m.safetensors"), None, &o).map(|_| ()));
    let lock = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    lock.lock().unwrap();
    assert!(matches!(attach(&path, &record("r", b"{}"), &o), Err(EncodeError::Busy { .. })));
    assert!(std::fs::read(&path).unwrap() == before);
}

#[test]
fn the_root_of_each_generation_leads_to_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let (before, after) = pair(dir.path(), false);
    let reader = open(&after).unwrap();
    let Root { previous, .. } = reader.index().root();
    let slot = *open(&before).unwrap().index().slot();
    assert_eq!(*previous, Some((slot.root_offset, u64::from(slot.root_len))));
}
