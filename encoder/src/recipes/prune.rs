//! The pass `prune`: rows or columns of little magnitude are left out, and are zeros when read. Of a feed-forward layer the rows of gate and up
//! and the columns of down are left out together: they are one unit of the layer.

use super::bench::{Matrix, Workbench};
use super::{Pass, PassSpec};
use crate::Result;
use crate::items::ReadContent;
use mcodec_format::{Bundle, CutAxis, MatrixAxis, Member, NestOrder};
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module.
pub(super) struct Prune;

/// Names of the three matrices of a feed-forward layer: gate, up, down.
const LAYERS: [[&str; 3]; 3] =
    [["gate_proj", "up_proj", "down_proj"], ["w1", "w3", "w2"], ["wi_0", "wi_1", "wo"]];

impl Pass for Prune {
    fn name(&self) -> &'static str {
        "prune"
    }

    fn about(&self) -> &'static str {
        "rows or columns of little magnitude are left out; hidden units of feed-forward layers as one"
    }

    fn parameters(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("ratio", "share that is left out, 0 to 1"),
            ("axis", "rows, columns, or units (rows of gate and up with columns of down)"),
            ("block", "places that are left out or kept together (default 1)"),
            (
                "scope",
                "what the share is of: tensor, or layer (all experts of a layer in one list; units only)",
            ),
        ]
    }

    fn example(&self) -> &'static str {
        "prune:ratio=0.25,block=2"
    }

    fn run(&self, spec: &PassSpec, bench: &mut Workbench<'_>) -> Result<()> {
        let Some(ratio) = spec.number("ratio")?.filter(|r| (0.0..1.0).contains(r)) else {
            return spec.fail("it needs a ratio from 0 to below 1");
        };
        let targets = spec.globs(&["*_proj.weight", "*.w1.weight", "*.w2.weight", "*.w3.weight"])?;
        let axis = spec.word("axis", &["rows", "columns", "units"])?;
        let by_layer = spec.word("scope", &["tensor", "layer"])? == "layer";
        let block = spec.count("block")?.unwrap_or(1) as usize;
        let all = bench.matrices(&targets);
        if all.is_empty() {
            return spec.fail("no matrix of floats is called like its targets");
        }
        let groups: Vec<Vec<(Matrix, MatrixAxis)>> = match axis {
            "units" => units(&all),
            "rows" => all.into_iter().map(|m| vec![(m, MatrixAxis::Rows)]).collect(),
            _ => all.into_iter().map(|m| vec![(m, MatrixAxis::Columns)]).collect(),
        };
        if groups.is_empty() {
            return spec.fail("no three matrices are gate, up and down of one layer");
        }
        let mut lists: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, group) in groups.iter().enumerate() {
            let name = &group[0].0.name;
            let list = if by_layer { layer_of(name).to_owned() } else { format!("{at}") };
            lists.entry(list).or_default().push(at);
        }
        for list in lists.values() {
            let mut ranked: Vec<(f64, usize, usize)> = Vec::new();
            for &at in list {
                let scores = scores(bench, &groups[at], block)?;
                ranked.extend(scores.into_iter().enumerate().map(|(place, score)| (score, at, place)));
            }
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
            let gone = (ratio * ranked.len() as f64).floor() as usize;
            for &at in list {
                let mut out: Vec<usize> = ranked[..gone].iter().filter(|r| r.1 == at).map(|r| r.2).collect();
                let all = ranked.iter().filter(|r| r.1 == at).count();
                if out.len() == all {
                    // Something is stored of each: the best.
                    let best = ranked.iter().rev().find(|r| r.1 == at).map(|r| r.2);
                    out.retain(|place| Some(*place) != best);
                }
                cut(bench, &groups[at], block, &out)?;
            }
        }
        Ok(())
    }
}

/// Gate, up and down of each layer, or of each expert of it.
fn units(all: &[Matrix]) -> Vec<Vec<(Matrix, MatrixAxis)>> {
    let mut found = Vec::new();
    for down in all {
        for [gate, up, name] in LAYERS {
            let part = format!(".{name}.");
            let other = |of: &str| {
                let wanted = down.name.replacen(&part, &format!(".{of}."), 1);
                all.iter().find(|m| m.name == wanted && m.name != down.name)
            };
            if !down.name.contains(&part) {
                continue;
            }
            let (Some(gate), Some(up)) = (other(gate), other(up)) else { continue };
            if gate.rows == down.columns && up.rows == down.columns {
                found.push(vec![
                    (gate.clone(), MatrixAxis::Rows),
                    (up.clone(), MatrixAxis::Rows),
                    (down.clone(), MatrixAxis::Columns),
                ]);
            }
        }
    }
    found
}

