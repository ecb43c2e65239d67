//! Gradients of parameters from a step's moments (section 2.5, *chain*), and the Adam update with its clamps (sections 1 and 2.2).

use std::sync::LazyLock;

use rayon::prelude::*;

use super::cloud::{Cloud, GEOMETRY};
use super::step::{Field, MOMENTS};
use super::target::{MAX_CHANNELS, Target};
use super::wrap::{Periods, brought_back};

const FIRST_DECAY: f32 = 0.9;
const SECOND_DECAY: f32 = 0.95;
const EPSILON: f32 = 1e-7;
/// Most steps that an age counts.
const MAX_AGE: u16 = 1000;
/// The least ln sigma: 0.41 pixels.
const LEAST_LN_SIGMA: f32 = -0.9;
const COLOUR: (f32, f32) = (-2.5, 3.0);
/// How much a colour unlike those around costs, for each square pixel of the Gaussian's footprint: this part of the mean squared error, ...
const PULL: f64 = 85.0;
/// ... but at most this. Without it colours drift to where they are dear to code and fragile: measured 4 to 6% fewer bytes at 0.15 to
/// 0.3 bits per pixel for at most 0.1 dB.
const MOST_PULL: f64 = 0.05;
/// Gaussians that one thread updates in one go.
const AT_ONCE: usize = 128;

/// Adam's memory: both moments of each parameter, and each Gaussian's own age.
#[derive(Debug, Default)]
pub(super) struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    ages: Vec<u16>,
    /// What the next update goes by.
    gradients: Vec<f32>,
}

impl Adam {
    /// Starts over for one Gaussian.
    pub(super) fn reset(&mut self, gaussian: usize, stride: usize) {
        // One that was inserted since the last update is not remembered yet.
        if gaussian >= self.ages.len() {
            return;
        }
        self.first[gaussian * stride..][..stride].fill(0.0);
        self.second[gaussian * stride..][..stride].fill(0.0);
        self.ages[gaussian] = 0;
    }

    /// Adds `weight` times the gradients of a field's Gaussians, which are the first of the cloud, to those of the next update.
    pub(super) fn gather(&mut self, field: &Field<'_>, cloud: &Cloud, frozen: usize, weight: f32) {
        let stride = cloud.stride();
        self.gradients.resize(self.gradients.len().max(cloud.values.len()), 0.0);
        let all = self.gradients[frozen * stride..field.count * stride].par_chunks_mut(AT_ONCE * stride);
        all.enumerate().for_each(|(chunk, all)| {
            for (i, sums) in all.chunks_exact_mut(stride).enumerate() {
                let index = frozen + chunk * AT_ONCE + i;
                let mut one = [0.0; GEOMETRY + MAX_CHANNELS];
                let values = &cloud.values[index * stride..][..stride];
                gradient_of(field, index, values, &mut one[..stride]);
                sums.iter_mut().zip(&one).for_each(|(sum, one)| *sum += weight * one);
            }
        });
    }

    /// Moves all Gaussians that are not frozen, by the gradients that were gathered; `rate` is the common factor F of their learning rates,
    /// `error` the mean squared error of a sample.
    pub(super) fn update(
        &mut self,
        field: &Field<'_>,
        cloud: &mut Cloud,
        frozen: usize,
        (rate, error): (f32, f64),
    ) {
        let pull = (PULL * error).min(MOST_PULL) as f32;
        let stride = cloud.stride();
        self.first.resize(cloud.values.len(), 0.0);
        self.second.resize(cloud.values.len(), 0.0);
        self.gradients.resize(cloud.values.len(), 0.0);
        self.ages.resize(cloud.len(), 0);
        let bounds = Bounds::of(field.target);
        let values = cloud.values[frozen * stride..].par_chunks_mut(AT_ONCE * stride);
        let first = self.first[frozen * stride..].par_chunks_mut(AT_ONCE * stride);
        let second = self.second[frozen * stride..].par_chunks_mut(AT_ONCE * stride);
        let gradients = self.gradients[frozen * stride..].par_chunks_mut(AT_ONCE * stride);
        let ages = self.ages[frozen..].par_chunks_mut(AT_ONCE);
        values.zip(first).zip(second).zip(gradients).zip(ages).for_each(|((((v, m), s), g), ages)| {
            for (i, age) in ages.iter_mut().enumerate() {
                *age = (*age + 1).min(MAX_AGE);
                let own = i * stride..(i + 1) * stride;
                let (values, gradient) = (&v[own.clone()], &mut g[own.clone()]);
                let size = (values[2] + values[3]).exp();
                let mut around = [0.0; MAX_CHANNELS];
                field.surroundings.at(values[0], values[1], size.sqrt(), &mut around);
                for (c, around) in around[..stride - GEOMETRY].iter().enumerate() {
                    gradient[GEOMETRY + c] += pull * size * (values[GEOMETRY + c] - around);
                }
                let moments = (&mut m[own.clone()], &mut s[own.clone()]);
                advance(&mut v[own], moments, gradient, *age, rate, &bounds);
                gradient.fill(0.0);
            }
        });
    }
}

