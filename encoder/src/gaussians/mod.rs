//! Images as 2D Gaussians: the float fit, and the exact discrete descent on the quantised symbols. Source of all constants: the design
//! note on Gaussian fitting, whose sections the documentation names.

mod adam;
mod cloud;
mod energy;
mod fit;
#[cfg(feature = "gpu")]
mod on_gpu;
mod pages;
mod patch;
mod price;
mod pursuit;
mod quantise;
mod refine;
#[cfg(feature = "gpu")]
mod refine_on_gpu;
mod step;
mod target;
#[cfg(test)]
mod tests;
mod tiles;
mod wrap;

pub use cloud::Cloud;
pub use energy::{picture_of, plane_errors, removal_energies, squared_errors};
pub use fit::{FitOptions, Fitted, Progress, fit, fit_prefixes};
#[cfg(feature = "gpu")]
pub use on_gpu::{fit_on, fit_prefixes_on};
pub use pages::Paging;
pub use price::Pricing;
pub(crate) use quantise::place;
pub use quantise::{dequantise, quantise};
pub(crate) use refine::DROPS;
pub use refine::{RefineOptions, Refined, refine};
#[cfg(feature = "gpu")]
pub use refine_on_gpu::refine_on;
pub use target::Target;
pub(crate) use target::opponent_planes;
