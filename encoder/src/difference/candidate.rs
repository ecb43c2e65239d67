//! Ways to code a stack: labels alone, and predictors of several ranks and roundings.

use super::Settings;
use super::fit::Labels;
use super::lowrank::{Components, components, project};
use super::matrix::Member;
use super::stack::{Stack, scaled};
use mcodec_coding::Result;
use mcodec_coding::difference::{
    Columns, Component, FACTOR_CLASSES, Survey, factor_cost_bits, row_labels_len, survey,
};
use rayon::prelude::*;

/// Rows from which columns have labels.
const LEAST_ROWS: usize = 8;
/// Elements from which a predictor is tried.
const LEAST_PREDICTED: usize = 2048;

/// A way to code a stack.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) row_labels: Vec<i32>,
    /// Labels and factors of the columns, if there are any.
    pub(super) columns: Option<Columns>,
    /// By row, then component.
    pub(super) row_factors: Vec<i16>,
    /// Bits of labels and factors, and of what is stored besides symbols.
    pub(super) side_bits: f64,
    /// How often each symbol comes: context * 64 + symbol.
    pub(super) counts: Vec<(u16, u32)>,
}

impl Candidate {
    fn new(
        stack: &Stack,
        members: &[&Member<'_>],
        labels: Labels,
        components: Vec<Component>,
        factors: Vec<i16>,
        row_factors: Vec<i16>,
    ) -> Result<Self> {
        let none = labels.columns.is_empty() && components.is_empty();
        let mut side_bits = 8.0 * row_labels_len(&labels.rows) as f64;
        for (k, component) in components.iter().enumerate() {
            let own = row_factors.iter().skip(k).step_by(components.len()).copied();
            side_bits += factor_cost_bits(component.row_class, own);
        }
        let rank = components.len();
        let columns =
            if none { None } else { Some(Columns::new(stack.columns, labels.columns, components, factors)?) };
        side_bits += columns.as_ref().map_or(0.0, |c| 8.0 * c.to_bytes().len() as f64);
        let mut counted = Survey::default();
        let mut row = 0;
        for &at in &stack.members {
            let member = members[at];
            let rows = row..row + member.rows();
            survey(
                &mut counted,
                member.format,
                (member.base, member.bytes),
                (stack.columns, member.first_column),
                &labels.rows[rows.clone()],
                columns.as_ref(),
                &row_factors[rows.start * rank..rows.end * rank],
            )?;
            row = rows.end;
        }
        side_bits += counted.bits as f64;
        let counts = counted.counts.iter().flatten().enumerate().filter(|(_, n)| **n > 0);
        let counts = counts.map(|(at, &n)| (at as u16, n)).collect();
        Ok(Self { row_labels: labels.rows, columns, row_factors, side_bits, counts })
    }

    /// Bits under tables whose symbols take `costs`, by context * 64 + symbol.
    pub(super) fn cost(&self, costs: &[f32]) -> f64 {
        let symbols = self.counts.iter().map(|&(at, n)| f64::from(n) * f64::from(costs[usize::from(at)]));
        self.side_bits + symbols.sum::<f64>()
    }

    pub(super) fn rank(&self) -> usize {
        self.columns.as_ref().map_or(0, |c| c.components().len())
    }
}

/// All ways that are tried for a stack; those of least rank first.
pub(super) fn candidates(
    stack: &Stack,
    members: &[&Member<'_>],
    settings: &Settings,
) -> Result<Vec<Candidate>> {
    let values = stack.values(members);
    let plain = Labels::fit(&values, stack.columns, stack.first_column, false);
    let rows = plain.rows.len();
    let mut all = vec![Candidate::new(stack, members, plain, Vec::new(), Vec::new(), Vec::new())?];
    if !stack.has_columns || rows < LEAST_ROWS {
        return Ok(all);
    }
    let both = Labels::fit(&values, stack.columns, stack.first_column, true);
    all.push(Candidate::new(stack, members, both.clone(), Vec::new(), Vec::new(), Vec::new())?);
    let most = rows.min(stack.columns) / 2;
    let ranks: Vec<usize> = settings.ranks.iter().copied().filter(|&rank| rank <= most).collect();
    if !stack.predicts || ranks.is_empty() || values.len() < LEAST_PREDICTED {
        return Ok(all);
    }
    let fit = Fit { values: &values, columns: stack.columns, settings };
    let (labels, start) = fit.begin(&both, &ranks);
    let made: Vec<Vec<Candidate>> = ranks
        .par_iter()
        .map(|&rank| {
            let predictor = fit.predictor(&labels, &start, rank);
            let one = |&rounding: &f32| {
                let (components, factors, row_factors) = predictor.rounded(rounding);
                Candidate::new(stack, members, predictor.labels.clone(), components, factors, row_factors)
            };
            settings.roundings.iter().map(one).collect::<Result<_>>()
        })
        .collect::<Result<_>>()?;
    all.extend(made.into_iter().flatten());
    Ok(all)
}

/// Fits predictors to the differences of a stack.
struct Fit<'v> {
    values: &'v [f32],
    columns: usize,
    settings: &'v Settings,
}

/// A predictor before it is rounded.
struct Predictor {
    labels: Labels,
    columns: usize,
    rank: usize,
    /// U S: by row, then component.
    left: Vec<f32>,
    /// V: by component, then column.
    right: Vec<f32>,
    /// Energy per element that is left.
    residual: f32,
}

impl Fit<'_> {
    /// Labels of what a predictor of middle rank leaves, and components under them.
    fn begin(&self, labels: &Labels, ranks: &[usize]) -> (Labels, Components) {
        let most = ranks.iter().copied().max().unwrap_or(0);
        let middle = ranks[ranks.len() / 2];
        let first = self.components(labels, most, None);
        let labels = self.residual_labels(labels, &first, middle);
        let found = self.components(&labels, most, Some(&first));
        (labels, found)
    }

