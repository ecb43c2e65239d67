//! Budgets of the design: bytes of overhead, and reads to get at something.

use mcodec_decode::{ReadOptions, Reader};
use mcodec_encode::{AssetKind, Output, encode_path};
use mcodec_tests::counting::{Counting, bytes_of};
use mcodec_tests::files::{finished, options};
use mcodec_tests::inputs::{Noise, moe_tiny, safetensors, tensor};
use std::fs::File;

/// All payload bytes of a file, and its number of chunks.
fn payloads(path: &std::path::Path) -> (u64, u64) {
    let reader = Reader::open(File::open(path).unwrap(), ReadOptions::default()).unwrap();
    let mut sum = (0, 0);
    for leaf in 0..reader.index().leaf_count() {
        for row in reader.leaf(leaf).unwrap().rows.iter().filter(|r| !r.copy) {
            sum.0 += row.lengths.iter().sum::<u64>();
            sum.1 += row.lengths.len() as u64;
        }
    }
    sum
}

#[test]
fn one_asset_with_one_chunk_costs_at_most_224_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut noise = Noise(2);
    let bytes = noise.bytes(5000);
    let path = finished(dir.path(), "random.bin", &bytes, Some(AssetKind::Blob), &options(1));
    let len = std::fs::metadata(&path).unwrap().len();
    assert!(len <= 5000 + 224, "{len}");
    let weights = tensor("model.embed_tokens.weight", "F32", &[50, 25], noise.bytes(5000));
    let path = finished(dir.path(), "model.safetensors", &safetensors(None, &[weights]), None, &options(1));
    let len = std::fs::metadata(&path).unwrap().len();
    assert_eq!(payloads(&path).1, 1);
    assert!(len <= 5000 + 224, "{len}");
}

#[test]
fn each_further_chunk_costs_at_most_12_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut noise = Noise(3);
    let stored = finished(dir.path(), "r.bin", &noise.bytes(20 << 20), Some(AssetKind::Blob), &options(2));
    let weights = tensor("w", "BF16", &[5000, 1024], noise.bf16(5000 * 1024));
    let coded = finished(dir.path(), "w.safetensors", &safetensors(None, &[weights]), None, &options(2));
    for path in [stored, coded] {
        let (bytes, chunks) = payloads(&path);
        let overhead = std::fs::metadata(&path).unwrap().len() - bytes;
        eprintln!("{}: {overhead} bytes over {chunks} chunks", path.display());
        assert!(chunks > 30 && overhead <= 224 + 12 * (chunks - 1), "{overhead} over {chunks} chunks");
    }
    // Stored chunks carry a marker of one byte besides.
    let len = std::fs::metadata(dir.path().join("r.bin.mcodec")).unwrap().len();
    assert!(len <= (20 << 20) + 224 + 12 * 79, "{len}");
}

#[test]
fn open_to_first_tensor_takes_two_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.mcodec");
    let output = Output::File { path: path.clone(), force: false };
    encode_path(&moe_tiny(), None, output, &options(2)).unwrap();
    let reader = Reader::open(Counting::new(File::open(&path).unwrap()), ReadOptions::default()).unwrap();
    let asset = reader.asset(None).unwrap();
    let entry = reader.tensor(&asset.name, "lm_head.weight").unwrap();
    reader.read_all(&entry).unwrap();
    let reads = reader.source().take();
    assert!(reads.len() <= 2, "{reads:?}");
    assert_eq!(reads[0], 0..16384);
}

#[test]
fn one_row_of_a_large_tensor_fetches_one_or_two_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let mut noise = Noise(4);
    // 100 MB in rows of 250,000 bytes; most of it repeats, to be quick.
    let mut bytes = noise.bf16(1 << 20);
    bytes = bytes.repeat(48);
    bytes.truncate(400 * 250_000);
    let large = tensor("large", "BF16", &[400, 125_000], bytes.clone());
    let mut options = options(2);
    options.effort = 1;
    let path = finished(dir.path(), "l.safetensors", &safetensors(None, &[large]), None, &options);
    let reader = Reader::open(Counting::new(File::open(&path).unwrap()), ReadOptions::default()).unwrap();
    let entry = reader.tensor("l", "large").unwrap();
    reader.source().take();
    for row in [0, 123, 399] {
        let range = entry.row_bytes(row..row + 1).unwrap();
        // One data chunk, and the classes and column labels of its part of the tensor.
        let chunks = reader.plan(&entry, range.clone()).unwrap().chunks;
        assert_eq!(chunks.keys().filter(|place| place.entry == entry.id()).count(), 1);
        assert!(chunks.len() <= 3, "{}", chunks.len());
        assert!(
            reader.read(&entry, range.clone()).unwrap() == bytes[range.start as usize..range.end as usize]
        );
        let reads = reader.source().take();
        assert!(reads.len() <= 2 && bytes_of(&reads) < 2 * 262_144 + 4096, "{reads:?}");
    }
}

#[test]
fn a_million_chunks_open_to_any_tensor_in_three_reads() {
    let dir = tempfile::tempdir().unwrap();
    let mut noise = Noise(5);
    let tensors: Vec<_> = (0..1000)
        .map(|i| {
            tensor(
                &format!("model.layers.{}.block.{}.weight", i / 20, i % 20),
                "U8",
                &[64_000],
                noise.bytes(64_000),
            )
        })
        .collect();
    let mut options = options(2);
    options.chunk_len = 64;
    options.effort = 1;
    let path = finished(dir.path(), "million.safetensors", &safetensors(None, &tensors), None, &options);
    assert!(payloads(&path).1 >= 1_000_000);
    for wanted in [0, 1, 499, 998, 999] {
        let reader = Reader::open(Counting::new(File::open(&path).unwrap()), ReadOptions::default()).unwrap();
        // Read 1 holds preamble and root, read 2 the leaf; the data is the third.
        let asset = reader.only_asset().unwrap().unwrap();
        let entry = reader.tensor(&asset, &tensors[wanted].name).unwrap();
        let reads = reader.source().take();
        assert_eq!(reads.len(), 2);
        let index = bytes_of(&reads);
        let plan = reader.plan(&entry, 0..64).unwrap();
        assert_eq!(reader.read(&entry, 0..64).unwrap(), tensors[wanted].bytes[..64]);
        let data = reader.source().take();
        // The first tensor of all may have come with the first read.
        assert!(data.len() <= 1 && plan.reads.len() == 1, "{data:?}");
        assert!(index <= 256 << 10, "{index} bytes of index");
    }
}
