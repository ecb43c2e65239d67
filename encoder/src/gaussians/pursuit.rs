//! Where new Gaussians pay most: maxima of the blurred residual's energy, over scales (section 2.3).

use mcodec_decode::gaussians::Splat;
use mcodec_decode::gaussians::lanes::{self, Kernel, LANES, Lanes};
use rayon::prelude::*;

use super::cloud::Cloud;
use super::step::Rendered;
use super::target::{MAX_CHANNELS, Target};
use super::wrap::Periods;

/// Levels of the pyramid, and the least side of one.
const LEVELS: usize = 7;
const LEAST_SIDE: usize = 8;
/// Standard deviations of both blurs of a level, in its own pixels.
const BLURS: [f32; 2] = [1.0, std::f32::consts::SQRT_2];
/// Less energy than this is nothing.
const LEAST_ENERGY: f32 = 1e-9;
/// Nor does any importance count for less.
const LEAST_IMPORTANCE: f32 = 1e-6;
/// Accepted places are at least this many sums of scales apart.
const APART: f32 = 0.7;
/// Side of the buckets of accepted places, pixels.
const BUCKET: f32 = 8.0;

/// A place for a new Gaussian.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// How much squared error it may save.
    pub(super) energy: f32,
    x: f32,
    y: f32,
    /// Standard deviation of the blur that found it, image pixels.
    scale: f32,
    /// The blurred residual in each channel.
    residual: [f32; MAX_CHANNELS],
}

/// A maximum of the energy: place in its level.
#[derive(Debug, Clone, Copy)]
struct Maximum {
    energy: f32,
    /// Levels and blurs together, in the order in which they are searched.
    search: u32,
    x: u32,
    y: u32,
}

/// At most `count` places that pay most, strongest first, no two close to each other.
pub(super) fn pursue(target: &Target, blend: &Rendered, count: usize) -> Vec<Candidate> {
    let mut buffers = Buffers::default();
    let mut levels = vec![Planes::residual(target, blend)];
    let mut all = Vec::new();
    loop {
        let level = levels.last().expect("the first at least");
        for (i, blur) in BLURS.into_iter().enumerate() {
            level.maxima(blur, ((levels.len() - 1) * BLURS.len() + i) as u32, &mut buffers, &mut all);
        }
        if level.width / 2 < LEAST_SIDE || level.height / 2 < LEAST_SIDE || levels.len() == LEVELS {
            break;
        }
        levels.push(level.halved());
    }
    // Only so many can be taken; the rest need no order.
    let enough = count.saturating_mul(16).saturating_add(4096);
    let order = |a: &Maximum, b: &Maximum| {
        b.energy.total_cmp(&a.energy).then((a.search, a.y, a.x).cmp(&(b.search, b.y, b.x)))
    };
    let mut sorted = all.len();
    if all.len() > enough {
        all.select_nth_unstable_by(enough, order);
        sorted = enough;
    }
    all[..sorted].sort_unstable_by(order);
    let taken = Accepted::new(target).take(&levels, &all[..sorted], count);
    if taken.len() == count || sorted == all.len() {
        return taken;
    }
    all.sort_unstable_by(order);
    Accepted::new(target).take(&levels, &all, count)
}

impl Candidate {
    /// Adds the Gaussian of this place to a cloud whose blend is `blend`.
    pub(super) fn insert(&self, cloud: &mut Cloud, blend: &Rendered) {
        let (splat, colours) = self.gaussian(cloud.channels(), blend);
        cloud.push(&splat, &colours[..cloud.channels()]);
    }

    /// The Gaussian of this place and its colours.
    pub(super) fn gaussian(&self, channels: usize, blend: &Rendered) -> (Splat, [f32; MAX_CHANNELS]) {
        let (x, y) = (self.x as usize, self.y as usize);
        let gain = 1.0 + (blend.weight(x, y) + 0.1).min(2.0);
        let mut colours = [0.0; MAX_CHANNELS];
        for (channel, colour) in colours[..channels].iter_mut().enumerate() {
            *colour = blend.colour(channel, x, y) + (gain * self.residual[channel]).clamp(-0.8, 0.8);
        }
        // Not quite round, so that its angle has a gradient.
        let sigma = (0.8 * self.scale).max(0.5);
        let sigma = [sigma * 0.02f32.exp(), sigma * (-0.02f32).exp()];
        (Splat { x: self.x, y: self.y, sigma, angle: 0.0 }, colours)
    }
}

