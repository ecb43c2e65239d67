//! The float fit: growth by pursuit, Adam, relocation (section 2.1).

use std::ops::ControlFlow;

use super::adam::Adam;
use super::cloud::Cloud;
use super::pursuit::pursue;
use super::step::{Field, Group, Rendered};
use super::target::Target;

/// Growth events after the first, and the part of all steps in which they lie.
const GROWTHS: usize = 10;
const GROWING: f64 = 0.3;
/// Relocations, and the part of all steps in which they lie.
const RELOCATIONS: usize = 12;
const RELOCATING: f64 = 0.35;
/// From this part of all steps on, learning rates fall to [`LAST_RATE`].
const STEADY: f64 = 0.6;
const LAST_RATE: f64 = 0.03;

/// What one relocation moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moves {
    /// The part of Gaussians that it may move.
    pub(super) part: f64,
    /// What a candidate's energy counts for, against what dropping a Gaussian costs.
    pub(super) trust: f32,
}

/// In a fit, ...
pub(super) const MOVES: Moves = Moves { part: 0.05, trust: 0.5 };
/// ... and in [`fit_prefixes`]: as many Gaussians are where only one of the pictures wants them, it pays to move them boldly.
pub(super) const MOVES_TOGETHER: Moves = Moves { part: 0.08, trust: 3.0 };
/// Relocations of [`fit_prefixes`], and the part of all steps in which they lie.
const RELOCATIONS_TOGETHER: usize = 24;
const RELOCATING_TOGETHER: f64 = 0.5;
/// Learning rates of [`fit_prefixes`] are so many times those of a fit.
const TOGETHER: f32 = 3.0;

/// How much to fit.
#[derive(Debug, Clone, Copy)]
pub struct FitOptions {
    /// Gaussians wanted, frozen ones counted.
    pub gaussians: usize,
    /// Steps.
    pub steps: usize,
}

/// How far a fit is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps or sweeps done.
    pub done: usize,
    /// Of so many.
    pub of: usize,
    /// PSNR (dB) so far, see [`Target::psnr`].
    pub psnr: f64,
}

/// What a fit gives.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The Gaussians, frozen ones first.
    pub cloud: Cloud,
    /// PSNR (dB) of the last step's start.
    pub psnr: f64,
}

