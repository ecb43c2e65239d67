//! Pictures of Gaussians: whole, a region, at any scale, or a single point.
//!
//! A pixel's value depends on where it is and on nothing else: its sums run over all Gaussians that reach it, by rising index, however
//! the picture is cut into tiles and shared among threads.

use rayon::prelude::*;

use mcodec_coding::gaussians::{GaussianSet, MAX_PLANES, Quantiser};
use mcodec_format::Limits;

use super::lanes::{self, Kernel, LANES, Lanes};
use super::{CUT, MEAN_WEIGHT, Shape, Splat, splat_of};
use crate::{DecodeError, Result};

/// Pixels along one side of a tile of the output.
const TILE: usize = 16;
/// Gaussians that may reach a tile, on average over the output, ...
pub(super) const MOST_PER_TILE: u64 = 1024;
/// ... unless the output is small: then so many in all tiles together.
pub(super) const MOST_AT_LEAST: u64 = 1 << 24;
/// Square pixels of source that an output pixel of this many source pixels along one side widens each Gaussian by: a box's variance,
/// less that of the pixels that were fitted.
const BOX_VARIANCE: f32 = 1.0 / 12.0;

/// Gaussians of a source that repeats, their copies counted, at most.
const MOST_REPEATED: u64 = 1 << 20;

type Group = [f32; LANES];

/// Gaussians to be drawn, by rising index, and what the picture tends to where none are.
#[derive(Debug, Clone)]
pub struct Scene {
    pub(super) mean: Vec<f32>,
    /// What one in the values of sets stands for, plane by plane.
    units: Vec<f32>,
    pub(super) splats: Vec<Splat>,
    pub(super) colours: Vec<f32>,
}

/// What part of the source is drawn, and how large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Left edge, source pixels.
    pub left: f64,
    /// Top edge, source pixels.
    pub top: f64,
    /// Source pixels for one pixel of the output, across and down: 1 is the source's size, 0.5 twice that.
    pub step: [f64; 2],
    /// Pixels of the output, across.
    pub width: usize,
    /// Pixels of the output, down.
    pub height: usize,
}

impl View {
    /// A region of whole source pixels at the source's size.
    #[must_use]
    pub fn of_region(x: u32, y: u32, width: u32, height: u32) -> Self {
        Self::scaled(x, y, width, height, 1.0)
    }

    /// The same at `scale` times the source's size, rounded to whole pixels and at least 1 pixel.
    #[must_use]
    pub fn scaled(x: u32, y: u32, width: u32, height: u32, scale: f64) -> Self {
        let pixels = |size: u32| (f64::from(size) * scale).round().max(1.0);
        let (across, down) = (pixels(width), pixels(height));
        Self {
            left: f64::from(x),
            top: f64::from(y),
            step: [f64::from(width) / across, f64::from(height) / down],
            width: across as usize,
            height: down as usize,
        }
    }

    /// What is added to the variances of all Gaussians across and down, square pixels of the source.
    pub(super) fn widening(&self) -> [f32; 2] {
        self.step.map(|step| ((step * step - 1.0) as f32).max(0.0) * BOX_VARIANCE)
    }

    /// How much further than at the source's size a Gaussian can reach, in pixels of the source.
    pub(crate) fn margin(&self) -> u32 {
        let [across, down] = self.widening();
        (3.1 * across.max(down).sqrt()).ceil() as u32
    }
}

impl Scene {
    /// Nothing but the mean of each plane.
    ///
    /// # Errors
    /// If there are no planes, or too many, or a mean is not a number.
    pub fn new(mean: Vec<f32>) -> Result<Self> {
        if mean.is_empty() || mean.len() > MAX_PLANES || mean.iter().any(|m| !m.is_finite()) {
            return Err(DecodeError::Request(format!("planes with the means {mean:?} cannot be drawn")));
        }
        Ok(Self { units: vec![1.0; mean.len()], mean, splats: Vec::new(), colours: Vec::new() })
    }

