//! The blend and its gradient, fused over tiles of 16 x 16 pixels (sections 2.4 and 2.5).
//!
//! Per tile: every Gaussian's value at every pixel is kept, sums are resolved into the blend and its error, and the way back reads the
//! kept values. All sums have a fixed order, so any number of threads gives the same.

use std::cell::RefCell;

use mcodec_decode::gaussians::lanes::{self, Kernel, LANES, Lanes};
use mcodec_decode::gaussians::{CUT, MEAN_WEIGHT, Shape};

use super::cloud::{Cloud, GEOMETRY, splat_of};
use super::target::{MAX_CHANNELS, Surroundings, Target, Tiled};
use super::tiles::{GROUPS, Grid, TILE, TileLists};

/// Lanes of a group, and numbers of a gradient's moments: z dx, z dy, z dx^2, z dx dy, z dy^2, where z is the gradient of a value's
/// exponent.
pub(super) type Group = [f32; LANES];
pub(super) const MOMENTS: usize = 5;
/// Where columns of a group are from its first.
const ACROSS: Group = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
/// Where the halves of a tile are from its first column; only two count.
const HALVES: Group = [0.0, 8.0, 0.0, 8.0, 0.0, 8.0, 0.0, 8.0];
/// The least weight left when a Gaussian is dropped.
const LEAST_LEFT: f32 = 0.02;

/// A cloud over its target: shapes, tile lists and all buffers of a step.
pub(super) struct Field<'a> {
    pub(super) target: &'a Target,
    pub(super) grid: Grid,
    tiled: Tiled,
    pub(super) surroundings: Surroundings,
    /// Of all Gaussians, then of the copies of what repeats.
    shapes: Vec<Shape>,
    /// Gaussians.
    pub(super) count: usize,
    pub(super) lists: TileLists,
    /// Sums of the Gaussians that stay as they are: for each group of each tile the weights, then each channel.
    base: Option<Vec<Group>>,
    /// Gaussians that stay as they are.
    frozen: usize,
    /// For each slot its moments, then its gradient in each channel.
    pub(super) gradients: Vec<f32>,
    tile_errors: Vec<f32>,
    /// For each group of each tile the sums of weights, then each channel's blend.
    rendered: Vec<Group>,
}

