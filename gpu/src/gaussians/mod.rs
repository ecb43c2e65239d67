//! Pictures of 2D Gaussians: drawing them, fitting them, and the descent on their quantised forms.
//!
//! Everything here is plain numbers: no types of the format. Sums over Gaussians run by rising index and sums over pixels in a fixed order, so
//! that one device always gives the same.

mod descent;
mod fit;
mod grid;
pub(crate) mod kernel;
mod pursuit;
mod render;
#[cfg(test)]
mod tests;
mod texture;

pub use descent::{Candidate, Choice, Descent, MOST_CANDIDATES, Shape, Sweep, Swept, Turn};
pub use fit::{Fit, GEOMETRY, Moves, Picture, Plan};
pub(crate) use kernel::Kernels;
pub use render::{Form, Scene, View};
pub use texture::{Target, Texels};

/// Most channels of a picture.
pub const MAX_CHANNELS: usize = 16;