    /// The same for sets whose values are coded so many times larger than they are, plane by plane.
    ///
    /// # Errors
    /// If there is not one gain above zero for each plane.
    pub fn with_gains(mut self, gains: &[f32]) -> Result<Self> {
        if gains.len() != self.mean.len() || !gains.iter().all(|gain| gain.is_normal() && *gain > 0.0) {
            return Err(DecodeError::Request(format!("planes with the gains {gains:?} cannot be drawn")));
        }
        self.units = gains.iter().map(|gain| gain.recip()).collect();
        Ok(self)
    }

    /// Adds a Gaussian with a colour for each plane.
    ///
    /// # Errors
    /// If it cannot be drawn: something is not a number or out of all bounds, or colours are missing.
    pub fn push(&mut self, splat: Splat, colours: &[f32]) -> Result<()> {
        let is_sound = splat.is_sound() && colours.iter().all(|c| c.abs() <= 1e6);
        if !is_sound || colours.len() != self.mean.len() {
            let index = self.splats.len();
            return Err(DecodeError::Request(format!(
                "Gaussian {index} cannot be drawn: {splat:?} {colours:?}"
            )));
        }
        self.splats.push(splat);
        self.colours.extend_from_slice(colours);
        Ok(())
    }

    /// Adds a set of quantised Gaussians: their colours are relative to the planes' means.
    ///
    /// # Errors
    /// As [`Self::push`], or if the set or the quantiser is of other planes.
    pub fn add(&mut self, quantiser: &Quantiser, set: &GaussianSet) -> Result<()> {
        let planes = self.mean.len();
        if quantiser.planes() != planes || set.colours.len() != set.symbols.len() * planes {
            return Err(DecodeError::Request(format!(
                "a set of other than {planes} planes cannot be drawn here"
            )));
        }
        let mut values = [0.0; MAX_PLANES];
        for (symbols, colours) in set.symbols.iter().zip(set.colours.chunks_exact(planes)) {
            for (plane, (value, &index)) in values.iter_mut().zip(colours).enumerate() {
                let coded = index as f32 * quantiser.colour_step(symbols.scales, plane);
                *value = self.mean[plane] + coded * self.units[plane];
            }
            self.push(splat_of(quantiser, symbols), &values[..planes])?;
        }
        Ok(())
    }

    /// Repeats the Gaussians of a source of `size` pixels along the axes that `wraps` names: those that reach beyond an edge are added again,
    /// whole sources further on. `margin`: pixels that they reach further, as they do where a view is smaller than its source.
    ///
    /// # Errors
    /// If they would be too many.
    pub fn repeat(&mut self, size: [u32; 2], wraps: [bool; 2], margin: f32) -> Result<()> {
        for (axis, _) in wraps.iter().enumerate().filter(|(_, wraps)| **wraps) {
            let period = size[axis] as f32;
            for index in 0..self.splats.len() {
                let splat = self.splats[index];
                let (at, half) = if axis == 0 {
                    (splat.x, splat.shape().half[0])
                } else {
                    (splat.y, splat.shape().half[1])
                };
                let half = half + margin;
                // Of the copy that is k sources on, some lies within the source.
                let first = ((-half - at) / period).ceil() as i32;
                let last = ((period + half - at) / period).floor() as i32;
                for k in (first..=last).filter(|&k| k != 0) {
                    let shift = k as f32 * period;
                    let moved = if axis == 0 {
                        Splat { x: at + shift, ..splat }
                    } else {
                        Splat { y: at + shift, ..splat }
                    };
                    self.splats.push(moved);
                    let planes = self.mean.len();
                    self.colours.extend_from_within(index * planes..(index + 1) * planes);
                }
                Limits::check("Gaussians of a source that repeats", self.splats.len() as u64, MOST_REPEATED)?;
            }
        }
        Ok(())
    }

    /// Number of Gaussians.
    #[must_use]
    pub fn len(&self) -> usize {
        self.splats.len()
    }