/// What a tile's work needs and keeps.
#[derive(Default)]
struct Scratch {
    /// For each group of pixels the sum of weights, then that of each channel; later what they resolve to.
    sums: Vec<Group>,
    /// Of each slot its values.
    values: Vec<Group>,
    /// Of each slot and half the rows that it reaches.
    rows: Vec<[(u8, u8); 2]>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl<'a> Field<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        let grid = Grid::new(target.width, target.height);
        Self {
            target,
            grid,
            tiled: target.tiled(&grid),
            surroundings: Surroundings::of(target),
            shapes: Vec::new(),
            count: 0,
            lists: TileLists::default(),
            base: None,
            frozen: 0,
            gradients: Vec::new(),
            tile_errors: vec![0.0; grid.tiles()],
            rendered: Vec::new(),
        }
    }

    /// Takes the whole cloud as it is for a part of every blend to come; only Gaussians added later move.
    pub(super) fn freeze(&mut self, cloud: &Cloud) {
        self.place(cloud);
        self.sum(cloud, false);
        self.base = Some(std::mem::take(&mut self.rendered));
        self.frozen = cloud.len();
    }

    /// Each of these clouds as a part of blends to come: its sums are put under those by [`Self::lay_over`].
    pub(super) fn sums_of(&mut self, clouds: &[Cloud]) -> Vec<Vec<Group>> {
        let sums = clouds.iter().map(|cloud| {
            self.place(cloud);
            self.sum(cloud, false);
            std::mem::take(&mut self.rendered)
        });
        sums.collect()
    }

    /// Puts sums under the blends to come, and gives back those that were.
    pub(super) fn lay_over(&mut self, sums: Option<Vec<Group>>) -> Option<Vec<Group>> {
        std::mem::replace(&mut self.base, sums)
    }

    /// Shapes and tile lists of the Gaussians that are not frozen.
    pub(super) fn place(&mut self, cloud: &Cloud) {
        use rayon::prelude::*;
        const AT_ONCE: usize = 256;
        let nothing = Shape::default();
        self.shapes.resize(cloud.len(), nothing);
        let stride = cloud.stride();
        self.shapes.par_chunks_mut(AT_ONCE).zip(cloud.values.par_chunks(AT_ONCE * stride)).for_each(
            |(shapes, values)| {
                for (shape, values) in shapes.iter_mut().zip(values.chunks_exact(stride)) {
                    *shape = splat_of(values).shape();
                }
            },
        );
        self.count = cloud.len();
        self.lists.build(&self.grid, &mut self.shapes, self.frozen, self.target.periods());
    }

    /// Gradient of half the weighted squared error for each slot, and that squared error. [`Self::place`] comes first.
    pub(super) fn step(&mut self, cloud: &Cloud) -> f64 {
        let stride = MOMENTS + cloud.channels();
        self.gradients.resize(self.lists.gaussian.len() * stride, 0.0);
        let mut gradients = std::mem::take(&mut self.gradients);
        let mut errors = std::mem::take(&mut self.tile_errors);
        let field = &*self;
        let work = |tile: usize, gradients: &mut [f32], error: &mut [f32]| {
            error[0] = field.in_tile(tile, cloud, |tile, scratch| match cloud.channels() {
                1 => lanes::run(Descend::<1> { tile, scratch, gradients }),
                3 => lanes::run(Descend::<3> { tile, scratch, gradients }),
                4 => lanes::run(Descend::<4> { tile, scratch, gradients }),
                _ => lanes::run(Descend::<0> { tile, scratch, gradients }),
            });
        };
        self.lists.for_each(0..self.grid.tiles(), (&mut gradients, stride), (&mut errors, 1), &work);
        let error = errors.iter().map(|&e| f64::from(e)).sum();
        (self.gradients, self.tile_errors) = (gradients, errors);
        error
    }

    /// The blend of all Gaussians: sums of weights and each channel. [`Self::place`] comes first.
    pub(super) fn render(&mut self, cloud: &Cloud) -> Rendered {
        self.sum(cloud, true);
        let (width, height) = (self.target.width, self.target.height);
        let mut planes = vec![0.0; width * height * (1 + cloud.channels())];
        use rayon::prelude::*;
        let stride = 1 + cloud.channels();
        planes.par_chunks_exact_mut(width * height).enumerate().for_each(|(plane, out)| {
            for (y, row) in out.chunks_exact_mut(width).enumerate() {
                for (at, out) in row.chunks_mut(LANES).enumerate() {
                    let (tile, group, _) = self.grid.place(at * LANES, y);
                    let from = &self.rendered[(tile * GROUPS + group) * stride + plane];
                    out.copy_from_slice(&from[..out.len()]);
                }
            }
        });
        Rendered::new(width, height, planes)
    }

    /// How much the weighted squared error rises if one Gaussian alone is dropped (section 2.4), for each that is not frozen.
    /// [`Self::place`] comes first.
    pub(super) fn removal_energies(&mut self, cloud: &Cloud) -> Vec<f32> {
        let mut energies = vec![0.0; self.lists.gaussian.len()];
        let field = &*self;
        let work = |tile: usize, energies: &mut [f32], _: &mut [()]| {
            field.in_tile(tile, cloud, |tile, scratch| lanes::run(Energies { tile, scratch, energies }));
        };
        let mut nothing = vec![(); self.grid.tiles()];
        self.lists.for_each(0..self.grid.tiles(), (&mut energies, 1), (&mut nothing, 1), &work);
        let of = |gaussian| self.lists.slots_of(gaussian).iter().map(|&slot| energies[slot as usize]).sum();
        (self.frozen..cloud.len()).map(of).collect()
    }

    /// Fills `rendered` with sums, or with what they resolve to.
    fn sum(&mut self, cloud: &Cloud, is_resolved: bool) {
        let stride = (1 + cloud.channels()) * GROUPS;
        let mut rendered = std::mem::take(&mut self.rendered);
        rendered.resize(self.grid.tiles() * stride, [0.0; LANES]);
        let field = &*self;
        let work = |tile: usize, _: &mut [f32], out: &mut [Group]| {
            field.in_tile(tile, cloud, |tile, scratch| lanes::run(Sum { tile, scratch, is_resolved, out }));
        };
        let nothing: &mut [f32] = &mut [];
        self.lists.for_each(0..self.grid.tiles(), (nothing, 0), (&mut rendered, stride), &work);
        self.rendered = rendered;
    }

    /// Does work on a tile, with this thread's scratch.
    fn in_tile<R>(&self, tile: usize, cloud: &Cloud, work: impl FnOnce(&Tile<'_>, &mut Scratch) -> R) -> R {
        let channels = cloud.channels();
        let sums = (1 + channels) * GROUPS;
        let tile = Tile {
            origin: self.grid.origin(tile),
            slots: self.lists.in_tile(tile),
            own_shapes: self.lists.shapes_in_tile(tile),
            shapes: &self.shapes,
            values: &cloud.values,
            channels,
            target: &self.tiled.planes[tile * channels * GROUPS..][..channels * GROUPS],
            weight: &self.tiled.weight[tile * GROUPS..][..GROUPS],
            base: self.base.as_ref().map(|base| &base[tile * sums..][..sums]),
            mean: &self.target.mean,
        };
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.sums.clear();
            match tile.base {
                Some(base) => scratch.sums.extend_from_slice(base),
                None => scratch.sums.resize(sums, [0.0; LANES]),
            }
            scratch.values.resize(scratch.values.len().max(tile.slots.len() * GROUPS), [0.0; LANES]);
            scratch.rows.clear();
            work(&tile, scratch)
        })
    }
}