/// Planes of one level: channels, then importance if it is not the same everywhere.
struct Planes {
    width: usize,
    height: usize,
    planes: Vec<Vec<f32>>,
    is_weighted: bool,
    wraps: [bool; 2],
}

impl Planes {
    fn residual(target: &Target, blend: &Rendered) -> Self {
        let residual = (0..target.channels()).map(|channel| {
            let pairs = target.plane(channel).par_iter().zip(blend.plane(channel));
            match &target.importance {
                Some(importance) => pairs.zip(importance).map(|((t, c), q)| (t - c) * q).collect(),
                None => pairs.map(|(t, c)| t - c).collect(),
            }
        });
        let mut planes: Vec<Vec<f32>> = residual.collect();
        planes.extend(target.importance.clone());
        let is_weighted = target.importance.is_some();
        Self { width: target.width, height: target.height, planes, is_weighted, wraps: target.wraps }
    }

    /// Means of 2 x 2.
    fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let halve = |plane: &Vec<f32>| {
            let mut out = vec![0.0; width * height];
            for (y, row) in out.chunks_exact_mut(width).enumerate() {
                let (above, below) = (&plane[2 * y * self.width..], &plane[(2 * y + 1) * self.width..]);
                for (x, out) in row.iter_mut().enumerate() {
                    *out = 0.25 * (above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1]);
                }
            }
            out
        };
        Self { width, height, planes: self.planes.par_iter().map(halve).collect(), ..*self }
    }

    /// Adds the maxima of the energy of the residual that one blob of a blur takes away: sigma in pixels of this level.
    fn maxima(&self, sigma: f32, search: u32, buffers: &mut Buffers, all: &mut Vec<Maximum>) {
        let taps = taps_of(sigma);
        let channels = self.planes.len() - usize::from(self.is_weighted);
        let (width, height) = (self.width, self.height);
        buffers.across.resize_with(self.planes.len(), Vec::new);
        for (plane, across) in self.planes.iter().zip(&mut buffers.across) {
            blur_rows(plane, width, &taps, self.wraps[0], across);
        }
        let across = &buffers.across;
        buffers.energy.resize(width * height, 0.0);
        let energy_of = |row: &mut Vec<f32>, (y, out): (usize, &mut [f32])| {
            out.fill(0.0);
            for plane in &across[..channels] {
                blur_down(plane, width, (&taps, self.wraps[1]), y, row);
                lanes::run(Squares { out: &mut *out, row });
            }
            if self.is_weighted {
                blur_down(&across[channels], width, (&taps, self.wraps[1]), y, row);
                out.iter_mut().zip(&*row).for_each(|(e, q)| *e /= q.max(LEAST_IMPORTANCE));
            }
        };
        let rows = buffers.energy.par_chunks_mut(width).enumerate().with_min_len(8);
        rows.for_each_init(|| vec![0.0; width], energy_of);
        let energy = &buffers.energy;
        let in_row = |greatest: &mut Vec<f32>, y: usize| {
            let row_of = |y: usize| &energy[y * width..][..width];
            let beside = |axis: usize, at: usize, size: usize| match self.wraps[axis] {
                true => [(at + size - 1) % size, (at + 1) % size],
                false => [at.saturating_sub(1), (at + 1).min(size - 1)],
            };
            let [above, below] = beside(1, y, height);
            let rows = [above, y, below].map(row_of);
            lanes::run(Greatest { rows, out: greatest });
            let mut found = Vec::new();
            for (x, (&e, &greatest)) in rows[1].iter().zip(&*greatest).enumerate() {
                let is_beside = |x: usize| rows.iter().any(|row| row[x] > e);
                if e < LEAST_ENERGY || greatest > e || beside(0, x, width).into_iter().any(is_beside) {
                    continue;
                }
                let scale = (1 << (search as usize / BLURS.len())) as f32 * sigma;
                let energy = 4.0 * std::f32::consts::PI * scale * scale * e;
                found.push(Maximum { energy, search, x: x as u32, y: y as u32 });
            }
            found
        };
        let rows = (0..height).into_par_iter().with_min_len(8);
        let rows: Vec<_> = rows.map_init(|| vec![0.0; width], in_row).collect();
        rows.into_iter().for_each(|mut row| all.append(&mut row));
    }

    /// The blur of each channel at one place, less what it counts less.
    fn residual_at(&self, sigma: f32, (x, y): (usize, usize)) -> [f32; MAX_CHANNELS] {
        let taps = taps_of(sigma);
        let radius = taps.len() / 2;
        let at = |plane: &Vec<f32>| {
            let row_sum = |row: &[f32]| {
                let taps = taps.iter().enumerate();
                let near = taps.filter_map(|(i, tap)| {
                    Some(tap * row[place_near(x + i, radius, self.width, self.wraps[0])?])
                });
                near.sum::<f32>()
            };
            rows_near(plane, self.width, (&taps, self.wraps[1]), y)
                .map(|(tap, row)| tap * row_sum(row))
                .sum::<f32>()
        };
        let channels = self.planes.len() - usize::from(self.is_weighted);
        let whole = if self.is_weighted { at(&self.planes[channels]).max(LEAST_IMPORTANCE) } else { 1.0 };
        let mut residual = [0.0; MAX_CHANNELS];
        residual.iter_mut().zip(&self.planes[..channels]).for_each(|(r, plane)| *r = at(plane) / whole);
        residual
    }
}

