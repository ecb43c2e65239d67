//! Requests: by name, by pattern, by rows; sources that change while they are open.

use mcodec_decode::{
    DecodeError, Fetched, Opener, Planner, ReadOptions, Reader, SharedCache, Step, decode_range,
};
use mcodec_format::{FormatError, Limits};
use mcodec_tests::counting::Counting;
use mcodec_tests::files::{finished, open, options};
use mcodec_tests::inputs::{Noise, Tensor, safetensors, tensor};
use std::fs::File;

fn layers() -> Vec<Tensor> {
    let mut noise = Noise(51);
    (0..30)
        .flat_map(|i| ["q[0]", "k"].map(|n| (i, n)))
        .map(|(i, n)| tensor(&format!("model.layers.{i}.{n}.weight"), "BF16", &[60, 40], noise.bf16(2400)))
        .collect()
}

#[test]
fn tensors_are_selected_by_name_or_pattern() {
    let dir = tempfile::tempdir().unwrap();
    let all = layers();
    let path = finished(dir.path(), "m.safetensors", &safetensors(None, &all), None, &options(1));
    let reader = open(&std::fs::read(&path).unwrap()).unwrap();
    let names = |pattern: &str| -> Vec<String> {
        reader.select("m", pattern).unwrap().iter().map(|e| e.name().to_owned()).collect()
    };
    assert_eq!(names("model.layers.3.*"), ["model.layers.3.k.weight", "model.layers.3.q[0].weight"]);
    assert_eq!(names("model.layers.3.q[0].weight"), ["model.layers.3.q[0].weight"]);
    assert_eq!(names("*.k.weight")[1..3], ["model.layers.1.k.weight", "model.layers.2.k.weight"]);
    assert_eq!(names("*").len(), 60);
    assert!(matches!(reader.select("m", "nothing*"), Err(DecodeError::NotFound { .. })));
    assert!(matches!(reader.select("m", "a{b"), Err(DecodeError::Request(_))));
    assert!(matches!(reader.asset(Some("x")), Err(DecodeError::NotFound { .. })));
}

#[test]
fn a_shared_table_is_planned_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut noise = Noise(52);
    let many: Vec<_> =
        (0..400).map(|i| tensor(&format!("norm.{i}"), "BF16", &[128], noise.bf16(128))).collect();
    let path = finished(dir.path(), "n.safetensors", &safetensors(None, &many), None, &options(2));
    let reader = open(&std::fs::read(&path).unwrap()).unwrap();
    let entries = reader.select("n", "norm.*").unwrap();
    let sharing: Vec<_> = entries.iter().filter(|e| !e.row().dependencies.is_empty()).collect();
    assert!(sharing.len() > 300, "{} of 400 share tables", sharing.len());
    let mut planner = Planner::new(0);
    for entry in &sharing {
        planner.add(entry, 0..entry.byte_len()).unwrap();
    }
    let plan = planner.finish();
    let tables = plan.chunks.len() - sharing.len();
    assert!((1..=4).contains(&tables), "{tables} tables");
    assert!(plan.reads.windows(2).all(|w| w[0].end < w[1].start));
    for entry in &entries {
        let i: usize = entry.name()[5..].parse().unwrap();
        assert!(reader.read_all(entry).unwrap() == many[i].bytes);
    }
}

/// The whole path by hand, without any IO in the library: open, look up, plan, fetch, decode into the caller's buffer.
#[test]
fn the_sans_io_core_can_be_driven_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let all = layers();
    let path = finished(dir.path(), "m.safetensors", &safetensors(None, &all), None, &options(1));
    let file = std::fs::read(&path).unwrap();
    let mut opener = Opener::new(file.len() as u64, Limits::default());
    let index = loop {
        match opener.step().unwrap() {
            Step::Read(r) => opener.supply(r.start, file[r.start as usize..r.end as usize].to_vec()),
            Step::Done(index) => break index,
        }
    };
    let row = index.find("m", mcodec_format::registry::entry::TENSOR, &all[7].name, 0).unwrap().unwrap();
    let entry = mcodec_decode::Entry::resolve(row, index.limits()).unwrap();
    let range = entry.row_bytes(10..20).unwrap();
    let mut planner = Planner::new(0);
    planner.add(&entry, range.clone()).unwrap();
    let mut fetched = Fetched::default();
    for r in &planner.finish().reads {
        fetched.add(r.start, &file[r.start as usize..r.end as usize]);
    }
    let mut out = vec![0u8; 800];
    decode_range(&entry, range, &fetched, &SharedCache::default(), &[], &mut out, false).unwrap();
    assert!(out == all[7].bytes[800..1600]);
    let missing = decode_range(
        &entry,
        0..4800,
        &Fetched::default(),
        &SharedCache::default(),
        &[],
        &mut vec![0; 4800],
        false,
    );
    assert!(matches!(missing, Err(DecodeError::Request(_))));
}

