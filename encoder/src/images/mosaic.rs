//! Pictures that are too large to be fitted at once: window after window, each over what the windows before it have left.
//!
//! A window is fitted with its margin; of what comes out, Gaussians with a centre in a core that is still to come are thrown away. A second descent, again
//! window after window, then has all Gaussians of the neighbours around it. Windows come one after another, so what comes out is the same on any number
//! of threads.

use super::fit::{Job, SURPLUS, ends_of, joined, parted};
use super::levels::{part_of, weight_of};
use super::windows::{Window, Windows};
use crate::Result;
use crate::gaussians::{
    Cloud, DROPS, FitOptions, Pricing, RefineOptions, Target, dequantise, fit, fit_prefixes, plane_errors,
    quantise, refine, removal_energies,
};
use mcodec_coding::gaussians::{GaussianSet, Image};
use std::ops::ControlFlow;

/// Steps of the small fit that tells how much a window needs, and the square pixels for each of its Gaussians, at half the size.
const SCOUT_STEPS: usize = 24;
const SCOUT_PIXELS: usize = 250;
/// Squared error of a pixel that any picture is thought to have.
const NOISE: f64 = 1e-6;

/// A window while its own Gaussians are moved.
struct Work<'a> {
    number: usize,
    window: &'a Window,
    target: Target,
    /// Of each level and those below it, what reaches the window and stays as it is.
    beneath: Vec<Cloud>,
}

