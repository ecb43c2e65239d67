//! The pass `lowrank`: a matrix, or each block of its rows, as the product of two factors. With a Gram matrix of what the layer reads, the
//! error that is least is that of its outputs.
//!
//! With U the left singular vectors of W L, where L L^T is the Gram matrix, the best product of rank r is U_r (U_r^T W): a projection, so
//! that the full rank is W itself, and the first r terms of any greater rank are the product of rank r.

use super::bench::{Matrix, Workbench};
use super::jacobi::left_vectors;
use super::{Pass, PassSpec};
use crate::build::{ArrayId, LowRank, On, Role};
use crate::{EncodeError, Result};
use mcodec_format::{Built, Bundle, CutAxis, MatrixAxis, Member, NestOrder};
use rayon::prelude::*;

/// See the module.
pub(super) struct LowRankPass;

impl Pass for LowRankPass {
    fn name(&self) -> &'static str {
        "lowrank"
    }

    fn about(&self) -> &'static str {
        "matrices as products of two factors, by singular values; with --stats under the Gram matrix of what the layer reads"
    }

    fn parameters(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("rank", "terms of each product"),
            ("share", "the same as a share of the full rank, 0 to 1"),
            ("block", "rows that are a product of their own, as those of an attention head (default: all)"),
            ("step", "ranks at which factors are cut, so that less of them can be read: every so many terms"),
            ("factors", "type of the factors: same (as the tensor's), f32, bf16, f16"),
        ]
    }

    fn example(&self) -> &'static str {
        "lowrank:rank=6,block=16,step=2,factors=f32"
    }

    fn run(&self, spec: &PassSpec, bench: &mut Workbench<'_>) -> Result<()> {
        let targets = spec.globs(&["*_proj.weight", "*.w1.weight", "*.w2.weight", "*.w3.weight"])?;
        let (rank, share) = (spec.count("rank")?, spec.number("share")?);
        if rank.is_some() == share.is_some() || share.is_some_and(|s| !(s > 0.0 && s <= 1.0)) {
            return spec.fail("it needs a rank, or a share within 0 to 1");
        }
        let all = bench.matrices(&targets);
        if all.is_empty() {
            return spec.fail("no matrix of floats is called like its targets");
        }
        for matrix in all {
            let block = spec.count("block")?.map_or(matrix.rows, |b| b as usize);
            if !matrix.rows.is_multiple_of(block) {
                return spec.fail(&format!(
                    "{:?} has {} rows, not whole blocks of {block}",
                    matrix.name, matrix.rows
                ));
            }
            let full = block.min(matrix.columns);
            let rank = rank.map_or_else(
                || (share.unwrap_or(1.0) * full as f64).round().max(1.0) as usize,
                |r| r as usize,
            );
            factorise(spec, bench, &matrix, (block, rank.min(full)))?;
        }
        Ok(())
    }
}

fn factorise(
    spec: &PassSpec,
    bench: &mut Workbench<'_>,
    matrix: &Matrix,
    (block, rank): (usize, usize),
) -> Result<()> {
    let weights = bench.weights(matrix)?;
    if weights.iter().any(|w| !w.is_finite()) {
        bench.notes.push(format!("{:?} has weights that are not finite: it stays as it is", matrix.name));
        return Ok(());
    }
    let dtype = match spec.word("factors", &["same", "f32", "bf16", "f16"])? {
        "f32" => "F32",
        "bf16" => "BF16",
        "f16" => "F16",
        _ => matrix.dtype,
    };
    let step = spec.count("step")?.map_or(rank, |s| s as usize);
    let factor = whitener(bench, matrix)?;
    let (n, blocks) = (matrix.columns, matrix.rows / block);
    let mut runs = Vec::new();
    let mut members = Vec::new();
    for (at, weights) in weights.chunks(block * n).enumerate() {
        let vectors = vectors_of(weights, n, factor.as_deref());
        let left: Vec<f32> = vectors.iter().take(rank).flat_map(|u| u.iter().map(|v| *v as f32)).collect();
        let right = right_of(&vectors[..rank.min(vectors.len())], weights, n);
        let name = if blocks == 1 { matrix.name.clone() } else { format!("{}.block-{at}", matrix.name) };
        let left = by_ranks(bench, &format!("{name}.left"), dtype, (&left, block), step)?;
        let right = by_ranks(bench, &format!("{name}.right"), dtype, (&right, n), step)?;
        let ranks = (1..).map(|i| (i * step) as u64).take_while(|r| *r < rank as u64).collect();
        let of = LowRank { left_by_rank: true, right_by_column: false, ranks, ..LowRank::of(left, right) };
        if blocks == 1 {
            let parts = bench.model.low_rank_parts(&matrix.name, matrix.dtype, &matrix.shape, of)?;
            bench.rebuild(matrix, parts)?;
            members.push(Member { entry: matrix.item as u32, axis: CutAxis::Rank });
        } else {
            let shape = [block as u64, n as u64];
            let part = bench.model.low_rank(&name, Role::Array, matrix.dtype, &shape, of)?;
            members.push(Member { entry: part.entry(), axis: CutAxis::Rank });
            runs.push((block as u64, Some(part)));
        }
    }
    if blocks > 1 {
        let parts: (Built, Vec<On>) =
            bench.model.tiers_parts(&matrix.name, (matrix.dtype, &matrix.shape), MatrixAxis::Rows, &runs)?;
        bench.rebuild(matrix, parts)?;
    }
    if step < rank {
        let levels = (1..).map(|i| (i * step) as u64).take_while(|r| *r < rank as u64).chain([rank as u64]);
        bench.model.bundle(Bundle {
            name: format!("{}.rank", matrix.name),
            order: NestOrder::Prefix,
            unit: rank as u64,
            levels: levels.collect(),
            members,
        });
    }
    Ok(())
}

