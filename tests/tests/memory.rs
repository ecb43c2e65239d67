//! Memory bounds, counted by the allocator. One test function: the count is the process's.

use mcodec_decode::{ReadOptions, Reader, verify};
use mcodec_encode::{EncodeOptions, Output, encode_path, encode_stream};
use mcodec_format::Limits;
use mcodec_tests::break_file::each_bit_flip;
use mcodec_tests::files::{finished, options};
use mcodec_tests::inputs::{Noise, safetensors, tensor};
use peak_alloc::PeakAlloc;
use std::fs::File;
use std::io::Write;
use std::path::Path;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that `work` holds at most, beyond what is held before it.
fn peak(work: impl FnOnce()) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    work();
    MEMORY.peak_usage() - before
}

const MIB: usize = 1 << 20;

/// A safetensors file of `mib` MiB in tensors of 96 MiB.
fn write_model(path: &Path, mib: usize) {
    let noise = Noise(31).bf16(MIB / 2);
    let rows = 96 * MIB as u64 / 2 / 4096;
    let count = mib / 96;
    let empty: Vec<_> =
        (0..count).map(|i| tensor(&format!("w.{i}"), "BF16", &[rows, 4096], vec![])).collect();
    let mut json = String::from("{");
    for (i, t) in empty.iter().enumerate() {
        let (a, b) = (i * 96 * MIB, (i + 1) * 96 * MIB);
        json += &format!(
            "{}\"{}\":{{\"dtype\":\"BF16\",\"shape\":[{rows},4096],\"data_offsets\":[{a},{b}]}}",
            if i > 0 { "," } else { "" },
            t.name
        );
    }
    json += "}";
    let mut out = std::io::BufWriter::new(File::create(path).unwrap());
    out.write_all(&(json.len() as u64).to_le_bytes()).unwrap();
    out.write_all(json.as_bytes()).unwrap();
    for _ in 0..count * 96 {
        out.write_all(&noise).unwrap();
    }
    out.flush().unwrap();
}

fn encode_and_decode(dir: &Path) {
    let input = dir.join("big.safetensors");
    write_model(&input, 480);
    let path = dir.join("big.mcodec");
    let mut fast = options(2);
    fast.effort = 1;
    let output = Output::File { path: path.clone(), force: false };
    let used = peak(|| {
        encode_path(&input, None, output, &fast).unwrap();
    });
    eprintln!("encode of 480 MiB: {} MiB", used / MIB);
    assert!(used < 256 * MIB, "{} MiB", used / MIB);
    let stream = Output::Stream(Box::new(std::io::sink()));
    let used = peak(|| {
        let input = Box::new(File::open(&input).unwrap());
        encode_stream(input, "big", None, stream, &fast).unwrap();
    });
    assert!(used < 256 * MIB, "{} MiB", used / MIB);
    let used = peak(|| {
        let reader = Reader::open(File::open(&path).unwrap(), ReadOptions::default().threads(2)).unwrap();
        let entry = reader.tensor("big", "w.3").unwrap();
        assert_eq!(reader.read_all(&entry).unwrap().len(), 96 * MIB);
    });
    eprintln!("decode of 96 MiB: {} MiB", used / MIB);
    assert!(used < (96 + 64) * MIB, "{} MiB", used / MIB);
}

fn hostile(dir: &Path) {
    let mut noise = Noise(32);
    let tensors: Vec<_> =
        (0..4).map(|i| tensor(&format!("layers.{i}.w"), "BF16", &[20, 10], noise.bf16(200))).collect();
    let path = finished(dir, "m.safetensors", &safetensors(None, &tensors), None, &EncodeOptions::default());
    let good = std::fs::read(&path).unwrap();
    let limits = Limits::strict();
    each_bit_flip(&good, |bit, broken| {
        let bytes = broken.to_vec();
        let used = peak(|| {
            if let Ok(reader) = Reader::open(bytes, ReadOptions::default().limits(limits)) {
                _ = verify(&reader, true);
            }
        });
        assert!(used as u64 <= limits.memory + limits.output_bytes + MIB as u64, "bit {bit}: {used} bytes");
    });
}

#[test]
fn memory_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    encode_and_decode(dir.path());
    hostile(dir.path());
}
