//! Images as sets of Gaussians: pictures in, layers of pages out.

#[cfg(feature = "images")]
pub mod import;
mod layer;
mod picture;
mod write;

pub use layer::{CodedLayer, code_layer};
pub use picture::Picture;
