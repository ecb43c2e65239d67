//! How much the planes of a stack count beside each other: each picture of it is to come out about as well as in a file of its own.

use super::fit::bits_of_gaussian;
use super::picture::Picture;
use crate::gaussians::{Cloud, FitOptions, Target, fit};
use mcodec_format::{Depth, GroupKind, ImageDescriptor};
use std::ops::ControlFlow;

/// Steps of the small fits that tell how hard each plane is.
const STEPS: usize = 40;
/// Square pixels, at half the size, for each Gaussian of one at least.
const LEAST_PIXELS: usize = 24;
/// Of larger pictures, halves of this size or less are looked at.
const PIXELS: u64 = 1 << 20;
/// Bits of a file beside its Gaussians.
const BESIDE: f64 = 1600.0;
/// Squared error of a sample that counts as none, and the least that errors are told apart by: half of what rounding to 8 bits makes, and to more.
const NOTHING: f64 = 1e-9;
const LEAST: [f64; 2] = [6e-7, 1e-9];
/// No plane is coded larger than this, as the largest are by themselves.
const MOST: f32 = 1.8;

/// Gains of the planes of a stack whose file has so many bits: errors of each weigh inversely to what they would be in a file of its own, of its part of the
/// bits. One picture by itself, or a stack of one, has none.
pub(super) fn gains_of(picture: &Picture, image: &ImageDescriptor, bits: f64) -> Vec<i8> {
    let planes = image.channel_count();
    if picture.groups.len() < 2 {
        return vec![0; planes];
    }
    let mut small = std::borrow::Cow::Borrowed(picture);
    while u64::from(small.width) * u64::from(small.height) > PIXELS {
        small = std::borrow::Cow::Owned(halved(&small));
    }
    let picture = small.as_ref();
    let least = LEAST[usize::from(picture.groups.iter().any(|group| group.depth != Depth::Unorm8))];
    let units = units_of(picture);
    let all = picture.planes();
    let means = image.plane_means();
    let (width, height) = (picture.width as usize, picture.height as usize);
    let pixels = width * height;
    let mut wanted = Vec::with_capacity(planes);
    for unit in units {
        let mut own = all[unit.start * pixels..unit.end * pixels].to_vec();
        let mut most = 0f32;
        for (plane, &mean) in own.chunks_exact_mut(pixels).zip(&means[unit.clone()]) {
            plane.iter_mut().for_each(|value| *value -= mean);
            most = plane.iter().fold(most, |most, value| most.max(value.abs()));
        }
        let error = error_of(Target::new(width, height, own, None), bits * unit.len() as f64 / planes as f64);
        let gain = (error > NOTHING).then(|| error.max(least).sqrt().recip());
        wanted.extend(unit.map(|_| (gain, most)));
    }
    // The hardest is coded as it is, unless another would be too large then.
    let hardest = wanted.iter().filter_map(|(gain, _)| *gain).fold(f64::INFINITY, f64::min);
    let quarters = |gain: f64| 4.0 * (gain / hardest).log2();
    let room = |most: f32| 4.0 * f64::from(MOST / most.max(1e-6)).log2();
    let beyond = wanted.iter().filter_map(|&(gain, most)| Some(quarters(gain?) - room(most)));
    let shift = beyond.fold(0.0, f64::max).min(16.0);
    let stated = |&(gain, most): &(Option<f64>, f32)| {
        gain.map_or(0.0, |gain| (quarters(gain) - shift).min(room(most)).round().clamp(-63.0, 63.0)) as i8
    };
    wanted.iter().map(stated).collect()
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

/// Planes that weigh alike: those of a colour, which are turned back into channels together; others each for itself.
fn units_of(picture: &Picture) -> Vec<std::ops::Range<usize>> {
    let mut units = Vec::new();
    let mut next = 0;
    for group in &picture.groups {
        let (count, each) = match group.kind {
            GroupKind::Data => (group.channel_count(), 1),
            _ => (1, group.channel_count()),
        };
        for _ in 0..count {
            units.push(next..next + each);
            next += each;
        }
    }
    units
}

/// Mean squared error of a sample in a file of so many bits, roughly: that of a small fit at half the size.
fn error_of(target: Target, bits: f64) -> f64 {
    let pixels = (target.width * target.height) as f64;
    let planes = target.channels();
    let small = target.halved().unwrap_or(target);
    let most = (small.width * small.height / LEAST_PIXELS).max(4);
    let gaussians = ((bits - BESIDE) / bits_of_gaussian(bits / pixels, planes)).max(4.0) as usize;
    let options = FitOptions { gaussians: gaussians.min(most), steps: STEPS };
    let fitted = fit(&small, &options, &Cloud::new(planes), &mut |_| ControlFlow::Continue(()));
    10f64.powf(-fitted.psnr / 10.0)
}