/// Fits Gaussians to a target; those of `frozen` stay as they are, first in the order, and are part of every blend. The same on any number of
/// threads. `progress` is told after each step and may end the fit, which then gives what it has.
#[must_use]
pub fn fit(
    target: &Target,
    options: &FitOptions,
    frozen: &Cloud,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Fitted {
    let mut fit = Fit::new(target, frozen);
    let steps = options.steps.max(1);
    let mut psnr = 0.0;
    let samples = target.planes.len() as f64;
    for step in 0..steps {
        if let Some(count) = growth(step, steps, options.gaussians, frozen.len()) {
            fit.grow(count);
        }
        if is_relocation(step, steps) {
            fit.relocate();
        }
        fit.field.place(&fit.cloud);
        let error = fit.field.step(&fit.cloud);
        psnr = target.psnr(error);
        let rate = rate(step, steps);
        fit.adam.gather(&fit.field, &fit.cloud, fit.frozen, 1.0);
        fit.adam.update(&fit.field, &mut fit.cloud, fit.frozen, (rate, error / samples));
        if progress(Progress { done: step + 1, of: steps, psnr }).is_break() {
            break;
        }
    }
    Fitted { cloud: fit.cloud, psnr }
}

/// How many Gaussians there are to be at this step of `steps`, if some are to be added: `wanted` in the end, `frozen` before.
pub(super) fn growth(step: usize, steps: usize, wanted: usize, frozen: usize) -> Option<usize> {
    let event = |k: usize| (GROWING * steps as f64 * k as f64 / GROWTHS as f64) as usize;
    let k = (0..=GROWTHS).rfind(|&k| step == event(k))?;
    let left = wanted.saturating_sub(frozen) as f64;
    Some(frozen + (left * 0.1f64.powf(1.0 - k as f64 / GROWTHS as f64)).round() as usize)
}

/// Whether Gaussians move elsewhere at this step.
pub(super) fn is_relocation(step: usize, steps: usize) -> bool {
    let event = |k: usize| steps as f64 * (GROWING + RELOCATING * k as f64 / (RELOCATIONS as f64 + 0.5));
    (1..=RELOCATIONS).any(|k| step == event(k) as usize)
}

/// Common factor of the learning rates of a step.
pub(super) fn rate(step: usize, steps: usize) -> f32 {
    let part = step as f64 / steps as f64;
    (if part < STEADY { 1.0 } else { LAST_RATE.powf((part - STEADY) / (1.0 - STEADY)) }) as f32
}

/// The same of [`fit_prefixes`].
pub(super) fn rate_together(step: usize, steps: usize) -> f32 {
    TOGETHER * rate(step, steps)
}

/// Whether [`fit_prefixes`] moves Gaussians elsewhere at this step.
pub(super) fn is_relocation_together(step: usize, steps: usize) -> bool {
    let event = |k: usize| steps as f64 * RELOCATING_TOGETHER * k as f64 / RELOCATIONS_TOGETHER as f64;
    (1..=RELOCATIONS_TOGETHER).any(|k| step == event(k) as usize)
}

/// Moves Gaussians so that several prefixes of them are good pictures at once: how many Gaussians each has, the last all of them, and how
/// much its squared error counts. `beneath`: of each prefix what is part of its picture and stays as it is; or empty.
#[must_use]
pub fn fit_prefixes(
    target: &Target,
    mut cloud: Cloud,
    (prefixes, beneath): (&[(usize, f32)], &[Cloud]),
    steps: usize,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Cloud {
    let mut field = Field::new(target);
    let mut beneath: Vec<_> = field.sums_of(beneath).into_iter().map(Some).collect();
    beneath.resize(prefixes.len(), None);
    let mut adam = Adam::default();
    let samples = target.planes.len() as f64;
    for step in 0..steps {
        if is_relocation_together(step, steps) {
            relocate_together(&mut field, (&mut cloud, &mut adam), prefixes, &mut beneath);
        }
        let mut error = 0.0;
        for (&(end, weight), beneath) in prefixes.iter().zip(&mut beneath) {
            let part = cloud.first(end);
            field.lay_over(beneath.take());
            field.place(&part);
            error = field.step(&part);
            adam.gather(&field, &part, 0, weight);
            *beneath = field.lay_over(None);
        }
        let rate = rate_together(step, steps);
        adam.update(&field, &mut cloud, 0, (rate, error / samples));
        if progress(Progress { done: step + 1, of: steps, psnr: target.psnr(error) }).is_break() {
            break;
        }
    }
    cloud
}

/// A fit under way.
struct Fit<'a> {
    field: Field<'a>,
    cloud: Cloud,
    adam: Adam,
    frozen: usize,
}

impl<'a> Fit<'a> {
    fn new(target: &'a Target, frozen: &Cloud) -> Self {
        let mut field = Field::new(target);
        if !frozen.is_empty() {
            field.freeze(frozen);
        }
        Self { field, cloud: frozen.clone(), adam: Adam::default(), frozen: frozen.len() }
    }

    /// Inserts Gaussians where they pay most, up to so many in all.
    fn grow(&mut self, count: usize) {
        let Some(missing) = count.checked_sub(self.cloud.len()).filter(|&missing| missing > 0) else {
            return;
        };
        self.field.place(&self.cloud);
        let blend = self.field.render(&self.cloud);
        for candidate in pursue(self.field.target, &blend, missing) {
            candidate.insert(&mut self.cloud, &blend);
        }
    }

    /// Moves the Gaussians that matter least to where they pay more.
    fn relocate(&mut self) {
        let (energies, blend) = looked_at(&mut self.field, &self.cloud);
        let moving = (&mut self.cloud, &mut self.adam);
        relocate(self.field.target, moving, (self.frozen, &energies), &blend, MOVES);
    }
}

/// Removal energies of all Gaussians that are not frozen, and the blend.
fn looked_at(field: &mut Field<'_>, cloud: &Cloud) -> (Vec<f32>, Rendered) {
    field.place(cloud);
    (field.removal_energies(cloud), field.render(cloud))
}

/// Moves those of the Gaussians from `first` on, whose removal energies these are, that matter least to where they pay more in this blend.
fn relocate(
    target: &Target,
    (cloud, adam): (&mut Cloud, &mut Adam),
    (first, energies): (usize, &[f32]),
    blend: &Rendered,
    moves: Moves,
) {
    let candidates = pursue(target, blend, (energies.len() as f64 * moves.part) as usize);
    let mut weakest: Vec<usize> = (0..energies.len()).collect();
    weakest.sort_by(|&a, &b| energies[a].total_cmp(&energies[b]));
    let (stride, channels) = (cloud.stride(), cloud.channels());
    for (candidate, weak) in candidates.iter().zip(weakest) {
        if moves.trust * candidate.energy < energies[weak] {
            continue;
        }
        let (splat, colours) = candidate.gaussian(channels, blend);
        let mut one = Cloud::new(channels);
        one.push(&splat, &colours[..channels]);
        let index = first + weak;
        cloud.values[index * stride..][..stride].copy_from_slice(&one.values);
        adam.reset(index, stride);
    }
}

/// Moves Gaussians of prefixes that matter least, to all pictures that have them: those of the first to where that wants them, others to where the
/// whole does.
fn relocate_together(
    field: &mut Field<'_>,
    (cloud, adam): (&mut Cloud, &mut Adam),
    prefixes: &[(usize, f32)],
    beneath: &mut [Option<Vec<Group>>],
) {
    let Some((&(first, weight), last)) = prefixes.first().zip(prefixes.len().checked_sub(1)) else { return };
    let first = first.min(cloud.len());
    let mut of_prefix = |cloud: &Cloud, prefix: usize| {
        field.lay_over(beneath[prefix].take());
        let looked_at = looked_at(field, cloud);
        beneath[prefix] = field.lay_over(None);
        looked_at
    };
    let (mut energies, whole) = of_prefix(cloud, last);
    let of_first = (last > 0).then(|| of_prefix(&cloud.first(first), 0));
    let target = field.target;
    relocate(target, (cloud, adam), (first, &energies[first..]), &whole, MOVES_TOGETHER);
    if let Some((own, blend)) = of_first {
        energies.truncate(first);
        energies.iter_mut().zip(&own).for_each(|(sum, own)| *sum += weight * own);
        relocate(target, (cloud, adam), (0, &energies), &blend, MOVES_TOGETHER);
    }
}