/// A factor of rows of `width` numbers, one for each term; cut into arrays of `step` terms.
fn by_ranks(
    bench: &mut Workbench<'_>,
    name: &str,
    dtype: &str,
    (numbers, width): (&[f32], usize),
    step: usize,
) -> Result<ArrayId> {
    let rank = (numbers.len() / width.max(1)) as u64;
    if step as u64 >= rank {
        return bench.floats(name, dtype, &[rank, width as u64], numbers);
    }
    let mut runs = Vec::new();
    for (at, part) in numbers.chunks(step * width).enumerate() {
        let terms = (part.len() / width) as u64;
        let part = bench.floats(&format!("{name}.{at}"), dtype, &[terms, width as u64], part)?;
        runs.push((terms, Some(part)));
    }
    bench.model.tiers(name, Role::Array, &[rank, width as u64], MatrixAxis::Rows, &runs)
}

/// The lower Cholesky factor of the Gram matrix of what a layer reads, row after row; `None` without statistics of it.
fn whitener(bench: &Workbench<'_>, matrix: &Matrix) -> Result<Option<Vec<f64>>> {
    /// Of the mean of the diagonal, added to it: inputs that were never seen have some weight.
    const DAMPING: f64 = 1e-4;
    let Some(statistics) = bench.statistics else { return Ok(None) };
    let n = matrix.columns;
    let Some(gram) = statistics.gram(statistics.input_of(&matrix.name), n)? else { return Ok(None) };
    let mean = (0..n).map(|i| f64::from(gram[i * n + i])).sum::<f64>() / n as f64;
    if mean <= 0.0 {
        return Ok(None);
    }
    let mut damping = DAMPING * mean;
    for _ in 0..40 {
        if let Some(factor) = cholesky(&gram, n, damping) {
            return Ok(Some(factor));
        }
        damping *= 2.0;
    }
    Err(EncodeError::Request(format!("the Gram matrix of {:?} is none", matrix.name)))
}

fn cholesky(gram: &[f32], n: usize, damping: f64) -> Option<Vec<f64>> {
    let mut l = vec![0f64; n * n];
    for i in 0..n {
        let (done, rest) = l.split_at_mut(i * n);
        let row = &mut rest[..n];
        for j in 0..=i {
            let other = if j < i { &done[j * n..j * n + j] } else { &[][..] };
            let own: f64 = if j < i {
                row[..j].iter().zip(other).map(|(a, b)| a * b).sum()
            } else {
                row[..i].iter().map(|a| a * a).sum()
            };
            let value = f64::from(gram[i * n + j]) + if i == j { damping } else { 0.0 } - own;
            if i == j {
                if value <= 0.0 {
                    return None;
                }
                row[i] = value.sqrt();
            } else {
                row[j] = value / done[j * n + j];
            }
        }
    }
    Some(l)
}

/// Left singular vectors of the rows `weights` (of `n` numbers each) times the factor, by falling singular values.
fn vectors_of(weights: &[f32], n: usize, factor: Option<&[f64]>) -> Vec<Vec<f64>> {
    let rows = weights.len() / n;
    let seen: Vec<Vec<f64>> = weights
        .par_chunks(n)
        .map(|row| match factor {
            None => row.iter().map(|&w| f64::from(w)).collect(),
            Some(l) => {
                let mut out = vec![0f64; n];
                for (&w, l) in row.iter().zip(l.chunks(n)) {
                    let w = f64::from(w);
                    out.iter_mut().zip(l).for_each(|(o, l)| *o += w * l);
                }
                out
            }
        })
        .collect();
    if rows > n {
        let columns = (0..n).map(|c| seen.iter().map(|row| row[c]).collect()).collect();
        return left_vectors(columns).into_iter().map(|(_, u)| u).take(n).collect();
    }
    // Of few rows, the right vectors v are found, and the left ones are what the rows are along them.
    let found = left_vectors(seen.clone());
    let least = found.first().map_or(0.0, |(most, _)| most * 1e-10);
    let mut all: Vec<Vec<f64>> = Vec::new();
    for (value, v) in found.iter().take(rows) {
        let scale = if *value > least { value.recip() } else { 0.0 };
        all.push(seen.iter().map(|row| scale * row.iter().zip(v).map(|(a, b)| a * b).sum::<f64>()).collect());
    }
    all
}

/// What the rows are along each vector.
fn right_of(vectors: &[Vec<f64>], weights: &[f32], n: usize) -> Vec<f32> {
    let one = |u: &Vec<f64>| {
        let mut out = vec![0f64; n];
        for (&u, row) in u.iter().zip(weights.chunks(n)) {
            out.iter_mut().zip(row).for_each(|(o, &w)| *o += u * f64::from(w));
        }
        out.into_iter().map(|v| v as f32).collect::<Vec<f32>>()
    };
    vectors.par_iter().flat_map_iter(one).collect()
}
