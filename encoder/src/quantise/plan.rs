//! What is quantised, and how coarsely: one scale of all steps that meets the size asked for.

use super::QuantiseOptions;
use super::content::{QuantContent, Source, Whole, chunk_rows, stored_classes};
use super::known::KnownArrays;
use super::rule::{Rule, Rules, Unit, Weights};
use super::spread::{Counts, Spread};
use super::statistics::Statistics;
use super::tables::classes_for;
use crate::build::{ModelBuilder, On};
use crate::items::{Content, Item};
use crate::{Device, EncodeError, EncodeOptions, Result};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use mcodec_coding::codes::{ColumnClasses, Element, MAX_COLUMNS};
use mcodec_format::registry::Dtype;
use mcodec_format::{Built, MatrixAxis};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Matrices of fewer weights, or columns, stay as they are.
const LEAST_WEIGHTS: u64 = 2048;
const LEAST_COLUMNS: u64 = 16;
/// Weights that a trial looks at, about.
const TRIAL: usize = 16 << 20;
/// Rows that a trial takes or leaves together.
const TRIAL_ROWS: usize = 64;
/// Trials at most.
const TRIALS: usize = 8;
/// Shares of the bits asked for that a trial may miss them by.
const CLOSE: f64 = 0.0005;
/// About what a chunk takes beside its symbols, in bits: head, lane states, frame.
const CHUNK_BITS: f64 = 8.0 * 90.0;

/// What is kept from one attempt to the next.
pub(super) struct Planner {
    rules: Arc<Rules>,
    keep: GlobSet,
    /// What is quantised, if that is not all that can be.
    only: Option<GlobSet>,
    known: HashMap<String, Arc<Rule>>,
    scale: f64,
    /// Columns of an array of a matrix, if these are not all in one.
    column_run: Option<usize>,
}

/// What a plan expects.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected {
    /// Weights that are quantised.
    pub(super) weights: u64,
    /// Tensors that they are in.
    pub(super) tensors: u64,
    /// Bits that these take, as far as they are known beforehand.
    pub(super) bits: f64,
    /// Weights in all tensors.
    pub(super) all_weights: u64,
    /// Bytes of all else, as they are in the input.
    pub(super) other_bytes: u64,
}

/// A tensor with its rule.
struct Planned<'a> {
    item: usize,
    source: Arc<Source<'a>>,
    rule: Arc<Rule>,
}

impl Planner {
    pub(super) fn new(quantise: &QuantiseOptions, targets: &[String], device: Device) -> Result<Self> {
        let keep = globs(&quantise.keep)?;
        let only = if targets.is_empty() { None } else { Some(globs(targets)?) };
        let statistics = quantise.statistics.as_deref().map(Statistics::open).transpose()?;
        Ok(Self {
            rules: Arc::new(Rules::new(statistics, quantise.method.feedback, device)),
            keep,
            only,
            known: HashMap::new(),
            scale: f64::NAN,
            column_run: quantise.method.column_run.map(|n| usize::try_from(n.max(1)).unwrap_or(usize::MAX)),
        })
    }

