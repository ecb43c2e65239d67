//! Tensors longer than a segment divide what their chunks depend on into groups.

use mcodec_decode::{DecodeError, Entry, ReadOptions, Reader};
use mcodec_encode::{EncodeOptions, Output, pack};
use mcodec_format::registry::entry;
use mcodec_format::{Dependency, DependencyGroups};
use mcodec_tests::files::{decoded, finished, open, options, streaming};
use mcodec_tests::inputs::{Noise, Tensor, safetensors, tensor};
use std::collections::BTreeSet;
use std::fs;

/// Rows of 512 bytes, 100 of them: 25 chunks of 2 KiB, the last 4 of them in a group of their own.
const SHAPE: [u64; 2] = [100, 256];
const GROUP_CHUNKS: u64 = 7;

fn small_segments(threads: usize) -> EncodeOptions {
    let mut options = options(threads);
    options.chunk_len = 2 << 10;
    options.segment_len = GROUP_CHUNKS * options.chunk_len + 100;
    options
}

fn tensors() -> Vec<Tensor> {
    let mut noise = Noise(81);
    // Columns of different scales, so that labels gain.
    let long: Vec<u8> = (0..SHAPE[0] * SHAPE[1])
        .zip(noise.bf16((SHAPE[0] * SHAPE[1]) as usize).as_chunks::<2>().0)
        .flat_map(|(i, bytes)| (u16::from_le_bytes(*bytes) + ((i * 7 % 5) as u16) * 128).to_le_bytes())
        .collect();
    vec![
        tensor("a", "BF16", &[16, 16], noise.bf16(256)),
        tensor("long", "BF16", &SHAPE, long),
        tensor("z", "F32", &[5], vec![7; 20]),
    ]
}

/// The entries, by kind, of the chunks that a request reads besides those of its own entry.
fn needed(reader: &Reader<Vec<u8>>, entry: &Entry, range: std::ops::Range<u64>) -> (usize, BTreeSet<u32>) {
    let plan = reader.plan(entry, range).expect("the range is planned");
    let own = plan.chunks.keys().filter(|place| place.entry == entry.row().id).count();
    let others = plan.chunks.keys().map(|place| place.entry).filter(|id| *id != entry.row().id).collect();
    (own, others)
}

#[test]
fn a_long_tensor_comes_back_in_every_form_and_reads_one_group_at_a_time() {
    let dir = tempfile::tempdir().expect("folder is made");
    let source = safetensors(None, &tensors());
    let path = finished(dir.path(), "m.safetensors", &source, None, &small_segments(2));
    let stream = streaming(dir.path(), &source, &small_segments(2));
    let packed = dir.path().join("packed.mcodec");
    pack(&stream, Output::File { path: packed.clone(), force: false }, &small_segments(2)).expect("it packs");
    for path in [path, stream, packed] {
        let reader = open(&fs::read(&path).expect("file is there")).expect("file opens");
        assert!(decoded(&reader).expect("it decodes")[0].1 == source, "{}", path.display());
        let asset = reader.asset(None).expect("one asset").name;
        let long = reader.tensor(&asset, "long").expect("tensor is there");
        let groups = DependencyGroups { chunks: GROUP_CHUNKS, dependencies: 2 };
        assert_eq!(long.tensor().expect("a tensor").groups, Some(groups));
        let ids: Vec<u32> = long
            .row()
            .dependencies
            .iter()
            .map(|d| match d {
                Dependency::Entry(id) => *id,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ids.len(), 8, "four groups of two");
        for (group, pair) in ids.chunks(2).enumerate() {
            let kinds: Vec<u64> = reader
                .rows(&asset)
                .expect("rows are read")
                .iter()
                .filter(|row| pair.contains(&row.get().id))
                .map(|row| row.get().kind)
                .collect();
            assert!(kinds.contains(&entry::CLASSES) && kinds.contains(&entry::COLUMN_LABELS));
            // The last row of the group, or of the tensor.
            let row = ((group as u64 + 1) * GROUP_CHUNKS * 4 - 1).min(SHAPE[0] - 1);
            let range = long.row_bytes(row..row + 1).expect("the row is there");
            assert_eq!(needed(&reader, &long, range.clone()), (1, pair.iter().copied().collect()));
            let bytes = reader.read(&long, range.clone()).expect("the row is read");
            assert!(bytes == tensors()[1].bytes[range.start as usize..range.end as usize]);
        }
        let all = needed(&reader, &long, 0..long.byte_len());
        assert_eq!(all, (25, ids.iter().copied().collect()));
    }
}

#[test]
fn groups_do_not_depend_on_threads() {
    let dir = tempfile::tempdir().expect("folder is made");
    let source = safetensors(None, &tensors());
    let encoded = |threads: usize| {
        fs::read(finished(dir.path(), "m.safetensors", &source, None, &small_segments(threads)))
            .expect("file is there")
    };
    let one = encoded(1);
    assert!(one == encoded(2) && one == encoded(8));
    for threads in [1, 2, 8] {
        let reader = Reader::open(one.clone(), ReadOptions::default().threads(threads)).expect("file opens");
        assert!(decoded(&reader).expect("it decodes")[0].1 == source);
    }
}

/// A flipped bit in the classes of one group leaves the others readable.
#[test]
fn damage_in_one_group_is_of_that_group_alone() {
    let dir = tempfile::tempdir().expect("folder is made");
    let source = safetensors(None, &tensors());
    let path = finished(dir.path(), "m.safetensors", &source, None, &small_segments(1));
    let mut bytes = fs::read(path).expect("file is there");
    let reader = open(&bytes).expect("file opens");
    let Dependency::Entry(id) = reader.tensor("m", "long").expect("tensor is there").row().dependencies[2]
    else {
        panic!("it is of the same asset");
    };
    let rows = reader.rows("m").expect("rows are read");
    let row = rows.iter().find(|row| row.get().id == id).expect("the object is there");
    let span = row.get().spans(0).next().expect("it has a chunk");
    bytes[span.payload.start as usize + 8] ^= 1;
    let reader = open(&bytes).expect("file opens");
    let long = reader.tensor("m", "long").expect("tensor is there");
    for (row, is_sound) in [(0, true), (27, true), (28, false), (55, false), (56, true), (99, true)] {
        let found = reader.read(&long, long.row_bytes(row..row + 1).expect("the row is there"));
        assert_eq!(found.is_ok(), is_sound, "row {row}");
        assert!(matches!(found, Ok(_) | Err(DecodeError::Entry { .. })));
    }
}