/// Where Gaussians may be, and how large.
struct Bounds {
    /// Greatest coordinates, ...
    ends: [f32; 2],
    /// ... where the picture does not repeat.
    periods: Periods,
    most_ln_sigma: f32,
    /// How fast the colours of each plane move.
    colour_rates: [f32; MAX_CHANNELS],
}

impl Bounds {
    fn of(target: &Target) -> Self {
        Self {
            ends: [target.width as f32 - 0.6, target.height as f32 - 0.6],
            periods: target.periods(),
            most_ln_sigma: target.most_sigma.ln(),
            colour_rates: std::array::from_fn(|plane| 0.01 * target.gains.get(plane).unwrap_or(&1.0)),
        }
    }
}

/// Gradient of half the squared error in one Gaussian's parameters.
pub(super) fn gradient_of(field: &Field<'_>, gaussian: usize, values: &[f32], out: &mut [f32]) {
    let stride = MOMENTS + out.len() - GEOMETRY;
    let mut sums = [0.0; MOMENTS + MAX_CHANNELS];
    for &slot in field.lists.slots_of(gaussian) {
        let parts = &field.gradients[slot as usize * stride..][..stride];
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    let moments = sums.first_chunk().expect("that many");
    out[..GEOMETRY].copy_from_slice(&of_moments(values[2], values[3], values[4], moments));
    out[GEOMETRY..].copy_from_slice(&sums[MOMENTS..stride]);
}

/// Gradient in x, y, both ln sigma and the angle, of a step's moments.
pub(super) fn of_moments(
    ln_sigma_0: f32,
    ln_sigma_1: f32,
    angle: f32,
    &[mx, my, mxx, mxy, myy]: &[f32; MOMENTS],
) -> [f32; GEOMETRY] {
    let (sin, cos) = angle.sin_cos();
    let (v0, v1) = ((2.0 * ln_sigma_0).exp(), (2.0 * ln_sigma_1).exp());
    let (across, along) = (1.0 / v0, 1.0 / v1);
    let qa = cos * cos * across + sin * sin * along;
    let qb = cos * sin * (across - along);
    let qc = sin * sin * across + cos * cos * along;
    let uu = cos * cos * mxx + 2.0 * cos * sin * mxy + sin * sin * myy;
    let vv = sin * sin * mxx - 2.0 * cos * sin * mxy + cos * cos * myy;
    let uv = cos * sin * (myy - mxx) + (cos * cos - sin * sin) * mxy;
    [-(qa * mx + qb * my), -(qb * mx + qc * my), -uu * across, -vv * along, uv * (across - along)]
}

/// By age, what part of the gradients' size both moments have learned.
static LEARNED: LazyLock<Vec<[f32; 2]>> = LazyLock::new(|| {
    let learned = |decay: f32, age: u16| 1.0 - decay.powi(i32::from(age));
    (0..=MAX_AGE).map(|age| [learned(FIRST_DECAY, age), learned(SECOND_DECAY, age)]).collect()
});

/// One Adam step of one Gaussian.
fn advance(
    values: &mut [f32],
    (first, second): (&mut [f32], &mut [f32]),
    gradient: &[f32],
    age: u16,
    rate: f32,
    bounds: &Bounds,
) {
    let position = 0.08 * (0.5 * (values[2] + values[3])).exp().min(8.0);
    let angle = 0.06 / (values[2] - values[3]).abs().sinh().clamp(0.3, 4.0);
    let [first_part, second_part] = LEARNED[usize::from(age)];
    for (i, value) in values.iter_mut().enumerate() {
        let own_rate = match i {
            0 | 1 => position,
            2 | 3 => 0.05,
            4 => angle,
            _ => bounds.colour_rates[i - GEOMETRY],
        };
        let g = gradient[i];
        first[i] += (1.0 - FIRST_DECAY) * (g - first[i]);
        second[i] += (1.0 - SECOND_DECAY) * (g * g - second[i]);
        let moved = (first[i] / first_part) / ((second[i] / second_part).sqrt() + EPSILON);
        *value -= rate * own_rate * moved;
    }
    for (axis, at) in values[..2].iter_mut().enumerate() {
        *at = match bounds.periods[axis] {
            None => at.min(bounds.ends[axis]).max(0.3),
            period => brought_back(*at, period),
        };
    }
    values[2..4].iter_mut().for_each(|ln| *ln = ln.clamp(LEAST_LN_SIGMA, bounds.most_ln_sigma));
    values[GEOMETRY..].iter_mut().for_each(|c| *c = c.clamp(COLOUR.0, COLOUR.1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcodec_decode::gaussians::Splat;

    fn wave(i: usize) -> f32 {
        (i as f32 * 0.7).sin() * 0.4 + 0.5
    }

    fn scene(channels: usize, wraps: [bool; 2]) -> (Target, Cloud) {
        let (width, height) = (43, 37);
        let planes = (0..width * height * channels).map(|i| wave(i / 5)).collect();
        let importance = Some((0..width * height).map(|i| 0.5 + wave(i / 11)).collect());
        let mean = (0..channels).map(wave).collect();
        let target = Target { mean, ..Target::new(width, height, planes, importance) };
        let mut cloud = Cloud::new(channels);
        for i in 0..7 {
            let at = |k: usize, size: usize| wave(3 * i + k) * size as f32;
            let sigma = [2.0 + 1.3 * i as f32, 1.5 + 0.5 * wave(i)];
            let splat = Splat { x: at(0, width), y: at(1, height), sigma, angle: 0.6 * i as f32 };
            let colours: Vec<f32> = (0..channels).map(|c| wave(c + 2 * i)).collect();
            cloud.push(&splat, &colours);
        }
        (target.repeating(wraps), cloud)
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (channels, wraps) in
            [(1, [false; 2]), (2, [false; 2]), (3, [true, false]), (3, [false; 2]), (5, [true; 2])]
        {
            let (target, cloud) = scene(channels, wraps);
            let error = |cloud: &Cloud| {
                let mut field = Field::new(&target);
                field.place(cloud);
                0.5 * field.step(cloud)
            };
            let mut field = Field::new(&target);
            field.place(&cloud);
            field.step(&cloud);
            let stride = cloud.stride();
            for gaussian in 0..cloud.len() {
                let mut gradient = vec![0.0; stride];
                let own = gaussian * stride..(gaussian + 1) * stride;
                gradient_of(&field, gaussian, &cloud.values[own.clone()], &mut gradient);
                let largest = gradient.iter().fold(0.0f32, |most, g| most.max(g.abs()));
                for (i, at) in own.enumerate() {
                    let moved = |by: f32| {
                        let mut cloud = cloud.clone();
                        cloud.values[at] += by;
                        error(&cloud)
                    };
                    let step = 0.01;
                    let slope = (moved(step) - moved(-step)) / f64::from(2.0 * step);
                    let off = (slope - f64::from(gradient[i])).abs();
                    // Where a Gaussian ends, its slope jumps.
                    let tolerance = 0.02 + 0.02 * slope.abs() + 0.02 * f64::from(largest);
                    assert!(off < tolerance, "{gaussian} {i}: {slope} {}", gradient[i]);
                }
            }
        }
    }

    #[test]
    fn removal_energies_are_what_dropping_costs() {
        for wraps in [[false; 2], [true; 2]] {
            removal_energies_of(&scene(3, wraps));
        }
    }

    fn removal_energies_of((target, cloud): &(Target, Cloud)) {
        let mut field = Field::new(target);
        field.place(cloud);
        let before = field.step(cloud);
        let energies = field.removal_energies(cloud);
        for (gaussian, energy) in energies.into_iter().enumerate() {
            let mut less = cloud.clone();
            less.values.drain(gaussian * cloud.stride()..(gaussian + 1) * cloud.stride());
            let mut field = Field::new(target);
            field.place(&less);
            let rise = field.step(&less) - before;
            assert!(
                (rise - f64::from(energy)).abs() < 0.02 + 0.01 * rise.abs(),
                "{gaussian}: {rise} {energy}"
            );
        }
    }
}
