//! The pass `lowrank`: a matrix, or each block of its rows, as the product of two factors. With a Gram matrix of what the layer reads, the
//! error that is least is that of its outputs.
//!
//! With U the left singular vectors of W L, where L L^T is the Gram matrix, the best product of rank r is U_r (U_r^T W): a projection, so
//! that the full rank is W itself, and the first r terms of any greater rank are the product of rank r.

use super::bench::{Matrix, Workbench};
use super::factors::{Layer, arrays};
use super::jacobi::{left_vectors, left_vectors_of_rows};
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
            (
                "pair",
                "what reads the rows of a matrix, by its part of the name, as o_proj reads v_proj: it has the same left factor",
            ),
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
            let reader = reader_of(spec, bench, &matrix)?;
            factorise(spec, bench, &matrix, reader.as_ref(), (block, rank.min(full)))?;
        }
        Ok(())
    }
}

/// The matrix that reads what `matrix` gives: of a name like its own, but that `pair` is in the place of the last part but one.
fn reader_of(spec: &PassSpec, bench: &Workbench<'_>, matrix: &Matrix) -> Result<Option<Matrix>> {
    let Some(pair) = spec.parameters.get("pair") else { return Ok(None) };
    let mut parts: Vec<&str> = matrix.name.split('.').collect();
    let (Some(pair), true) = (pair.as_str(), parts.len() > 1) else {
        return spec.fail("pair is a part of a name");
    };
    let at = parts.len() - 2;
    parts[at] = pair;
    let name = parts.join(".");
    match bench.matrix_of(&name) {
        Some(found) if found.columns.is_multiple_of(matrix.rows) => Ok(Some(found)),
        _ => spec.fail(&format!("{:?} has no {name:?} that reads its rows", matrix.name)),
    }
}

fn factorise(
    spec: &PassSpec,
    bench: &mut Workbench<'_>,
    matrix: &Matrix,
    reader: Option<&Matrix>,
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
    let (layer, factor) = (Layer::of(bench, matrix)?, whitener(bench, matrix)?);
    let (n, blocks) = (matrix.columns, matrix.rows / block);
    let ranks: Vec<u64> = (1..).map(|i| (i * step) as u64).take_while(|r| *r < rank as u64).collect();
    let mut runs = Vec::new();
    let mut members = Vec::new();
    let mut bases = Vec::new();
    for (at, weights) in weights.chunks(block * n).enumerate() {
        let vectors = vectors_of(weights, n, factor.as_deref());
        let numbers: Vec<f32> = vectors.iter().take(rank).flat_map(|u| u.iter().map(|v| *v as f32)).collect();
        let right = right_of(&vectors[..rank.min(vectors.len())], weights, n);
        let name = if blocks == 1 { matrix.name.clone() } else { format!("{}.block-{at}", matrix.name) };
        if let Some(layer) = &layer {
            let of = (at * block..(at + 1) * block, n);
            layer.tell(bench, &name, (&numbers, &right), of, step)?;
        }
        let left = by_ranks(bench, &format!("{name}.left"), dtype, (&numbers, block), step)?;
        bases.push((left, numbers));
        let right = by_ranks(bench, &format!("{name}.right"), dtype, (&right, n), step)?;
        let of = LowRank { left_by_rank: true, ranks: ranks.clone(), ..LowRank::of(left, right) };
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
    if let Some(reader) = reader {
        members.extend(read_along(bench, reader, (dtype, &ranks), &bases, (block, step))?);
    }
    if step < rank {
        let levels = ranks.into_iter().chain([rank as u64]);
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

/// Cuts a matrix that reads blocks of rows of another down to what these span: of each block of its columns O what is left is (O U) U^T, U
/// being the other's left factor, which is stored once. With grouped attention several blocks of columns in turn read one block of rows.
fn read_along(
    bench: &mut Workbench<'_>,
    reader: &Matrix,
    (dtype, ranks): (&str, &[u64]),
    bases: &[(ArrayId, Vec<f32>)],
    (block, step): (usize, usize),
) -> Result<Vec<Member>> {
    let (weights, layer) = (bench.weights(reader)?, Layer::of(bench, reader)?);
    let blocks = reader.columns / block;
    let (mut runs, mut members) = (Vec::new(), Vec::new());
    for at in 0..blocks {
        let (basis, vectors) = &bases[at * bases.len() / blocks];
        let along = |u: &[f32]| {
            let row = |row: &[f32]| {
                let own = &row[at * block..(at + 1) * block];
                own.iter().zip(u).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
            };
            weights.chunks(reader.columns).map(row).collect::<Vec<f32>>()
        };
        let left: Vec<f32> = vectors.par_chunks(block).flat_map_iter(along).collect();
        let name = format!("{}.block-{at}", reader.name);
        if let Some(layer) = &layer {
            layer.tell_reader(bench, &name, vectors, at * block..(at + 1) * block, step)?;
        }
        let left = by_ranks(bench, &format!("{name}.left"), dtype, (&left, reader.rows), step)?;
        let of = LowRank { left_by_rank: true, ranks: ranks.to_vec(), ..LowRank::of(left, *basis) };
        let shape = [reader.rows as u64, block as u64];
        let part = bench.model.low_rank(&name, Role::Array, reader.dtype, &shape, of)?;
        members.push(Member { entry: part.entry(), axis: CutAxis::Rank });
        runs.push((block as u64, Some(part)));
    }
    let of = (reader.dtype, &reader.shape[..]);
    let parts = bench.model.tiers_parts(&reader.name, of, MatrixAxis::Columns, &runs)?;
    bench.rebuild(reader, parts)?;
    Ok(members)
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
    let mut runs = Vec::new();
    for (part, terms) in arrays(name, rank as usize, step) {
        let numbers = &numbers[terms.start * width..terms.end * width];
        let id = bench.floats(&part, dtype, &[terms.len() as u64, width as u64], numbers)?;
        runs.push((terms.len() as u64, Some(id)));
    }
    if let [(_, Some(only))] = runs[..] {
        return Ok(only);
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
    left_vectors_of_rows(seen).into_iter().map(|(_, u)| u).collect()
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