impl Job<'_> {
    /// As [`Job::layers`], window after window.
    pub(super) fn layers_in_windows(
        &mut self,
        windows: &Windows,
        coded: &Image,
        count: usize,
    ) -> Result<Vec<GaussianSet>> {
        let all = windows.all();
        let shares = self.shares(&all);
        let mut layers = vec![GaussianSet::default(); self.levels()];
        let mut owed = 0.0;
        for (number, window) in all.iter().enumerate() {
            let own = shares[number] * count as f64 + owed;
            let to_come = all.iter().zip(&shares).skip(number + 1);
            let around = to_come.map(|(other, share)| share * windows.overlap(window, other)).sum::<f64>();
            let work = self.work(windows, (number, window), coded, &layers);
            let before = joined(&layers).symbols.len();
            let made = self.fit_window(&work, coded, (own + around * count as f64).max(1.0) as usize)?;
            for (layer, set) in layers.iter_mut().zip(made) {
                self.keep(windows, &work, coded, &set, layer);
            }
            owed = own - (joined(&layers).symbols.len() - before) as f64;
            if self.interrupted {
                break;
            }
        }
        Ok(layers)
    }

    /// What part of all Gaussians each window gets: after a small fit of it, so that one more saves as much anywhere. The squared error is about
    /// inverse to their number.
    fn shares(&self, windows: &[Window]) -> Vec<f64> {
        let needs: Vec<f64> = windows
            .iter()
            .map(|window| {
                let inner = window.inner();
                let full = inner.target(&self.source, self.target.most_sigma);
                let Some(target) = full.halved() else { return inner.pixels() * NOISE.sqrt() };
                let gaussians = (target.width * target.height / SCOUT_PIXELS).max(4);
                let options = FitOptions { gaussians, steps: SCOUT_STEPS };
                let go_on = &mut |_| ControlFlow::Continue(());
                let fitted = fit(&target, &options, &Cloud::new(target.channels()), go_on);
                let samples = (target.width * target.height * target.channels()) as f64;
                let error = 4.0 * samples * 10f64.powf(-fitted.psnr / 10.0);
                ((error + inner.pixels() * NOISE) * gaussians as f64).sqrt()
            })
            .collect();
        let sum: f64 = needs.iter().sum();
        needs.into_iter().map(|need| need / sum).collect()
    }

    fn work<'w>(
        &self,
        windows: &Windows,
        (number, window): (usize, &'w Window),
        coded: &Image,
        layers: &[GaussianSet],
    ) -> Work<'w> {
        let planes = coded.quantiser.planes();
        let mut beneath: Vec<Cloud> = Vec::new();
        for layer in layers {
            let mut cloud = beneath.last().cloned().unwrap_or_else(|| Cloud::new(planes));
            cloud.append(&windows.beneath((Some(number), window), &coded.quantiser, layer));
            beneath.push(cloud);
        }
        let target = window.target(&self.source, windows.most_sigma());
        Work { number, window, target, beneath }
    }

    /// Layers of a window, in its own coordinates.
    fn fit_window(&mut self, work: &Work<'_>, coded: &Image, count: usize) -> Result<Vec<GaussianSet>> {
        let (effort, levels) = (self.effort, self.levels());
        let spare = if effort.sweeps > DROPS { 1.0 + SURPLUS } else { 1.0 };
        let target = &work.target;
        let mut own = Cloud::new(target.channels());
        let mut prefixes = Vec::new();
        for level in 0..levels {
            let share = part_of(level, levels);
            let mut frozen = work.beneath[level].clone();
            let beneath = frozen.len();
            frozen.append(&own);
            let gaussians = beneath + ((count as f64 * share * spare) as usize).max(own.len() + 1);
            let options = FitOptions { gaussians, steps: effort.steps_of_level(level) };
            let fitted = fit(target, &options, &frozen, &mut |now| self.watch(1, now));
            own = fitted.cloud.rest(beneath);
            if level + 1 < levels {
                prefixes.push((own.len(), weight_of(level)));
            }
        }
        if levels > 1 && !self.interrupted {
            let all: Vec<_> = prefixes.iter().copied().chain([(own.len(), 1.0)]).collect();
            own =
                fit_prefixes(target, own, (&all, &work.beneath), effort.steps, &mut |now| self.watch(1, now));
        }
        let mut set = quantise(&own, &coded.quantiser);
        let sweeps = if self.interrupted { 0 } else { effort.sweeps };
        let ends = self.descend(work, coded, &mut set, (&prefixes, sweeps, count.max(levels)));
        self.check_interrupt()?;
        Ok(parted(set, &ends, target.channels()))
    }

    /// Descends on a window's own Gaussians; gives where the prefixes end then.
    fn descend(
        &mut self,
        work: &Work<'_>,
        coded: &Image,
        set: &mut GaussianSet,
        (prefixes, sweeps, keep): (&[(usize, f32)], usize, usize),
    ) -> Vec<usize> {
        let pricing = Pricing { size: work.window.size, ..self.pricing(coded) };
        let beneath = &work.beneath;
        let options = RefineOptions { sweeps, frozen: 0, keep, prefixes, beneath, pricing: Some(&pricing) };
        refine(&work.target, &coded.quantiser, set, &options, &mut |now| self.watch(8, now)).ends
    }

    /// Adds a window's Gaussians to a layer, but for those in cores that are to come.
    fn keep(
        &self,
        windows: &Windows,
        work: &Work<'_>,
        coded: &Image,
        set: &GaussianSet,
        layer: &mut GaussianSet,
    ) {
        let planes = coded.quantiser.planes();
        let mut moved = GaussianSet::default();
        windows.put(work.window, &coded.quantiser, set, &mut moved);
        for (symbols, colours) in moved.symbols.iter().zip(moved.colours.chunks_exact(planes)) {
            if windows.of_centre(&coded.quantiser, symbols) <= work.number {
                layer.symbols.push(*symbols);
                layer.colours.extend_from_slice(colours);
            }
        }
    }

    /// The Gaussians of a window's core as they lie in it, layer after layer, where all layers but the last end, and which of their layers they are.
    fn own(
        windows: &Windows,
        (number, window): (usize, &Window),
        coded: &Image,
        layers: &[GaussianSet],
    ) -> (GaussianSet, Vec<usize>, Vec<(usize, usize)>) {
        let planes = coded.quantiser.planes();
        let (mut set, mut ends, mut places) = (GaussianSet::default(), Vec::new(), Vec::new());
        for (at, layer) in layers.iter().enumerate() {
            for (i, symbols) in layer.symbols.iter().enumerate() {
                if windows.of_centre(&coded.quantiser, symbols) == number {
                    set.symbols.push(window.symbols_in(&coded.quantiser, symbols));
                    set.colours.extend_from_slice(&layer.colours[i * planes..][..planes]);
                    places.push((at, i));
                }
            }
            ends.push(places.len());
        }
        ends.pop();
        (set, ends, places)
    }

    /// A descent on all Gaussians, window after window, each within all others; gives the squared error of the picture.
    pub(super) fn settle_in_windows(
        &mut self,
        windows: &Windows,
        coded: &Image,
        layers: &mut [GaussianSet],
        sweeps: usize,
    ) -> f64 {
        let planes = coded.quantiser.planes();
        let all = windows.all();
        for (number, window) in all.iter().enumerate() {
            let (mut set, ends, places) = Self::own(windows, (number, window), coded, layers);
            if set.symbols.is_empty() || self.interrupted {
                continue;
            }
            let work = self.work(windows, (number, window), coded, layers);
            let prefixes: Vec<_> = ends.iter().copied().zip((0..).map(weight_of)).collect();
            let keep = set.symbols.len();
            self.descend(&work, coded, &mut set, (&prefixes, sweeps, keep));
            let mut moved = GaussianSet::default();
            windows.put(window, &coded.quantiser, &set, &mut moved);
            let changed = moved.symbols.into_iter().zip(moved.colours.chunks_exact(planes));
            for ((symbols, colours), (layer, i)) in changed.zip(places) {
                layers[layer].symbols[i] = symbols;
                layers[layer].colours[i * planes..][..planes].copy_from_slice(colours);
            }
        }
        self.plane_errors_in_windows(windows, coded, &joined(layers)).iter().sum()
    }

    /// The squared error in each plane, window after window.
    pub(super) fn plane_errors_in_windows(
        &self,
        windows: &Windows,
        coded: &Image,
        set: &GaussianSet,
    ) -> Vec<f64> {
        let mut sums = vec![0.0; coded.quantiser.planes()];
        for window in windows.all() {
            let inner = window.inner();
            let target = inner.target(&self.source, windows.most_sigma());
            let cloud = windows.beneath((None, &inner), &coded.quantiser, set);
            sums.iter_mut().zip(plane_errors(&target, &cloud)).for_each(|(sum, error)| *sum += error);
        }
        sums
    }

    /// As [`Job::energies`], window after window.
    pub(super) fn energies_in_windows(
        &self,
        windows: &Windows,
        coded: &Image,
        layers: &[GaussianSet],
    ) -> Vec<f32> {
        let starts: Vec<usize> = std::iter::once(0).chain(ends_of(layers)).collect();
        let mut energies = vec![0.0; joined(layers).symbols.len()];
        for (number, window) in windows.all().iter().enumerate() {
            let (set, mut ends, places) = Self::own(windows, (number, window), coded, layers);
            let work = self.work(windows, (number, window), coded, layers);
            let own = dequantise(&set, &coded.quantiser);
            ends.push(places.len());
            for (level, (beneath, &end)) in work.beneath.iter().zip(&ends).enumerate() {
                let weight = if level + 1 == ends.len() { 1.0 } else { weight_of(level) };
                let mut cloud = beneath.clone();
                cloud.append(&own.first(end));
                let risen = removal_energies(&work.target, &cloud, beneath.len());
                for (energy, &(layer, i)) in risen.into_iter().zip(&places) {
                    energies[starts[layer] + i] += weight * energy;
                }
            }
        }
        energies
    }
}