    /// There are no Gaussians.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.splats.is_empty()
    }

    /// Number of planes.
    #[must_use]
    pub fn planes(&self) -> usize {
        self.mean.len()
    }

    /// Draws a view: the planes of each pixel, row by row. Where the output is smaller than the source, Gaussians are widened by what a
    /// pixel of it covers, and their weights fall as their areas grow.
    ///
    /// # Errors
    /// If the view is no view, its output is above `limits`, or too many Gaussians reach it.
    pub fn render(&self, view: &View, limits: &Limits) -> Result<Vec<f32>> {
        let prepared = Prepared::new(self, view, limits)?;
        let mut out = vec![0.0; view.width * view.height * self.planes()];
        let rows = out.par_chunks_mut(view.width * TILE * self.planes());
        rows.enumerate().for_each(|(row, out)| prepared.draw_row(row, out));
        Ok(out)
    }
}

/// Gaussians ready for one view.
pub(super) struct Prepared<'a> {
    scene: &'a Scene,
    view: View,
    shapes: Vec<Shape>,
    /// Of each Gaussian what its values are multiplied by.
    weights: Vec<f32>,
    /// The values of some are multiplied.
    is_widened: bool,
    /// Centres of the output's columns and rows in the source.
    pub(super) across: Vec<Group>,
    pub(super) down: Vec<f32>,
    /// For each row of tiles where its Gaussians begin in `listed`, and the end.
    start: Vec<u32>,
    listed: Vec<u32>,
}

impl<'a> Prepared<'a> {
    fn new(scene: &'a Scene, view: &View, limits: &Limits) -> Result<Self> {
        let mut prepared = Self::checked(scene, view, limits)?;
        let starts = prepared.starts()?;
        prepared.list(starts);
        Ok(prepared)
    }

    /// All but the lists.
    pub(super) fn checked(scene: &'a Scene, view: &View, limits: &Limits) -> Result<Self> {
        let is_view = view.step.iter().all(|step| (1e-4..=1e6).contains(step))
            && view.left.abs() <= 1e6
            && view.top.abs() <= 1e6
            && (1..=1 << 24).contains(&view.width)
            && (1..=1 << 24).contains(&view.height);
        if !is_view {
            return Err(DecodeError::Request(format!("{view:?} cannot be drawn")));
        }
        let bytes = 4 * scene.planes() as u64 * (view.width as u64 * view.height as u64);
        Limits::check("size of a picture in bytes", bytes, limits.output_bytes)?;
        let widening = view.widening();
        let is_widened = widening != [0.0; 2];
        let near = |splat: &Splat| {
            if splat.may_reach(view, widening) { splat.widened(widening) } else { (Shape::NOWHERE, 0.0) }
        };
        let (shapes, weights) = scene.splats.par_iter().map(near).unzip();
        let centre = |from: f64, step: f64, i: usize| (from + (i as f64 + 0.5) * step) as f32;
        let groups = view.width.div_ceil(LANES) as u64;
        let across = (0..groups as usize)
            .map(|g| std::array::from_fn(|i| centre(view.left, view.step[0], g * LANES + i)))
            .collect();
        let down = (0..view.height).map(|i| centre(view.top, view.step[1], i)).collect();
        let (start, listed) = (Vec::new(), Vec::new());
        Ok(Self { scene, view: *view, shapes, weights, is_widened, across, down, start, listed })
    }

    /// How many Gaussians each row of tiles has, summed up, if they are not too many.
    pub(super) fn starts(&self) -> Result<Vec<u32>> {
        let rows = self.view.height.div_ceil(TILE);
        let columns = self.view.width.div_ceil(TILE);
        let mut start = vec![0u32; rows + 1];
        let mut pairs = 0;
        for shape in &self.shapes {
            let tiles = self.tiles(1, shape.y - shape.half[1], shape.y + shape.half[1]);
            let beside = self.tiles(0, shape.x - shape.half[0], shape.x + shape.half[0]);
            if !beside.is_empty() {
                pairs += (tiles.len() * beside.len()) as u64;
                tiles.for_each(|row| start[row + 1] += 1);
            }
        }
        let most = (MOST_PER_TILE * (rows * columns) as u64).max(MOST_AT_LEAST);
        Limits::check("number of tiles that Gaussians reach", pairs, most).map_err(|source| {
            DecodeError::Entry { kind: "picture", name: "of Gaussians".to_owned(), source }
        })?;
        for row in 0..rows {
            start[row + 1] += start[row];
        }
        Ok(start)
    }

