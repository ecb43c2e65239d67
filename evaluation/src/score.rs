//! How well a model predicts texts, and how far its predictions are from another's.

use crate::architecture::Architecture;
use crate::forward::{Nobody, Progress, parts, run, windows_of_batch};
use crate::layer::capped;
use crate::protocol::{Protocol, Window};
use crate::text::{Text, Tokens};
use crate::weights::Identity;
use crate::{EvaluationError, Result, Weights};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Bytes of states that are held at once; more windows go through the model in several passes.
const STATE_BYTES: usize = 512 << 20;

/// How well one text, or all of them, is predicted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The text's name; "all" of the sum.
    pub text: String,
    /// `blake3:` and hex digits of the text's bytes; none of the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Tokens that were predicted.
    pub predictions: u64,
    /// Bytes that these stand for.
    pub bytes: u64,
    /// Mean negative log likelihood of a token, in nats.
    pub nats_per_token: f64,
    /// Negative log likelihood in bits over bytes.
    pub bits_per_byte: f64,
    /// Of a token.
    pub perplexity: f64,
    /// Share of tokens that were the likeliest.
    pub top1: f64,
    /// What it says beside another model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Beside>,
}

/// How far predictions are from another model's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// Mean over predictions of the divergence of the model's distribution from the other's, in nats: sum over v of p(v) (ln p(v) - ln q(v)), p
    /// the other's.
    pub kl: f64,
    /// Standard error of that mean, predictions taken as independent.
    pub kl_error: f64,
    /// Share of predictions whose likeliest token is the same.
    pub same_top1: f64,
    /// Bits per byte of the other.
    pub bits_per_byte: f64,
}

/// What an evaluation gave, with all that it depends on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The model.
    pub model: Identity,
    /// What it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Identity>,
    /// How texts were cut.
    pub protocol: Protocol,
    /// All texts together.
    pub all: Score,
    /// Each text.
    pub texts: Vec<Score>,
}

/// What is known of one prediction's distributions after part of the vocabulary: of the other model's (`p`) and of the model's (`q`).
#[derive(Debug, Clone, Copy)]
struct Running {
    /// Largest logit so far, the sum of the exponentials below it, and the place of it.
    q: Sum,
    p: Sum,
    /// Sum of e^(p - p.most) (p - q).
    between: f64,
    /// Logits of the token that came.
    label: [f32; 2],
}

#[derive(Debug, Clone, Copy)]
struct Sum {
    most: f32,
    sum: f64,
    place: u32,
}

impl Sum {
    const NONE: Self = Self { most: f32::NEG_INFINITY, sum: 0.0, place: 0 };

    /// Takes more logits, the first of which is of token `start`. What earlier sums are multiplied by.
    fn add(&mut self, logits: &[f32], start: usize) -> f64 {
        let (place, most) = logits
            .iter()
            .enumerate()
            .fold((0, f32::NEG_INFINITY), |best, (i, &v)| if v > best.1 { (i, v) } else { best });
        let before = self.most;
        if most > before {
            (self.most, self.place) = (most, (start + place) as u32);
        }
        let scale = f64::from(before - self.most).exp();
        // Of a few thousand terms of at most one each.
        let sum: f32 = logits.iter().map(|v| (v - self.most).exp()).sum();
        self.sum = self.sum * scale + f64::from(sum);
        scale
    }

    fn log(&self) -> f64 {
        f64::from(self.most) + self.sum.ln()
    }
}

impl Running {
    const NONE: Self = Self { q: Sum::NONE, p: Sum::NONE, between: 0.0, label: [0.0; 2] };

    fn add(&mut self, q: &[f32], p: Option<&[f32]>, start: usize, label: u32) {
        self.q.add(q, start);
        let at = (label as usize).wrapping_sub(start);
        if let Some(&logit) = q.get(at) {
            self.label[0] = logit;
        }
        let Some(p) = p else { return };
        let scale = self.p.add(p, start);
        let most = self.p.most;
        let term = |(p, q): (&f32, &f32)| f64::from((p - most).exp()) * f64::from(p - q);
        self.between = self.between * scale + p.iter().zip(q).map(term).sum::<f64>();
        if let Some(&logit) = p.get(at) {
            self.label[1] = logit;
        }
    }

