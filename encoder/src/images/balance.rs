//! How much the planes of a stack count beside each other: each picture of it is to come out about as well as in a file of its own.

use super::fit::{bits_of_gaussian, usual_constants};
use super::picture::Picture;
use super::steps::fitting_constants;
use super::written::{Wrong, rounded, wrong_as_written};
use crate::gaussians::{
    Cloud, FitOptions, RefineOptions, Target, dequantise, fit, picture_of, quantise, refine,
};
use mcodec_coding::gaussians::{PLAIN_FACTOR, Quantiser};
use mcodec_decode::images::plane_roles;
use mcodec_format::{ChannelGroup, Depth, GroupKind, ImageDescriptor};
use std::ops::{ControlFlow, Range};

/// Steps of the short fits that tell how hard each plane is, as a part of those of a fit: shorter ones do not do justice to sharp edges.
const STEPS: f64 = 0.6;
/// Sweeps of the descents after them: what little a nearly constant plane is off is mostly rounding.
const SWEEPS: usize = 3;
/// How often all planes are fitted together to see how each fares; the best of these counts.
const ROUNDS: usize = 3;
/// The part of what a plane has too much that is taken from its gain; what it lacks is made up for.
const GIVEN_UP: f64 = 0.5;
/// What is wrong in few pixels is another in each fit: a plane is to be so many times better than it would be alone, as log2 of errors' roots, by how few
/// they are.
const MARGIN: f64 = 3.0;
/// Pixels for each Gaussian of one at least.
const LEAST_PIXELS: usize = 12;
/// Of larger pictures, halves of this size or less are looked at.
const PIXELS: u64 = 1 << 18;
/// Bits of a file beside its Gaussians.
const BESIDE: f64 = 1600.0;
/// The least squared error of a sample, as it is written, that errors are told apart by.
const NOTHING: f64 = 1e-9;
/// No plane is coded larger than this, as the largest are by themselves.
const MOST: f32 = 1.8;
/// The hardest plane is coded at no less than 2 to the power of minus a quarter of this of its size: its colours need steps as much finer.
const LEAST_QUARTERS: f64 = 24.0;

/// Planes that weigh alike, beside others.
struct Unit {
    planes: Range<usize>,
    /// What they are planes of.
    group: ChannelGroup,
    /// Mean squared error of a sample in files of their own; `None` if their means say all.
    alone: Option<f64>,
    /// Greatest value.
    most: f32,
    /// log2 of how much larger they are fitted than they are.
    gain: f64,
}

/// Gains of the planes of a stack whose file has so many bits: as much as each channel would lose beside a file of its own, of its part of the bits, it
/// is made to weigh more. One picture by itself, or a stack of one, has none. `steps`: of the fit that follows; `go_on` is asked at each step, and
/// told of how many.
pub(super) fn gains_of(
    picture: &Picture,
    image: &ImageDescriptor,
    bits: f64,
    (steps, go_on): (usize, &dyn Fn(usize) -> ControlFlow<()>),
) -> Vec<i8> {
    let planes = image.channel_count();
    let steps = (STEPS * steps as f64) as usize;
    if picture.groups.len() < 2 {
        return vec![0; planes];
    }
    let mut small = std::borrow::Cow::Borrowed(picture);
    while u64::from(small.width) * u64::from(small.height) > PIXELS {
        small = std::borrow::Cow::Owned(halved(&small));
    }
    let (means, factors) = (image.plane_means(), plane_roles(image).into_iter().map(|role| role.1).collect());
    // Each channel, or each picture of alpha, alone, and all together.
    let all_steps = (planes + ROUNDS) * (steps + SWEEPS);
    let go_on = &|| go_on(all_steps);
    let trial = Trial { picture: small.as_ref(), means, factors, bits, steps, go_on };
    let mut units = trial.units();
    if units.iter().all(|unit| unit.alone.is_none()) {
        return vec![0; planes];
    }
    let mut best: Option<(f64, Vec<i8>)> = None;
    for _ in 0..ROUNDS {
        let gains = stated(&units, planes);
        let lack = trial.weigh_together(&mut units, &gains);
        if best.as_ref().is_none_or(|(fewest, _)| lack < *fewest) {
            best = Some((lack, gains));
        }
    }
    best.map_or_else(|| vec![0; planes], |(_, gains)| gains)
}