    /// Lists the Gaussians of each row of tiles.
    fn list(&mut self, start: Vec<u32>) {
        let mut next = start.clone();
        let mut listed = vec![0; start.last().map_or(0, |&all| all as usize)];
        for (index, shape) in self.shapes.iter().enumerate() {
            if self.tiles(0, shape.x - shape.half[0], shape.x + shape.half[0]).is_empty() {
                continue;
            }
            for row in self.tiles(1, shape.y - shape.half[1], shape.y + shape.half[1]) {
                listed[next[row] as usize] = index as u32;
                next[row] += 1;
            }
        }
        (self.start, self.listed) = (start, listed);
    }

    /// The tiles with pixels between two positions of the source, along axis 0 (across) or 1.
    fn tiles(&self, axis: usize, from: f32, to: f32) -> std::ops::Range<usize> {
        let pixels = pixels_of(&self.view, axis, from, to);
        pixels.start / TILE..pixels.end.div_ceil(TILE)
    }

    /// Draws a row of tiles, in strips.
    fn draw_row(&self, row: usize, out: &mut [f32]) {
        let view = &self.view;
        let strips = self.across.chunks(STRIP);
        let mut lists = vec![Vec::new(); strips.len()];
        let rows = row * TILE..(row * TILE + TILE).min(view.height);
        let (first, last) = (self.down[rows.start], self.down[rows.end - 1]);
        for &index in &self.listed[self.start[row] as usize..self.start[row + 1] as usize] {
            let shape = &self.shapes[index as usize];
            if let Some((left, right)) = shape.columns(first - shape.y, last - shape.y) {
                let pixels = pixels_of(view, 0, shape.x + left, shape.x + right);
                if !pixels.is_empty() {
                    let strips = pixels.start / (STRIP * LANES)..=(pixels.end - 1) / (STRIP * LANES);
                    lists[strips].iter_mut().for_each(|list| list.push(index));
                }
            }
        }
        let planes = self.scene.planes();
        // Rows that are not of the view have the height of its last one, and are not used.
        let heights = std::array::from_fn(|i| {
            std::array::from_fn(|lane| self.down[(rows.start + i * LANES + lane).min(rows.end - 1)])
        });
        let mut sums = vec![[0.0; LANES]; (1 + planes) * TILE * STRIP];
        let mut pixels = 0;
        for (across, list) in strips.zip(&lists) {
            let count = (view.width - pixels).min(STRIP * LANES);
            let sums = &mut sums[..(1 + planes) * TILE * across.len()];
            sums.fill([0.0; LANES]);
            let strip = Strip { prepared: self, list, across, heights: &heights, rows: rows.len(), sums };
            match (planes, self.is_widened) {
                (1, false) => lanes::run(WithPlanes::<1, false>(strip)),
                (3, false) => lanes::run(WithPlanes::<3, false>(strip)),
                (4, false) => lanes::run(WithPlanes::<4, false>(strip)),
                (_, false) => lanes::run(WithPlanes::<0, false>(strip)),
                _ => lanes::run(WithPlanes::<0, true>(strip)),
            }
            for row in 0..rows.len() {
                let out = &mut out[(row * view.width + pixels) * planes..][..count * planes];
                let groups = sums.chunks_exact((1 + planes) * TILE);
                for (out, group) in out.chunks_mut(LANES * planes).zip(groups) {
                    let sums = &group[row * (1 + planes) + 1..][..planes];
                    match planes {
                        3 => interleave::<3>(sums, out),
                        _ => interleave::<0>(sums, out),
                    }
                }
            }
            pixels += count;
        }
    }
}

