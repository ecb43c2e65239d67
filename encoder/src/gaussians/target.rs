//! What is fitted: planes of f32, and the same cut into tiles.

use mcodec_decode::gaussians::lanes::LANES;
use rayon::prelude::*;

use super::tiles::{GROUPS, Grid, TILE};
use super::wrap::Periods;

/// Most planes of one picture.
pub(super) const MAX_CHANNELS: usize = 16;
/// Side of the square whose mean is what is around a Gaussian, in its standard deviations.
const AROUND: f32 = 4.0;

/// Planes to be fitted. The error that is made small is the sum over pixels and planes of (value - target)^2, so a plane that counts for
/// more is given, and coded, larger; see `Picture::planes`.
#[derive(Debug, Clone)]
pub struct Target {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Planes, row by row, one after another.
    pub planes: Vec<f32>,
    /// For each plane the colour that the blend tends to where nothing is.
    pub mean: Vec<f32>,
    /// For each pixel, row by row, how much its squared error counts (mean about 1).
    pub importance: Option<Vec<f32>>,
    /// Whether what lies beyond an edge is what lies at the opposite one: along x (first) and y.
    pub wraps: [bool; 2],
    /// Standard deviation that no Gaussian is to exceed, in pixels.
    pub most_sigma: f32,
    /// How many times larger each plane is than by itself: so much faster its colours move.
    pub gains: Vec<f32>,
}

/// [`Target::most_sigma`] where nothing asks for less.
pub(super) const MOST_SIGMA: f32 = 96.0;
/// [`Target::most_sigma`] of what repeats: a Gaussian, however it is rounded and moved by a step, does not reach itself.
const SELF_REACH: f32 = 8.0;

impl Target {
    /// Planes of `width` x `height` pixels, relative to their means.
    #[must_use]
    pub fn new(width: usize, height: usize, planes: Vec<f32>, importance: Option<Vec<f32>>) -> Self {
        let mean = vec![0.0; planes.len() / (width * height)];
        let gains = vec![1.0; mean.len()];
        let (wraps, most_sigma) = ([false; 2], MOST_SIGMA);
        Self { width, height, planes, mean, importance, wraps, most_sigma, gains }
    }

    /// The same, repeating along the axes that `wraps` names.
    #[must_use]
    pub fn repeating(mut self, wraps: [bool; 2]) -> Self {
        self.wraps = wraps;
        for period in self.periods().into_iter().flatten() {
            self.most_sigma = self.most_sigma.min((period / SELF_REACH).max(0.5));
        }
        self
    }

    /// Pixels after which it repeats.
    pub(super) fn periods(&self) -> Periods {
        [self.wraps[0].then_some(self.width as f32), self.wraps[1].then_some(self.height as f32)]
    }

    /// The same at half the size; `None` if nothing would be left.
    pub(crate) fn halved(&self) -> Option<Self> {
        let (width, height) = (self.width / 2, self.height / 2);
        if width == 0 || height == 0 {
            return None;
        }
        let pixels = self.width * self.height;
        let planes = halve(&self.planes, (self.width, self.height));
        let importance = self.importance.as_ref().map(|map| halve(&map[..pixels], (self.width, self.height)));
        let (mean, gains, most_sigma) = (self.mean.clone(), self.gains.clone(), 0.5 * self.most_sigma);
        Some(Self { width, height, planes, mean, importance, wraps: self.wraps, most_sigma, gains })
    }

    /// Number of planes.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// One plane, row by row.
    #[must_use]
    pub fn plane(&self, channel: usize) -> &[f32] {
        let pixels = self.width * self.height;
        &self.planes[channel * pixels..][..pixels]
    }

    /// PSNR (dB) of this sum of squared errors, for planes whose values span 1, as RGB's opponent planes do.
    #[must_use]
    pub fn psnr(&self, squared_error: f64) -> f64 {
        let samples = (self.width * self.height * self.channels()) as f64;
        10.0 * (samples / squared_error.max(1e-30)).log10()
    }