/// What short fits are made of.
struct Trial<'a> {
    picture: &'a Picture,
    /// Means of its planes, and their factors of the colour step.
    means: Vec<f32>,
    factors: Vec<u8>,
    /// Of the whole file.
    bits: f64,
    steps: usize,
    go_on: &'a dyn Fn() -> ControlFlow<()>,
}

impl Trial<'_> {
    fn size(&self) -> [usize; 2] {
        [self.picture.width as usize, self.picture.height as usize]
    }

    fn pixels(&self) -> usize {
        self.size().iter().product()
    }

    /// Planes that weigh alike, and how good they are in files of their own.
    fn units(&self) -> Vec<Unit> {
        let (planes, pixels) = (self.picture.planes(), self.pixels());
        let mut units = Vec::new();
        for (range, group) in units_of(self.picture) {
            let mut own = planes[range.start * pixels..range.end * pixels].to_vec();
            let channels = &self.picture.channels[range.clone()];
            let means = &self.means[range.clone()];
            let only_means: Vec<f32> = means.iter().flat_map(|&mean| vec![mean; pixels]).collect();
            let is_constant = wrong_as_written(&only_means, (&group, channels)).error <= NOTHING;
            let error = if is_constant {
                0.0
            } else if group.kind == GroupKind::Colour {
                // Channels are as many as planes, in their order.
                let one = ChannelGroup { depth: group.depth, ..ChannelGroup::of(GroupKind::Grey) };
                let of_channel = |channel: &Vec<f32>| {
                    let mean = channel.iter().sum::<f32>() / pixels as f32;
                    self.alone(
                        channel.clone(),
                        (&[mean], &[PLAIN_FACTOR]),
                        (&one, std::slice::from_ref(channel)),
                    )
                };
                channels.iter().map(of_channel).sum::<f64>() / range.len() as f64
            } else {
                self.alone(own.clone(), (means, &self.factors[range.clone()]), (&group, channels))
            };
            for (plane, mean) in own.chunks_exact_mut(pixels).zip(means) {
                plane.iter_mut().for_each(|value| *value -= mean);
            }
            let most = own.iter().fold(0f32, |most, value| most.max(value.abs()));
            let alone = (!is_constant).then(|| error.max(NOTHING));
            units.push(Unit {
                planes: range,
                group,
                alone,
                most,
                gain: alone.map_or(0.0, |error| -0.5 * error.log2()),
            });
        }
        units
    }

    /// Mean squared error of a sample of planes of these means and factors in a file that has their part of the bits, as their channels are written.
    fn alone(
        &self,
        planes: Vec<f32>,
        (means, factors): (&[f32], &[u8]),
        written: (&ChannelGroup, &[Vec<f32>]),
    ) -> f64 {
        let bits = self.bits * means.len() as f64 / self.means.len() as f64;
        let kinds = Kinds { means, factors, scales: &vec![1.0; means.len()] };
        wrong_as_written(&self.coded(planes, &kinds, bits), written).error
    }

    /// Fits all planes together with these gains, and lets those weigh more that then are further from what they would be alone. Gives by how much the
    /// worst is, as a difference of log2 of errors' roots.
    fn weigh_together(&self, units: &mut [Unit], gains: &[i8]) -> f64 {
        let pixels = self.pixels();
        let scales: Vec<f32> = gains.iter().map(|&gain| (f32::from(gain) / 4.0).exp2()).collect();
        let kinds = Kinds { means: &self.means, factors: &self.factors, scales: &scales };
        let coded = self.coded(self.picture.planes(), &kinds, self.bits);
        let mut most = f64::NEG_INFINITY;
        for unit in units {
            let Some(alone) = unit.alone else { continue };
            let own = &coded[unit.planes.start * pixels..unit.planes.end * pixels];
            let Wrong { error, few } =
                wrong_as_written(own, (&unit.group, &self.picture.channels[unit.planes.clone()]));
            let lack = 0.5 * (error.max(NOTHING) / alone).log2() + MARGIN * few;
            unit.gain += if lack < 0.0 { GIVEN_UP * lack } else { lack };
            most = most.max(lack);
        }
        most
    }

    /// What a short fit and descent make of planes, in a file of so many bits.
    fn coded(&self, mut planes: Vec<f32>, kinds: &Kinds<'_>, bits: f64) -> Vec<f32> {
        let ([width, height], pixels) = (self.size(), self.pixels());
        let each = |planes: &mut [f32], change: &dyn Fn(f32, f32, f32) -> f32| {
            let planes = planes.chunks_exact_mut(pixels).zip(kinds.means.iter().zip(kinds.scales));
            for (plane, (&mean, &scale)) in planes {
                plane.iter_mut().for_each(|value| *value = change(*value, mean, scale));
            }
        };
        each(&mut planes, &|value, mean, scale| (value - mean) * scale);
        let count = kinds.means.len();
        let target = Target { gains: kinds.scales.to_vec(), ..Target::new(width, height, planes, None) };
        let gaussians = ((bits - BESIDE) / bits_of_gaussian(bits / pixels as f64, count)).max(4.0) as usize;
        let gaussians = gaussians.min((pixels / LEAST_PIXELS).max(4));
        let options = FitOptions { gaussians, steps: self.steps };
        let cloud = fit(&target, &options, &Cloud::new(count), &mut |_| (self.go_on)()).cloud;
        let usual = usual_constants(bits / pixels as f64, count);
        let quantiser =
            Quantiser::new(fitting_constants(&target, &cloud, usual, (kinds.factors, 1)), kinds.factors);
        let mut set = quantise(&cloud, &quantiser);
        let keep = set.symbols.len();
        let options =
            RefineOptions { sweeps: SWEEPS, frozen: 0, keep, prefixes: &[], beneath: &[], pricing: None };
        refine(&target, &quantiser, &mut set, &options, &mut |_| (self.go_on)());
        let mut picture = picture_of(&target, &dequantise(&set, &quantiser));
        each(&mut picture, &|value, mean, scale| value / scale + mean);
        picture
    }
}