/// A blend: sums of weights and, for each channel, colours; row by row.
pub(super) struct Rendered {
    width: usize,
    pixels: usize,
    planes: Vec<f32>,
}

impl Rendered {
    /// Of the sums of weights, then each channel.
    pub(super) fn new(width: usize, height: usize, planes: Vec<f32>) -> Self {
        Self { width, pixels: width * height, planes }
    }

    /// Sum of weights at a pixel.
    pub(super) fn weight(&self, x: usize, y: usize) -> f32 {
        self.planes[y * self.width + x]
    }

    /// One channel at a pixel.
    pub(super) fn colour(&self, channel: usize, x: usize, y: usize) -> f32 {
        self.plane(channel)[y * self.width + x]
    }

    /// One channel.
    pub(super) fn plane(&self, channel: usize) -> &[f32] {
        &self.planes[(1 + channel) * self.pixels..][..self.pixels]
    }
}

/// One tile: where it is, its Gaussians and what it should look like.
struct Tile<'a> {
    origin: (f32, f32),
    slots: &'a [u32],
    /// Of each slot which of `shapes` it has.
    own_shapes: &'a [u32],
    shapes: &'a [Shape],
    values: &'a [f32],
    channels: usize,
    target: &'a [Group],
    weight: &'a [Group],
    base: Option<&'a [Group]>,
    mean: &'a [f32],
}

