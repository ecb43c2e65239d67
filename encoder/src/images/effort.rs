//! How long an image is fitted: steps of the float fit and sweeps of the descent by effort, and more where Gaussians lie densely or the
//! image is small.

/// Steps of the fit by effort, from 1.
const STEPS: [usize; 9] = [60, 120, 200, 300, 400, 500, 700, 1000, 1600];
/// Sweeps of the descent by effort, from 1.
const SWEEPS: [usize; 9] = [1, 2, 3, 5, 8, 8, 8, 10, 12];
/// From this effort on coded Gaussians are moved elsewhere too, so often: each time takes a third of the time of all else, and three together give
/// 0.07 dB in the mean.
const MOVING: usize = 7;
const TIMES: usize = 3;
/// Gaussians per pixel, about those of 0.4 bits per pixel, from which more steps pay: as many times more as there are more Gaussians, ...
const DENSE: f64 = 0.016;
/// ... up to so many. At 1 bit per pixel they give 0.17 dB, at 0.3 not half of that.
const MOST_OF_DENSE: f64 = 2.5;
/// Samples of an image, 1.5 million pixels of three, below which more steps take little time: as many times more as it has fewer, ...
const SMALL: f64 = 4.5e6;
/// ... up to so many. Photographs of 768 x 512 gain 0.1 dB by them at 0.15 and 0.3 bits per pixel.
const MOST_OF_SMALL: f64 = 2.0;
/// Both together do not take longer than this many times.
const MOST: f64 = 3.0;

/// Steps and sweeps of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Steps of a fit from nothing.
    pub(super) steps: usize,
    /// Most sweeps of a descent.
    pub(super) sweeps: usize,
    /// How often coded Gaussians are moved elsewhere.
    pub(super) relocations: usize,
}

impl Effort {
    /// Of an effort of 1 to 9 (others count as the nearest), for `count` Gaussians in so many pixels of so many planes.
    pub(super) fn of(effort: u8, count: usize, pixels: f64, planes: usize) -> Self {
        let dense = (count as f64 / pixels / DENSE).clamp(1.0, MOST_OF_DENSE);
        let small = (SMALL / (pixels * planes as f64)).clamp(1.0, MOST_OF_SMALL);
        let level = usize::from(effort.clamp(1, 9)) - 1;
        // A short descent stays short: it drops no surplus.
        let sweeps = if level < 4 { SWEEPS[level] as f64 } else { SWEEPS[level] as f64 * dense.sqrt() };
        let steps = (STEPS[level] as f64 * (dense * small).min(MOST)) as usize;
        Self { steps, sweeps: sweeps as usize, relocations: if level + 1 < MOVING { 0 } else { TIMES } }
    }

    /// Steps of the fit of a level.
    pub(super) fn steps_of_level(&self, level: usize) -> usize {
        if level == 0 { self.steps } else { self.steps * 2 / 3 }
    }

    /// Steps of all levels and of moving them together.
    pub(super) fn all_steps(&self, levels: usize) -> usize {
        let together = if levels > 1 { self.steps } else { 0 };
        (0..levels).map(|level| self.steps_of_level(level)).sum::<usize>() + together
    }
}
