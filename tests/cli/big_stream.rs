//! A stream larger than what either process may hold: `encode - -o - -e1 | decode - -o -`, with the test at both ends.

use crate::workplace::Workplace;
use mcodec_tests::inputs::Noise;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const BLOCK: usize = 4 << 20;

/// Anonymous memory that either process may have.
const MOST: u64 = 300 << 20;

/// GiB of the stream: `MCODEC_STREAM_GIB`, by default 4, or 1 without optimisation.
fn gib() -> u64 {
    let default = if cfg!(debug_assertions) { 1 } else { 4 };
    std::env::var("MCODEC_STREAM_GIB").map_or(default, |n| n.parse().unwrap())
}

/// The header of four tensors of bf16 that fill `len` bytes.
fn header(len: u64) -> Vec<u8> {
    let each = len / 4;
    let tensor = |i: u64| {
        let (rows, from, to) = (each / 8192, i * each, (i + 1) * each);
        format!(
            "\"model.layers.{i}.weight\":{{\"dtype\":\"BF16\",\"shape\":[{rows},4096],\"data_offsets\":[{from},{to}]}}"
        )
    };
    let mut json = format!("{{{}}}", (0..4).map(tensor).collect::<Vec<_>>().join(","));
    while !json.len().is_multiple_of(8) {
        json.push(' ');
    }
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat()
}

/// The stream: the header, then a block of weights again and again, each time with its number in it.
fn write_stream(len: u64, mut out: impl Write) {
    out.write_all(&header(len)).unwrap();
    let mut block = Noise(3).bf16(BLOCK / 2);
    for i in 0..len / BLOCK as u64 {
        block[..8].copy_from_slice(&i.to_le_bytes());
        out.write_all(&block).unwrap();
    }
}

/// Compares what comes with the stream.
fn compare_stream(len: u64, mut input: impl Read) {
    let head = header(len);
    let mut found = vec![0; head.len()];
    input.read_exact(&mut found).unwrap();
    assert!(found == head);
    let mut block = Noise(3).bf16(BLOCK / 2);
    let mut found = vec![0; BLOCK];
    for i in 0..len / BLOCK as u64 {
        block[..8].copy_from_slice(&i.to_le_bytes());
        input.read_exact(&mut found).unwrap();
        assert!(found == block, "block {i} differs");
    }
    assert_eq!(input.read(&mut found).unwrap(), 0);
}

/// Anonymous memory of a process, in bytes; 0 when it has ended.
fn anonymous(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    line.map_or(0, |l| l.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}

#[test]
fn a_stream_of_any_length_takes_little_memory() {
    let len = gib() << 30;
    let place = Workplace::new();
    let start = Instant::now();
    let mut encoder =
        place.command(&["encode", "-", "-o", "-", "-e1"]).stdin(Stdio::piped()).spawn().unwrap();
    let coded = encoder.stdout.take().unwrap();
    let mut decoder = place.command(&["decode", "-", "-o", "-"]).stdin(coded).spawn().unwrap();
    let (into, from) = (encoder.stdin.take().unwrap(), decoder.stdout.take().unwrap());
    let running = AtomicBool::new(true);
    let mut peaks = [0u64; 2];
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || write_stream(len, into));
        let reader = scope.spawn(|| compare_stream(len, from));
        scope.spawn(|| {
            while running.load(Ordering::Relaxed) {
                peaks[0] = peaks[0].max(anonymous(&encoder));
                peaks[1] = peaks[1].max(anonymous(&decoder));
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let ends = (writer.join(), reader.join());
        running.store(false, Ordering::Relaxed);
        assert!(ends.0.is_ok() && ends.1.is_ok());
    });
    for child in [&mut encoder, &mut decoder] {
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(child.wait().unwrap().success(), "{err}");
    }
    let [e, d] = peaks.map(|p| p >> 20);
    eprintln!("{} GiB in {:?}: encode {e} MiB, decode {d} MiB of anonymous memory", gib(), start.elapsed());
    if File::open("/proc/self/status").is_ok() {
        assert!(peaks.iter().all(|p| (1..MOST).contains(p)), "encode {e} MiB, decode {d} MiB");
    }
    assert_eq!(place.everything().len(), 0);
}