/// The part of a name that names its layer: up to its first number.
fn layer_of(name: &str) -> &str {
    let mut end = 0;
    for part in name.split_inclusive('.') {
        end += part.len();
        if part.trim_end_matches('.').parse::<u64>().is_ok() {
            break;
        }
    }
    &name[..end]
}

/// How much each block of places is worth: the product of its magnitudes in all matrices of the group.
fn scores(bench: &Workbench<'_>, group: &[(Matrix, MatrixAxis)], block: usize) -> Result<Vec<f64>> {
    let mut all: Vec<f64> = Vec::new();
    for (matrix, axis) in group {
        let weights = bench.weights(matrix)?;
        let places = if *axis == MatrixAxis::Rows { matrix.rows } else { matrix.columns };
        let mut sums = vec![0f64; places.div_ceil(block)];
        for (row, weights) in weights.chunks(matrix.columns).enumerate() {
            for (column, &w) in weights.iter().enumerate() {
                let place = if *axis == MatrixAxis::Rows { row } else { column };
                sums[place / block] += f64::from(w) * f64::from(w);
            }
        }
        if all.is_empty() {
            all = vec![1.0; sums.len()];
        }
        all.iter_mut().zip(sums).for_each(|(all, sum)| *all *= sum);
    }
    Ok(all)
}

/// Leaves out the blocks `out` of all matrices of a group, by one map.
fn cut(bench: &mut Workbench<'_>, group: &[(Matrix, MatrixAxis)], block: usize, out: &[usize]) -> Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    let mut gone = out.to_vec();
    gone.sort_unstable();
    let mut members = Vec::new();
    let mut all = 0;
    for (matrix, axis) in group {
        let by_rows = *axis == MatrixAxis::Rows;
        let places = if by_rows { matrix.rows } else { matrix.columns };
        let kept: Vec<usize> = (0..places).filter(|p| gone.binary_search(&(p / block)).is_err()).collect();
        let mut map = vec![None; places];
        kept.iter().enumerate().for_each(|(stored, &place)| map[place] = Some(stored as u32));
        let read = bench.take_bytes(matrix);
        let (rows, columns) = if by_rows { (kept.len(), matrix.columns) } else { (matrix.rows, kept.len()) };
        let size = matrix.element.bytes();
        let read = part_of(read, matrix.columns, size, kept, by_rows);
        let shape = [rows as u64, columns as u64];
        let len = (rows * columns * size) as u64;
        let source = bench.array(&format!("{}.kept", matrix.name), matrix.dtype, &shape, len, read);
        let (row_map, column_map) = if by_rows { (Some(&map[..]), None) } else { (None, Some(&map[..])) };
        let parts = bench.model.select_parts(&matrix.name, &matrix.shape, source, row_map, column_map)?;
        bench.rebuild(matrix, parts)?;
        let axis = if by_rows { CutAxis::Rows } else { CutAxis::Columns };
        members.push(Member { entry: matrix.item as u32, axis });
        all = places as u64;
    }
    if group.len() > 1 {
        bench.model.bundle(Bundle {
            name: format!("{}.units", group[0].0.name),
            order: NestOrder::Prefix,
            unit: all,
            levels: vec![all],
            members,
        });
    }
    Ok(())
}

/// Reads the rows or columns `kept` of a matrix of `columns` elements of `size` bytes.
fn part_of(
    read: Arc<ReadContent<'static>>,
    columns: usize,
    size: usize,
    kept: Vec<usize>,
    by_rows: bool,
) -> ReadContent<'static> {
    Box::new(move |offset, out| {
        let width = if by_rows { columns } else { kept.len() } * size;
        let mut row_bytes = vec![0; columns * size];
        let (mut at, mut done) = (offset as usize, 0);
        while done < out.len() {
            let (row, skip) = (at / width, at % width);
            let from = if by_rows { kept[row] } else { row };
            read((from * columns * size) as u64, &mut row_bytes)?;
            let cells: Vec<u8> = if by_rows {
                row_bytes.clone()
            } else {
                kept.iter().flat_map(|&c| row_bytes[c * size..(c + 1) * size].iter().copied()).collect()
            };
            let n = (width - skip).min(out.len() - done);
            out[done..done + n].copy_from_slice(&cells[skip..skip + n]);
            (at, done) = (at + n, done + n);
        }
        Ok(())
    })
}
