//! Steps of rows and columns before the one scale that all tensors share: from statistics, or from the weights alone.

use super::factor::{Factor, positive_median};
use super::known::{Input, Known, KnownArrays};
use super::round::{round_turned, round_with_feedback, transposed};
use super::statistics::Statistics;
use crate::{Device, EncodeError, Result};
use mcodec_coding::codes::{MAX_STEP, step};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Share of an input's diagonal, and of its median, that is added to the diagonal before it is factored.
const DAMPING: f64 = 0.4;
/// Share of the median that is added to a diagonal that is used alone.
const DIAGONAL_DAMPING: f64 = 0.01;
/// Share of the mean that is added to what outputs matter.
const FISHER_FLOOR: f64 = 1e-3;
/// Embeddings and heads of which nothing is known get steps of half the size.
const EMBEDDING_OCTAVES: f64 = 1.0;
/// Bytes of factors that are kept.
const KEPT: usize = 384 << 20;

/// What steps are counted in, which depends on what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Unit {
    /// The loss.
    Fisher,
    /// The outputs of layers.
    Hessian,
    /// The weights.
    Free,
}

/// The steps of one tensor.
pub(super) struct Rule {
    pub(super) unit: Unit,
    /// 4 log2 of the rows' steps.
    pub(super) rows: Vec<f64>,
    /// Step exponents of the columns; none: all are 0.
    pub(super) columns: Option<Arc<Vec<i16>>>,
    /// The input whose factor feeds errors back.
    pub(super) input: Option<String>,
    /// The least step exponents of the rows: with smaller ones some codes would be too large.
    pub(super) least: Vec<i16>,
    /// Errors are fed back from row to row, not from column to column.
    pub(super) turned: bool,
    /// 4 log2 of the geometric mean of the rows' root mean squares.
    pub(super) level: f64,
}

impl Rule {
    /// 4 log2 of the geometric mean of the steps.
    pub(super) fn mean(&self) -> f64 {
        let columns = self.columns.as_ref().map_or(0.0, |c| mean(c.iter().map(|&v| f64::from(v))));
        mean(self.rows.iter().copied()) + columns
    }

    /// The rule of the matrix turned.
    fn turn(self) -> Self {
        let middle = mean(self.rows.iter().copied()).round();
        let most = f64::from(MAX_STEP);
        let columns = self.rows.iter().map(|row| (row - middle).round().clamp(-most, most) as i16).collect();
        let rows = self.columns.iter().flat_map(|c| c.iter()).map(|&c| f64::from(c) + middle).collect();
        Self { rows, columns: Some(Arc::new(columns)), turned: !self.turned, ..self }
    }

    /// Step exponents of the rows, all steps being `scale` (4 log2) larger.
    pub(super) fn row_steps(&self, scale: f64) -> Vec<i16> {
        let most = f64::from(MAX_STEP);
        let at_least = |i: usize| self.least.get(i).copied().unwrap_or(-MAX_STEP);
        let clamp = |(i, v): (usize, f64)| (v.clamp(-most, most) as i16).max(at_least(i));
        if self.unit != Unit::Free {
            return self.rows.iter().map(|row| (row + scale).round()).enumerate().map(clamp).collect();
        }
        // One step would jump by quarters of an octave: the first rows have the larger one.
        let count = self.rows.len() as f64;
        let at = |(i, row): (usize, &f64)| {
            let exact = row + scale;
            let larger = (i as f64) < (exact - exact.floor()) * count;
            clamp((i, exact.floor() + f64::from(u8::from(larger))))
        };
        self.rows.iter().enumerate().map(at).collect()
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// A matrix of weights.
pub(super) struct Weights<'a> {
    pub(super) name: &'a str,
    pub(super) values: &'a [f32],
    pub(super) columns: usize,
}

impl Weights<'_> {
    fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// 4 log2 of the geometric mean of the root mean squares of rows that are not all zero.
    fn level(&self) -> f64 {
        let rms = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / self.columns as f64;
        let energies = self.values.chunks(self.columns).map(rms).filter(|e| *e > 0.0);
        mean(energies.map(|e| 2.0 * e.log2()))
    }

    /// Step exponents of the rows that keep codes below 2^22, which leaves room for errors that are fed back.
    fn least_steps(&self, columns: Option<&[i16]>) -> Vec<i16> {
        let inverse: Vec<f32> = match columns {
            Some(columns) => columns.iter().map(|c| step(-c)).collect(),
            None => vec![1.0; self.columns],
        };
        let most = f64::from(MAX_STEP);
        let least = |row: &[f32]| {
            let peak = row.iter().zip(&inverse).map(|(w, i)| w.abs() * i).fold(0f32, f32::max);
            (4.0 * (f64::from(peak).log2() - 22.0)).ceil().clamp(-most, most) as i16
        };
        self.values.chunks(self.columns).map(least).collect()
    }

