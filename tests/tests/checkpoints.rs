//! Several checkpoints of one run in one file, each told against another.

use mcodec_decode::{Reader, source_files, verify};
use mcodec_encode::{AppendBase, EncodeError, EncodeOptions, Output, append, encode_path, pack, recover};
use mcodec_format::{Dependency, registry};
use mcodec_tests::files::{finished, open, options};
use mcodec_tests::inputs::{Noise, Tensor, safetensors, tensor};
use std::path::{Path, PathBuf};

/// Checkpoints of a random walk, oldest first; each moves half of the weights by up to `step` last places.
fn run(count: usize, step: u64) -> Vec<Vec<u8>> {
    let mut noise = Noise(11);
    let weight = |i| tensor(&format!("layers.{i}.weight"), "BF16", &[60, 50], noise.bf16(3000));
    let mut tensors: Vec<Tensor> = (0..4).map(weight).collect();
    tensors.push(tensor("step", "I64", &[20], noise.bytes(160)));
    (0..count)
        .map(|_| {
            let file = safetensors(None, &tensors);
            for t in &mut tensors {
                for unit in t.bytes.chunks_exact_mut(2) {
                    if noise.word().is_multiple_of(2) {
                        continue;
                    }
                    let value = u16::from_le_bytes([unit[0], unit[1]]);
                    let by = (noise.word() % (2 * step + 1)) as u16;
                    unit.copy_from_slice(&value.wrapping_add(by).wrapping_sub(step as u16).to_le_bytes());
                }
            }
            file
        })
        .collect()
}

/// A file of the checkpoints, appended one after another.
fn file_of(dir: &Path, checkpoints: &[Vec<u8>], options: &EncodeOptions) -> PathBuf {
    let path = finished(dir, "step0.safetensors", &checkpoints[0], None, options);
    for (at, checkpoint) in checkpoints.iter().enumerate().skip(1) {
        let input = dir.join(format!("step{at}.safetensors"));
        std::fs::write(&input, checkpoint).unwrap();
        let report = append(&path, &input, None, options).unwrap();
        assert_eq!((report.tensors, report.deltas), (5, 5));
    }
    path
}

fn check(bytes: &[u8], checkpoints: &[Vec<u8>]) {
    let reader = open(bytes).unwrap();
    for (at, checkpoint) in checkpoints.iter().enumerate() {
        let asset = reader.asset(Some(&format!("step{at}"))).unwrap();
        assert_eq!(source_files(&reader, &asset).unwrap()[0].read(&reader).unwrap(), *checkpoint);
    }
    let report = verify(&reader, true).unwrap();
    assert_eq!((report.damage, report.unknown), (vec![], vec![]));
}

/// The ordinals of the assets that each asset is told against.
fn bases(reader: &Reader<Vec<u8>>, count: usize) -> Vec<Option<u32>> {
    (0..count)
        .map(|at| {
            let entry = reader.tensor(&format!("step{at}"), "layers.0.weight").unwrap();
            entry.row().dependencies.iter().find_map(|d| match d {
                Dependency::Other { asset, .. } => Some(*asset),
                _ => None,
            })
        })
        .collect()
}

#[test]
fn each_checkpoint_is_told_against_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    // A walk: the last is always nearest, as long as the row is not too long.
    let walk = run(10, 3);
    let path = file_of(dir.path(), &walk, &options(1));
    let bytes = std::fs::read(&path).unwrap();
    check(&bytes, &walk);
    let told = bases(&open(&bytes).unwrap(), 10);
    assert_eq!(told[..7], [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)]);
    assert!(told[7..].iter().all(Option::is_some), "{told:?}");
    let alone: u64 = walk
        .iter()
        .enumerate()
        .map(|(at, file)| {
            let path = finished(dir.path(), &format!("alone{at}.safetensors"), file, None, &options(1));
            std::fs::metadata(path).unwrap().len()
        })
        .sum();
    assert!(bytes.len() as u64 * 2 < alone, "{} of {alone}", bytes.len());
    // Branches of one base: the first is nearest.
    let mut noise = Noise(4);
    let branches: Vec<Vec<u8>> = std::iter::once(walk[0].clone())
        .chain((0..3).map(|_| {
            let mut file = walk[0].clone();
            let head = file.len() - 4 * 6000 - 160;
            for unit in file[head..].chunks_exact_mut(2) {
                if noise.word().is_multiple_of(2) {
                    continue;
                }
                let value = u16::from_le_bytes([unit[0], unit[1]]);
                unit.copy_from_slice(&value.wrapping_add(1 + (noise.word() % 2) as u16).to_le_bytes());
            }
            file
        }))
        .collect();
    let path = file_of(dir.path(), &branches, &options(1));
    let bytes = std::fs::read(&path).unwrap();
    check(&bytes, &branches);
    assert_eq!(bases(&open(&bytes).unwrap(), 4), [None, Some(0), Some(0), Some(0)]);
}

