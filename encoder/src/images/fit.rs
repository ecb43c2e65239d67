//! From a picture to coded layers: how many Gaussians, fit, descent, and what is dropped to keep within the size.

use super::balance::gains_of;
use super::effort::Effort;
use super::layer::{CodedLayer, code_layer};
use super::levels::{part_of, weight_of};
use super::masking::Masking;
use super::options::{ImageOptions, Rate};
use super::picture::Picture;
use super::planes::{Source, means_of};
use super::steps::fitting_constants;
use super::windows::Windows;
use crate::gaussians::{
    Cloud, DROPS, FitOptions, Pricing, Progress, RefineOptions, Target, dequantise, plane_errors, quantise,
    removal_energies,
};
use crate::{Device, EncodeError, EncodeOptions, Result, Work};
use mcodec_coding::gaussians::{Constants, GaussianSet, Image};
use mcodec_decode::images::{MAX_LAYERS, coded_image};
use mcodec_format::ImageDescriptor;
use std::ops::ControlFlow;

/// An image, ready to be written.
#[derive(Debug, Clone)]
pub struct EncodedImage {
    /// What it is.
    pub descriptor: ImageDescriptor,
    /// Its layers, the coarsest first.
    pub layers: Vec<CodedLayer>,
    /// PSNR (dB) over all planes, before rounding to whole numbers.
    pub psnr: f64,
    /// The work was interrupted: it is what there was.
    pub interrupted: bool,
}

impl EncodedImage {
    /// Gaussians of all layers.
    #[must_use]
    pub fn gaussians(&self) -> usize {
        self.layers.iter().flat_map(|layer| layer.sets.iter().flatten()).map(|set| set.symbols.len()).sum()
    }
}

/// Bits per pixel from which the finer steps are better.
const HIGH_RATE: f64 = 0.6;
/// More Gaussians are fitted than will be kept by this part; the descent drops those that save least.
pub(super) const SURPLUS: f64 = 0.05;
/// More are fitted than a size is thought to hold: how many it does is known when they are coded.
const SPARE: f64 = 1.18;
/// Bits of a Gaussian after the descent as a part of those before it, and how many more are kept than are thought to fit: the weakest then make room.
const REFINED: f64 = 0.965;
const MARGIN: f64 = 1.01;
/// What a bit is worth in the descent, see [`Pricing::strength`]: at low rates, and from [`HIGH_RATE`] on, where more Gaussians of fewer bits each are better.
const STRENGTHS: [f64; 2] = [1.0, 2.0];
/// Bytes of Gaussians that a picture has at any quality.
const LEAST_BYTES: u64 = 64;
/// Part of a size whose Gaussians are moved at once when they are coded already.
const MOVED: f64 = 0.04;
/// Part of a size that may be left unused, ...
const UNUSED: f64 = 0.02;
/// ... how often Gaussians are added until it is not, and for how small a part of the steps they are fitted then.
const FILLS: usize = 3;
const FILL_STEPS: usize = 4;
/// Sweeps of the second descent of a picture that is fitted in windows.
const SETTLING: usize = 2;
/// Pixels up to which a picture has one layer.
const ONE_LEVEL: u64 = 1_000_000;
/// Layers that larger ones have, and those of packs.
pub(super) const LEVELS: usize = 3;

/// Bits of a Gaussian of so many planes at this many bits per pixel, roughly.
pub(super) fn bits_of_gaussian(bits_per_pixel: f64, planes: usize) -> f64 {
    let of_planes = bits_beside_colour(planes);
    of_planes * (35.4 - 2.9 * (bits_per_pixel / of_planes / 0.15).log2()).clamp(22.0, 42.0)
}

/// The same as a part of what one of a colour takes.
fn bits_beside_colour(planes: usize) -> f64 {
    0.61 + 0.13 * planes as f64
}

/// The usual constants for so many bits per pixel of so many planes.
pub(super) fn usual_constants(bits_per_pixel: f64, planes: usize) -> Constants {
    if bits_per_pixel / bits_beside_colour(planes) >= HIGH_RATE {
        Constants::HIGH_RATE
    } else {
        Constants::LOW_RATE
    }
}

