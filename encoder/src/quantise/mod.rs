//! Quantising the matrices of a model: integer codes, entropy-coded, with steps that follow what is known of the layers.
//!
//! Without statistics every matrix has one step. With the diagonal of what a layer reads, columns have steps of their own; with its whole
//! Gram matrix the error of each column is made up for in those after it; with the Fisher information of the outputs rows have steps,
//! and one scale serves all matrices. That scale is found by trials, and corrected by the size of the file that comes out.

mod arrays;
mod content;
mod factor;
mod kernels;
mod known;
mod plan;
mod round;
mod rule;
mod spread;
mod statistics;
mod tables;

pub(crate) use arrays::encode_plain_codes;
pub(crate) use content::{Objects, QuantContent, chunk_rows};
pub(crate) use known::{Input, Known, KnownArrays};
pub(crate) use statistics::Statistics;

use crate::encode::{add_asset_with, open_model};
use crate::inputs::find_duplicates;
use crate::options::{AssetKind, EncodeOptions, EncodeReport, Output};
use crate::recipes::{Recipe, Structure, record_of};
use crate::writer::{ContainerWriter, Draft};
use crate::{EncodeError, Result};
use mcodec_decode::quantised::Counted;
use mcodec_format::{Bundles, registry};
use plan::{Expected, Planner};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The size that a quantised model is to have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// Bits per weight: of the quantised tensors if some are kept by name, otherwise of the whole file over all weights.
    BitsPerWeight(f64),
    /// Bytes of the whole file.
    Bytes(u64),
}

/// How a model is quantised.
#[derive(Debug, Clone)]
pub struct QuantiseOptions {
    /// The size to come to: never more, and at most one per cent less.
    pub size: Size,
    /// A safetensors file of statistics: see `runtimes/python/stats.py`.
    pub statistics: Option<PathBuf>,
    /// Patterns of names of tensors that stay lossless.
    pub keep: Vec<String>,
    /// What codes are made of them, and how these are stored.
    pub method: Method,
}

/// How codes are made and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Method {
    /// Where a Gram matrix is known, the error of each column is made up for in those after it. Otherwise only its diagonal is used, which
    /// takes less time.
    pub feedback: bool,
    /// Columns that are stored together: a matrix of more is built of arrays of so many, each of which can be read alone. What is stored of
    /// each row, about a byte, then comes with each. `None`: all columns of a matrix are stored together.
    pub column_run: Option<u64>,
}

impl Default for Method {
    fn default() -> Self {
        Self { feedback: true, column_run: None }
    }
}

/// What was quantised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantiseReport {
    /// Tensors that are codes.
    pub tensors: u64,
    /// Weights in them.
    pub weights: u64,
    /// Bits per weight, as [`Size::BitsPerWeight`] counts them.
    pub bits_per_weight: f64,
}

/// Times that the whole model is encoded at most.
const ATTEMPTS: usize = 5;
/// The least share of the size asked for that is taken at once.
const LEAST: f64 = 0.99;
/// What an attempt aims at.
const AIM: f64 = 0.997;

/// Encodes a model with its matrices quantised.
///
/// # Errors
/// If the input is no model, or cannot be brought to the size; if it cannot be read, or the output cannot be written. The output is then
/// as it was.
pub fn encode_quantised(
    input: &Path,
    kind: Option<AssetKind>,
    output: Output,
    quantise: &QuantiseOptions,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let mut recipe = Recipe::quantising(quantise)?;
    if let Some(path) = &quantise.statistics {
        recipe.used(&hash_of_file(path)?);
    }
    encode_quantised_with(input, kind, output, quantise, Before::Nothing(recipe), options)
}

/// What comes before.
pub(crate) enum Before<'s> {
    /// Nothing: all that can be is quantised. What is said of it.
    Nothing(Recipe),
    /// Passes, and the patterns of what is then quantised (none: all that can be).
    Passes(&'s Structure, Vec<String>),
}

/// As [`encode_quantised`], after other passes.
pub(crate) fn encode_quantised_with(
    input: &Path,
    kind: Option<AssetKind>,
    output: Output,
    quantise: &QuantiseOptions,
    before: Before<'_>,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    match output {
        Output::File { path, force } => {
            if let Size::BitsPerWeight(bits) = quantise.size
                && !(0.05..=16.0).contains(&bits)
            {
                return Err(EncodeError::Request(format!(
                    "{bits} bits per weight are not within 0.05 to 16"
                )));
            }
            to_file(input, kind, (&path, force), quantise, &before, options)
        }
        Output::Stream(mut out) => {
            // Of several attempts only the last may be seen.
            let dir =
                tempfile::tempdir().map_err(EncodeError::io("create a folder in", &std::env::temp_dir()))?;
            let path = dir.path().join("model.mcodec");
            let report = to_file(input, kind, (&path, false), quantise, &before, options)?;
            let mut file = std::fs::File::open(&path).map_err(EncodeError::io("open", &path))?;
            let copied = std::io::copy(&mut file, &mut out).and_then(|_| out.flush());
            copied.map_err(EncodeError::io("write", Path::new("the output")))?;
            Ok(report)
        }
    }
}