#[test]
fn rows_out_of_range_and_tensors_without_rows_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tensors = [
        tensor("scalar", "F64", &[], vec![0; 8]),
        tensor("m", "I4", &[3, 2], vec![1, 2, 3]),
        tensor("odd", "I4", &[2, 3], vec![1, 2, 3]),
    ];
    let path = finished(dir.path(), "m.safetensors", &safetensors(None, &tensors), None, &options(1));
    let reader = open(&std::fs::read(&path).unwrap()).unwrap();
    let entry = |name| reader.tensor("m", name).unwrap();
    assert_eq!(entry("m").row_bytes(1..3).unwrap(), 1..3);
    assert_eq!(entry("m").row_bytes(3..3).unwrap(), 3..3);
    for (name, rows) in [("m", 2..4), ("scalar", 0..1), ("odd", 0..1)] {
        assert!(matches!(entry(name).row_bytes(rows), Err(DecodeError::Request(_))), "{name}");
    }
    #[allow(clippy::reversed_empty_ranges)]
    let backwards = entry("m").row_bytes(2..1);
    assert!(backwards.is_err());
}

#[test]
fn a_file_truncated_while_open_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = finished(dir.path(), "m.safetensors", &safetensors(None, &layers()), None, &options(1));
    let reader = Reader::open(File::open(&path).unwrap(), ReadOptions::default()).unwrap();
    let entry = reader.tensor("m", "model.layers.29.k.weight").unwrap();
    File::options().write(true).open(&path).unwrap().set_len(5000).unwrap();
    assert!(matches!(reader.read_all(&entry), Err(DecodeError::Io { .. })));
    // Cut after the index was read: whatever is opened anew is refused.
    let e = Reader::open(File::open(&path).unwrap(), ReadOptions::default()).map(|_| ()).unwrap_err();
    assert!(matches!(e, DecodeError::Format(FormatError::Truncated { .. })), "{e}");
}

#[test]
fn eight_threads_may_share_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    let all = layers();
    let path = finished(dir.path(), "m.safetensors", &safetensors(None, &all), None, &options(1));
    let reader = Reader::open(Counting::new(File::open(&path).unwrap()), ReadOptions::default()).unwrap();
    std::thread::scope(|scope| {
        for i in 0..8usize {
            let (reader, all) = (&reader, &all);
            scope.spawn(move || {
                for t in all.iter().skip(i) {
                    assert!(reader.read_all(&reader.tensor("m", &t.name).unwrap()).unwrap() == t.bytes);
                }
            });
        }
    });
}

#[test]
fn limits_are_obeyed() {
    let dir = tempfile::tempdir().unwrap();
    let mut noise = Noise(53);
    let tensors =
        [tensor("big", "U8", &[3000, 1000], noise.bytes(3_000_000)), tensor("small", "U8", &[9], vec![0; 9])];
    let path = finished(dir.path(), "m.safetensors", &safetensors(None, &tensors), None, &options(1));
    let bytes = std::fs::read(&path).unwrap();
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        let reader = Reader::open(bytes.clone(), ReadOptions::default().limits(limits))?;
        reader.read_all(&reader.tensor("m", "big")?)
    };
    assert!(with(|_| ()).is_ok());
    let changes: [fn(&mut Limits); 8] = [
        |l| l.output_bytes = 2_999_999,
        |l| l.chunk_bytes = 1000,
        |l| l.memory = 1000,
        |l| l.chunks = 3,
        |l| l.entries = 1,
        |l| l.assets = 0,
        |l| l.name_bytes = 2,
        |l| l.root_bytes = 50,
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let e = with(change).unwrap_err();
        let limit = match &e {
            DecodeError::Format(e) | DecodeError::Entry { source: e, .. } => {
                matches!(e, FormatError::Limit { .. })
            }
            _ => false,
        };
        assert!(limit, "{i}: {e}");
    }
}
