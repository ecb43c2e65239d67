//! Images as 2D Gaussians: the normative rendering rule, on the CPU.
//!
//! A pixel is (sum of w c + 0.1 mean) / (sum of w + 0.1) over the Gaussians in index order, where w is a Gaussian's value at the pixel's
//! centre less exp(-4.5), never below 0, and c its colour. See [`exp`] for the exponential and [`Shape`] for a Gaussian's value.

mod dequantise;
pub mod exp;
pub mod lanes;
#[cfg(feature = "gpu")]
mod on_gpu;
mod render;
mod sampler;
mod splat;

pub use dequantise::splat_of;
#[cfg(feature = "gpu")]
pub use on_gpu::DeviceScene;
pub use render::{Scene, View};
pub use sampler::Sampler;
pub use splat::{CUT, Shape, Splat};

/// Weight of the mean colour in the blend.
pub const MEAN_WEIGHT: f32 = 0.1;