    /// log2 of the root mean square of what it puts out, its inputs having this diagonal.
    fn output_level(&self, diagonal: &[f64]) -> f64 {
        let row = |row: &[f32]| row.iter().zip(diagonal).map(|(v, d)| f64::from(*v).powi(2) * d).sum::<f64>();
        let sum: f64 = self.values.chunks(self.columns).map(row).sum();
        0.5 * (sum / self.rows() as f64).max(f64::MIN_POSITIVE).log2()
    }
}

/// Makes rules from statistics, if there are any.
pub(super) struct Rules {
    statistics: Option<Statistics>,
    /// Gram matrices are used whole, not only their diagonals.
    feedback: bool,
    device: Device,
    arrays: Mutex<KnownArrays>,
    factors: Mutex<HashMap<String, Arc<Factor>>>,
}

impl Rules {
    pub(super) fn new(statistics: Option<Statistics>, feedback: bool, device: Device) -> Self {
        let arrays = Mutex::new(KnownArrays::new());
        Self { statistics, feedback, device, arrays, factors: Mutex::new(HashMap::new()) }
    }

    /// What is known of arrays that passes made, in the place of what was known.
    pub(super) fn know(&self, arrays: KnownArrays) {
        *self.arrays.lock().unwrap_or_else(PoisonError::into_inner) = arrays;
    }

