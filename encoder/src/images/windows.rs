//! Windows of a picture that is too large to be fitted at once: cores side by side, each with a margin around it that its Gaussians
//! reach into at most.

use super::picture::Picture;
use super::planes::Source;
use crate::gaussians::{Cloud, Target, dequantise, place};
use mcodec_coding::gaussians::{GaussianSet, Quantiser, Symbols};
use mcodec_decode::gaussians::{Splat, splat_of};

/// Numbers of a window's planes and of one more: so much is fitted at once.
const WINDOW_SAMPLES: u64 = 1 << 24;
/// A picture of this many times as many is fitted at once too.
const WHOLE: u64 = 3;
const HALVES: u64 = 2;
/// Greatest and least margin, pixels; in between it is a quarter of the core's side.
const MARGINS: (u32, u32) = (64, 208);
/// The least side of a core, pixels.
const LEAST_CORE: u32 = 256;
/// Cores begin at multiples of this: of the tiles that pixels are fitted in, and of all steps of positions.
const GRAIN: u32 = 16;
/// Standard deviations of a Gaussian's reach, rounding and one more step counted.
const REACH: f32 = 3.46;
/// Pixels of the margin that moves take.
const MOVES: f32 = 8.0;

/// A picture's cut into windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    size: [u32; 2],
    wraps: [bool; 2],
    core: [u32; 2],
    pub(super) margin: u32,
}

/// One window, in pixels of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Its core: from, and one past the end, across and down.
    pub(super) core: [[u32; 2]; 2],
    /// Corner of all of it: may lie beyond an edge where the picture repeats.
    pub(super) origin: [i64; 2],
    pub(super) size: [u32; 2],
    /// Whether it repeats, as it spans a picture that does.
    wraps: [bool; 2],
}

impl Windows {
    /// The cut of a picture, if it is to be cut; `side`: cores have at most this side, whatever the memory.
    pub(super) fn of(picture: &Picture, wraps: [bool; 2], side: Option<u32>) -> Option<Self> {
        let planes = 1 + picture.channels.len() as u64;
        let samples = u64::from(picture.width) * u64::from(picture.height) * planes;
        let most = match side {
            None if samples * HALVES <= WINDOW_SAMPLES * WHOLE => return None,
            None => ((WINDOW_SAMPLES / planes).isqrt() as u32).saturating_sub(2 * MARGINS.1),
            Some(side) => side,
        };
        let most = most.max(LEAST_CORE);
        let size = [picture.width, picture.height];
        let core = size.map(|size| size.div_ceil(size.div_ceil(most)).next_multiple_of(GRAIN));
        let margin = (most / 4).clamp(MARGINS.0, MARGINS.1).next_multiple_of(GRAIN);
        // What repeats is cut only if no window meets itself.
        let is_whole =
            |axis: usize| core[axis] >= size[axis] || wraps[axis] && core[axis] + 2 * margin > size[axis];
        let core = std::array::from_fn(|axis| if is_whole(axis) { size[axis] } else { core[axis] });
        if core == size {
            return None;
        }
        Some(Self { size, wraps, core, margin })
    }

    /// Standard deviation that no Gaussian exceeds.
    pub(super) fn most_sigma(&self) -> f32 {
        (self.margin as f32 - MOVES) / REACH
    }

    /// All of them, row by row.
    pub(super) fn all(&self) -> Vec<Window> {
        let spans = |axis: usize| {
            let (size, core) = (self.size[axis], self.core[axis]);
            (0..size.div_ceil(core)).map(move |i| [i * core, ((i + 1) * core).min(size)])
        };
        spans(1).flat_map(|down| spans(0).map(move |across| self.window([across, down]))).collect()
    }

    fn window(&self, core: [[u32; 2]; 2]) -> Window {
        let mut window = Window { core, origin: [0; 2], size: self.size, wraps: [false; 2] };
        for (axis, span) in core.into_iter().enumerate() {
            let [from, end] = span.map(i64::from);
            let (margin, size) = (i64::from(self.margin), i64::from(self.size[axis]));
            if end - from == size {
                window.wraps[axis] = self.wraps[axis];
                continue;
            }
            let (from, end) = (from - margin, end + margin);
            let (from, end) = if self.wraps[axis] { (from, end) } else { (from.max(0), end.min(size)) };
            window.origin[axis] = from;
            window.size[axis] = (end - from) as u32;
        }
        window
    }

    /// What a place beyond an edge is, where the picture repeats.
    fn brought_back(&self, at: f32, axis: usize) -> f32 {
        let period = self.size[axis] as f32;
        if self.wraps[axis] && !(0.0..period).contains(&at) { at.rem_euclid(period) } else { at }
    }

    /// Adds Gaussians of a window to those of the picture.
    pub(super) fn put(
        &self,
        window: &Window,
        quantiser: &Quantiser,
        from: &GaussianSet,
        to: &mut GaussianSet,
    ) {
        for symbols in &from.symbols {
            let splat = splat_of(quantiser, symbols);
            let moved = Splat {
                x: self.brought_back(splat.x + window.origin[0] as f32, 0),
                y: self.brought_back(splat.y + window.origin[1] as f32, 1),
                ..splat
            };
            to.symbols.push(place(quantiser, symbols.scales, &moved));
        }
        to.colours.extend_from_slice(&from.colours);
    }

    /// Which window of [`Self::all`] has the centre of a Gaussian of the picture in its core.
    pub(super) fn of_centre(&self, quantiser: &Quantiser, symbols: &Symbols) -> usize {
        let at = |index: u32, axis: usize| {
            let pixel = (quantiser.centre_fixed(symbols.scales, index) / 8) as u32;
            pixel.min(self.size[axis] - 1) / self.core[axis]
        };
        (at(symbols.y, 1) * self.size[0].div_ceil(self.core[0]) + at(symbols.x, 0)) as usize
    }