/// Of some planes what is taken off each, its factor of the colour step, and how much larger it is coded.
struct Kinds<'a> {
    means: &'a [f32],
    factors: &'a [u8],
    scales: &'a [f32],
}

/// Gains as an image states them.
fn stated(units: &[Unit], planes: usize) -> Vec<i8> {
    let hard = || units.iter().filter(|unit| unit.alone.is_some());
    // The hardest is coded as it is, unless another would be too large then.
    let hardest = hard().map(|unit| unit.gain).fold(f64::INFINITY, f64::min);
    let quarters = |unit: &Unit| 4.0 * (unit.gain - hardest);
    let room = |unit: &Unit| 4.0 * f64::from(MOST / unit.most.max(1e-6)).log2();
    let shift = hard().map(|unit| quarters(unit) - room(unit)).fold(0.0, f64::max).min(LEAST_QUARTERS);
    let mut gains = vec![0; planes];
    for unit in hard() {
        let gain = (quarters(unit) - shift).min(room(unit)).round().clamp(-63.0, 63.0) as i8;
        gains[unit.planes.clone()].fill(gain);
    }
    gains
}

/// A picture at half the size, its samples of the same depth.
fn halved(picture: &Picture) -> Picture {
    let (width, height) = (picture.width as usize / 2, picture.height as usize / 2);
    let whole = picture.width as usize;
    let depths: Vec<Depth> =
        picture.groups.iter().flat_map(|group| vec![group.depth; group.channel_count()]).collect();
    let half = |(channel, &depth): (&Vec<f32>, &Depth)| {
        let sum = |at: usize| channel[at] + channel[at + 1] + channel[at + whole] + channel[at + whole + 1];
        (0..width * height).map(|i| rounded(0.25 * sum(2 * (i / width * whole + i % width)), depth)).collect()
    };
    Picture {
        width: width as u32,
        height: height as u32,
        groups: picture.groups.clone(),
        channels: picture.channels.iter().zip(&depths).map(half).collect(),
        wraps: [false; 2],
    }
}

/// Planes that weigh alike, and the group that they are: that of the picture, or of data each for itself.
fn units_of(picture: &Picture) -> Vec<(Range<usize>, ChannelGroup)> {
    let mut units = Vec::new();
    let mut next = 0;
    for group in &picture.groups {
        let (count, each, own) = match group.kind {
            GroupKind::Data => {
                let one = ChannelGroup { depth: group.depth, ..ChannelGroup::of(GroupKind::Grey) };
                (group.channel_count(), 1, one)
            }
            _ => (1, group.channel_count(), group.clone()),
        };
        for _ in 0..count {
            units.push((next..next + each, own.clone()));
            next += each;
        }
    }
    units
}