fn to_file(
    input: &Path,
    kind: Option<AssetKind>,
    (path, force): (&Path, bool),
    quantise: &QuantiseOptions,
    before: &Before<'_>,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let pool =
        pool.map_err(|e| EncodeError::Request(format!("cannot start {} threads: {e}", options.threads)))?;
    let (targets, recipe): (&[String], _) = match before {
        Before::Nothing(recipe) => (&[], recipe),
        Before::Passes(structure, targets) => (targets, structure.recipe()),
    };
    let record = recipe.to_json()?;
    let mut planner = Planner::new(quantise, targets, options.device.clone())?;
    let said = what_was_asked(quantise, recipe)?;
    // Bits of what a plan does not reckon.
    let mut beside: Option<f64> = None;
    let mut aim = AIM;
    for attempt in 1..=ATTEMPTS {
        let (mut asset, mut notes) = open_model(input, kind, options)?;
        let aliases = find_duplicates(&mut asset.items, 0, options.threads)?;
        let (bundles, arrays) = match before {
            Before::Passes(structure, _) => pool.install(|| structure.apply(&mut asset, options))?,
            Before::Nothing(_) => (Bundles::default(), KnownArrays::new()),
        };
        let wanted = |e: &Expected| {
            aim * size_in_bits(quantise, e) - beside.unwrap_or_else(|| first_guess(quantise, e))
        };
        let items = &mut asset.items;
        let expected = pool.install(|| planner.plan(items, arrays, wanted, options, &mut notes))?;
        asset.fields.set(registry::asset_field::QUANTISED, false, said.clone());
        asset.items.push(record_of(record.clone()));
        let to = Output::File { path: path.to_owned(), force };
        let mut writer = ContainerWriter::create(to)?;
        let mut report = add_asset_with(&mut writer, 0, asset, false, None, bundles, options)?;
        let mut found = 0.0;
        let wanted = size_in_bits(quantise, &expected);
        let last = attempt == ATTEMPTS;
        let accept = |draft: &Draft, len: u64, index: u64| {
            found = counted_bits(quantise, draft, len, index);
            found <= wanted && (last || found >= LEAST * wanted)
        };
        if let Some(len) = writer.finish_if(options, accept)? {
            (report.output_bytes, report.aliases) = (len, aliases);
            notes.append(&mut report.notes);
            report.notes = notes;
            let weights = expected.weights;
            let bits_per_weight = found / counted_weights(quantise, &expected) as f64;
            report.quantised = Some(QuantiseReport { tensors: expected.tensors, weights, bits_per_weight });
            return Ok(report);
        }
        if attempt + 1 >= ATTEMPTS {
            aim = AIM - 0.004;
        }
        beside = Some(found - expected.bits);
    }
    Err(EncodeError::Request("the size asked for is not met: what is not quantised takes more".into()))
}

/// What the file says of it.
fn what_was_asked(quantise: &QuantiseOptions, recipe: &Recipe) -> Result<Vec<u8>> {
    let mut said = match quantise.size {
        Size::BitsPerWeight(bits) => serde_json::json!({ "bits_per_weight": bits }),
        Size::Bytes(bytes) => serde_json::json!({ "bytes": bytes }),
    };
    said["keep"] = quantise.keep.clone().into();
    if let Some(path) = &quantise.statistics {
        said["statistics"] = recipe.passes.last().and_then(|pass| pass.statistics.clone()).into();
        if let Some(of) = statistics::Statistics::open(path)?.calibration() {
            said["calibration"] = of.into();
        }
    }
    Ok(said.to_string().into_bytes())
}

/// BLAKE3 of a file, in hex.
pub(crate) fn hash_of_file(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut file = std::fs::File::open(path).map_err(EncodeError::io("open", path))?;
    std::io::copy(&mut file, &mut hasher).map_err(EncodeError::io("read", path))?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn counted_weights(quantise: &QuantiseOptions, expected: &Expected) -> u64 {
    if quantise.keep.is_empty() { expected.all_weights } else { expected.weights }
}

/// The size that was asked for.
fn size_in_bits(quantise: &QuantiseOptions, expected: &Expected) -> f64 {
    match quantise.size {
        Size::BitsPerWeight(bits) => bits * counted_weights(quantise, expected) as f64,
        Size::Bytes(bytes) => 8.0 * bytes as f64,
    }
}

/// The size that came out, counted likewise.
fn counted_bits(quantise: &QuantiseOptions, draft: &Draft, len: u64, index: u64) -> f64 {
    match quantise.size {
        Size::BitsPerWeight(_) if !quantise.keep.is_empty() => {
            let ordinal = |asset: usize| draft.assets.get(asset).map_or(0, |a| a.ordinal);
            Counted::of(draft.rows.iter().map(|row| (ordinal(row.asset), row)), index).bits()
        }
        _ => 8.0 * len as f64,
    }
}

/// What the first attempt takes the other content for.
fn first_guess(quantise: &QuantiseOptions, expected: &Expected) -> f64 {
    const SHARE: f64 = 0.7;
    const INDEX_BITS: f64 = 8.0 * 40.0;
    let counted = quantise.keep.is_empty() || matches!(quantise.size, Size::Bytes(_));
    let other = if counted { 8.0 * SHARE * expected.other_bytes as f64 } else { 0.0 };
    other + INDEX_BITS * expected.tensors as f64
}