    /// What part of another window's core lies in a window.
    pub(super) fn overlap(&self, window: &Window, other: &Window) -> f64 {
        let along = |axis: usize| {
            let [from, end] = other.core[axis].map(i64::from);
            let (origin, size) = (window.origin[axis], i64::from(self.size[axis]));
            let shifts = if self.wraps[axis] { -1..=1 } else { 0..=0 };
            let common = shifts.map(|k| {
                let (from, end) = (from + k * size, end + k * size);
                (end.min(origin + i64::from(window.size[axis])) - from.max(origin)).max(0)
            });
            common.sum::<i64>() as f64 / (end - from) as f64
        };
        along(0) * along(1)
    }

    /// Of Gaussians of the picture those that reach a window but are none of its own, if it has a number, as they lie in it.
    pub(super) fn beneath(
        &self,
        window: (Option<usize>, &Window),
        quantiser: &Quantiser,
        set: &GaussianSet,
    ) -> Cloud {
        let (number, window) = window;
        let planes = quantiser.planes();
        let mut near = GaussianSet::default();
        for (symbols, colours) in set.symbols.iter().zip(set.colours.chunks_exact(planes)) {
            if Some(self.of_centre(quantiser, symbols)) != number {
                near.symbols.push(*symbols);
                near.colours.extend_from_slice(colours);
            }
        }
        let near = dequantise(&near, quantiser);
        let mut cloud = Cloud::new(planes);
        for index in 0..near.len() {
            let splat = near.splat(index);
            let half = splat.shape().half;
            let shifts = |axis: usize| match self.wraps[axis] && !window.wraps[axis] {
                true => vec![-1.0, 0.0, 1.0],
                false => vec![0.0],
            };
            for down in shifts(1) {
                for across in shifts(0) {
                    let x = splat.x - window.origin[0] as f32 + across * self.size[0] as f32;
                    let y = splat.y - window.origin[1] as f32 + down * self.size[1] as f32;
                    let is_near = |at: f32, axis: usize| {
                        at + half[axis] > 0.0 && at - half[axis] < window.size[axis] as f32
                            || window.wraps[axis]
                    };
                    if is_near(x, 0) && is_near(y, 1) {
                        cloud.push(&Splat { x, y, ..splat }, near.colours(index));
                    }
                }
            }
        }
        cloud
    }
}

impl Window {
    /// What is to be fitted in it.
    pub(super) fn target(&self, source: &Source<'_>, most_sigma: f32) -> Target {
        let (planes, importance) = source.part(self.origin, self.size);
        let size = self.size.map(|pixels| pixels as usize);
        let mut target = Target::new(size[0], size[1], planes, importance);
        target.most_sigma = most_sigma;
        target.gains.clone_from(&source.gains);
        target.repeating(self.wraps)
    }

    /// The part of the picture of its core, and no more.
    pub(super) fn inner(&self) -> Self {
        Self {
            origin: self.core.map(|[from, _]| i64::from(from)),
            size: self.core.map(|[from, end]| end - from),
            ..*self
        }
    }

    /// Pixels of the core.
    pub(super) fn pixels(&self) -> f64 {
        self.core.iter().map(|[from, end]| f64::from(end - from)).product()
    }

    /// A Gaussian of its core as it lies in the window.
    pub(super) fn symbols_in(&self, quantiser: &Quantiser, symbols: &Symbols) -> Symbols {
        let bits = quantiser.position_bits(symbols.scales);
        // Four positions of the finest step to a pixel; corners are at whole steps of all.
        let moved = |index: u32, axis: usize| (i64::from(index) - ((self.origin[axis] * 4) >> bits)) as u32;
        Symbols { x: moved(symbols.x, 0), y: moved(symbols.y, 1), ..*symbols }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcodec_format::{ChannelGroup, GroupKind};

    fn picture(width: u32, height: u32) -> Picture {
        let group = ChannelGroup::of(GroupKind::Grey);
        let channels = vec![(0..width * height).map(|i| i as f32).collect()];
        Picture { width, height, groups: vec![group], channels, wraps: [false; 2] }
    }

    #[test]
    fn cores_cover_the_picture_once() {
        for (width, height, wraps) in
            [(600, 300, [false; 2]), (1000, 700, [true, false]), (257, 900, [true; 2])]
        {
            let windows = Windows::of(&picture(width, height), wraps, Some(256)).unwrap();
            let all = windows.all();
            assert_eq!(all.iter().map(Window::pixels).sum::<f64>(), f64::from(width * height));
            for window in &all {
                for axis in 0..2 {
                    assert!(window.origin[axis] % i64::from(GRAIN) == 0);
                    let end = window.origin[axis] + i64::from(window.size[axis]);
                    assert!(wraps[axis] || window.origin[axis] >= 0 && end <= [width, height][axis].into());
                }
            }
        }
        assert!(Windows::of(&picture(256, 100), [false; 2], Some(256)).is_none());
        assert!(Windows::of(&picture(500, 500), [false; 2], None).is_none());
    }

    #[test]
    fn a_part_beyond_an_edge_is_what_is_at_the_other() {
        let picture = picture(32, 32);
        let part = picture.part([-2, 31], [4, 2]);
        assert_eq!(
            part.channels[0],
            [31 * 32 + 30, 31 * 32 + 31, 31 * 32, 31 * 32 + 1, 30, 31, 0, 1].map(|i| i as f32)
        );
    }
}