    fn known_of(&self, name: &str) -> Option<Arc<Known>> {
        self.arrays.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The codes of rows of `n` weights.
    pub(super) fn round(
        &self,
        rule: &Rule,
        weights: &[f32],
        row_steps: &[i16],
        n: usize,
    ) -> Result<Vec<i32>> {
        let zeros = vec![0; n];
        let columns = rule.columns.as_ref().map_or(&zeros, |c| c);
        let factor = self.factor_of(rule, if rule.turned { row_steps.len() } else { n })?;
        let Some(factor) = factor else { return self.device.round(weights, row_steps, columns) };
        self.device.without_gpu("rounding with errors fed back")?;
        let round = if rule.turned { round_turned } else { round_with_feedback };
        Ok(round(weights, row_steps, columns, &factor))
    }

    /// The steps of a tensor.
    pub(super) fn rule(&self, weights: &Weights<'_>) -> Result<Rule> {
        let known = self.known_of(weights.name);
        let known = known.as_deref();
        let found = match &self.statistics {
            None => None,
            Some(statistics) if known.is_some_and(|known| known.turned) => {
                let values = transposed(weights.values, weights.columns);
                let turned = Weights { name: weights.name, values: &values, columns: weights.rows() };
                self.of_statistics(statistics, known, &turned)?.map(Rule::turn)
            }
            Some(statistics) => self.of_statistics(statistics, known, weights)?,
        };
        let mut rule = found.unwrap_or_else(|| Self::free(weights));
        rule.least = weights.least_steps(rule.columns.as_ref().map(|c| &c[..]));
        Ok(rule)
    }

    /// One step for all weights: the square root of their own level, half-way between equal steps and equal rates.
    fn free(weights: &Weights<'_>) -> Rule {
        let level = weights.level();
        let finer = if is_embedding(weights.name) { 4.0 * EMBEDDING_OCTAVES } else { 0.0 };
        let rows = vec![0.5 * level - finer; weights.rows()];
        Rule { unit: Unit::Free, rows, columns: None, input: None, least: Vec::new(), turned: false, level }
    }

    fn of_statistics(
        &self,
        statistics: &Statistics,
        known: Option<&Known>,
        weights: &Weights<'_>,
    ) -> Result<Option<Rule>> {
        let n = weights.columns;
        let input = match known.map(|known| &known.input) {
            None => statistics.input_of(weights.name),
            Some(Input::Layer(name)) => name,
            Some(Input::Gram(_) | Input::Diagonal(_)) => weights.name,
        }
        .to_owned();
        let factor = self.factor(&input, n)?;
        let mut diagonal: Vec<f64> = Vec::new();
        let scales: Vec<f64> = match &factor {
            Some(factor) => factor.diagonal.iter().map(|r| -4.0 * r.log2()).collect(),
            None => {
                let found = match known.map(|known| &known.input) {
                    Some(Input::Diagonal(found)) if found.len() == n => Some(found.clone()),
                    _ => statistics.diagonal(&input, n)?,
                };
                let Some(found) = found else { return Ok(None) };
                diagonal = found.iter().map(|&d| f64::from(d).max(0.0)).collect();
                let Some(median) = positive_median(&diagonal) else { return Ok(None) };
                diagonal.iter().map(|d| -2.0 * (d + DIAGONAL_DAMPING * median).log2()).collect()
            }
        };
        let level = weights.level();
        let middle = mean(scales.iter().copied());
        let fisher = match known {
            Some(known) => known.fisher.clone(),
            None => statistics.fisher(weights.name, weights.rows())?,
        };
        let fisher: Option<Vec<f64>> = fisher.map(|f| f.iter().map(|&v| f64::from(v).max(0.0)).collect());
        let floor = fisher.as_ref().map_or(0.0, |f| FISHER_FLOOR * mean(f.iter().copied()));
        let (unit, mut rows) = match fisher.filter(|_| floor > 0.0) {
            Some(fisher) => (Unit::Fisher, fisher.iter().map(|f| -2.0 * (f + floor).log2()).collect()),
            None if factor.is_some() => (Unit::Hessian, vec![0.5 * (level - middle); weights.rows()]),
            None => (Unit::Hessian, vec![2.0 * weights.output_level(&diagonal); weights.rows()]),
        };
        let shift = middle.round();
        rows.iter_mut().for_each(|row: &mut f64| *row += shift);
        let most = f64::from(MAX_STEP);
        let columns = scales.iter().map(|scale| (scale - shift).round().clamp(-most, most) as i16).collect();
        let (columns, input) = (Some(Arc::new(columns)), factor.map(|_| input));
        Ok(Some(Rule { unit, rows, columns, input, least: Vec::new(), turned: false, level }))
    }

    /// The factor of an input, if its Gram matrix is known and some token reached it.
    fn factor(&self, input: &str, n: usize) -> Result<Option<Arc<Factor>>> {
        let Some(statistics) = self.statistics.as_ref().filter(|_| self.feedback) else { return Ok(None) };
        if let Some(known) = self.lock().get(input) {
            return Ok(Some(Arc::clone(known)));
        }
        let own = self.known_of(input);
        let gram = match own.as_ref().map(|known| &known.input) {
            Some(Input::Gram(read)) => {
                let mut bytes = vec![0; 4 * n * n];
                read(0, &mut bytes)?;
                Some(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
            }
            _ => statistics.gram(input, n)?,
        };
        let Some(gram) = gram else { return Ok(None) };
        let Some(factor) = Factor::new(&gram, n, DAMPING) else { return Ok(None) };
        let factor = Arc::new(factor);
        let mut kept = self.lock();
        let all: usize = kept.values().map(|f| f.memory()).sum();
        if all + factor.memory() > KEPT {
            kept.clear();
        }
        kept.insert(input.to_owned(), Arc::clone(&factor));
        Ok(Some(factor))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Factor>>> {
        self.factors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The factor that a rule feeds errors back with.
    fn factor_of(&self, rule: &Rule, n: usize) -> Result<Option<Arc<Factor>>> {
        match &rule.input {
            None => Ok(None),
            Some(input) => {
                let found = self.factor(input, n)?;
                found
                    .map(Some)
                    .ok_or_else(|| EncodeError::Request(format!("the Gram matrix of {input:?} changed")))
            }
        }
    }
}

/// Whether the name is that of a table of tokens, or of the layer that gives their probabilities.
fn is_embedding(name: &str) -> bool {
    const NAMES: [&str; 7] =
        ["embed_tokens", "lm_head", "wte", "word_embeddings", "tok_embeddings", "embed_in", "embed_out"];
    name.split('.').any(|part| NAMES.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stay_below_their_limit() {
        let weights = Weights { name: "w", values: &[1.0, -64.0, 0.0, 0.0, 1e20, 0.0], columns: 2 };
        let rule = Rules::new(None, true, Device::default()).rule(&weights).unwrap();
        let steps = rule.row_steps(-1000.0);
        assert_eq!(steps[..2], [4 * (6 - 22), -MAX_STEP]);
        for (row, &exponent) in weights.values.chunks(2).zip(&steps) {
            assert!(row.iter().all(|w| w.abs() <= 2f32.powi(22) * step(exponent)), "{row:?} {exponent}");
        }
        assert_eq!(weights.least_steps(Some(&[0, 8]))[0], 4 * (6 - 2 - 22));
    }
}