/// Planes that are used again.
#[derive(Default)]
struct Buffers {
    across: Vec<Vec<f32>>,
    energy: Vec<f32>,
}

fn taps_of(sigma: f32) -> Vec<f32> {
    let radius = (3.0 * sigma).ceil() as i32;
    let mut taps: Vec<f32> = (-radius..=radius).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let sum: f32 = taps.iter().sum();
    taps.iter_mut().for_each(|tap| *tap /= sum);
    taps
}

/// The place `at - radius`; beyond the edges there is none, or the one at the other edge if these wrap.
#[inline(always)]
fn place_near(at: usize, radius: usize, size: usize, wraps: bool) -> Option<usize> {
    match wraps {
        // The least side of a level is greater than any radius.
        true => Some((at + size - radius) % size),
        false => at.checked_sub(radius).filter(|&place| place < size),
    }
}

/// Blurs along rows, with zeros outside, or what is at the other edge.
fn blur_rows(plane: &[f32], width: usize, taps: &[f32], wraps: bool, out: &mut Vec<f32>) {
    let radius = taps.len() / 2;
    out.resize(plane.len(), 0.0);
    out.par_chunks_mut(width).zip(plane.par_chunks(width)).with_min_len(8).for_each_init(
        || vec![0.0; width + 2 * radius],
        |padded, (out, row)| {
            padded[radius..][..width].copy_from_slice(row);
            if wraps {
                padded[..radius].copy_from_slice(&row[width - radius..]);
                padded[width + radius..].copy_from_slice(&row[..radius]);
            }
            let rows = taps.iter().enumerate().map(|(i, &tap)| (tap, &padded[i..][..width]));
            lanes::run(Weighted { out, rows });
        },
    );
}

/// One row of the blur along columns, with zeros outside, or what is at the other edge.
fn blur_down(plane: &[f32], width: usize, taps: (&[f32], bool), y: usize, out: &mut [f32]) {
    lanes::run(Weighted { out, rows: rows_near(plane, width, taps, y) });
}

/// The rows that a blur along columns takes for row `y`, each with its weight.
fn rows_near<'a>(
    plane: &'a [f32],
    width: usize,
    (taps, wraps): (&'a [f32], bool),
    y: usize,
) -> impl Iterator<Item = (f32, &'a [f32])> {
    let radius = taps.len() / 2;
    let height = plane.len() / width;
    taps.iter().enumerate().filter_map(move |(i, &tap)| {
        let from = place_near(y + i, radius, height, wraps)?;
        Some((tap, &plane[from * width..][..width]))
    })
}

/// The sum of rows times their weights, in groups that stay in registers.
struct Weighted<'a, I> {
    out: &'a mut [f32],
    rows: I,
}

impl<'a, I: Iterator<Item = (f32, &'a [f32])>> Kernel for Weighted<'_, I> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        const MOST: usize = 16;
        let mut rows: [(f32, &[f32]); MOST] = [(0.0, &[]); MOST];
        let mut count = 0;
        for (slot, row) in rows.iter_mut().zip(self.rows) {
            *slot = row;
            count += 1;
        }
        let rows = &rows[..count];
        let (groups, rest) = self.out.as_chunks_mut::<LANES>();
        let done = groups.len() * LANES;
        for (at, out) in groups.iter_mut().enumerate() {
            let mut sum = l.splat(0.0);
            for (weight, row) in rows {
                let group = row[at * LANES..].first_chunk().expect("as long as the output");
                sum = l.mul_add(l.splat(*weight), l.load(group), sum);
            }
            l.store(sum, out);
        }
        for (i, out) in rest.iter_mut().enumerate() {
            *out = rows.iter().map(|(weight, row)| weight * row[done + i]).sum();
        }
    }
}

