//! Every dtype and odd shape, any thread count, any push size.

use mcodec_decode::{ForwardEvent, ForwardReader, ReadOptions, Reader, verify};
use mcodec_encode::{EncodeOptions, Output, encode_path};
use mcodec_format::Limits;
use mcodec_format::registry::DTYPES;
use mcodec_tests::files::{decoded, finished, open, options, streaming};
use mcodec_tests::inputs::{Noise, Tensor, models, safetensors, tensor};
use std::io::Read;

fn every_dtype() -> Vec<Tensor> {
    let mut noise = Noise(11);
    let mut all = Vec::new();
    for (i, d) in DTYPES.iter().enumerate() {
        let n = [8 * 37usize, 8 * 5000][i % 2];
        all.push(tensor(
            &format!("{}.random", d.name),
            d.name,
            &[8, n as u64 / 8],
            noise.bytes(n * d.bits as usize / 8),
        ));
        all.push(tensor(&format!("{}.zero", d.name), d.name, &[n as u64], vec![0; n * d.bits as usize / 8]));
        // NaN payloads, denormals, negative zeros: every byte pattern in order.
        let patterns: Vec<u8> = (0..=255u8).cycle().take(n * d.bits as usize / 8).collect();
        all.push(tensor(&format!("{}.patterns", d.name), d.name, &[2, n as u64 / 2], patterns));
    }
    all.push(tensor("opaque", "F3_FUTURE", &[7, 11], noise.bytes(33)));
    all
}

fn odd_shapes() -> Vec<Tensor> {
    let mut noise = Noise(12);
    vec![
        tensor("empty", "F32", &[0], vec![]),
        tensor("zero.dims", "BF16", &[3, 0, 5], vec![]),
        tensor("scalar", "F64", &[], noise.bytes(8)),
        tensor("one.row", "F16", &[1, 100_000], noise.bytes(200_000)),
        tensor("one.column", "F32", &[70_001, 1], noise.bytes(280_004)),
        tensor("deep", "U8", &[1; 64], vec![9]),
        tensor("wide.rows", "BF16", &[3, 200_000], noise.bf16(600_000)),
        tensor(&"n".repeat(60_000), "U8", &[3], vec![1, 2, 3]),
        tensor("name \" \\ \u{7f} \u{1F600} \n\t\u{1}", "U8", &[1], vec![1]),
        tensor("", "U8", &[2], vec![4, 5]),
        tensor("i4.odd", "I4", &[2, 3], noise.bytes(3)),
    ]
}

#[test]
fn every_dtype_and_odd_shape_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    for (name, tensors) in [("dtypes", every_dtype()), ("shapes", odd_shapes()), ("none", vec![])] {
        let bytes = safetensors(None, &tensors);
        for effort in [1, 5, 9] {
            let mut options = options(2);
            options.effort = effort;
            let path = finished(dir.path(), &format!("{name}.safetensors"), &bytes, None, &options);
            let reader = open(&std::fs::read(&path).unwrap()).unwrap();
            assert!(decoded(&reader).unwrap()[0].1 == bytes, "{name} at effort {effort}");
            assert_eq!(verify(&reader, true).unwrap().damage, []);
            for t in &tensors {
                let entry = reader.tensor(name, &t.name).unwrap();
                assert!(
                    reader.read_all(&entry).unwrap() == t.bytes && entry.tensor().unwrap().shape == t.shape
                );
            }
        }
        let path = streaming(dir.path(), &bytes, &options(2));
        assert!(
            decoded(&open(&std::fs::read(&path).unwrap()).unwrap()).unwrap()[0].1 == bytes,
            "{name} streamed"
        );
    }
}

#[test]
fn mappable_tensors_lie_raw_and_aligned() {
    let dir = tempfile::tempdir().unwrap();
    let tensors = odd_shapes();
    let bytes = safetensors(None, &tensors);
    let mut options = options(2);
    options.mappable = true;
    let path = finished(dir.path(), "m.safetensors", &bytes, None, &options);
    let file = std::fs::read(&path).unwrap();
    let reader = open(&file).unwrap();
    assert!(decoded(&reader).unwrap()[0].1 == bytes);
    assert_eq!(verify(&reader, true).unwrap().damage, []);
    for t in tensors.iter().filter(|t| !t.bytes.is_empty()) {
        let entry = reader.tensor("m", &t.name).unwrap();
        let start = entry.content().get().offset as usize;
        assert_eq!(start % 64, 0);
        assert!(file[start..start + t.bytes.len()] == t.bytes);
    }
}

