//! Images as sets of Gaussians: pictures in, layers of pages out.

mod file;
mod fit;
#[cfg(feature = "images")]
pub mod import;
mod layer;
mod options;
mod picture;
mod write;

pub use file::encode_image;
pub use fit::{EncodedImage, SizeOf, encode_picture};
pub use layer::{CodedLayer, code_layer};
pub use options::{ImageOptions, Importance, Paging, Rate};
pub use picture::Picture;
