//! How a picture is cut up: tiles of 16 x 16 pixels, and squares of tiles that have lists of Gaussians.

use bytemuck::{Pod, Zeroable};

/// Pixels along one side of a tile.
pub(super) const TILE: usize = 16;
/// Tiles along one side of a square, at least.
const SIDE: usize = 8;
/// Words of all lists together, about.
const MOST_WORDS: usize = 1 << 24;

/// As `Grid` of the kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Grid {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) tiles: [u32; 2],
    pub(super) squares: [u32; 2],
    pub(super) side: u32,
    pub(super) room: u32,
    pub(super) first: u32,
    pub(super) end: u32,
    pub(super) goes_on: u32,
    pub(super) not_last: u32,
}

impl Grid {
    /// For a picture with lists of up to `room` Gaussians.
    pub(super) fn new(width: usize, height: usize, room: usize) -> Self {
        let tiles = [width, height].map(|pixels| pixels.div_ceil(TILE));
        let mut side = SIDE;
        let squares = |side: usize| tiles.map(|tiles| tiles.div_ceil(side));
        while squares(side).iter().product::<usize>() * (1 + room) > MOST_WORDS
            && side < tiles[0].max(tiles[1])
        {
            side *= 2;
        }
        Self {
            width: width as u32,
            height: height as u32,
            tiles: tiles.map(|n| n as u32),
            squares: squares(side).map(|n| n as u32),
            side: side as u32,
            room: room as u32,
            first: 0,
            end: room as u32,
            goes_on: 0,
            not_last: 0,
        }
    }

    /// Words of all lists.
    pub(super) fn words(&self) -> usize {
        (self.squares[0] * self.squares[1]) as usize * (1 + self.room as usize)
    }
}