/// Says how many bytes a file of these layers has.
pub type SizeOf<'a> = dyn Fn(&ImageDescriptor, &[CodedLayer]) -> Result<u64> + 'a;

/// A fit in progress.
pub(super) struct Job<'a> {
    pub(super) picture: &'a Picture,
    options: &'a ImageOptions,
    encode: &'a EncodeOptions,
    /// What is fitted; without its planes, if that happens in windows.
    pub(super) target: Target,
    /// Where it comes from.
    pub(super) source: Source<'a>,
    /// What the file will say, but for the constants.
    descriptor: ImageDescriptor,
    windows: Option<Windows>,
    /// What fits: a GPU only for pictures that it can fit.
    device: Device,
    pub(super) effort: Effort,
    /// What a bit is worth.
    strength: f64,
    pub(super) interrupted: bool,
    /// Steps and sweeps done, and in all.
    done: u64,
    total: u64,
}

/// Fits a picture and codes it. `size_of` says how many bytes a file of these layers has.
///
/// # Errors
/// [`EncodeError::Request`] for options that do not fit the picture, [`EncodeError::Cancelled`].
pub fn encode_picture(
    picture: &Picture,
    options: &ImageOptions,
    encode: &EncodeOptions,
    size_of: &SizeOf<'_>,
) -> Result<EncodedImage> {
    let mut job = Job::new(picture, options, encode)?;
    let pixels = f64::from(picture.width) * f64::from(picture.height);
    match options.rate.of_picture(picture, None) {
        Rate::Gaussians(count) => job.attempt(count, Constants::LOW_RATE, None),
        Rate::Quality(quality) => job.within(Rate::bits_of_quality(quality) * pixels / 8.0, size_of),
        Rate::BitsPerPixel(bits) => job.within(bits * pixels / 8.0, size_of),
        Rate::Psnr(psnr) => job.reach(psnr, true),
        Rate::Near(psnr) => job.reach(psnr, false),
        Rate::Restore => job.within(Rate::bits_of_quality(50.0) * pixels / 8.0, size_of),
    }
}

/// Whether options fit a picture.
fn check(picture: &Picture, options: &ImageOptions) -> Result<()> {
    if options.levels.is_some_and(|levels| levels > MAX_LAYERS) {
        return Err(EncodeError::Request(format!("an image has at most {MAX_LAYERS} levels")));
    }
    let importance = options.importance.as_ref();
    if let Some(map) = importance.filter(|map| map.size != [picture.width, picture.height]) {
        let (mask, own) = (map.size, [picture.width, picture.height]);
        return Err(EncodeError::Request(format!(
            "the map of importance has {mask:?} pixels, the picture {own:?}"
        )));
    }
    if importance.is_some_and(|map| {
        map.weights.len() != picture.width as usize * picture.height as usize
            || map.weights.iter().any(|w| w.is_nan() || *w < 0.0)
    }) {
        return Err(EncodeError::Request(
            "the map of importance is not one number from 0 up for each pixel".into(),
        ));
    }
    Ok(())
}