impl Tile<'_> {
    /// Channels: known when compiled if C > 0.
    #[inline(always)]
    fn channels<const C: usize>(&self) -> usize {
        if C == 0 { self.channels } else { C }
    }

    #[inline(always)]
    fn colours<const C: usize>(&self, gaussian: usize) -> &[f32] {
        &self.values[gaussian * (GEOMETRY + self.channels::<C>()) + GEOMETRY..][..self.channels::<C>()]
    }

    /// Left end of one half of the tile, from a Gaussian's centre.
    #[inline(always)]
    fn left(&self, shape: &Shape, half: usize) -> f32 {
        self.origin.0 + (half * LANES) as f32 - shape.x
    }

    /// Rows that a Gaussian reaches in each half: first, and the one past the last.
    #[inline(always)]
    fn rows<L: Lanes>(&self, l: L, shape: &Shape) -> [(u8, u8); 2] {
        let lefts = l.add(l.load(&HALVES), l.splat(self.origin.0));
        let (tops, bottoms) = shape.rows_of_groups(l, lefts, l.add(lefts, l.splat((LANES - 1) as f32)));
        let from_tile = l.splat(shape.y - self.origin.1);
        // Casts to integers round down, and what is below 0 is 0; the first row is that above, by hardly less than one.
        let (mut firsts, mut ends) = ([0.0; LANES], [0.0; LANES]);
        l.store(l.add(l.add(tops, from_tile), l.splat(0.99)), &mut firsts);
        l.store(l.add(l.add(bottoms, from_tile), l.splat(1.01)), &mut ends);
        [0, 1].map(|half| {
            let (first, end) = (firsts[half] as usize, (ends[half] as usize).min(TILE));
            if first < end { (first as u8, end as u8) } else { (0, 0) }
        })
    }

    /// Values of all Gaussians, and their sums.
    #[inline(always)]
    fn forward<const C: usize, L: Lanes>(&self, l: L, scratch: &mut Scratch) {
        let stride = 1 + self.channels::<C>();
        let across = l.load(&ACROSS);
        let (cut, zero) = (l.splat(CUT), l.splat(0.0));
        let slots = self.slots.iter().zip(self.own_shapes);
        for ((&gaussian, &shape), values) in slots.zip(scratch.values.chunks_exact_mut(GROUPS)) {
            let shape = &self.shapes[shape as usize];
            let colours = self.colours::<C>(gaussian as usize);
            let mut lanes_of = [zero; MAX_CHANNELS];
            lanes_of.iter_mut().zip(colours).for_each(|(lanes, &c)| *lanes = l.splat(c));
            let rows = self.rows(l, shape);
            for (half, (first, end)) in rows.into_iter().enumerate() {
                let dx = l.add(across, l.splat(self.left(shape, half)));
                let u_across = l.mul(l.splat(shape.across), dx);
                let own = half * TILE + usize::from(first)..half * TILE + usize::from(end);
                let sums = scratch.sums[own.start * stride..own.end * stride].chunks_exact_mut(stride);
                let mut dy = f32::from(first) + self.origin.1 - shape.y;
                for (value, sums) in values[own].iter_mut().zip(sums) {
                    let u = l.add(u_across, l.splat(shape.along * dy));
                    let v = shape.down * dy;
                    dy += 1.0;
                    let w = l.max(l.sub(l.exp2(l.neg_mul_add(u, u, l.splat(-v * v))), cut), zero);
                    l.store(w, value);
                    l.store(l.add(l.load(&sums[0]), w), &mut sums[0]);
                    for channel in 0..self.channels::<C>() {
                        let sum = &mut sums[1 + channel];
                        l.store(l.mul_add(w, lanes_of[channel], l.load(sum)), sum);
                    }
                }
            }
            scratch.rows.push(rows);
        }
    }
}

/// Sums of a tile, or the blend.
struct Sum<'a, 'b> {
    tile: &'b Tile<'a>,
    scratch: &'b mut Scratch,
    is_resolved: bool,
    out: &'b mut [Group],
}

impl Kernel for Sum<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        self.tile.forward::<0, L>(l, self.scratch);
        if self.is_resolved {
            blend(l, self.tile, &mut self.scratch.sums);
        }
        self.out.copy_from_slice(&self.scratch.sums);
    }
}

