//! Whole files: every conformance vector, and models.

use crate::{devices, say};
use mcodec_decode::gpu::Shares;
use mcodec_decode::{Entry, ReadOptions, Reader};
use mcodec_encode::{EncodeOptions, Output, encode_path};
use mcodec_tests::inputs::models;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

fn entries(reader: &Reader<Vec<u8>>) -> Vec<Entry> {
    let mut all = Vec::new();
    for asset in reader.assets().unwrap_or_default() {
        for row in reader.rows(&asset.name).unwrap_or_default() {
            all.extend(reader.resolve(row));
        }
    }
    all
}

/// The content of an entry, and that of its chunks (the first hundred), which may be laid out so that the GPU takes them.
fn whole_and_chunks(entry: &Entry) -> Vec<(&Entry, Range<u64>)> {
    let count = entry.chunking().chunk_count().min(100);
    let chunks = (0..count).map(|chunk| entry.chunking().chunk_range(chunk));
    std::iter::once(0..entry.byte_len()).chain(chunks).map(|range| (entry, range)).collect()
}

#[test]
fn every_vector_reads_as_on_the_cpu() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors");
    let mut shares = Shares::default();
    let mut refused = 0;
    for gpu in devices() {
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|e| e != "mcodec") {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let Ok(reader) = Reader::open(bytes, ReadOptions::default()) else { continue };
            for (entry, range) in entries(&reader).iter().flat_map(whole_and_chunks) {
                let here = reader.read(entry, range.clone());
                let there = reader.keep_on_gpu(&[(entry, range)], gpu);
                match (here, there) {
                    (Ok(here), Ok(there)) => {
                        let found = there.contents()[0].download(gpu).unwrap();
                        assert!(here == found, "{}: {:?}", path.display(), entry.name());
                        shares.gpu += there.shares().gpu;
                        shares.cpu += there.shares().cpu;
                    }
                    (Err(here), Err(there)) => {
                        assert_eq!(here.to_string(), there.to_string(), "{}", path.display());
                        refused += 1;
                    }
                    (here, there) => panic!("{}: {here:?} here, {there:?}", path.display()),
                }
            }
        }
    }
    if !devices().is_empty() {
        say(&format!("vectors: {} bytes on the GPU, {} on the CPU", shares.gpu, shares.cpu));
        assert!(shares.gpu > 0 && refused > 10, "{shares:?}, {refused} refused");
    }
}

#[test]
fn models_come_back() {
    let dir = tempfile::tempdir().unwrap();
    for (effort, model) in models().into_iter().take(4).enumerate() {
        if devices().is_empty() {
            return;
        }
        let path = dir.path().join("m.mcodec");
        let output = Output::File { path: path.clone(), force: true };
        encode_path(&model, None, output, &EncodeOptions::default()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for gpu in devices() {
            let options = ReadOptions::default().threads(1 + effort % 2);
            let reader = Reader::open(bytes.clone(), options.clone()).unwrap();
            let entries = entries(&reader);
            let wanted: Vec<_> = entries.iter().map(|entry| (entry, 0..entry.byte_len())).collect();
            let resident = reader.keep_on_gpu(&wanted, gpu).unwrap();
            let shares = resident.shares();
            assert!((resident.uploaded() > 0) == (shares.gpu > 0));
            assert_eq!(shares.gpu + shares.cpu, entries.iter().map(Entry::byte_len).sum::<u64>());
            for (entry, content) in entries.iter().zip(resident.contents()) {
                assert!(content.offset().is_multiple_of(256) || content.is_empty());
                let here = reader.read_all(entry).unwrap();
                assert!(content.download(gpu).unwrap() == here, "{:?} of {}", entry.name(), model.display());
            }
            say(&format!("{}: {shares:?}", model.display()));
            // Into memory of the host, and a range that cuts chunks.
            let through = Reader::open(bytes.clone(), options).unwrap().on_gpu(gpu.clone());
            let largest = entries.iter().max_by_key(|entry| entry.byte_len()).unwrap();
            let range = largest.byte_len() / 5 + 1..largest.byte_len() / 2 + 3;
            let here = reader.read(largest, range.clone()).unwrap();
            assert!(through.read(largest, range.clone()).unwrap() == here);
            let content = reader.read_to_gpu(&[(largest, range.clone())], gpu).unwrap().remove(0);
            assert!(content.len() == range.end - range.start && content.download(gpu).unwrap() == here);
            // Decoded again, over what was cleared.
            let resident = reader.keep_on_gpu(&[(largest, 0..largest.byte_len())], gpu).unwrap();
            let content = &resident.contents()[0];
            if resident.shares().cpu == 0 {
                gpu.upload(content.buffer(), 0, &vec![0xEE; content.len() as usize]).unwrap();
            }
            resident.decode().unwrap();
            assert!(content.download(gpu).unwrap() == reader.read_all(largest).unwrap());
            assert!(resident.shares().gpu == 0 || resident.decode_timed().unwrap().0 > Duration::ZERO);
            for wrong in [0..largest.byte_len() + 1, 0..u64::MAX] {
                assert!(reader.read_to_gpu(&[(largest, wrong)], gpu).is_err());
            }
        }
    }
}
