//! Tiles of 16 x 16 pixels: which Gaussians reach which, and work on all of them at once in a fixed order of sums.

use std::ops::Range;

use mcodec_decode::gaussians::Shape;
use mcodec_decode::gaussians::lanes::{self, Kernel, LANES, Lanes};
use rayon::prelude::*;

use super::wrap::{Periods, each_copy};

/// Pixels along one side of a tile.
pub(super) const TILE: usize = 16;
/// Groups of eight pixels in a tile: the left halves of its rows, then the right halves.
pub(super) const GROUPS: usize = TILE * TILE / LANES;

/// The tiles of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

impl Grid {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { columns: width.div_ceil(TILE), rows: height.div_ceil(TILE) }
    }

    pub(super) fn tiles(&self) -> usize {
        self.columns * self.rows
    }

    /// Tile, group in it and lane in that of a pixel.
    pub(super) fn place(&self, x: usize, y: usize) -> (usize, usize, usize) {
        let group = (x % TILE / LANES) * TILE + y % TILE;
        (y / TILE * self.columns + x / TILE, group, x % LANES)
    }

    /// The centre of a tile's first pixel.
    pub(super) fn origin(&self, tile: usize) -> (f32, f32) {
        ((tile % self.columns * TILE) as f32 + 0.5, (tile / self.columns * TILE) as f32 + 0.5)
    }

    /// Calls `found` with each tile that a Gaussian reaches, row by row.
    #[inline(always)]
    fn each_reached(&self, shape: &Shape, mut found: impl FnMut(usize)) {
        const SIDE: f32 = TILE as f32;
        let index = |at: f32| ((at - 0.5) / SIDE).floor();
        let top = index(shape.y - shape.half[1]).max(0.0);
        let bottom = ((shape.y + shape.half[1] - 0.5) / SIDE).floor().min(self.rows as f32 - 1.0);
        if top > bottom {
            return;
        }
        for row in top as usize..=bottom as usize {
            let first = (row * TILE) as f32 + 0.5 - shape.y;
            let Some((left, right)) = shape.columns(first, first + SIDE - 1.0) else { continue };
            let left = index(shape.x + left).max(0.0);
            let right = index(shape.x + right).min(self.columns as f32 - 1.0);
            if left <= right {
                (left as usize..=right as usize).for_each(|column| found(row * self.columns + column));
            }
        }
    }
}

/// For each tile the Gaussians that reach it, by rising index. A slot is a place in these lists.
#[derive(Debug, Default)]
pub(super) struct TileLists {
    /// For each tile its first slot, and the end.
    pub(super) start: Vec<u32>,
    /// For each slot its Gaussian.
    pub(super) gaussian: Vec<u32>,
    /// For each slot its shape: that of its Gaussian, or a copy's.
    shape: Vec<u32>,
    /// For each Gaussian where its slots begin in `slots`, and the end.
    own_start: Vec<u32>,
    slots: Vec<u32>,
    /// For each of `slots` its shape.
    own_shapes: Vec<u32>,
    next: Vec<u32>,
    parts: Vec<Part>,
}

impl TileLists {
    /// Lists these Gaussians from number `first` on; copies of what repeats come after them in `shapes`.
    pub(super) fn build(&mut self, grid: &Grid, shapes: &mut Vec<Shape>, first: usize, periods: Periods) {
        self.own_start.clear();
        self.slots.clear();
        self.own_shapes.clear();
        self.own_start.resize(first + 1, 0);
        if periods == [None, None] {
            self.find(grid, &shapes[first..], first as u32);
        } else {
            self.find_repeated(grid, shapes, first, periods);
        }
        self.sort(grid, first);
    }

    /// Fills `slots` with tiles, and says where those of each Gaussian begin: parts of the Gaussians on all threads.
    fn find(&mut self, grid: &Grid, shapes: &[Shape], first: u32) {
        /// Gaussians that one thread does in one go.
        const AT_ONCE: usize = 256;
        self.parts.resize_with(shapes.len().div_ceil(AT_ONCE), Part::default);
        self.parts.par_iter_mut().zip(shapes.par_chunks(AT_ONCE)).for_each(|(part, shapes)| {
            part.tiles.clear();
            part.ends.clear();
            // A kernel only for its rounding instructions.
            lanes::run(Find { part, grid, shapes });
        });
        let mut gaussian = first;
        for part in &self.parts {
            let start = self.slots.len() as u32;
            self.slots.extend_from_slice(&part.tiles);
            for &end in &part.ends {
                self.own_shapes.resize((start + end) as usize, gaussian);
                self.own_start.push(start + end);
                gaussian += 1;
            }
        }
    }