/// Puts the values of a group's planes next to each other, pixel by pixel; P is their number, if not 0.
#[inline(always)]
fn interleave<const P: usize>(planes: &[Group], out: &mut [f32]) {
    let count = if P == 0 { planes.len() } else { P };
    for (i, pixel) in out.chunks_exact_mut(count).enumerate() {
        pixel.iter_mut().zip(&planes[..count]).for_each(|(out, plane)| *out = plane[i]);
    }
}

/// The pixels of the output whose centres lie between two positions of the source, along an axis.
#[inline(always)]
fn pixels_of(view: &View, axis: usize, from: f32, to: f32) -> std::ops::Range<usize> {
    let (origin, size) = if axis == 0 { (view.left, view.width) } else { (view.top, view.height) };
    let index = |at: f32| (f64::from(at) - origin) / view.step[axis] - 0.5;
    let first = index(from).ceil().max(0.0) as usize;
    let end = (index(to).floor() + 1.0).clamp(0.0, size as f64) as usize;
    first.min(end)..end
}

/// Rows of tiles are drawn in strips of so many groups of columns: the sums of one stay in a core's first cache.
const STRIP: usize = LANES;
const _: () = assert!(TILE == 2 * LANES);

/// Some groups of columns of a row of tiles, and what is summed there; at the end the blend.
struct Strip<'a, 'b> {
    prepared: &'b Prepared<'a>,
    list: &'b [u32],
    /// Centres of columns, at most [`STRIP`] groups.
    across: &'b [Group],
    /// Centres of the rows.
    heights: &'b [Group; 2],
    /// Rows that count.
    rows: usize,
    /// For each group its rows, of each the weights, then each plane.
    sums: &'b mut [Group],
}

/// P planes, if not 0; W: Gaussians are widened, so that their values are multiplied.
struct WithPlanes<'a, 'b, const P: usize, const W: bool>(Strip<'a, 'b>);

impl<const P: usize, const W: bool> Kernel for WithPlanes<'_, '_, P, W> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Strip { prepared, list, across, heights, rows, sums } = self.0;
        let planes = if P == 0 { prepared.scene.planes() } else { P };
        let stride = TILE * (1 + planes);
        let per_row = 1.0 / prepared.view.step[1] as f32;
        // Ends of the groups; those that are not there lie where the last one does.
        let end =
            |lane: usize| -> Group { std::array::from_fn(|group| across[group.min(across.len() - 1)][lane]) };
        let (lefts, rights) = (l.load(&end(0)), l.load(&end(LANES - 1)));
        let top = heights[0][0];
        let heights = heights.map(|rows| l.load(&rows));
        let (mut along, mut fall) = ([0.0; TILE], [0.0; TILE]);
        let (mut firsts, mut ends) = ([0.0; LANES], [0.0; LANES]);
        for &index in list {
            let shape = &prepared.shapes[index as usize];
            let spans = shape.rows_of_groups(l, lefts, rights);
            // Generous by a tenth of a row, for the rounding of these products.
            let row = |y: L::F, by: f32| {
                l.add(l.mul(l.add(y, l.splat(shape.y - top)), l.splat(per_row)), l.splat(by))
            };
            l.store(row(spans.0, 0.9), &mut firsts);
            l.store(row(spans.1, 1.1), &mut ends);
            for (part, &heights) in heights.iter().enumerate() {
                let dy = l.sub(heights, l.splat(shape.y));
                let v = l.mul(l.splat(shape.down), dy);
                let own = |all: &mut [f32; TILE], values: L::F| {
                    let own = all[part * LANES..].first_chunk_mut().expect("two groups of rows");
                    l.store(values, own);
                };
                own(&mut along, l.mul(l.splat(shape.along), dy));
                own(&mut fall, l.sub(l.splat(0.0), l.mul(v, v)));
            }
            let colours = &prepared.scene.colours[index as usize * planes..][..planes];
            let weight = if W { prepared.weights[index as usize] } else { 1.0 };
            for ((across, sums), (first, end)) in
                across.iter().zip(sums.chunks_exact_mut(stride)).zip(firsts.iter().zip(&ends))
            {
                // Casts to integers round down, and what is below 0 is 0.
                let (first, end) = (*first as usize, (*end as usize).min(rows));
                if first >= end {
                    continue;
                }
                let u_across = l.mul(l.splat(shape.across), l.sub(l.load(across), l.splat(shape.x)));
                let own = &mut sums[first * (1 + planes)..end * (1 + planes)];
                let heights = along[first..end].iter().zip(&fall[first..end]);
                for (sums, (&along, &fall)) in own.chunks_exact_mut(1 + planes).zip(heights) {
                    let mut w = value(l, l.add(u_across, l.splat(along)), l.splat(fall));
                    if W {
                        w = l.mul(w, l.splat(weight));
                    }
                    l.store(l.add(l.load(&sums[0]), w), &mut sums[0]);
                    for (sum, &colour) in sums[1..].iter_mut().zip(colours) {
                        l.store(l.mul_add(w, l.splat(colour), l.load(sum)), sum);
                    }
                }
            }
        }
        resolve(l, &prepared.scene.mean, sums);
    }
}