/// Adds squares.
struct Squares<'a> {
    out: &'a mut [f32],
    row: &'a [f32],
}

impl Kernel for Squares<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        self.out.iter_mut().zip(self.row).for_each(|(out, value)| *out += value * value);
    }
}

/// The greatest of three, column by column.
struct Greatest<'a> {
    rows: [&'a [f32]; 3],
    out: &'a mut [f32],
}

impl Kernel for Greatest<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let [a, b, c] = self.rows;
        for (((out, &a), &b), &c) in self.out.iter_mut().zip(a).zip(b).zip(c) {
            let most = if a > b { a } else { b };
            *out = if most > c { most } else { c };
        }
    }
}

/// Accepted places in buckets of 8 x 8 pixels.
struct Accepted {
    columns: usize,
    rows: usize,
    periods: Periods,
    buckets: Vec<Vec<(f32, f32, f32)>>,
}

impl Accepted {
    fn new(target: &Target) -> Self {
        let side = |pixels: usize| pixels.div_ceil(BUCKET as usize);
        let (columns, rows) = (side(target.width), side(target.height));
        Self { columns, rows, periods: target.periods(), buckets: vec![Vec::new(); columns * rows] }
    }

    /// The first `count` of these maxima that keep their distance from those before. Only buckets near a place are asked, so a fine one may lie
    /// within a large one.
    fn take(mut self, levels: &[Planes], ranked: &[Maximum], count: usize) -> Vec<Candidate> {
        let mut taken = Vec::with_capacity(count);
        for maximum in ranked {
            if taken.len() == count {
                break;
            }
            let (level, blur) =
                (maximum.search as usize / BLURS.len(), maximum.search as usize % BLURS.len());
            let (pixel, place) = ((1 << level) as f32, (maximum.x as usize, maximum.y as usize));
            let mut candidate = Candidate {
                energy: maximum.energy,
                x: (place.0 as f32 + 0.5) * pixel,
                y: (place.1 as f32 + 0.5) * pixel,
                scale: pixel * BLURS[blur],
                residual: [0.0; MAX_CHANNELS],
            };
            if self.is_free(&candidate) {
                let (column, row) = self.bucket(candidate.x, candidate.y);
                self.buckets[row * self.columns + column].push((candidate.x, candidate.y, candidate.scale));
                candidate.residual = levels[level].residual_at(BLURS[blur], place);
                taken.push(candidate);
            }
        }
        taken
    }

    fn bucket(&self, x: f32, y: f32) -> (usize, usize) {
        let index = |at: f32, count: usize| ((at / BUCKET).floor().max(0.0) as usize).min(count - 1);
        (index(x, self.columns), index(y, self.rows))
    }

    fn is_free(&self, q: &Candidate) -> bool {
        let [across, down] = self.periods;
        let shifts = |at: f32, period: Option<f32>| match period {
            // Of what repeats also the copy that the nearer edge makes.
            Some(period) => [0.0, if at < 0.5 * period { period } else { -period }],
            None => [0.0, f32::NAN],
        };
        shifts(q.x, across).into_iter().filter(|by| !by.is_nan()).all(|x| {
            shifts(q.y, down)
                .into_iter()
                .filter(|by| !by.is_nan())
                .all(|y| self.is_free_at(&Candidate { x: q.x + x, y: q.y + y, ..*q }))
        })
    }

    fn is_free_at(&self, q: &Candidate) -> bool {
        let window = 1.4 * q.scale.min(64.0);
        let (left, top) = self.bucket(q.x - window, q.y - window);
        let (right, bottom) = self.bucket(q.x + window, q.y + window);
        let is_far = |&(x, y, scale): &(f32, f32, f32)| (q.x - x).hypot(q.y - y) >= APART * (q.scale + scale);
        (top..=bottom).all(|row| {
            (left..=right).all(|column| self.buckets[row * self.columns + column].iter().all(is_far))
        })
    }
}