    fn divergence(&self) -> f64 {
        (self.between / self.p.sum - self.p.log() + self.q.log()).max(0.0)
    }
}

/// Sums over predictions.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    count: u64,
    bytes: u64,
    nats: f64,
    hits: u64,
    other_nats: f64,
    same: u64,
    kl: f64,
    kl_squares: f64,
}

impl Totals {
    fn add(&mut self, found: &Running, label: u32, beside: bool) {
        self.count += 1;
        self.nats += found.q.log() - f64::from(found.label[0]);
        self.hits += u64::from(found.q.place == label);
        if beside {
            let kl = found.divergence();
            self.kl += kl;
            self.kl_squares += kl * kl;
            self.same += u64::from(found.q.place == found.p.place);
            self.other_nats += found.p.log() - f64::from(found.label[1]);
        }
    }

    fn plus(self, o: &Self) -> Self {
        Self {
            count: self.count + o.count,
            bytes: self.bytes + o.bytes,
            nats: self.nats + o.nats,
            hits: self.hits + o.hits,
            other_nats: self.other_nats + o.other_nats,
            same: self.same + o.same,
            kl: self.kl + o.kl,
            kl_squares: self.kl_squares + o.kl_squares,
        }
    }

    fn score(&self, text: &str, hash: Option<&[u8; 32]>, beside: bool) -> Score {
        let n = (self.count as f64).max(1.0);
        let bits = |nats: f64| nats / std::f64::consts::LN_2 / (self.bytes as f64).max(1.0);
        let kl = self.kl / n;
        let against = beside.then(|| Beside {
            kl,
            kl_error: ((self.kl_squares / n - kl * kl).max(0.0) / n).sqrt(),
            same_top1: self.same as f64 / n,
            bits_per_byte: bits(self.other_nats),
        });
        Score {
            text: text.to_owned(),
            hash: hash.map(shown),
            predictions: self.count,
            bytes: self.bytes,
            nats_per_token: self.nats / n,
            bits_per_byte: bits(self.nats),
            perplexity: (self.nats / n).exp(),
            top1: self.hits as f64 / n,
            against,
        }
    }
}

fn shown(hash: &[u8; 32]) -> String {
    format!("blake3:{}", mcodec_decode::hex(hash))
}

/// Texts that a model is judged by, as its windows.
pub struct Judge {
    protocol: Protocol,
    texts: Vec<(String, [u8; 32], Vec<Window>, u64)>,
}

impl Judge {
    /// Named texts, cut into predictions.
    ///
    /// # Errors
    /// If there is none, or one is too short.
    pub fn new(protocol: Protocol, texts: &[(String, Text)]) -> Result<Self> {
        if texts.is_empty() {
            return Err(EvaluationError::Request("there is no text to predict".into()));
        }
        let cut = |(name, text): &(String, Text)| {
            let (windows, bytes) = protocol.windows(text)?;
            Ok((name.clone(), text.hash, windows, bytes))
        };
        let texts = texts.iter().map(cut).collect::<Result<_>>()?;
        Ok(Self { protocol, texts })
    }

    /// Hash of each text, as scores give it.
    pub fn text_hashes(&self) -> impl Iterator<Item = String> {
        self.texts.iter().map(|(_, hash, ..)| shown(hash))
    }