    /// The planes cut into tiles, and how much each pixel counts: 0 off the image.
    pub(super) fn tiled(&self, grid: &Grid) -> Tiled {
        let mut planes = vec![[0.0; LANES]; grid.tiles() * GROUPS * self.channels()];
        let mut weight = vec![[0.0; LANES]; grid.tiles() * GROUPS];
        for y in 0..self.height {
            for x in 0..self.width {
                let (tile, group, lane) = grid.place(x, y);
                let at = y * self.width + x;
                weight[tile * GROUPS + group][lane] = self.importance.as_ref().map_or(1.0, |q| q[at]);
                for c in 0..self.channels() {
                    planes[(tile * GROUPS + group) * self.channels() + c][lane] = self.plane(c)[at];
                }
            }
        }
        Tiled { planes, weight }
    }
}

/// A target at ever lower resolution: what colour there is around a place.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Width and height of each level, and its planes.
    levels: Vec<(usize, usize, Vec<f32>)>,
    channels: usize,
}

impl Surroundings {
    pub(super) fn of(target: &Target) -> Self {
        let channels = target.channels();
        let mut levels = vec![(target.width, target.height, target.planes.clone())];
        while let Some((w, h, planes)) =
            levels.last().filter(|(w, h, _)| *w > 1 && *h > 1 && levels.len() < 7)
        {
            let out = halve(planes, (*w, *h));
            levels.push((w / 2, h / 2, out));
        }
        Self { levels, channels }
    }

    /// The mean around a place, over a square of about [`AROUND`] standard deviations `sigma`.
    pub(super) fn at(&self, x: f32, y: f32, sigma: f32, out: &mut [f32]) {
        // The nearest power of two: an exponent, once what is above its root of two counts as the next.
        let side = (AROUND * sigma).clamp(1.0, 1e6) * std::f32::consts::SQRT_2;
        let index = ((side.to_bits() >> 23) as usize - 127).min(self.levels.len() - 1);
        let (width, height, planes) = &self.levels[index];
        let pixel = (1 << index) as f32;
        let at = ((y / pixel) as usize).min(height - 1) * width + ((x / pixel) as usize).min(width - 1);
        (0..self.channels).for_each(|c| out[c] = planes[c * width * height + at]);
    }
}

/// Planes at half their size: means of 2 x 2.
fn halve(planes: &[f32], (w, h): (usize, usize)) -> Vec<f32> {
    let mut out = Vec::with_capacity(planes.len() / 4);
    for plane in planes.chunks_exact(w * h) {
        for y in 0..h / 2 {
            let (above, below) = (&plane[2 * y * w..][..w], &plane[(2 * y + 1) * w..][..w]);
            let pairs = above.as_chunks::<2>().0.iter().zip(below.as_chunks::<2>().0);
            out.extend(pairs.map(|(a, b)| 0.25 * (a[0] + a[1] + b[0] + b[1])));
        }
    }
    out
}

/// A target cut into tiles of [`TILE`] x [`TILE`] pixels: for each tile [`GROUPS`] groups of eight pixels,
/// of each group all planes.
#[derive(Debug)]
pub(super) struct Tiled {
    pub(super) planes: Vec<[f32; LANES]>,
    pub(super) weight: Vec<[f32; LANES]>,
}

const _: () = assert!(GROUPS * LANES == TILE * TILE);

/// Orthonormal opponent planes Y, U, V, one after another, of planes of red, green and blue: squared errors there are those of RGB (section 1).
/// `channels_of` of the decoder turns them back.
pub(crate) fn opponent_planes([r, g, b]: [&[f32]; 3]) -> Vec<f32> {
    let plane =
        |value: fn(f32, f32, f32) -> f32| (r, g, b).into_par_iter().map(move |(r, g, b)| value(*r, *g, *b));
    let y = plane(|r, g, b| (r + g + b) / 3f32.sqrt());
    let u = plane(|r, _, b| (r - b) / 2f32.sqrt());
    let v = plane(|r, g, b| (2.0 * g - r - b) / 6f32.sqrt());
    y.chain(u).chain(v).collect()
}