    /// Puts quantised tensors in the place of those that can be, with steps that make `target` bits of them, each about what it says of the
    /// weights in all. What it then expects. `arrays` is what passes know of those that they made.
    pub(super) fn plan<'a>(
        &mut self,
        items: &mut Vec<Item<'a>>,
        arrays: KnownArrays,
        target: impl Fn(&Expected) -> f64,
        options: &EncodeOptions,
        notes: &mut Vec<String>,
    ) -> Result<Expected> {
        self.rules.know(arrays);
        let mut planned = Vec::new();
        let mut expected = Expected::default();
        for (at, item) in items.iter_mut().enumerate() {
            options.check_cancel()?;
            count_weights(item, &mut expected);
            if let Content::Built(content) = &item.content
                && !item.array
            {
                expected.weights += content.shape.iter().product::<u64>();
                expected.tensors += 1;
            }
            match self.tensor(at, item, notes)? {
                Some(tensor) => {
                    if !item.array {
                        expected.weights += (tensor.source.rows * tensor.source.columns) as u64;
                        expected.tensors += 1;
                    }
                    planned.push(tensor);
                }
                None => expected.other_bytes += item.stored_len(),
            }
        }
        if planned.is_empty() {
            return Err(EncodeError::Request("the model has no tensors that can be quantised".into()));
        }
        let shifts = align_units(&planned);
        let wanted = target(&expected);
        let (scale, counts) = self.search(&planned, &shifts, wanted, &mut expected, options)?;
        self.scale = scale;
        let (classes, _) = classes_for(&counts).map_err(EncodeError::coding("tables of codes"))?;
        let classes = Arc::new(classes);
        for tensor in planned {
            let scale = scale + shifts[&tensor.rule.unit];
            let (rules, classes) = (Arc::clone(&self.rules), Arc::clone(&classes));
            let whole = Arc::new(Whole::new(tensor.source, tensor.rule, rules, scale, classes));
            self.place(items, tensor.item, &whole)?;
        }
        Ok(expected)
    }

    /// Makes an item what is quantised, or what is built of arrays of its columns that are.
    fn place<'a>(&self, items: &mut Vec<Item<'a>>, at: usize, whole: &Arc<Whole<'a>>) -> Result<()> {
        let n = whole.columns();
        let Some(width) = self.column_run.filter(|width| *width < n) else {
            let content = Arc::new(QuantContent::new(whole, 0..n)?);
            let of = Arc::clone(&content);
            items[at].read = Box::new(move |offset, out| of.read(offset, out));
            items[at].content = Content::Quantised(content);
            return Ok(());
        };
        let (mut runs, mut on) = (Vec::new(), Vec::new());
        for start in (0..n).step_by(width) {
            let columns = start..(start + width).min(n);
            runs.push((columns.len() as u64, true));
            on.push(On::Item(items.len() as u32));
            let name = format!("{}.columns-{start}", items[at].name);
            let content = Arc::new(QuantContent::new(whole, columns)?);
            let (byte_len, of) = (content.byte_len(), Arc::clone(&content));
            let read = Box::new(move |offset: u64, out: &mut [u8]| of.read(offset, out));
            let content = Content::Quantised(content);
            items.push(Item { name, content, byte_len, array: true, alias_of: None, base: None, read });
        }
        let how = Built::Tiers { axis: MatrixAxis::Columns, runs };
        let (dtype, shape) = whole.described();
        items[at].content = ModelBuilder::content_of(&items[at].name, dtype, shape, how, on)?.0;
        Ok(())
    }

    /// The item as a tensor to be quantised, if it is one; its bytes are then read through what is returned.
    fn tensor<'a>(
        &mut self,
        at: usize,
        item: &mut Item<'a>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Planned<'a>>> {
        let Content::Tensor { dtype_name, shape, owner: None } = &item.content else { return Ok(None) };
        let (Some(element), Some(dtype)) = (Element::by_name(dtype_name), Dtype::by_name(dtype_name)) else {
            return Ok(None);
        };
        let columns = shape.last().copied().unwrap_or(0);
        let weights: u64 = item.byte_len / element.bytes() as u64;
        let fits = shape.len() > 1
            && (LEAST_COLUMNS..=MAX_COLUMNS as u64).contains(&columns)
            && weights >= LEAST_WEIGHTS
            && item.alias_of.is_none()
            && item.base.is_none();
        if !fits || is_router(&item.name, weights / columns, columns) || self.keep.is_match(&item.name) {
            return Ok(None);
        }
        if self.only.as_ref().is_some_and(|only| !only.is_match(&item.name)) {
            return Ok(None);
        }
        let unread =
            Box::new(|_: u64, _: &mut [u8]| Err(EncodeError::Request("a tensor was read twice".into())));
        let source = Source {
            name: item.name.clone(),
            dtype,
            element,
            shape: shape.clone(),
            rows: (weights / columns) as usize,
            columns: columns as usize,
            read: std::mem::replace(&mut item.read, unread),
        };
        let rule = match self.known.get(&source.name) {
            Some(rule) => Arc::clone(rule),
            None => {
                let values = source.weights(0..source.rows)?;
                if values.iter().any(|v| !v.is_finite()) {
                    notes.push(format!(
                        "{:?} has weights that are not finite: it stays as it is",
                        source.name
                    ));
                    item.read = source.read;
                    return Ok(None);
                }
                let weights = Weights { name: &source.name, values: &values, columns: source.columns };
                let rule = Arc::new(self.rules.rule(&weights)?);
                self.known.insert(source.name.clone(), Arc::clone(&rule));
                rule
            }
        };
        Ok(Some(Planned { item: at, source: Arc::new(source), rule }))
    }

    /// The scale (4 log2) whose codes take `wanted` bits, and how often symbols come under it.
    fn search(
        &self,
        planned: &[Planned<'_>],
        shifts: &BTreeMap<Unit, f64>,
        wanted: f64,
        expected: &mut Expected,
        options: &EncodeOptions,
    ) -> Result<(f64, Counts)> {
        let weights = expected.weights as f64;
        if wanted < 0.05 * weights {
            let why = "what is not quantised, and the index, leave no room for the quantised tensors in the size asked for";
            return Err(EncodeError::Request(why.into()));
        }
        let rate = wanted / weights;
        // As a step of a spread of one gives about two bits.
        let mut scale = if self.scale.is_finite() {
            self.scale
        } else {
            first_scale(planned, shifts) - 4.0 * (rate - 2.0)
        };
        let mut best: Option<(f64, f64, Counts)> = None;
        for _ in 0..TRIALS {
            options.check_cancel()?;
            let (counts, bits) = self.trial(planned, shifts, scale)?;
            let off = bits / weights - rate;
            if best.as_ref().is_none_or(|(least, ..)| off.abs() < f64::abs(*least)) {
                best = Some((off, scale, counts));
                expected.bits = bits;
            }
            if off.abs() < CLOSE * rate {
                break;
            }
            // A bit for an octave, less where many codes are zero.
            let slope = if rate < 1.5 { 0.6 } else { 0.95 };
            scale += 4.0 * (off / slope).clamp(-6.0, 6.0);
        }
        let Some((_, scale, counts)) = best else {
            return Err(EncodeError::Request("no size was tried".into()));
        };
        Ok((scale, counts))
    }

    /// Quantises all tensors, or evenly some rows of each, and reckons what they take, in bits.
    fn trial(
        &self,
        planned: &[Planned<'_>],
        shifts: &BTreeMap<Unit, f64>,
        scale: f64,
    ) -> Result<(Counts, f64)> {
        let all: usize = planned.iter().map(|t| t.source.rows * t.source.columns).sum();
        let stride = all.div_ceil(TRIAL).max(1);
        let one = |tensor: &Planned<'_>| self.trial_of(tensor, scale + shifts[&tensor.rule.unit], stride);
        let sides: Vec<(Counts, f64)> = planned.par_iter().map(one).collect::<Result<_>>()?;
        let mut side = 0.0;
        let mut counts = Counts::default();
        for (of, bits) in sides {
            counts = counts.plus(of);
            side += bits;
        }
        let (_, bits) = classes_for(&counts).map_err(EncodeError::coding("tables of codes"))?;
        Ok((counts, bits + side))
    }

    fn trial_of(&self, tensor: &Planned<'_>, scale: f64, stride: usize) -> Result<(Counts, f64)> {
        let (source, n) = (&tensor.source, tensor.source.columns);
        let all_steps = tensor.rule.row_steps(scale);
        let blocks = source.rows.div_ceil(TRIAL_ROWS);
        // Errors that go from row to row need all of them.
        let stride = if tensor.rule.turned { 1 } else { stride.min(blocks.div_ceil(2)).max(1) };
        let (mut weights, mut steps) = (Vec::new(), Vec::new());
        for block in (0..blocks).step_by(stride) {
            let rows = block * TRIAL_ROWS..((block + 1) * TRIAL_ROWS).min(source.rows);
            weights.extend(source.weights(rows.clone())?);
            steps.extend_from_slice(&all_steps[rows]);
        }
        let zeros = vec![0; n];
        let columns = tensor.rule.columns.as_ref().map_or(&zeros, |c| c);
        let codes = self.rules.round(&tensor.rule, &weights, &steps, n)?;
        let spread = Spread::fit(&codes, n);
        let counts = Counts::of(&codes, n, &spread, stride as u64);
        let (row_classes, column_classes) = stored_classes(&spread, &steps, columns);
        let times = source.rows as f64 / steps.len() as f64;
        let object =
            |list: Vec<i16>| ColumnClasses::new(list).map_or(0.0, |c| 8.0 * c.to_bytes().len() as f64);
        // Each array of columns has its rows' lists.
        let width = self.column_run.unwrap_or(n).min(n);
        let runs = n.div_ceil(width);
        let mut side = runs as f64 * times * (object(steps) + object(row_classes));
        side += column_classes.map_or(0.0, object);
        // Layers that read the same share their columns' steps; which they are is known only to the statistics.
        side += tensor.rule.columns.as_ref().map_or(0.0, |c| object(c.to_vec()));
        let rows = chunk_rows(&source.shape, source.rows as u64, width as u64, 256 << 10);
        let chunks = runs as f64 * (source.rows as u64).div_ceil(rows) as f64;
        Ok((counts, side + chunks * CHUNK_BITS))
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet> {
    let mut all = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).build();
        all.add(glob.map_err(|e| EncodeError::Request(format!("pattern {pattern:?}: {e}")))?);
    }
    all.build().map_err(|e| EncodeError::Request(e.to_string()))
}

/// Adds a tensor's weights to those of all.
fn count_weights(item: &Item<'_>, expected: &mut Expected) {
    let (dtype_name, shape) = match &item.content {
        Content::Tensor { dtype_name, shape, owner: None } => (dtype_name.as_str(), shape),
        Content::Built(content) => (content.dtype.name, &content.shape),
        _ => return,
    };
    let is_float = matches!(dtype_name, "F64" | "F32" | "F16" | "BF16");
    if item.alias_of.is_none() && !item.array && is_float {
        expected.all_weights += shape.iter().product::<u64>();
    }
}

/// Tensors whose steps are counted in other units than most are shifted to what these have, relative to the levels of weights.
fn align_units(planned: &[Planned<'_>]) -> BTreeMap<Unit, f64> {
    let mut sums: BTreeMap<Unit, (f64, f64)> = BTreeMap::new();
    for tensor in planned {
        let weights = (tensor.source.rows * tensor.source.columns) as f64;
        let (sum, count) = sums.entry(tensor.rule.unit).or_default();
        *sum += weights * (tensor.rule.mean() - 0.5 * tensor.rule.level);
        *count += weights;
    }
    let most = sums.values().map(|(_, count)| *count).fold(0.0, f64::max);
    let main = sums.values().find(|(_, count)| *count >= most).map_or(0.0, |(sum, count)| sum / count);
    sums.iter().map(|(unit, (sum, count))| (*unit, main - sum / count)).collect()
}

/// The scale at which steps are, on average, as large as the weights.
fn first_scale(planned: &[Planned<'_>], shifts: &BTreeMap<Unit, f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for tensor in planned {
        let weights = (tensor.source.rows * tensor.source.columns) as f64;
        sum += weights * (tensor.rule.level - tensor.rule.mean() - shifts[&tensor.rule.unit]);
        count += weights;
    }
    sum / f64::max(count, 1.0)
}

/// Whether a matrix of so many rows and columns chooses experts, by its name: what lies within a router does if it tells few of many.
fn is_router(name: &str, rows: u64, columns: u64) -> bool {
    let name = name.strip_suffix(".weight").unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or(name);
    matches!(last, "gate" | "router" | "shared_expert_gate" | "wg")
        || name.split('.').any(|part| part == "router") && rows < columns
}

#[cfg(test)]
mod tests {
    use super::is_router;

    #[test]
    fn routers_are_told_from_what_else_is_in_them() {
        for name in ["model.layers.0.mlp.gate.weight", "layers.3.router.layer.weight", "h.0.router.weight"] {
            assert!(is_router(name, 8, 512), "{name}");
        }
        for name in ["layers.0.mlp.gate_proj.weight", "router.W_k.weight", "router_encoder.proj.weight"] {
            assert!(!is_router(name, 128, 128), "{name}");
        }
    }
}