    /// Has `model` predict the texts, beside `against` if there is one.
    ///
    /// # Errors
    /// Those of [`Architecture::of`] and of reading; if the two have not one vocabulary.
    pub fn judge(
        &self,
        model: &dyn Weights,
        against: Option<Against<'_>>,
        progress: &Progress<'_>,
    ) -> Result<Evaluation> {
        let of = Architecture::of(model)?;
        let other = against.map(Other::of).transpose()?;
        if let Some(found) = other.as_ref().map(|other| other.of.vocabulary)
            && found != of.vocabulary
        {
            let why = format!("the models have {} and {found} tokens", of.vocabulary);
            return Err(EvaluationError::Request(why));
        }
        let sets: u64 = self.texts.iter().map(|t| sets_of(&t.2, of.hidden).count() as u64).sum();
        let passes = sets * (1 + u64::from(matches!(against, Some(Against::Model(_)))));
        let (mut totals, mut done) = (Vec::new(), 0);
        for (at, (_, _, windows, bytes)) in self.texts.iter().enumerate() {
            let mut total = Totals { bytes: *bytes, ..Totals::default() };
            for (part_at, part) in sets_of(windows, of.hidden).enumerate() {
                let within =
                    |pass: u64| move |n: u64, all: u64| progress(pass * all + n, passes * all.max(1));
                let ended = Ended { weights: model, of: &of, states: pass(model, &of, part, &within(done))? };
                done += 1;
                let beside = match &other {
                    None => None,
                    Some(other) => {
                        let states = match other.known {
                            Some(known) => known.states[at].get(part_at).cloned().unwrap_or_default(),
                            None => {
                                done += 1;
                                pass(other.weights, &other.of, part, &within(done - 1))?
                            }
                        };
                        Some(Ended { weights: other.weights, of: &other.of, states })
                    }
                };
                heads(&ended, beside.as_ref(), &batch_labels(part), &mut total)?;
            }
            totals.push(total);
        }
        let beside = other.is_some();
        let sum = totals.iter().fold(Totals::default(), Totals::plus);
        let score = |((name, hash, ..), total): (&(String, [u8; 32], _, _), &Totals)| {
            total.score(name, Some(hash), beside)
        };
        Ok(Evaluation {
            model: model.identity(),
            against: other.map(|other| other.weights.identity()),
            protocol: self.protocol.clone(),
            all: sum.score("all", None, beside),
            texts: self.texts.iter().zip(&totals).map(score).collect(),
        })
    }

    /// What a model makes of the texts, kept for several comparisons; all states of the last layer are held.
    ///
    /// # Errors
    /// As [`Judge::judge`].
    pub fn original<'w>(&self, weights: &'w dyn Weights, progress: &Progress<'_>) -> Result<Original<'w>> {
        let of = Architecture::of(weights)?;
        let mut states = Vec::new();
        for (_, _, windows, _) in &self.texts {
            let parts = sets_of(windows, of.hidden).map(|part| pass(weights, &of, part, progress));
            states.push(parts.collect::<Result<_>>()?);
        }
        Ok(Original { weights, of, states })
    }
}

/// A model that others are compared with.
#[derive(Clone, Copy)]
pub enum Against<'a> {
    /// Run beside the other.
    Model(&'a dyn Weights),
    /// Run before.
    Known(&'a Original<'a>),
}

/// What a model made of a judge's texts.
pub struct Original<'w> {
    weights: &'w dyn Weights,
    of: Architecture,
    /// Of each text, each part of it, each batch.
    states: Vec<Vec<Vec<Tensor>>>,
}

/// The model compared with.
struct Other<'a> {
    weights: &'a dyn Weights,
    of: Architecture,
    known: Option<&'a Original<'a>>,
}

impl<'a> Other<'a> {
    fn of(against: Against<'a>) -> Result<Self> {
        Ok(match against {
            Against::Model(weights) => Self { weights, of: Architecture::of(weights)?, known: None },
            Against::Known(known) => {
                Self { weights: known.weights, of: known.of.clone(), known: Some(known) }
            }
        })
    }
}

/// Windows that go through the model together.
fn sets_of(windows: &[Window], hidden: usize) -> impl Iterator<Item = &[Window]> {
    let len = windows.first().map_or(1, |w| w.tokens.len());
    windows.chunks((STATE_BYTES / (4 * hidden * len).max(1)).max(1))
}

/// The states that counted predictions come from, `[n, hidden]` for each batch of windows.
fn pass(
    weights: &dyn Weights,
    of: &Architecture,
    windows: &[Window],
    progress: &Progress<'_>,
) -> Result<Vec<Tensor>> {
    let read: Vec<Vec<u32>> = windows.iter().map(|w| w.tokens[..w.tokens.len() - 1].to_vec()).collect();
    let states = run(weights, of, &read, &mut Nobody, progress)?;
    let mut all = Vec::new();
    for (batch, states) in batches(windows).zip(states) {
        let flat = states.reshape(((), of.hidden))?;
        if batch.iter().all(|w| w.from == 0) {
            all.push(flat);
            continue;
        }
        let len = states.dim(1)?;
        let counted = |(i, w): (usize, &Window)| (i * len + w.from..(i + 1) * len).map(|at| at as u32);
        let places: Vec<u32> = batch.iter().enumerate().flat_map(counted).collect();
        let count = places.len();
        all.push(flat.index_select(&Tensor::from_vec(places, count, &Device::Cpu)?, 0)?);
    }
    Ok(all)
}

