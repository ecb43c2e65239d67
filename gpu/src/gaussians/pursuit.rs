//! Where new Gaussians pay most: maxima of the blurred residual's energy over scales, found, ordered and taken on the device.

use bytemuck::{Pod, Zeroable};
use wgpu::Buffer;

use super::fit::{Buffers, Moves, Picture};
use super::kernel::{Bound, Text, Work, bind, storage, uniform, workgroups, zeros};
use crate::device::Gpu;
use crate::error::Result;

/// Levels of the pyramid, and the least side of one.
const LEVELS: usize = 7;
const LEAST_SIDE: usize = 8;
/// Standard deviations of both blurs of a level, in its own pixels.
const BLURS: [f32; 2] = [1.0, std::f32::consts::SQRT_2];
/// Bins that energies are counted in, as the kernels have them.
const BINS: usize = 1 << 15;

const COMMON: &str = include_str!("pursuit.wgsl");
const FIT: &str = include_str!("fit.wgsl");
const HALVE: Text = Text("halved planes", &[include_str!("halve.wgsl")]);
const BLUR: Text = Text("blurred rows", &[COMMON, include_str!("blur.wgsl")]);
const ENERGY: Text = Text("energy", &[COMMON, include_str!("energy.wgsl")]);
const MAXIMA: Text = Text("maxima", &[COMMON, include_str!("maxima.wgsl")]);
const THRESHOLD: Text = Text("threshold", &[FIT, COMMON, include_str!("threshold.wgsl")]);
const COLLECT: Text = Text("collected places", &[FIT, COMMON, include_str!("collect.wgsl")]);
const RANK: Text = Text("order of places", &[FIT, COMMON, include_str!("rank.wgsl")]);
const ACCEPT: Text = Text("places that are taken", &[FIT, COMMON, include_str!("accept.wgsl")]);
const INSERT: Text = Text("new Gaussians", &[FIT, COMMON, include_str!("insert.wgsl")]);
/// All of them.
pub(super) const KERNELS: [Text; 9] = [HALVE, BLUR, ENERGY, MAXIMA, THRESHOLD, COLLECT, RANK, ACCEPT, INSERT];

/// What growth or a relocation wants, as `Event` of the kernels but for the searches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// Gaussians wanted in all; 0: a relocation.
    pub(super) target: u32,
    /// Of a relocation the part of those in its range that it may move, and what a place's energy counts for.
    pub(super) moves: Moves,
    /// Its range.
    pub(super) first: u32,
    pub(super) end: u32,
    /// What removal energies count, and whether they are added to those that are there.
    pub(super) weight: f32,
    pub(super) is_added: bool,
}

impl Event {
    /// A relocation of these Gaussians.
    pub(super) fn of(range: std::ops::Range<usize>, moves: Moves) -> Self {
        let (first, end) = (range.start as u32, range.end as u32);
        Self { target: 0, moves, first, end, weight: 1.0, is_added: false }
    }
}

#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
struct Search {
    from: u32,
    maxima: u32,
    width: u32,
    height: u32,
    planes: u32,
    radius: u32,
    gain: f32,
    scale: f32,
    pixel: f32,
    padding: [f32; 3],
}

impl Search {
    /// A blur of this standard deviation on pixels of this side.
    fn of_blur(sigma: f32, pixel: f32) -> Self {
        let scale = pixel * sigma;
        let gain = 4.0 * std::f32::consts::PI * scale * scale;
        Self { radius: (3.0 * sigma).ceil() as u32, gain, scale, pixel, ..Self::default() }
    }
}

/// Width and height of each level.
fn sizes_of(picture: &Picture<'_>) -> Vec<(usize, usize)> {
    let mut sizes = vec![(picture.width, picture.height)];
    while let Some(&(width, height)) = sizes.last()
        && width / 2 >= LEAST_SIDE
        && height / 2 >= LEAST_SIDE
        && sizes.len() < LEVELS
    {
        sizes.push((width / 2, height / 2));
    }
    sizes
}

/// The kernel that makes a level of the one above it, and its workgroups: where that is and where it goes, the size of the one above, and its planes.
pub(super) fn halve(
    gpu: &Gpu,
    channels: usize,
    (above, to): (usize, usize),
    ((width, height), planes): ((usize, usize), usize),
    pyramid: &Buffer,
) -> Result<(Bound, [u32; 2])> {
    let halving = [above, to, width, height, planes, 0, 0, 0].map(|n| n as u32);
    let halving = storage(gpu, "halving", bytemuck::cast_slice(&halving))?;
    let samples = (width / 2) * (height / 2) * planes;
    Ok((bind(gpu, HALVE, channels, &[&halving, pyramid])?, workgroups(samples, 64)))
}

/// Kernels of one search.
struct Level {
    halve: Option<(Bound, [u32; 2])>,
    searches: Vec<([Bound; 3], [[u32; 2]; 3])>,
}

/// The search for places, ready to run.
pub(super) struct Pursuit {
    /// What is wanted, see [`Self::want`].
    pub(super) event: Buffer,
    bins: Buffer,
    searches: u32,
    levels: Vec<Level>,
    maxima: usize,
    places: usize,
    threshold: Bound,
    collect: Bound,
    rank: Bound,
    accept: Bound,
    insert: Bound,
    /// Planes of the residual at ever lower resolution.
    pub(super) pyramid: Buffer,
    /// Of each place where it is among all maxima; Gaussians by rising removal energy; these energies.
    pub(super) sources: Buffer,
}