/// Values of Gaussians where the square root of a binary exponent is u, and the other part of that exponent is `fall`.
#[inline(always)]
pub(super) fn value<L: Lanes>(l: L, u: L::F, fall: L::F) -> L::F {
    l.max(l.sub(l.exp2(l.neg_mul_add(u, u, fall)), l.splat(CUT)), l.splat(0.0))
}

/// Turns sums into the blend.
#[inline(always)]
pub(super) fn resolve<L: Lanes>(l: L, mean: &[f32], sums: &mut [Group]) {
    for group in sums.chunks_exact_mut(1 + mean.len()) {
        let whole = l.add(l.load(&group[0]), l.splat(MEAN_WEIGHT));
        for (sum, &mean) in group[1..].iter_mut().zip(mean) {
            l.store(l.div(l.add(l.load(sum), l.splat(MEAN_WEIGHT * mean)), whole), sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sampler;
    use super::*;

    fn wave(i: usize) -> f32 {
        (i as f32 * 12.9898).sin().abs()
    }

    fn scene(planes: usize, count: usize) -> Scene {
        let mut scene = Scene::new((0..planes).map(|p| 0.1 * p as f32).collect()).unwrap();
        for i in 0..count {
            let sigma = [0.5 + 20.0 * wave(i).powi(4), 0.5 + 8.0 * wave(i + 1).powi(2)];
            let splat = Splat { x: 150.0 * wave(2 * i), y: 110.0 * wave(3 * i), sigma, angle: i as f32 };
            let colours: Vec<f32> = (0..planes).map(|p| wave(5 * i + p)).collect();
            scene.push(splat, &colours).unwrap();
        }
        scene
    }

    /// A pixel by the rule's words, in double precision.
    fn by_the_rule(scene: &Scene, x: f64, y: f64) -> Vec<f64> {
        let mut sums = vec![0.1; 1];
        sums.extend(scene.mean.iter().map(|&m| 0.1 * f64::from(m)));
        for (splat, colours) in scene.splats.iter().zip(scene.colours.chunks_exact(scene.planes())) {
            let (sin, cos) = f64::from(splat.angle).sin_cos();
            let (dx, dy) = (x - f64::from(splat.x), y - f64::from(splat.y));
            let u = (cos * dx + sin * dy) / f64::from(splat.sigma[0]);
            let v = (cos * dy - sin * dx) / f64::from(splat.sigma[1]);
            let w = ((-0.5 * (u * u + v * v)).exp() - (-4.5f64).exp()).max(0.0);
            sums[0] += w;
            sums[1..].iter_mut().zip(colours).for_each(|(sum, &c)| *sum += w * f64::from(c));
        }
        sums[1..].iter().map(|sum| sum / sums[0]).collect()
    }

    #[test]
    fn pixels_follow_the_rule_and_points_are_pixels() {
        for planes in [1, 2, 3, 4, 12] {
            let scene = scene(planes, 300);
            let picture = scene.render(&View::of_region(0, 0, 150, 110), &Limits::default()).unwrap();
            let sampler = Sampler::new(scene.clone(), 150, 110).unwrap();
            let mut point = vec![0.0; planes];
            for (i, pixel) in picture.chunks_exact(planes).enumerate().step_by(37) {
                let (x, y) = ((i % 150) as f32 + 0.5, (i / 150) as f32 + 0.5);
                let exact = by_the_rule(&scene, f64::from(x), f64::from(y));
                assert!(pixel.iter().zip(&exact).all(|(&p, e)| (f64::from(p) - e).abs() < 5e-4), "{x} {y}");
                sampler.sample(x, y, &mut point);
                assert_eq!(point, pixel, "{x} {y}");
            }
        }
    }

    #[test]
    fn regions_and_threads_change_no_pixel() {
        let scene = scene(3, 500);
        let whole = scene.render(&View::of_region(0, 0, 150, 110), &Limits::default()).unwrap();
        for (x, y, width, height) in [(0, 0, 17, 110), (3, 5, 130, 33), (149, 109, 1, 1), (16, 16, 16, 16)] {
            let view = View::of_region(x, y, width, height);
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let part = pool.install(|| scene.render(&view, &Limits::default())).unwrap();
                for (row, part) in part.chunks_exact(3 * width as usize).enumerate() {
                    let at = 3 * ((y as usize + row) * 150 + x as usize);
                    assert_eq!(part, &whole[at..][..part.len()]);
                }
            }
        }
    }

    #[test]
    fn scales_keep_what_is_there() {
        let scene = scene(1, 300);
        let mean = |scale: f64| {
            let view = View::scaled(0, 0, 150, 110, scale);
            let picture = scene.render(&view, &Limits::default()).unwrap();
            assert_eq!(picture.len(), view.width * view.height);
            picture.iter().sum::<f32>() / picture.len() as f32
        };
        for scale in [0.1, 0.25, 0.5, 2.0, 3.7] {
            assert!((mean(scale) - mean(1.0)).abs() < 0.02, "{scale} {} {}", mean(scale), mean(1.0));
        }
    }

    #[test]
    fn hostile_gaussians_are_refused_or_bounded() {
        let mut scene = Scene::new(vec![0.5]).unwrap();
        let good = Splat { x: 1.0, y: 1.0, sigma: [1.0, 1.0], angle: 0.0 };
        for bad in [
            Splat { x: f32::NAN, ..good },
            Splat { y: f32::INFINITY, ..good },
            Splat { sigma: [0.0, 1.0], ..good },
            Splat { sigma: [1.0, 1e30], ..good },
            Splat { sigma: [f32::NAN, 1.0], ..good },
            Splat { angle: f32::NAN, ..good },
        ] {
            assert!(scene.push(bad, &[0.0]).is_err(), "{bad:?}");
        }
        assert!(scene.push(good, &[f32::NAN]).is_err() && scene.push(good, &[]).is_err());
        for _ in 0..100_000 {
            scene.push(good, &[0.25]).unwrap();
        }
        let picture = scene.render(&View::of_region(0, 0, 64, 64), &Limits::default()).unwrap();
        assert!((picture[0] - 0.25).abs() < 1e-3);
        for _ in 0..100_000 {
            scene.push(Splat { sigma: [1e5, 1e5], ..good }, &[0.25]).unwrap();
        }
        assert!(scene.render(&View::of_region(0, 0, 2048, 2048), &Limits::default()).is_err());
        assert!(Sampler::new(scene.clone(), 2048, 2048).is_err());
        assert!(scene.render(&View::of_region(0, 0, 0, 64), &Limits::default()).is_err());
        assert!(scene.render(&View::of_region(0, 0, 1 << 31, 1 << 31), &Limits::default()).is_err());
    }
}