    /// The same where the picture repeats: copies are added to `shapes`.
    fn find_repeated(&mut self, grid: &Grid, shapes: &mut Vec<Shape>, first: usize, periods: Periods) {
        for gaussian in first..shapes.len() {
            let shape = shapes[gaussian];
            grid.each_reached(&shape, |tile| self.slots.push(tile as u32));
            self.own_shapes.resize(self.slots.len(), gaussian as u32);
            each_copy(&shape, periods, |copy| {
                grid.each_reached(&copy, |tile| self.slots.push(tile as u32));
                self.own_shapes.resize(self.slots.len(), shapes.len() as u32);
                shapes.push(copy);
            });
            self.own_start.push(self.slots.len() as u32);
        }
    }

    /// Sorts what was found by tile, and puts the slots of each Gaussian in place of its tiles.
    fn sort(&mut self, grid: &Grid, first: usize) {
        self.start.clear();
        self.start.resize(grid.tiles() + 1, 0);
        self.slots.iter().for_each(|&tile| self.start[tile as usize + 1] += 1);
        for tile in 0..grid.tiles() {
            self.start[tile + 1] += self.start[tile];
        }
        self.next.clear();
        self.next.extend_from_slice(&self.start);
        self.gaussian.resize(self.slots.len(), 0);
        self.shape.resize(self.slots.len(), 0);
        for gaussian in first..self.own_start.len() - 1 {
            for at in self.own_start[gaussian]..self.own_start[gaussian + 1] {
                let next = &mut self.next[self.slots[at as usize] as usize];
                self.gaussian[*next as usize] = gaussian as u32;
                self.shape[*next as usize] = self.own_shapes[at as usize];
                self.slots[at as usize] = *next;
                *next += 1;
            }
        }
    }

    /// The slots of one Gaussian, tiles row by row.
    pub(super) fn slots_of(&self, gaussian: usize) -> &[u32] {
        &self.slots[self.own_start[gaussian] as usize..self.own_start[gaussian + 1] as usize]
    }

    /// The Gaussians of one tile.
    pub(super) fn in_tile(&self, tile: usize) -> &[u32] {
        &self.gaussian[self.start[tile] as usize..self.start[tile + 1] as usize]
    }

    /// The shapes of the Gaussians of one tile, as [`Self::in_tile`].
    pub(super) fn shapes_in_tile(&self, tile: usize) -> &[u32] {
        &self.shape[self.start[tile] as usize..self.start[tile + 1] as usize]
    }

    fn slots_before(&self, tile: usize) -> usize {
        self.start[tile] as usize
    }

    /// Calls `work` with each of `tiles`, on all threads, with the tile's own part of `per_slot` (so many numbers for each of its slots)
    /// and of `per_tile`.
    pub(super) fn for_each<T: Send>(
        &self,
        tiles: Range<usize>,
        per_slot: (&mut [f32], usize),
        per_tile: (&mut [T], usize),
        work: &(impl Fn(usize, &mut [f32], &mut [T]) + Sync),
    ) {
        /// Tiles that one thread does in one go.
        const AT_ONCE: usize = 16;
        if tiles.len() > AT_ONCE {
            let middle = tiles.start + tiles.len() / 2;
            let slots = self.slots_before(middle) - self.slots_before(tiles.start);
            let (slots_a, slots_b) = per_slot.0.split_at_mut(slots * per_slot.1);
            let (tiles_a, tiles_b) = per_tile.0.split_at_mut((middle - tiles.start) * per_tile.1);
            rayon::join(
                || self.for_each(tiles.start..middle, (slots_a, per_slot.1), (tiles_a, per_tile.1), work),
                || self.for_each(middle..tiles.end, (slots_b, per_slot.1), (tiles_b, per_tile.1), work),
            );
            return;
        }
        let (mut slots, mut out) = (per_slot.0, per_tile.0);
        for tile in tiles {
            let (own, rest) = slots.split_at_mut(self.in_tile(tile).len() * per_slot.1);
            let (own_out, rest_out) = out.split_at_mut(per_tile.1);
            work(tile, own, own_out);
            (slots, out) = (rest, rest_out);
        }
    }
}

/// Some Gaussians' tiles.
#[derive(Debug, Default)]
struct Part {
    tiles: Vec<u32>,
    /// Of each Gaussian where its own end.
    ends: Vec<u32>,
}

struct Find<'a> {
    part: &'a mut Part,
    grid: &'a Grid,
    shapes: &'a [Shape],
}

impl Kernel for Find<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let Part { tiles, ends } = self.part;
        for shape in self.shapes {
            self.grid.each_reached(shape, |tile| tiles.push(tile as u32));
            ends.push(tiles.len() as u32);
        }
    }
}