impl Pursuit {
    pub(super) fn new(
        gpu: &Gpu,
        picture: &Picture<'_>,
        buffers: &Buffers,
        (room, places): (usize, usize),
    ) -> Result<Self> {
        let channels = picture.mean.len();
        let planes = channels + usize::from(picture.importance.is_some());
        let sizes = sizes_of(picture);
        let pixels = |(width, height): (usize, usize)| width * height;
        let all_pixels: usize = sizes.iter().copied().map(pixels).sum();
        let first = pixels(sizes[0]);
        let pyramid = zeros(gpu, "residuals", planes * all_pixels)?;
        let across = zeros(gpu, "blurred rows", planes * first)?;
        let energy = zeros(gpu, "energies", first)?;
        let maxima = zeros(gpu, "maxima", BLURS.len() * all_pixels)?;
        let bins = zeros(gpu, "counts of maxima", BINS)?;
        let starts = zeros(gpu, "order of bins", BINS)?;
        let mut levels = Vec::new();
        let mut searches = Vec::new();
        let (mut from, mut maxima_at) = (0, 0);
        for (level, &(width, height)) in sizes.iter().enumerate() {
            let count = width * height;
            let halve = match level.checked_sub(1) {
                None => None,
                Some(above) => {
                    let from_above = from - planes * pixels(sizes[above]);
                    Some(halve(gpu, channels, (from_above, from), (sizes[above], planes), &pyramid)?)
                }
            };
            let mut of_level = Vec::new();
            for sigma in BLURS {
                let pixel = (1 << level) as f32;
                let search = Search {
                    from: from as u32,
                    maxima: maxima_at as u32,
                    width: width as u32,
                    height: height as u32,
                    planes: planes as u32,
                    ..Search::of_blur(sigma, pixel)
                };
                searches.push(search);
                maxima_at += count;
                let own = storage(gpu, "search", bytemuck::bytes_of(&search))?;
                let kernels = [
                    bind(gpu, BLUR, channels, &[&own, &pyramid, &across])?,
                    bind(gpu, ENERGY, channels, &[&own, &across, &energy])?,
                    bind(gpu, MAXIMA, channels, &[&own, &energy, &maxima, &bins])?,
                ];
                of_level.push((kernels, [planes * count, count, count].map(|n| workgroups(n, 64))));
            }
            levels.push(Level { halve, searches: of_level });
            from += planes * count;
        }
        let all = storage(gpu, "searches", bytemuck::cast_slice(&searches))?;
        let extent = [maxima_at as u32, places as u32, 0, 0];
        let extent = uniform(gpu, "extent", bytemuck::cast_slice(&extent))?;
        let event = uniform(gpu, "event", &[0; 32])?;
        let collected = zeros(gpu, "places", 2 * places)?;
        let ranked = zeros(gpu, "places in order", 2 * places)?;
        let taken = zeros(gpu, "places that are taken", 4 * room)?;
        let sources = zeros(gpu, "sources", 3 * room)?;
        let Buffers { fit, record, state, image } = buffers;
        let insert = [fit, &event, &all, state, &taken, &sources, &pyramid, image, record];
        Ok(Self {
            searches: searches.len() as u32,
            levels,
            maxima: maxima_at,
            places,
            threshold: bind(gpu, THRESHOLD, channels, &[fit, &bins, state, &starts])?,
            collect: bind(gpu, COLLECT, channels, &[&extent, &maxima, state, &starts, &bins, &collected])?,
            rank: bind(gpu, RANK, channels, &[fit, state, &collected, &starts, &bins, &ranked])?,
            accept: bind(gpu, ACCEPT, channels, &[fit, &event, &all, &ranked, state, &taken, &sources])?,
            insert: bind(gpu, INSERT, channels, &insert)?,
            event,
            bins,
            pyramid,
            sources,
        })
    }

    /// Says what the kernels to come are for.
    pub(super) fn want(&self, work: &mut Work<'_>, event: &Event) -> Result<()> {
        let part = (event.moves.part * f64::from(1 << 20)) as u32;
        let trust = event.moves.trust.to_bits();
        let (weight, is_added) = (event.weight.to_bits(), u32::from(event.is_added));
        let words = [event.target, part, self.searches, trust, event.first, event.end, weight, is_added];
        work.update(&self.event, bytemuck::cast_slice(&words))
    }

    /// Adds the search to `work`, whose blend and residual are there, and what is done with the places, as [`Self::want`] said.
    pub(super) fn run(&self, work: &mut Work<'_>) {
        work.clear(&self.bins);
        let mut all = Vec::new();
        for level in &self.levels {
            all.extend(level.halve.iter().map(|(bound, groups)| (bound, *groups)));
            for (kernels, groups) in &level.searches {
                all.extend(kernels.iter().zip(groups.iter().copied()));
            }
        }
        let places = workgroups(self.places, 64);
        all.extend([
            (&self.threshold, [1, 1]),
            (&self.collect, workgroups(self.maxima, 64)),
            (&self.rank, places),
            (&self.accept, [1, 1]),
            (&self.insert, places),
        ]);
        work.run(all);
    }
}
