//! How much the planes of a stack count beside each other: each picture of it is to come out about as well as in a file of its own.

use super::fit::bits_of_gaussian;
use super::picture::Picture;
use crate::gaussians::{Cloud, FitOptions, Target, fit, plane_errors};
use mcodec_format::{Depth, GroupKind, ImageDescriptor};
use std::ops::{ControlFlow, Range};

/// Steps of the short fits that tell how hard each plane is, as a part of those of a fit: shorter ones do not do justice to sharp edges.
const STEPS: f64 = 0.6;
/// How often all planes are fitted together to see how each fares; the best of these counts.
const ROUNDS: usize = 3;
/// The part of what a plane has too much that is taken from its gain; what it lacks is made up for.
const GIVEN_UP: f64 = 0.5;
/// Pixels for each Gaussian of one at least.
const LEAST_PIXELS: usize = 12;
/// Of larger pictures, halves of this size or less are looked at.
const PIXELS: u64 = 1 << 18;
/// Bits of a file beside its Gaussians.
const BESIDE: f64 = 1600.0;
/// Squared error of a sample that counts as none, ...
const NOTHING: f64 = 1e-9;
/// ... and the least that errors are told apart by, of 8 bits and of more: of a plane that is nearly the same everywhere, rounding takes most away.
const LEAST: [f64; 2] = [3e-8, 1e-9];
/// No plane is coded larger than this, as the largest are by themselves.
const MOST: f32 = 1.8;

/// Planes that weigh alike, beside others.
struct Unit {
    planes: Range<usize>,
    /// Mean squared error of a sample in files of their own; `None` if that is none.
    alone: Option<f64>,
    /// Greatest value.
    most: f32,
    /// log2 of how much larger they are fitted than they are.
    gain: f64,
}

/// Gains of the planes of a stack whose file has so many bits: as much as each channel would lose beside a file of its own, of its part of the bits, it
/// is made to weigh more. One picture by itself, or a stack of one, has none. `steps`: of the fit that follows; `go_on` is asked at each step.
pub(super) fn gains_of(
    picture: &Picture,
    image: &ImageDescriptor,
    bits: f64,
    (steps, go_on): (usize, &dyn Fn() -> ControlFlow<()>),
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
    let picture = small.as_ref();
    let least = LEAST[usize::from(picture.groups.iter().any(|group| group.depth != Depth::Unorm8))];
    let (width, height) = (picture.width as usize, picture.height as usize);
    let pixels = width * height;
    let mut all = picture.planes();
    for (plane, mean) in all.chunks_exact_mut(pixels).zip(image.plane_means()) {
        plane.iter_mut().for_each(|value| *value -= mean);
    }
    let errors_of = |target: &Target, bits: f64| errors_of(target, bits, (steps, go_on));
    let of_planes = |range: Range<usize>| all[range.start * pixels..range.end * pixels].to_vec();
    let alone = |planes_of: Vec<f32>, share: usize| {
        errors_of(&Target::new(width, height, planes_of, None), bits * share as f64 / planes as f64)
    };
    let mut units = Vec::new();
    for (range, is_colour) in units_of(picture) {
        let own = of_planes(range.clone());
        let most = own.iter().fold(0f32, |most, value| most.max(value.abs()));
        let error: f64 = if is_colour {
            // Channels are as many as planes, in their order.
            let one = |channel: &Vec<f32>| {
                let mean = channel.iter().sum::<f32>() / pixels as f32;
                alone(channel.iter().map(|value| value - mean).collect(), 1)[0]
            };
            picture.channels[range.clone()].iter().map(one).sum()
        } else {
            alone(own, range.len()).iter().sum()
        };
        let error = error / range.len() as f64;
        let alone = (error > NOTHING).then(|| error.max(least));
        units.push(Unit { planes: range, alone, most, gain: alone.map_or(0.0, |error| -0.5 * error.log2()) });
    }
    if units.iter().all(|unit| unit.alone.is_none()) {
        return vec![0; planes];
    }
    let together = |target: &Target| errors_of(target, bits);
    let mut best: Option<(f64, Vec<i8>)> = None;
    for _ in 0..ROUNDS {
        let gains = stated(&units, planes);
        let lack = weigh_together(&mut units, (&all, [width, height]), &together, least);
        if best.as_ref().is_none_or(|(fewest, _)| lack < *fewest) {
            best = Some((lack, gains));
        }
    }
    best.map_or_else(|| vec![0; planes], |(_, gains)| gains)
}

