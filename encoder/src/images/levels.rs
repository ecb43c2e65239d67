//! The levels of an image: how many Gaussians each prefix has, and how much it counts.
//!
//! A level that is coded by itself costs bytes: which Gaussian is on which level is known then. So the first one is half of the file and nearly as
//! good as a file of its size would be, and those after it share the other half.

/// Gaussians of the first level as a part of all: they take more bits each, so that these are about half the bytes.
const FIRST: f64 = 0.41;
/// What the squared error of the first level counts beside that of the whole, and that of those in between.
const WEIGHTS: [f32; 2] = [0.55, 0.1];

/// Gaussians of this level and those below it, as a part of all.
pub(super) fn part_of(level: usize, levels: usize) -> f64 {
    match levels.saturating_sub(1) {
        0 => 1.0,
        last => FIRST + (1.0 - FIRST) * level as f64 / last as f64,
    }
}

/// What the squared error of the picture of a level and those below it counts, where the whole counts 1.
pub(super) fn weight_of(level: usize) -> f32 {
    WEIGHTS[level.min(1)]
}