impl<'a> Job<'a> {
    fn new(picture: &'a Picture, options: &'a ImageOptions, encode: &'a EncodeOptions) -> Result<Self> {
        let (width, height) = (picture.width as usize, picture.height as usize);
        check(picture, options)?;
        let wraps = options.wraps.unwrap_or(picture.wraps);
        let windows = Windows::of(picture, wraps, options.window);
        let device = if windows.is_some() {
            encode.device.without_gpu("fitting a picture in windows")?
        } else if wraps != [false; 2] {
            encode.device.without_gpu("fitting a picture that repeats")?
        } else {
            encode.device.clone()
        };
        let planes = picture.channels.len();
        let mut descriptor = ImageDescriptor {
            width: picture.width,
            height: picture.height,
            wraps,
            groups: picture.groups.clone(),
            constants: Constants::LOW_RATE.to_bytes(),
            gains: vec![0; planes],
            means: Vec::new(),
        };
        descriptor.set_means(&means_of(picture));
        let pixels = f64::from(picture.width) * f64::from(picture.height);
        let effort = Effort::of(encode.effort, 0, pixels, planes);
        let weighing = std::cell::Cell::new(0);
        let go_on = |of: usize| {
            weighing.set(weighing.get() + 1);
            encode.report(Work::Steps { done: weighing.get(), total: of as u64, psnr: None });
            match encode.check_cancel() {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        let bits = Self::bits_wanted(picture, options);
        descriptor.gains = gains_of(picture, &descriptor, bits, (effort.steps, &go_on));
        let masking = (options.importance.is_none() && options.masking).then(|| Masking::of(picture));
        let map = options.importance.as_ref().map(|map| &map.weights[..]);
        let source = Source::new(picture, &descriptor, map, masking);
        let target = match windows {
            None => {
                let (planes, importance) = source.whole();
                let gains = source.gains.clone();
                Target { gains, ..Target::new(width, height, planes, importance) }
            }
            Some(_) => Target { mean: vec![0.0; planes], ..Target::new(width, height, Vec::new(), None) },
        };
        Ok(Self {
            picture,
            options,
            encode,
            target: target.repeating(wraps),
            source,
            descriptor,
            windows,
            device,
            effort,
            strength: STRENGTHS[0],
            interrupted: false,
            done: 0,
            total: 0,
        })
    }

    /// About how many bits the file will have.
    fn bits_wanted(picture: &Picture, options: &ImageOptions) -> f64 {
        let pixels = f64::from(picture.width) * f64::from(picture.height);
        match options.rate {
            Rate::BitsPerPixel(bits) => bits * pixels,
            Rate::Gaussians(count) => count as f64 * bits_of_gaussian(0.15, picture.channels.len()),
            Rate::Quality(quality) => Rate::bits_of_quality(quality) * pixels,
            Rate::Psnr(_) | Rate::Near(_) | Rate::Restore => Rate::bits_of_quality(50.0) * pixels,
        }
    }

    /// Sets out to fit so many Gaussians: how long, and how much that is as [`Self::watch`] counts it.
    fn plan(&mut self, count: usize) {
        let pixels = f64::from(self.picture.width) * f64::from(self.picture.height);
        let planes = self.picture.channels.len();
        self.effort = Effort::of(self.encode.effort, count, pixels, planes);
        let windows = self.windows.map_or(1, |windows| windows.all().len());
        let all = self.effort.all_steps(self.levels()) + 8 * self.effort.sweeps;
        self.total = self.done + (all * windows) as u64;
    }

    pub(super) fn levels(&self) -> usize {
        let pixels = u64::from(self.picture.width) * u64::from(self.picture.height);
        self.options.levels.unwrap_or(if pixels <= ONE_LEVEL { 1 } else { LEVELS }).max(1)
    }

    fn descriptor(&self, constants: Constants) -> ImageDescriptor {
        ImageDescriptor { constants: constants.to_bytes(), ..self.descriptor.clone() }
    }

    /// The best image of at most `budget` bytes.
    fn within(&mut self, budget: f64, size_of: &SizeOf<'_>) -> Result<EncodedImage> {
        let pixels = self.target.width * self.target.height;
        let bits = budget * 8.0 / pixels as f64;
        let constants = usual_constants(bits, self.picture.channels.len());
        let descriptor = self.descriptor(constants);
        let least = size_of(&descriptor, &self.code(&descriptor, &[GaussianSet::default()])?)?;
        // A quality is no bound: the smallest pictures take what a few Gaussians do.
        let is_bound = matches!(self.options.rate, Rate::BitsPerPixel(_));
        let budget = if is_bound { budget as u64 } else { (budget as u64).max(least + LEAST_BYTES) };
        if budget < least + 8 {
            let why =
                format!("a file of {budget} bytes is too small for this picture: the least is {}", least + 8);
            return Err(EncodeError::Request(why));
        }
        let room = (budget - least) as f64;
        let count = room * 8.0 / bits_of_gaussian(bits, self.picture.channels.len()) * SPARE;
        self.attempt((count as usize).clamp(1, pixels), constants, Some((budget, size_of)))
    }

    /// The smallest image that was found with at least this PSNR.
    fn reach(&mut self, psnr: f64, wanted: bool) -> Result<EncodedImage> {
        let pixels = self.target.width * self.target.height;
        let mut count = (pixels / 150).max(16);
        let mut best: Option<EncodedImage> = None;
        let mut before: Option<(usize, f64)> = None;
        for _ in 0..5 {
            let planes = self.picture.channels.len();
            let bits = count as f64 * 34.0 * bits_beside_colour(planes) / pixels as f64;
            let made = self.attempt(count, usual_constants(bits, planes), None)?;
            let (reached, off) = (made.psnr, psnr - made.psnr);
            let smaller =
                best.as_ref().is_none_or(|best| best.psnr < psnr || made.gaussians() < best.gaussians());
            if off <= 0.0 && smaller
                || best.as_ref().is_none_or(|best| best.psnr < psnr && made.psnr > best.psnr)
            {
                best = Some(made);
            }
            if self.interrupted || (-0.3..=0.0).contains(&off) {
                break;
            }
            // About three decibels for twice as many, unless the last two say otherwise.
            let slope = before.filter(|before| before.0 != count).map_or(2.9, |(fewer, psnr)| {
                ((reached - psnr) / (count as f64 / fewer as f64).log2()).clamp(1.0, 6.0)
            });
            before = Some((count, reached));
            let next = count as f64 * ((off + 0.1) / slope).clamp(-3.0, 3.0).exp2();
            count = (next as usize).clamp(16, pixels / 4);
        }
        match best {
            Some(best) if best.psnr >= psnr || !wanted || self.interrupted => Ok(best),
            Some(best) => {
                Err(EncodeError::Request(format!("{psnr} dB are not reached: {:.2} are", best.psnr)))
            }
            None => Err(EncodeError::Cancelled),
        }
    }

    /// Fits `count` Gaussians, in as many layers as are wanted, and drops what goes beyond the budget.
    fn attempt(
        &mut self,
        count: usize,
        constants: Constants,
        budget: Option<(u64, &SizeOf<'_>)>,
    ) -> Result<EncodedImage> {
        self.plan(count);
        self.strength = STRENGTHS[usize::from(constants == Constants::HIGH_RATE)];
        let mut descriptor = self.descriptor(constants);
        let mut coded = image_of(&descriptor)?;
        let (mut layers, mut error) = match self.windows {
            Some(windows) => {
                let mut layers = self.layers_in_windows(&windows, &coded, count)?;
                let error = self.settle_in_windows(&windows, &coded, &mut layers, SETTLING);
                (layers, error)
            }
            None => {
                let (cloud, prefixes) = self.float_fit(count)?;
                let judged = (coded.quantiser.factors(), self.levels());
                let constants = fitting_constants(&self.target, &cloud, constants, judged);
                descriptor.constants = constants.to_bytes();
                coded = image_of(&descriptor)?;
                self.refined(&descriptor, &coded, (&cloud, &prefixes, count), budget)?
            }
        };
        self.check_interrupt()?;
        if let Some(budget) = budget {
            error = self.trim(&descriptor, &coded, &mut layers, budget, error)?;
            error = self.relocate(&descriptor, &coded, &mut layers, budget, error)?;
            error = self.fill(&descriptor, &coded, &mut layers, budget, error)?;
        }
        let made = self.code(&descriptor, &layers)?;
        let psnr = self.psnr(&coded, &layers, error);
        Ok(EncodedImage { descriptor, layers: made, psnr, interrupted: self.interrupted })
    }

    fn size(&self) -> [u32; 2] {
        [self.picture.width, self.picture.height]
    }

    pub(super) fn pricing<'c>(&self, coded: &'c Image) -> Pricing<'c> {
        Pricing { image: coded, size: self.size(), paging: self.options.paging, strength: self.strength }
    }

    /// Progress of a fit or descent, which is so many steps further; ends it if the user wishes.
    pub(super) fn watch(&mut self, steps: u64, progress: Progress) -> ControlFlow<()> {
        self.done += steps;
        // Planes that are fitted larger than they are have another PSNR, and a GPU tells it now and then only.
        let is_known = progress.psnr != 0.0 && self.descriptor.gains.iter().all(|&gain| gain == 0);
        let psnr = is_known.then_some(progress.psnr);
        self.encode.report(Work::Steps { done: self.done.min(self.total), total: self.total, psnr });
        if self.encode.check_cancel().is_err() {
            self.interrupted = true;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    pub(super) fn check_interrupt(&self) -> Result<()> {
        if self.interrupted && !self.options.save_on_interrupt { Err(EncodeError::Cancelled) } else { Ok(()) }
    }

    /// PSNR (dB) over all planes as they are by themselves, where `error` is the squared error of what was fitted.
    fn psnr(&self, coded: &Image, layers: &[GaussianSet], error: f64) -> f64 {
        if self.descriptor.gains.iter().all(|&gain| gain == 0) {
            return self.target.psnr(error);
        }
        let set = joined(layers);
        let errors = match &self.windows {
            None => plane_errors(&self.target, &dequantise(&set, &coded.quantiser)),
            Some(windows) => self.plane_errors_in_windows(windows, coded, &set),
        };
        let gains = &self.source.gains;
        self.target.psnr(errors.iter().zip(gains).map(|(error, gain)| error / f64::from(gain * gain)).sum())
    }

    /// A float fit of `count` Gaussians in all, and where its prefixes end. Layers are fitted one on another, each while those below stay
    /// as they are; then they are moved together, so that all prefixes are good pictures.
    fn float_fit(&mut self, count: usize) -> Result<(Cloud, Vec<(usize, f32)>)> {
        let (effort, levels) = (self.effort, self.levels());
        // A short descent would not drop them all.
        let spare = if effort.sweeps > DROPS { 1.0 + SURPLUS } else { 1.0 };
        let target = Target { planes: std::mem::take(&mut self.target.planes), ..self.target.clone() };
        let (planes, device) = (target.channels(), self.device.clone());
        let mut cloud = Cloud::new(planes);
        let mut prefixes = Vec::new();
        for level in 0..levels {
            let gaussians = ((count as f64 * part_of(level, levels) * spare) as usize).max(cloud.len() + 1);
            let options = FitOptions { gaussians, steps: effort.steps_of_level(level) };
            cloud = device.fit(&target, &options, &cloud, &mut |now| self.watch(1, now))?.cloud;
            if self.interrupted {
                break;
            }
            if level + 1 < levels {
                prefixes.push((cloud.len(), weight_of(level)));
            }
        }
        if levels > 1 {
            let all: Vec<_> = prefixes.iter().copied().chain([(cloud.len(), 1.0)]).collect();
            cloud = device.fit_prefixes(&target, cloud, &all, effort.steps, &mut |now| self.watch(1, now))?;
        }
        self.target.planes = target.planes;
        Ok((cloud, prefixes))
    }

    /// The layers of a float fit after the descent, and the squared error of the whole: `count` Gaussians, or as many as the budget is thought to hold.
    fn refined(
        &mut self,
        descriptor: &ImageDescriptor,
        coded: &Image,
        (cloud, prefixes, count): (&Cloud, &[(usize, f32)], usize),
        budget: Option<(u64, &SizeOf<'_>)>,
    ) -> Result<(Vec<GaussianSet>, f64)> {
        let (effort, levels, planes) = (self.effort, self.levels(), self.target.channels());
        let mut set = quantise(cloud, &coded.quantiser);
        let mut keep = count;
        if let Some((budget, size_of)) = budget.filter(|_| effort.sweeps > DROPS) {
            let ends: Vec<usize> = prefixes.iter().map(|prefix| prefix.0).collect();
            let size = |set: GaussianSet, ends: &[usize]| {
                size_of(descriptor, &self.code(descriptor, &parted(set, ends, planes))?)
            };
            let least = size(GaussianSet::default(), &vec![0; ends.len()])?;
            let each = (size(set.clone(), &ends)? - least) as f64 / cloud.len().max(1) as f64 * REFINED;
            keep = ((budget.saturating_sub(least)) as f64 / each.max(0.1) * MARGIN) as usize;
        }
        let pricing = self.pricing(coded);
        let options = RefineOptions {
            sweeps: effort.sweeps,
            frozen: 0,
            keep: keep.max(levels),
            prefixes,
            beneath: &[],
            pricing: Some(&pricing),
        };
        let target = Target { planes: std::mem::take(&mut self.target.planes), ..self.target.clone() };
        let (quantiser, device) = (&coded.quantiser, self.device.clone());
        let refined = device.refine(&target, quantiser, &mut set, &options, &mut |now| self.watch(8, now))?;
        self.target.planes = target.planes;
        Ok((parted(set, &refined.ends, planes), refined.after))
    }

    /// Drops the weakest Gaussians until the file has at most `budget` bytes.
    fn trim(
        &mut self,
        descriptor: &ImageDescriptor,
        coded: &Image,
        layers: &mut Vec<GaussianSet>,
        (budget, size_of): (u64, &SizeOf<'_>),
        mut error: f64,
    ) -> Result<f64> {
        let planes = coded.quantiser.planes();
        loop {
            let size = size_of(descriptor, &self.code(descriptor, layers)?)?;
            let mut set = joined(layers);
            if size <= budget || set.symbols.is_empty() {
                return Ok(error);
            }
            let mut ends = ends_of(layers);
            let energies = match &self.windows {
                None => self.energies(coded, &set, &ends),
                Some(windows) => self.energies_in_windows(windows, coded, layers),
            };
            let excess = (size - budget) as f64 / size as f64 * set.symbols.len() as f64;
            let drop = (excess.ceil() as usize + 1).min(set.symbols.len());
            let mut order: Vec<usize> = (0..set.symbols.len()).collect();
            order.sort_by(|&a, &b| energies[a].total_cmp(&energies[b]));
            let mut kept = order[drop..].to_vec();
            kept.sort_unstable();
            ends.iter_mut().for_each(|end| *end = kept.partition_point(|&i| i < *end));
            set = picked(&set, &kept, planes);
            let sweeps = if drop * 30 > kept.len() { 3 } else { 1 };
            *layers = parted(set, &ends, planes);
            error = match self.windows {
                None => self.settle(coded, layers, sweeps)?,
                Some(windows) => self.settle_in_windows(&windows, coded, layers, sweeps),
            };
        }
    }

    /// Moves coded Gaussians elsewhere while that lowers the error: the weakest are dropped, and as many bytes are filled anew. Of images of one layer,
    /// as what is filled belongs to the last.
    fn relocate(
        &mut self,
        descriptor: &ImageDescriptor,
        coded: &Image,
        layers: &mut Vec<GaussianSet>,
        (budget, size_of): (u64, &SizeOf<'_>),
        mut error: f64,
    ) -> Result<f64> {
        let is_apt = self.windows.is_none() && layers.len() == 1;
        for _ in 0..self.effort.relocations {
            if !is_apt || self.interrupted {
                break;
            }
            let before = (layers.clone(), error);
            let less = (budget as f64 * (1.0 - MOVED)) as u64;
            error = self.trim(descriptor, coded, layers, (less, size_of), error)?;
            error = self.fill(descriptor, coded, layers, (budget, size_of), error)?;
            if error >= before.1 {
                (*layers, error) = before;
                break;
            }
        }
        Ok(error)
    }

    /// Adds Gaussians to the last layer while the file is well below `budget` bytes: these took fewer bits than was thought.
    fn fill(
        &mut self,
        descriptor: &ImageDescriptor,
        coded: &Image,
        layers: &mut Vec<GaussianSet>,
        (budget, size_of): (u64, &SizeOf<'_>),
        mut error: f64,
    ) -> Result<f64> {
        for _ in 0..FILLS {
            let size = size_of(descriptor, &self.code(descriptor, layers)?)?;
            let count = joined(layers).symbols.len();
            let room = 1.0 - size as f64 / budget as f64;
            if room < UNUSED || self.windows.is_some() || self.interrupted || count == 0 {
                break;
            }
            let more = (count as f64 * room / (1.0 - room)).ceil() as usize;
            let frozen = dequantise(&joined(layers), &coded.quantiser);
            let options = FitOptions { gaussians: count + more, steps: self.effort.steps / FILL_STEPS };
            let target = Target { planes: std::mem::take(&mut self.target.planes), ..self.target.clone() };
            let device = self.device.clone();
            let fitted = device.fit(&target, &options, &frozen, &mut |now| self.watch(0, now))?;
            self.target.planes = target.planes;
            let added = quantise(&fitted.cloud.rest(count), &coded.quantiser);
            if let Some(last) = layers.last_mut() {
                last.symbols.extend(added.symbols);
                last.colours.extend(added.colours);
            }
            error = self.settle(coded, layers, SETTLING)?;
            error = self.trim(descriptor, coded, layers, (budget, size_of), error)?;
        }
        self.check_interrupt()?;
        Ok(error)
    }

    /// A short descent on all Gaussians; gives the squared error.
    fn settle(&self, coded: &Image, layers: &mut Vec<GaussianSet>, sweeps: usize) -> Result<f64> {
        let mut set = joined(layers);
        let ends = ends_of(layers);
        let prefixes: Vec<_> = ends.iter().copied().zip((0..).map(weight_of)).collect();
        let pricing = self.pricing(coded);
        let keep = set.symbols.len();
        let options = RefineOptions {
            sweeps,
            frozen: 0,
            keep,
            prefixes: &prefixes,
            beneath: &[],
            pricing: Some(&pricing),
        };
        let go_on = &mut |_| ControlFlow::Continue(());
        let device = &self.device;
        let error = device.refine(&self.target, &coded.quantiser, &mut set, &options, go_on)?.after;
        *layers = parted(set, &ends, coded.quantiser.planes());
        Ok(error)
    }

    /// How much worse the picture, and those of the prefixes that end at these numbers, would be without each Gaussian.
    fn energies(&self, coded: &Image, set: &GaussianSet, ends: &[usize]) -> Vec<f32> {
        let cloud = dequantise(set, &coded.quantiser);
        let mut all = removal_energies(&self.target, &cloud, 0);
        for (level, &end) in ends.iter().enumerate() {
            let prefix = removal_energies(&self.target, &cloud.first(end), 0);
            all.iter_mut().zip(prefix).for_each(|(sum, energy)| *sum += weight_of(level) * energy);
        }
        all
    }

    /// Codes the layers.
    fn code(&self, descriptor: &ImageDescriptor, layers: &[GaussianSet]) -> Result<Vec<CodedLayer>> {
        let coded = image_of(descriptor)?;
        let mut made = Vec::new();
        for layer in layers {
            let page = self.options.paging.side(self.size(), layer.symbols.len());
            made.push(code_layer(&coded, descriptor, layer, (page, self.options.profile), &made)?);
        }
        Ok(made)
    }
}

/// How an image's sets are coded.
fn image_of(descriptor: &ImageDescriptor) -> Result<Image> {
    coded_image(descriptor).map_err(|e| EncodeError::Request(e.to_string()))
}

/// The Gaussians of several layers, in order.
pub(super) fn joined(layers: &[GaussianSet]) -> GaussianSet {
    let mut all = GaussianSet::default();
    for layer in layers {
        all.symbols.extend_from_slice(&layer.symbols);
        all.colours.extend_from_slice(&layer.colours);
    }
    all
}

/// Where all layers but the last end, in Gaussians.
pub(super) fn ends_of(layers: &[GaussianSet]) -> Vec<usize> {
    let mut end = 0;
    let ends = layers[..layers.len() - 1].iter().map(|layer| {
        end += layer.symbols.len();
        end
    });
    ends.collect()
}

/// Layers that end at these numbers, and the rest as the last.
pub(super) fn parted(mut set: GaussianSet, ends: &[usize], planes: usize) -> Vec<GaussianSet> {
    let after = |&end: &usize| GaussianSet {
        symbols: set.symbols.split_off(end),
        colours: set.colours.split_off(end * planes),
    };
    let mut layers: Vec<GaussianSet> = ends.iter().rev().map(after).collect();
    layers.push(set);
    layers.reverse();
    layers
}

/// Those of these numbers.
fn picked(set: &GaussianSet, numbers: &[usize], planes: usize) -> GaussianSet {
    GaussianSet {
        symbols: numbers.iter().map(|&i| set.symbols[i]).collect(),
        colours: numbers.iter().flat_map(|&i| &set.colours[i * planes..][..planes]).copied().collect(),
    }
}
