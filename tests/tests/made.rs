//! Content that is not plain trained floats: widened and pruned floats, types of 8 and 4 bits. Each comes to nearly what its
//! entropy says.
//!
//! `MCODEC_MADE=FILE cargo test -p mcodec-tests --test made -- --nocapture` makes the variants of another model and prints the figures.

#[path = "made/packed.rs"]
mod packed;
#[path = "made/variants.rs"]
mod variants;

use mcodec_decode::{ReadOptions, Reader, source_files};
use mcodec_encode::{EncodeOptions, Output, encode_path};
use packed::Packer;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use variants::{Prune, Quantised, Weights};

/// Encodes, decodes and compares; the encoded file's bytes.
fn size(file: &[u8], effort: u8, dir: &Path) -> f64 {
    let (input, out) = (dir.join("m.safetensors"), dir.join("m.mcodec"));
    fs::write(&input, file).unwrap();
    let mut options = EncodeOptions::default();
    options.effort = effort;
    let output = Output::File { path: out.clone(), force: true };
    let report = encode_path(&input, None, output, &options).unwrap();
    let reader = Reader::open(File::open(&out).unwrap(), ReadOptions::default()).unwrap();
    let asset = reader.asset(None).unwrap();
    let files = source_files(&reader, &asset).unwrap();
    assert!(files[0].read(&reader).unwrap() == file, "does not come back");
    report.output_bytes as f64
}

/// A line of figures.
struct Line {
    what: &'static str,
    effort: u8,
    ours: f64,
    reference: f64,
    /// Ratio of the two that is allowed.
    most: f64,
}

struct Measure<'d> {
    dir: &'d Path,
    lines: Vec<Line>,
}

impl Measure<'_> {
    fn add(&mut self, what: &'static str, most: f64, file: &[u8], reference: impl Fn(u8) -> f64) {
        for effort in [5, 9] {
            let (ours, reference) = (size(file, effort, self.dir), reference(effort));
            println!(
                "{what:<28} effort {effort}: {:>10} -> {ours:>9.0}, reference {reference:>9.0}, ratio {:.4}",
                file.len(),
                ours / reference
            );
            self.lines.push(Line { what, effort, ours, reference, most });
        }
    }
}

fn model() -> PathBuf {
    let own = || mcodec_tests::inputs::moe_tiny().join("model.safetensors");
    std::env::var_os("MCODEC_MADE").map_or_else(own, PathBuf::from)
}

/// Makes variants of the model, then holds what was measured against what is allowed.
fn measured(make: impl FnOnce(&[Weights], &mut Measure<'_>)) {
    let dir = tempfile::tempdir().unwrap();
    let all = variants::weights(&fs::read(model()).unwrap());
    let mut measure = Measure { dir: dir.path(), lines: Vec::new() };
    make(&all, &mut measure);
    for Line { what, effort, ours, reference, most } in measure.lines {
        assert!(ours <= reference * most, "{what} at effort {effort}: {ours} bytes, {reference} expected");
    }
}

/// Beside the file of the narrow type.
#[test]
fn widened_floats_come_to_what_the_narrow_ones_do() {
    measured(|all, measure| {
        let dir = measure.dir;
        let narrow = variants::bf16_file(all, false);
        measure
            .add("bf16 in f32", 1.02, &variants::bf16_file(all, true), |effort| size(&narrow, effort, dir));
        let narrow = variants::f16_file(all, false);
        measure.add("f16 in f32", 1.02, &variants::f16_file(all, true), |effort| size(&narrow, effort, dir));
    });
}

/// Beside log2 C(n, k) bits a tensor for the places, and the encoded file of the survivors alone, those of each tensor as a row.
#[test]
fn pruned_tensors_come_to_their_entropy() {
    measured(|all, measure| {
        let dir = measure.dir;
        for (how, short, long) in [
            (Prune::Magnitude, "largest tenth, bf16", "largest tenth, f32"),
            (Prune::Random, "random tenth, bf16", "random tenth, f32"),
        ] {
            let (sparse, dense, places) = variants::pruned(all, how);
            let entropy = |dense: Vec<u8>| move |effort| places / 8.0 + size(&dense, effort, dir);
            let survivors = entropy(variants::bf16_file(&dense, false));
            measure.add(short, 1.03, &variants::bf16_file(&sparse, false), survivors);
            let survivors = entropy(variants::f32_file(&dense));
            measure.add(long, 1.03, &variants::f32_file(&sparse), survivors);
        }
    });
}

/// Beside an ideal order-0 coder of the codes.
#[test]
fn quantised_tensors_come_to_their_entropy() {
    measured(|all, measure| {
        let dir = measure.dir;
        let mut add = |what, made: &Quantised| measure.add(what, 1.01, &made.file, |_| made.order0);
        add("FP8 e4m3, scale a row", &variants::fp8_e4m3(all));
        add("int8, scale a row", &variants::int8(all));
        add("int4, scale a row", &variants::int4(all));
        let (made, scales, weights) = variants::mxfp4(all);
        add("MXFP4", &made);
        for effort in [5, 9] {
            let bits = size(&scales, effort, dir) * 8.0 / weights as f64;
            println!("e8m0 scales of MXFP4, effort {effort}: {bits:.4} bits per weight");
            assert!(bits <= 0.06, "{bits}");
        }
    });
}

/// Beside an ideal order-0 coder of the codes and zero points, scales raw.
#[test]
fn packed_codes_come_to_their_entropy() {
    measured(|all, measure| {
        let mut add = |what, made: &Quantised| measure.add(what, 1.01, &made.file, |_| made.order0);
        add("GPTQ 4 bit g64", &packed::packed(all, Packer::Gptq, 4));
        add("GPTQ 8 bit g64", &packed::packed(all, Packer::Gptq, 8));
        add("AWQ 4 bit g64", &packed::packed(all, Packer::Awq, 4));
        add("compressed-tensors 4 bit g64", &packed::packed(all, Packer::CompressedTensors, 4));
        add("NF4, bitsandbytes", &packed::nf4(all));
        add("MLX 2 bit g64", &packed::packed(all, Packer::Mlx, 2));
        add("MLX 3 bit g64", &packed::packed(all, Packer::Mlx, 3));
        add("MLX 4 bit g64", &packed::packed(all, Packer::Mlx, 4));
        add("MLX 5 bit g64", &packed::packed(all, Packer::Mlx, 5));
        add("MLX 6 bit g64", &packed::packed(all, Packer::Mlx, 6));
        // Its words are of rows below each other, and cut every tenth code.
        let made = packed::packed(all, Packer::Gptq, 3);
        measure.add("GPTQ 3 bit g64", 1.05, &made.file, |_| made.order0);
    });
}