#[test]
fn pack_and_coding_anew_keep_what_checkpoints_are_told_against() {
    let dir = tempfile::tempdir().unwrap();
    let walk = run(4, 2);
    let path = file_of(dir.path(), &walk, &options(1));
    let packed = dir.path().join("packed.mcodec");
    let output = || Output::File { path: packed.clone(), force: true };
    pack(&path, output(), &options(1)).unwrap();
    let bytes = std::fs::read(&packed).unwrap();
    check(&bytes, &walk);
    assert!(bytes.len() as u64 <= std::fs::metadata(&path).unwrap().len());
    encode_path(&path, None, output(), &options(1)).unwrap();
    let anew = std::fs::read(&packed).unwrap();
    check(&anew, &walk);
    assert_eq!(bases(&open(&anew).unwrap(), 4), [None, Some(0), Some(1), Some(2)]);
    assert!(anew.len() < bytes.len() + bytes.len() / 20, "{} {}", anew.len(), bytes.len());
}

#[test]
fn a_base_can_be_named_or_done_without() {
    let dir = tempfile::tempdir().unwrap();
    let walk = run(9, 1);
    let path = file_of(dir.path(), &walk[..7], &options(1));
    let input = dir.path().join("step7.safetensors");
    std::fs::write(&input, &walk[7]).unwrap();
    let named = |name: &str| {
        let mut options = options(1);
        options.append_base = AppendBase::Asset(name.into());
        options
    };
    let refused = |name: &str| match append(&path, &input, None, &named(name)) {
        Err(EncodeError::Request(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused("step9").contains("no model"));
    assert!(refused("step6").contains("the last of 6 assets"));
    append(&path, &input, None, &named("step3")).unwrap();
    let last = dir.path().join("step8.safetensors");
    std::fs::write(&last, &walk[8]).unwrap();
    let mut alone = options(1);
    alone.append_base = AppendBase::Nothing;
    assert_eq!(append(&path, &last, None, &alone).unwrap().deltas, 0);
    let bytes = std::fs::read(&path).unwrap();
    check(&bytes, &walk);
    assert_eq!(bases(&open(&bytes).unwrap(), 9)[7..], [Some(3), None]);
}

#[test]
fn what_is_told_against_a_lost_tensor_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let walk = run(3, 2);
    let path = file_of(dir.path(), &walk, &options(1));
    let mut bytes = std::fs::read(&path).unwrap();
    let reader = open(&bytes).unwrap();
    let row = reader.tensor("step0", "layers.2.weight").unwrap();
    assert_eq!(row.kind(), registry::entry::TENSOR);
    let at = row.row().offset as usize + 20;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let saved = dir.path().join("saved.mcodec");
    let report = recover(&path, Output::File { path: saved.clone(), force: true }, &options(1)).unwrap();
    assert!(!report.complete);
    let lost = |asset: &str| report.lost.iter().any(|l| l.starts_with(&format!("{asset}/layers.2.weight")));
    assert!(lost("step0") && lost("step1") && lost("step2"), "{:?}", report.lost);
    let reader = open(&std::fs::read(&saved).unwrap()).unwrap();
    assert_eq!(verify(&reader, true).unwrap().damage, []);
    reader.read_all(&reader.tensor("step2", "layers.1.weight").unwrap()).unwrap();
}