/// Fits all planes together as they weigh now, and lets those weigh more that then are further from what they would be alone. Gives by how much the worst
/// is, as a difference of log2 of errors' roots.
fn weigh_together(
    units: &mut [Unit],
    (all, [width, height]): (&[f32], [usize; 2]),
    errors_of: &dyn Fn(&Target) -> Vec<f64>,
    least: f64,
) -> f64 {
    let pixels = width * height;
    let mut planes = all.to_vec();
    let greatest = units.iter().filter(|unit| unit.alone.is_some()).map(|unit| unit.gain);
    let greatest = greatest.fold(f64::NEG_INFINITY, f64::max);
    let scale = |unit: &Unit| (unit.gain - greatest).exp2();
    let mut target_gains = vec![1.0; all.len() / pixels];
    for unit in units.iter() {
        let scale = scale(unit) as f32;
        planes[unit.planes.start * pixels..unit.planes.end * pixels].iter_mut().for_each(|v| *v *= scale);
        target_gains[unit.planes.clone()].fill(scale);
    }
    let target = Target { gains: target_gains, ..Target::new(width, height, planes, None) };
    let errors = errors_of(&target);
    let mut most = f64::NEG_INFINITY;
    for unit in units {
        let Some(alone) = unit.alone else { continue };
        let error = errors[unit.planes.clone()].iter().sum::<f64>() / unit.planes.len() as f64;
        let error = error / scale(unit).powi(2);
        let lack = 0.5 * (error.max(least) / alone).log2();
        unit.gain += if lack < 0.0 { GIVEN_UP * lack } else { lack };
        most = most.max(lack);
    }
    most
}

/// Gains as an image states them.
fn stated(units: &[Unit], planes: usize) -> Vec<i8> {
    let hard = || units.iter().filter(|unit| unit.alone.is_some());
    // The hardest is coded as it is, unless another would be too large then.
    let hardest = hard().map(|unit| unit.gain).fold(f64::INFINITY, f64::min);
    let quarters = |unit: &Unit| 4.0 * (unit.gain - hardest);
    let room = |unit: &Unit| 4.0 * f64::from(MOST / unit.most.max(1e-6)).log2();
    let shift = hard().map(|unit| quarters(unit) - room(unit)).fold(0.0, f64::max).min(16.0);
    let mut gains = vec![0; planes];
    for unit in hard() {
        let gain = (quarters(unit) - shift).min(room(unit)).round().clamp(-63.0, 63.0) as i8;
        gains[unit.planes.clone()].fill(gain);
    }
    gains
}

/// A picture at half the size.
fn halved(picture: &Picture) -> Picture {
    let (width, height) = (picture.width as usize / 2, picture.height as usize / 2);
    let whole = picture.width as usize;
    let half = |channel: &Vec<f32>| {
        let sum = |at: usize| channel[at] + channel[at + 1] + channel[at + whole] + channel[at + whole + 1];
        (0..width * height).map(|i| 0.25 * sum(2 * (i / width * whole + i % width))).collect()
    };
    Picture {
        width: width as u32,
        height: height as u32,
        groups: picture.groups.clone(),
        channels: picture.channels.iter().map(half).collect(),
        wraps: [false; 2],
    }
}

/// Planes that weigh alike, and whether they are those of one colour: these are turned back into channels together. Others each for itself.
fn units_of(picture: &Picture) -> Vec<(Range<usize>, bool)> {
    let mut units = Vec::new();
    let mut next = 0;
    for group in &picture.groups {
        let (count, each) = match group.kind {
            GroupKind::Data => (group.channel_count(), 1),
            _ => (1, group.channel_count()),
        };
        for _ in 0..count {
            units.push((next..next + each, group.kind == GroupKind::Colour));
            next += each;
        }
    }
    units
}

/// Mean squared error of a sample of each plane in a file of so many bits, roughly: that of a short fit.
fn errors_of(target: &Target, bits: f64, (steps, go_on): (usize, &dyn Fn() -> ControlFlow<()>)) -> Vec<f64> {
    let (pixels, planes) = (target.width * target.height, target.channels());
    let gaussians = ((bits - BESIDE) / bits_of_gaussian(bits / pixels as f64, planes)).max(4.0) as usize;
    let options = FitOptions { gaussians: gaussians.min((pixels / LEAST_PIXELS).max(4)), steps };
    let fitted = fit(target, &options, &Cloud::new(planes), &mut |_| go_on());
    plane_errors(target, &fitted.cloud).iter().map(|error| error / pixels as f64).collect()
}
