//! Errors that need a broken environment or a broken coding to appear, each named.

use mcodec_coding::{CodingError, Table, fields, zstd_frame};
use mcodec_decode::{DecodeError, ReadAt, ReadOptions, Reader, verify};
use mcodec_encode::{EncodeError, Output, encode_path, encode_stream};
use mcodec_format::FormatError;
use mcodec_tests::files::{decoded, finished, open, options};
use mcodec_tests::inputs::{Noise, safetensors, tensor};
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

fn model() -> Vec<u8> {
    let mut noise = Noise(41);
    let all: Vec<_> = (0..6).map(|i| tensor(&format!("t{i}"), "BF16", &[30, 40], noise.bf16(1200))).collect();
    safetensors(None, &all)
}

/// Fails at one call, and hands out what it has otherwise.
struct Failing {
    bytes: Vec<u8>,
    calls: AtomicUsize,
    fails_at: usize,
}

impl ReadAt for Failing {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.calls.fetch_add(1, Relaxed) == self.fails_at {
            return Err(io::Error::other("the disk is on fire"));
        }
        self.bytes.read_exact_at(offset, buf)
    }
}

#[test]
fn a_read_error_at_any_call_is_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    // More than the first read brings.
    let mut noise = Noise(8);
    let tensors: Vec<_> =
        (0..8).map(|i| tensor(&format!("t{i}"), "U8", &[9000], noise.bytes(9000))).collect();
    let model = safetensors(None, &tensors);
    let bytes = std::fs::read(finished(dir.path(), "m.safetensors", &model, None, &options(1))).unwrap();
    for fails_at in 0.. {
        let source = Failing { bytes: bytes.clone(), calls: AtomicUsize::new(0), fails_at };
        let outcome = Reader::open(source, ReadOptions::default()).and_then(|reader| {
            verify(&reader, true)?;
            reader.read_all(&reader.tensor("m", "t3")?)
        });
        match outcome {
            Err(DecodeError::Io { source, .. }) => assert!(source.to_string().contains("on fire")),
            Err(e) => panic!("call {fails_at}: {e}"),
            Ok(_) => {
                assert!(fails_at > 10);
                break;
            }
        }
    }
}

#[test]
fn damage_names_the_entry() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes =
        std::fs::read(finished(dir.path(), "m.safetensors", &model(), None, &options(1))).unwrap();
    let entry = open(&bytes).unwrap().tensor("m", "t3").unwrap();
    bytes[entry.content().get().offset as usize + 9] ^= 1;
    let reader = open(&bytes).unwrap();
    match reader.read_all(&reader.tensor("m", "t3").unwrap()) {
        Err(DecodeError::Entry { name, source: FormatError::Check { offset, .. }, .. }) => {
            assert_eq!((name.as_str(), offset), ("t3", entry.content().get().offset + 1));
        }
        other => panic!("{other:?}"),
    }
    assert!(decoded(&reader).is_err());
    reader.read_all(&reader.tensor("m", "t2").unwrap()).unwrap();
}

#[test]
fn a_whole_chunk_of_a_broken_coding_is_refused() {
    // A chunk whose check holds but whose coding does not: written by hand over a stored one of the same length.
    let dir = tempfile::tempdir().unwrap();
    let t = tensor("t", "U8", &[50], Noise(42).bytes(50));
    let mut bytes =
        std::fs::read(finished(dir.path(), "m.safetensors", &safetensors(None, &[t]), None, &options(1)))
            .unwrap();
    let entry = open(&bytes).unwrap().tensor("m", "t").unwrap();
    let span = entry.content().get().spans(0).next().unwrap();
    let payload = &mut bytes[span.payload.start as usize..span.payload.end as usize];
    assert_eq!(payload[0], 0);
    payload[0] = 8;
    let check = mcodec_format::check_bytes(span.place, payload);
    bytes[span.check.start as usize..span.check.end as usize].copy_from_slice(&check);
    let reader = open(&bytes).unwrap();
    let e = reader.read_all(&reader.tensor("m", "t").unwrap()).unwrap_err();
    assert!(matches!(&e, DecodeError::Coding { name, .. } if name == "t") && e.is_damage(), "{e}");
    assert_eq!(verify(&reader, false).unwrap().damage, []);
    assert_eq!(verify(&reader, true).unwrap().damage.len(), 1);
}

#[test]
fn an_entry_that_needs_another_file_says_which() {
    let vector = concat!(env!("CARGO_MANIFEST_DIR"), "/../format-spec/vectors/dependencies.mcodec");
    let reader = open(&std::fs::read(vector).unwrap()).unwrap();
    let entry = reader.tensor("a", "other-file").unwrap();
    let plan = reader.plan(&entry, 0..64).unwrap();
    assert_eq!(plan.external, [([0xee; 32], "their table".to_owned())]);
    match reader.read_all(&entry) {
        Err(DecodeError::Missing { name, hash, hint }) => {
            assert_eq!(hint, "");
            assert_eq!((name.as_str(), hash), ("other-file", "ee".repeat(32)))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.read_all(&reader.tensor("a", "other-asset").unwrap()).unwrap().len(), 64);
}

#[test]
fn codings_say_what_is_wrong() {
    let mut out = [0u8; 4];
    assert!(matches!(fields::decode(&[], &(), &mut out), Err(CodingError::Truncated { .. })));
    assert!(matches!(fields::decode(&[8, 1, 7, 0], &(), &mut out), Err(CodingError::Corrupt { .. })));
    assert!(matches!(fields::decode(&[8, 1, 8, 99], &(), &mut out), Err(CodingError::Unsupported { .. })));
    assert!(matches!(Table::from_counts(&[1, 1], &[1, 1], 12), Err(CodingError::Invalid { .. })));
    let text =
        b"some text that repeats, some text that repeats, and some text that does not repeat".repeat(3);
    let mut frame = zstd_frame::compress(&text, 3).unwrap();
    let end = frame.len();
    frame[end / 2..end - 2].fill(0xff);
    assert!(matches!(zstd_frame::decompress(&frame, text.len()), Err(CodingError::Zstd { .. })));
}

#[test]
fn a_malformed_model_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.safetensors");
    let mut bytes = model();
    let end = bytes.len() - 1;
    bytes.truncate(end);
    std::fs::write(&path, bytes).unwrap();
    let out = dir.path().join("o.mcodec");
    let e =
        encode_path(&path, None, Output::File { path: out.clone(), force: false }, &options(1)).unwrap_err();
    assert!(matches!(e, EncodeError::Import(_)) && e.to_string().contains("bad.safetensors"), "{e}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Takes some bytes, then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n = buf.len().min(self.0);
        self.0 -= n;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_said_wherever_it_strikes() {
    let bytes = model();
    for room in (0..4000).step_by(61) {
        let input = Box::new(io::Cursor::new(bytes.clone()));
        let e =
            encode_stream(input, "m", None, Output::Stream(Box::new(Full(room))), &options(1)).unwrap_err();
        assert!(matches!(e, EncodeError::Io { .. }), "{e}");
    }
}

#[test]
fn a_cancelled_encode_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("m.safetensors");
    std::fs::write(&input, model()).unwrap();
    let mut options = options(1);
    options.cancel = Some(std::sync::Arc::new(true.into()));
    let out = dir.path().join("o.mcodec");
    let e = encode_path(&input, None, Output::File { path: out, force: false }, &options).unwrap_err();
    assert!(matches!(e, EncodeError::Cancelled));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
