//! The pass of many windows through a model whose layers are read one after the other.

use crate::architecture::{Architecture, LayerKind};
use crate::layer::{Layer, Norm, Positions};
use crate::{EvaluationError, Result, Weights};
use candle_core::{Device, Tensor};
use std::ops::Range;
use std::rc::Rc;

/// Is told what layers read.
pub trait Observer {
    /// The layers of these weights read `x`, `[n, inputs]`.
    ///
    /// # Errors
    /// Those of the tensor library.
    fn input(&mut self, weights: &[&str], x: &Tensor) -> Result<()>;

    /// The router of this weight sent so many positions to each expert; the sum over these of the squares of what each gave.
    fn routing(&mut self, router: &str, counts: &[u64], energies: &[f64]);

    /// All windows went through a layer, or the last norm.
    ///
    /// # Errors
    /// If what was found cannot be put away.
    fn ended(&mut self) -> Result<()> {
        Ok(())
    }

    /// Whether it makes use of energies.
    fn is_interested(&self) -> bool {
        true
    }
}

/// Watches nothing.
pub(crate) struct Nobody;

impl Observer for Nobody {
    fn input(&mut self, _: &[&str], _: &Tensor) -> Result<()> {
        Ok(())
    }

    fn routing(&mut self, _: &str, _: &[u64], _: &[f64]) {}

    fn is_interested(&self) -> bool {
        false
    }
}

/// Is told how far a pass is, and may end it.
pub type Progress<'a> = dyn Fn(u64, u64) -> Result<()> + 'a;

/// Positions that go through a layer at once.
const TOGETHER: usize = 2048;
/// Rows of embeddings that are held at once.
pub(crate) const VOCABULARY_ROWS: usize = 8192;

/// Windows of `len` tokens that go through a layer at once.
pub(crate) fn windows_of_batch(len: usize) -> usize {
    (TOGETHER / len.max(1)).max(1)
}

/// Runs all layers over the windows, which are of one length. What they end in, `[windows, len, hidden]` for each batch of windows, in order.
///
/// # Errors
/// If a tensor is missing or does not fit, or a token is none of the vocabulary.
pub(crate) fn run(
    weights: &dyn Weights,
    of: &Architecture,
    windows: &[Vec<u32>],
    observer: &mut dyn Observer,
    progress: &Progress<'_>,
) -> Result<Vec<Tensor>> {
    let count = windows.first().map_or(0, Vec::len);
    if count == 0 || windows.iter().any(|w| w.len() != count) {
        return Err(EvaluationError::Request("windows are empty, or not of one length".into()));
    }
    let per_batch = windows_of_batch(count);
    let mut batches = embed(weights, of, windows, per_batch)?;
    let positions = PositionsByKind::new(of, count)?;
    let all = (of.layers.len() * batches.len()) as u64;
    for layer in 0..of.layers.len() {
        let read = Layer::load(weights, of, layer)?;
        let done = layer * batches.len();
        for (at, batch) in batches.iter_mut().enumerate() {
            progress((done + at) as u64, all)?;
            *batch = read.forward(batch, of, &|kind| positions.of(kind), observer)?;
        }
        observer.ended()?;
    }
    let norm = Norm::load(weights, &format!("{}norm.weight", of.prefix), of.hidden, of)?;
    for batch in &mut batches {
        *batch = norm.forward(batch)?;
        observer.input(&[&of.head], &batch.reshape(((), of.hidden))?)?;
    }
    observer.ended()?;
    progress(all, all)?;
    Ok(batches)
}

/// What layers of each kind need of positions.
struct PositionsByKind(Vec<(LayerKind, Rc<Positions>)>);

impl PositionsByKind {
    fn new(of: &Architecture, count: usize) -> Result<Self> {
        let mut found: Vec<(LayerKind, Rc<Positions>)> = Vec::new();
        for &kind in &of.layers {
            if !found.iter().any(|(k, _)| *k == kind) {
                let rotary = of.local_rotary.as_ref().filter(|_| kind.local).unwrap_or(&of.rotary);
                found.push((kind, Rc::new(Positions::new(rotary, kind, count)?)));
            }
        }
        Ok(Self(found))
    }

    fn of(&self, kind: LayerKind) -> Rc<Positions> {
        let found = self.0.iter().find(|(k, _)| *k == kind).unwrap_or(&self.0[0]);
        Rc::clone(&found.1)
    }
}

/// Embeddings of all windows, in batches; the table is read in parts.
fn embed(
    weights: &dyn Weights,
    of: &Architecture,
    windows: &[Vec<u32>],
    per_batch: usize,
) -> Result<Vec<Tensor>> {
    let name = format!("{}embed_tokens.weight", of.prefix);
    let (hidden, count) = (of.hidden, windows[0].len());
    let mut states = vec![0f32; windows.len() * count * hidden];
    let ids: Vec<usize> = windows.iter().flatten().map(|&id| id as usize).collect();
    if let Some(id) = ids.iter().find(|id| **id >= of.vocabulary) {
        let why = format!("has {} rows, and the text a token {id}", of.vocabulary);
        return Err(crate::error::tensor(&name, why));
    }
    let scale = of.embedding_scale as f32;
    for rows in parts(of.vocabulary) {
        if !ids.iter().any(|id| rows.contains(id)) {
            continue;
        }
        let values = weights.rows(&name, rows.clone())?;
        for (id, state) in ids.iter().zip(states.chunks_mut(hidden)) {
            if rows.contains(id) {
                let at = (id - rows.start) * hidden;
                state.iter_mut().zip(&values[at..at + hidden]).for_each(|(s, v)| *s = v * scale);
            }
        }
    }
    let batch = |part: &[f32]| {
        let shape = (part.len() / count / hidden, count, hidden);
        Ok(Tensor::from_slice(part, shape, &Device::Cpu)?)
    };
    states.chunks(per_batch * count * hidden).map(batch).collect()
}

/// The vocabulary in parts.
pub(crate) fn parts(vocabulary: usize) -> impl Iterator<Item = Range<usize>> {
    (0..vocabulary).step_by(VOCABULARY_ROWS).map(move |at| at..(at + VOCABULARY_ROWS).min(vocabulary))
}