/// Turns sums of colours into the blend.
#[inline(always)]
fn blend<L: Lanes>(l: L, tile: &Tile<'_>, sums: &mut [Group]) {
    for group in sums.chunks_exact_mut(1 + tile.channels) {
        let whole = l.add(l.load(&group[0]), l.splat(MEAN_WEIGHT));
        for (sum, &mean) in group[1..].iter_mut().zip(tile.mean) {
            l.store(l.div(l.add(l.load(sum), l.splat(MEAN_WEIGHT * mean)), whole), sum);
        }
    }
}

/// Forward, error, and the way back: gives the tile's weighted squared error.
struct Descend<'a, 'b, const C: usize> {
    tile: &'b Tile<'a>,
    scratch: &'b mut Scratch,
    gradients: &'b mut [f32],
}

impl<const C: usize> Kernel for Descend<'_, '_, C> {
    type Output = f32;

    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) -> f32 {
        self.tile.forward::<C, L>(l, self.scratch);
        let error = self.resolve(l);
        for (index, &gaussian) in self.tile.slots.iter().enumerate() {
            let stride = MOMENTS + self.tile.channels::<C>();
            let gradient = &mut self.gradients[index * stride..][..stride];
            let values = &self.scratch.values[index * GROUPS..][..GROUPS];
            back::<C, L>(
                l,
                self.tile,
                (gaussian as usize, self.tile.own_shapes[index] as usize),
                (&self.scratch.rows[index], values),
                &self.scratch.sums,
                gradient,
            );
        }
        error
    }
}

impl<const C: usize> Descend<'_, '_, C> {
    /// Turns sums into gradients: of each channel's sum, and, in place of the weights, of what they all divide by.
    #[inline(always)]
    fn resolve<L: Lanes>(&mut self, l: L) -> f32 {
        let tile = self.tile;
        let channels = tile.channels::<C>();
        let mut error = l.splat(0.0);
        let goals = tile.target.chunks_exact(channels).zip(tile.weight);
        for (sums, (goal, importance)) in self.scratch.sums.chunks_exact_mut(1 + channels).zip(goals) {
            let whole = l.div(l.splat(1.0), l.add(l.load(&sums[0]), l.splat(MEAN_WEIGHT)));
            let importance = l.load(importance);
            let mut all = l.splat(0.0);
            for channel in 0..channels {
                let mean = l.splat(MEAN_WEIGHT * tile.mean[channel]);
                let colour = l.mul(l.add(l.load(&sums[1 + channel]), mean), whole);
                let off = l.sub(colour, l.load(&goal[channel]));
                let weighted = l.mul(off, importance);
                error = l.mul_add(weighted, off, error);
                let gradient = l.mul(weighted, whole);
                all = l.mul_add(gradient, colour, all);
                l.store(gradient, &mut sums[1 + channel]);
            }
            l.store(all, &mut sums[0]);
        }
        l.sum(error)
    }
}