#[test]
fn output_does_not_depend_on_threads() {
    let dir = tempfile::tempdir().unwrap();
    let model = &models()[0];
    let mut files = Vec::new();
    for threads in [1, 2, 8] {
        let path = dir.path().join(format!("{threads}.mcodec"));
        encode_path(model, None, Output::File { path: path.clone(), force: false }, &options(threads))
            .unwrap();
        files.push(std::fs::read(&path).unwrap());
        let reader = Reader::open(files[0].clone(), ReadOptions::default().threads(threads)).unwrap();
        let asset = reader.asset(None).unwrap();
        let entry = reader.tensor(&asset.name, "model.embed_tokens.weight").unwrap();
        let half = reader.read(&entry, 1000..90_001).unwrap();
        assert!(half == reader.read_all(&entry).unwrap()[1000..90_001]);
    }
    assert!(files[0] == files[1] && files[0] == files[2]);
}

#[test]
fn any_range_of_a_tensor_is_that_range_of_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut noise = Noise(13);
    let t = tensor("t", "F32", &[997, 331], noise.bytes(997 * 331 * 4));
    let mut options = EncodeOptions::default();
    options.chunk_len = 4096;
    let path =
        finished(dir.path(), "t.safetensors", &safetensors(None, std::slice::from_ref(&t)), None, &options);
    let reader = open(&std::fs::read(&path).unwrap()).unwrap();
    let entry = reader.tensor("t", "t").unwrap();
    for _ in 0..300 {
        let a = noise.word() % (t.bytes.len() as u64 + 1);
        let b = noise.word() % (t.bytes.len() as u64 + 1);
        let (a, b) = (a.min(b), a.max(b));
        assert!(reader.read(&entry, a..b).unwrap() == t.bytes[a as usize..b as usize]);
    }
    assert!(reader.read(&entry, 0..t.bytes.len() as u64 + 1).is_err());
    let mut short = vec![7u8; 9];
    assert!(reader.read_into(&entry, 0..10, &mut short).is_err());
    assert_eq!(short, [7; 9]);
}

#[test]
fn tied_tensors_are_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = Noise(14).bytes(400_000);
    let tied = [("lm_head.weight", "F32"), ("model.embed.weight", "F32"), ("other.dtype", "I32")];
    let tensors: Vec<_> = tied.iter().map(|(n, d)| tensor(n, d, &[1000, 100], bytes.clone())).collect();
    let original = safetensors(None, &tensors);
    let path = finished(dir.path(), "t.safetensors", &original, None, &options(1));
    let len = std::fs::metadata(&path).unwrap().len();
    assert!(len < 2 * 400_000 + 2000, "{len}");
    let reader = open(&std::fs::read(&path).unwrap()).unwrap();
    assert!(decoded(&reader).unwrap()[0].1 == original);
    let alias = reader.tensor("t", "model.embed.weight").unwrap();
    assert_eq!(reader.read(&alias, alias.row_bytes(10..12).unwrap()).unwrap(), bytes[4000..4800]);
}

/// Gives bytes in pieces of at most `piece`, interrupted now and then.
struct Dribble<'a> {
    rest: &'a [u8],
    piece: usize,
    calls: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(5) {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let n = self.piece.min(buf.len()).min(self.rest.len());
        buf[..n].copy_from_slice(&self.rest[..n]);
        self.rest = &self.rest[n..];
        Ok(n)
    }
}

fn events(bytes: &[u8], piece: usize) -> Result<Vec<String>, mcodec_decode::DecodeError> {
    let (head, rest) = bytes.split_at(bytes.len().min(96));
    let mut reader = ForwardReader::new(head, Dribble { rest, piece, calls: 0 }, Limits::default())?;
    let mut all = Vec::new();
    while let Some(event) = reader.next_event()? {
        all.push(match event {
            ForwardEvent::Chunk { place, payload } => format!("{place:?} {}", blake3::hash(&payload)),
            other => format!("{other:?}"),
        });
    }
    Ok(all)
}

#[test]
fn pushed_in_pieces_a_stream_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = streaming(dir.path(), &safetensors(None, &every_dtype()), &options(1));
    let bytes = std::fs::read(&path).unwrap();
    let whole = events(&bytes, usize::MAX).unwrap();
    assert!(whole.last().is_some_and(|e| e == "End"));
    for piece in [1, 7, 4096] {
        assert!(events(&bytes, piece).unwrap() == whole, "{piece}");
    }
    for cut in (96..bytes.len()).step_by(997) {
        let e = events(&bytes[..cut], 4096).unwrap_err();
        assert!(e.to_string().contains("truncated"), "{cut}: {e}");
    }
    let more = [&bytes[..], b"PK\x03\x04"].concat();
    assert!(events(&more, 4096).is_err());
}
