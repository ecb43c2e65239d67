//! `mcodec mask`.

use super::encode::{output, tell};
use crate::cli::Common;
use crate::console::Console;
use crate::export::npy;
use crate::outcome::{Outcome, usage};
use crate::sink::Sink;
use anyhow::Context;
use clap::{Args, ValueEnum, ValueHint};
use mcodec_encode::EncodeReport;
use mcodec_encode::latents::{
    Curve, MaskArray, MaskOptions, MaskSettings, MaskSource, encode_made_masks, make_masks,
};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How masks are made. The rule is Video-BLADE's (arXiv 2508.10774): tokens in the order of a curve are cut into blocks; of sampled tokens of
/// each the attention is worked out; the score of two blocks is the greatest share that a token of one gives to one of the other; of each
/// row those blocks are kept that hold most of its scores.
#[derive(Debug, Args)]
pub(crate) struct Mask {
    /// Queries and keys, a file each, or one file with arrays "q" and "k": floats [step, layer, head, token, number], of which first axes may be missing;
    /// or a file of one array of scores [step, layer, head, block, block]
    #[arg(required = true, num_args = 1..=2, value_hint = ValueHint::FilePath)]
    inputs: Vec<PathBuf>,
    /// The grid of tokens: frames, rows, columns
    #[arg(long, value_name = "T,H,W", value_parser = |text: &str| MaskSettings::grid(text, ','))]
    grid: Option<[usize; 3]>,
    /// Tokens of a block
    #[arg(long, value_name = "N", default_value_t = 128)]
    block: usize,
    /// The order in which tokens are cut into blocks
    #[arg(long, value_enum, value_name = "CURVE", default_value = "gilbert")]
    curve: Order,
    /// Tokens before those of the grid, which are left out
    #[arg(long, value_name = "N", default_value_t = 0)]
    text: usize,
    /// Tokens of a block whose attention is worked out
    #[arg(long, value_name = "N", default_value_t = 32)]
    sample: usize,
    /// What these are drawn by
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The share of a row's scores that is kept
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    energy: f64,
    /// The share of a row's blocks that is kept at least, and at most
    #[arg(long, value_name = "MIN..MAX", default_value = "0.05..0.2", value_parser = ratios)]
    ratio: (f64, f64),
    /// Tokens that one mean of keys stands for in the attention beside that of the blocks; only told
    #[arg(long, value_name = "N")]
    gap: Option<u64>,
    /// The scores have still to go through a softmax
    #[arg(long)]
    softmax: bool,
    /// Planes of a group, the unit of access, in the order layer, head, step; 0 is all [default: the steps of a head]
    #[arg(long, value_name = "N")]
    group: Option<usize>,
}

/// The order of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    /// The generalised Hilbert curve through the grid
    Gilbert,
    /// As they come
    Raster,
}

fn ratios(text: &str) -> Result<(f64, f64), String> {
    let pair = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    pair.ok_or_else(|| "not two shares with .. between them, as 0.05..0.2".into())
}

/// Masks that were made, as JSON.
#[derive(Serialize)]
struct Made {
    /// Steps, layers, heads, rows and columns.
    shape: [usize; 5],
    /// The share of blocks that are kept.
    density: f64,
    output_bytes: u64,
}

/// Makes masks, and writes them as an array or an mcodec file.
pub(crate) fn run(args: &Mask, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let source = match &args.inputs[..] {
        [path] => MaskSource::One { path: path.clone(), softmax: args.softmax },
        [q, k] if !args.softmax => MaskSource::Two(q.clone(), k.clone()),
        _ => return Err(usage("--softmax is for scores")),
    };
    let curve = match args.curve {
        Order::Gilbert => Curve::Gilbert,
        Order::Raster => Curve::Raster,
    };
    let settings = MaskSettings {
        block: args.block,
        curve,
        grid: args.grid,
        text: args.text,
        sample: args.sample,
        seed: args.seed,
        energy: args.energy,
        min_ratio: args.ratio.0,
        max_ratio: args.ratio.1,
        gap: args.gap,
    };
    let settings = settings.checked().map_err(usage)?;
    let to = console.output()?;
    let as_array = to.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"));
    let options = console.encode_options(common);
    let masks = make_masks(&source, &settings, &options)?;
    let (shape, density) = (masks.sizes(), masks.density());
    if as_array {
        let bytes = written(&masks, to, common)?;
        let made = Made { shape, density, output_bytes: bytes };
        console.report(&made, &line(&made))?;
        return Ok(Outcome::Done);
    }
    let mut record = settings.record();
    record.insert("density".into(), ((density * 1e6).round() / 1e6).into());
    let name = args.inputs[0].file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let options_of_masks = MaskOptions { axes: None, group: args.group, settings: record };
    let mut report: EncodeReport =
        encode_made_masks(&name, masks, &options_of_masks, output(to, common)?, &options)?;
    report.notes.push(line(&Made { shape, density, output_bytes: report.output_bytes }));
    tell(&args.inputs[0], &report, console)?;
    Ok(Outcome::Done)
}

/// Writes the masks as a NumPy array; returns its bytes.
fn written(masks: &MaskArray, to: &Path, common: &Common) -> anyhow::Result<u64> {
    let bits = masks.in_order();
    let shape = masks.sizes().map(|n| n as u64);
    let mut bytes = npy::header(&npy::Form::of_bits(), &shape, bits.len() as u64);
    bytes.extend(bits);
    let mut sink = Sink::create(to, common.force)?;
    sink.write_all(&bytes).context("writing the output")?;
    sink.commit()?;
    Ok(bytes.len() as u64)
}

fn line(made: &Made) -> String {
    let [steps, layers, heads, rows, columns] = made.shape;
    format!(
        "{steps} steps, {layers} layers, {heads} heads of {rows} x {columns} blocks, of which {:.2}% are kept",
        100.0 * made.density
    )
}