    /// Components of the differences under labels, of a sample of rows.
    fn components(&self, labels: &Labels, rank: usize, start: Option<&Components>) -> Components {
        let mut z = scaled(self.values, labels, self.columns);
        let stride = z.len().div_ceil(self.settings.sample.max(1));
        if stride > 1 {
            z = z.chunks(self.columns).step_by(stride).flatten().copied().collect();
        }
        components(&z, self.columns, rank, self.settings.rounds, start)
    }

    /// Labels of what the first `rank` components leave.
    fn residual_labels(&self, labels: &Labels, found: &Components, rank: usize) -> Labels {
        let z = scaled(self.values, labels, self.columns);
        let rank = rank.min(found.strengths.len());
        let right = &found.right[..rank * self.columns];
        let left = project(&z, right, self.columns);
        let (rows, columns) = labels.inverse_scales(self.columns);
        let mut rest = z;
        rest.par_chunks_mut(self.columns).zip(left.par_chunks(rank.max(1))).zip(&rows).for_each(
            |((row, weights), scale)| {
                for (weight, v) in weights.iter().zip(right.chunks(self.columns)) {
                    row.iter_mut().zip(v).for_each(|(x, v)| *x -= weight * v);
                }
                row.iter_mut().zip(&columns).for_each(|(x, column)| *x /= scale * column);
            },
        );
        Labels::fit(&rest, self.columns, 0, true)
    }

    fn predictor(&self, labels: &Labels, start: &Components, rank: usize) -> Predictor {
        let labels = self.residual_labels(labels, start, rank);
        let mut found = self.components(&labels, rank, Some(start));
        let rank = rank.min(found.strengths.len());
        found.right.truncate(rank * self.columns);
        let z = scaled(self.values, &labels, self.columns);
        let left = project(&z, &found.right, self.columns);
        let energy = |values: &[f32]| values.iter().map(|x| f64::from(x * x)).sum::<f64>();
        let residual = ((energy(&z) - energy(&left)) / z.len().max(1) as f64).max(0.0) as f32;
        Predictor { labels, columns: self.columns, rank, left, right: found.right, residual }
    }
}

impl Predictor {
    /// Components, columns' and rows' factors in integers, so that rounding them adds about the share `rounding` to the residual.
    fn rounded(&self, rounding: f32) -> (Vec<Component>, Vec<i16>, Vec<i16>) {
        let rows = self.left.len() / self.rank.max(1);
        let step =
            |others: usize| (12.0 * others as f32 * rounding * self.residual / (2 * self.rank) as f32).sqrt();
        let (row_step, column_step) = (step(self.columns), step(rows));
        let integer = |x: f32| x.round().clamp(-32_000.0, 32_000.0) as i16;
        let mut kept: Vec<(Component, Vec<i16>, Vec<i16>)> = Vec::new();
        for (k, v) in self.right.chunks(self.columns).enumerate() {
            let own: Vec<f32> = self.left.iter().skip(k).step_by(self.rank).copied().collect();
            let strength = own.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt() as f32;
            let scale = (row_step / strength * column_step).log2() * 4.0;
            if !scale.is_finite() {
                continue;
            }
            let scale = scale.round().clamp(-127.0, 31.0);
            // What the scale is rounded by goes into the step of the columns.
            let column_step = (scale / 4.0).exp2() * strength / row_step;
            let of_rows: Vec<i16> = own.iter().map(|x| integer(x / row_step)).collect();
            let of_columns: Vec<i16> = v.iter().map(|x| integer(x * strength / column_step)).collect();
            if of_rows.iter().all(|&a| a == 0) || of_columns.iter().all(|&b| b == 0) {
                continue;
            }
            let (row_class, column_class) = (class_of(&of_rows), class_of(&of_columns));
            kept.push((Component { scale: scale as i8, row_class, column_class }, of_rows, of_columns));
        }
        let factors = kept.iter().flat_map(|(_, _, columns)| columns).copied().collect();
        let row_factors =
            (0..rows).flat_map(|i| kept.iter().map(move |(_, of_rows, _)| of_rows[i])).collect();
        (kept.into_iter().map(|(component, ..)| component).collect(), factors, row_factors)
    }
}

/// The class that codes factors shortest.
fn class_of(factors: &[i16]) -> u8 {
    let energy: f64 = factors.iter().map(|&f| f64::from(f) * f64::from(f)).sum();
    let deviation = (energy / factors.len().max(1) as f64).sqrt().max(0.1);
    let middle = (deviation.log2() * 4.0).round() as i32 + 6;
    let classes = (middle - 3..=middle + 2).map(|c| c.clamp(0, i32::from(FACTOR_CLASSES) - 1) as u8);
    let cost = |class: u8| factor_cost_bits(class, factors.iter().copied());
    classes.min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(0)
}