/// The windows that are run together.
fn batches(windows: &[Window]) -> impl Iterator<Item = &[Window]> {
    let len = windows.first().map_or(1, |w| w.tokens.len() - 1);
    windows.chunks(windows_of_batch(len))
}

/// The tokens that counted predictions are of.
fn batch_labels(windows: &[Window]) -> Vec<Vec<u32>> {
    let of = |batch: &[Window]| batch.iter().flat_map(|w| w.tokens[1 + w.from..].iter().copied()).collect();
    batches(windows).map(of).collect()
}

/// A model with the states of its last layer.
struct Ended<'a> {
    weights: &'a dyn Weights,
    of: &'a Architecture,
    /// Those that counted predictions come from, `[n, hidden]` for each batch.
    states: Vec<Tensor>,
}

impl Ended<'_> {
    /// Rows of the head, as columns.
    fn head(&self, rows: &Range<usize>) -> Result<Tensor> {
        let values = self.weights.rows(&self.of.head, rows.clone())?;
        Ok(Tensor::from_vec(values, (rows.len(), self.of.hidden), &Device::Cpu)?.t()?)
    }

    fn logits(&self, batch: usize, head: &Tensor) -> Result<Vec<f32>> {
        Ok(capped(self.states[batch].matmul(head)?, self.of.logit_cap)?.flatten_all()?.to_vec1()?)
    }
}

/// Counts what the heads make of the states; the heads are read in parts.
fn heads(
    model: &Ended<'_>,
    other: Option<&Ended<'_>>,
    labels: &[Vec<u32>],
    total: &mut Totals,
) -> Result<()> {
    let mut running: Vec<Vec<Running>> = labels.iter().map(|l| vec![Running::NONE; l.len()]).collect();
    for rows in parts(model.of.vocabulary) {
        let of_model = model.head(&rows)?;
        let of_other =
            other.map(|other| Ok::<_, EvaluationError>((other, other.head(&rows)?))).transpose()?;
        for (batch, running) in running.iter_mut().enumerate() {
            let q = model.logits(batch, &of_model)?;
            let p = of_other.as_ref().map(|(other, head)| other.logits(batch, head)).transpose()?;
            let n = rows.len();
            running.par_iter_mut().zip(&labels[batch]).enumerate().for_each(|(i, (running, label))| {
                let at = i * n..(i + 1) * n;
                running.add(&q[at.clone()], p.as_ref().map(|p| &p[at]), rows.start, *label);
            });
        }
    }
    for (found, label) in running.iter().flatten().zip(labels.iter().flatten()) {
        total.add(found, *label, other.is_some());
    }
    Ok(())
}

/// The window of texts of a model unless another is asked for: 512 tokens, 256 bytes, or all that it has positions for.
#[must_use]
pub fn usual_window(of: &Architecture, tokens: &Tokens) -> usize {
    let usual = if matches!(tokens, Tokens::Bytes) { 256 } else { 512 };
    usual.min(of.positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_vocabulary_make_the_whole() {
        let q: Vec<f32> = (0..100).map(|i| ((i * 37) % 23) as f32 * 0.3 - 2.0).collect();
        let p: Vec<f32> = (0..100).map(|i| ((i * 53) % 29) as f32 * 0.25 - 1.0).collect();
        let soft = |l: &[f32]| {
            let sum: f64 = l.iter().map(|v| f64::from(*v).exp()).sum();
            l.iter().map(|v| f64::from(*v) - sum.ln()).collect::<Vec<f64>>()
        };
        let (lq, lp) = (soft(&q), soft(&p));
        let kl: f64 = lp.iter().zip(&lq).map(|(p, q)| p.exp() * (p - q)).sum();
        let mut running = Running::NONE;
        for at in (0..100).step_by(30) {
            let end = (at + 30).min(100);
            running.add(&q[at..end], Some(&p[at..end]), at, 70);
        }
        assert!((running.divergence() - kl).abs() < 1e-6);
        let mut totals = Totals { bytes: 1, ..Totals::default() };
        totals.add(&running, 70, true);
        assert!((totals.nats + lq[70]).abs() < 1e-6 && (totals.other_nats + lp[70]).abs() < 1e-6);
    }
}