/// The way back of one Gaussian in one tile.
#[inline(always)]
fn back<const C: usize, L: Lanes>(
    l: L,
    tile: &Tile<'_>,
    (gaussian, shape): (usize, usize),
    (rows, values): (&[(u8, u8); 2], &[Group]),
    sums: &[Group],
    out: &mut [f32],
) {
    let shape = &tile.shapes[shape];
    let colours = tile.colours::<C>(gaussian);
    let channels = tile.channels::<C>();
    let zero = l.splat(0.0);
    let cut = l.splat(CUT);
    let mut moments = [zero; MOMENTS];
    let mut by_channel = [zero; MAX_CHANNELS];
    let mut lanes_of = [zero; MAX_CHANNELS];
    lanes_of.iter_mut().zip(colours).for_each(|(lanes, &c)| *lanes = l.splat(c));
    for (half, &(first, end)) in rows.iter().enumerate() {
        let dx = l.add(l.load(&ACROSS), l.splat(tile.left(shape, half)));
        let [mut z_sum, mut z_dy, mut z_dy2] = [zero; 3];
        let own = half * TILE + usize::from(first)..half * TILE + usize::from(end);
        let own_sums = sums[own.start * (1 + channels)..own.end * (1 + channels)].chunks_exact(1 + channels);
        let mut below = f32::from(first) + tile.origin.1 - shape.y;
        for (value, sums) in values[own].iter().zip(own_sums) {
            let dy = l.splat(below);
            below += 1.0;
            let w = l.load(value);
            // Minus the gradient of the value.
            let mut less = l.load(&sums[0]);
            for channel in 0..channels {
                let gradient = l.load(&sums[1 + channel]);
                less = l.neg_mul_add(gradient, lanes_of[channel], less);
                by_channel[channel] = l.mul_add(gradient, w, by_channel[channel]);
            }
            let z = l.where_positive(w, l.mul(l.add(w, cut), less));
            let zy = l.mul(z, dy);
            z_sum = l.add(z_sum, z);
            z_dy = l.add(z_dy, zy);
            z_dy2 = l.mul_add(zy, dy, z_dy2);
        }
        let z_dx = l.mul(z_sum, dx);
        moments[0] = l.add(moments[0], z_dx);
        moments[1] = l.add(moments[1], z_dy);
        moments[2] = l.mul_add(z_dx, dx, moments[2]);
        moments[3] = l.mul_add(z_dy, dx, moments[3]);
        moments[4] = l.add(moments[4], z_dy2);
    }
    let mut parts = [zero; 3 * LANES];
    parts[..MOMENTS].copy_from_slice(&moments);
    parts[MOMENTS..MOMENTS + channels].copy_from_slice(&by_channel[..channels]);
    for (out, parts) in out.chunks_mut(LANES).zip(parts.as_chunks::<LANES>().0) {
        let mut sums = [0.0; LANES];
        l.store(l.sums(*parts), &mut sums);
        out.copy_from_slice(&sums[..out.len()]);
    }
}

/// Removal energies of a tile's Gaussians.
struct Energies<'a, 'b> {
    tile: &'b Tile<'a>,
    scratch: &'b mut Scratch,
    energies: &'b mut [f32],
}

impl Kernel for Energies<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let tile = self.tile;
        tile.forward::<0, L>(l, self.scratch);
        blend(l, tile, &mut self.scratch.sums);
        let sums = &self.scratch.sums;
        for (index, (&gaussian, energy)) in tile.slots.iter().zip(self.energies).enumerate() {
            let values = &self.scratch.values[index * GROUPS..][..GROUPS];
            let colours = tile.colours::<0>(gaussian as usize);
            let mut sum = l.splat(0.0);
            for (half, &(first, end)) in self.scratch.rows[index].iter().enumerate() {
                for row in usize::from(first)..usize::from(end) {
                    let at = half * TILE + row;
                    let w = l.load(&values[at]);
                    let group = &sums[at * (1 + tile.channels)..][..1 + tile.channels];
                    let left = l.sub(l.add(l.load(&group[0]), l.splat(MEAN_WEIGHT)), w);
                    let share = l.div(w, l.max(left, l.splat(LEAST_LEFT)));
                    let mut rise = l.splat(0.0);
                    for (channel, &colour) in colours.iter().enumerate() {
                        let blended = l.load(&group[1 + channel]);
                        let d = l.mul(share, l.sub(blended, l.splat(colour)));
                        let off = l.sub(blended, l.load(&tile.target[at * tile.channels + channel]));
                        rise = l.mul_add(d, l.add(d, l.add(off, off)), rise);
                    }
                    sum = l.mul_add(rise, l.load(&tile.weight[at]), sum);
                }
            }
            *energy = l.sum(sum);
        }
    }
}
