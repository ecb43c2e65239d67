//! Images as sets of Gaussians: pictures in, layers of pages out.

mod balance;
mod device;
mod effort;
pub(crate) mod file;
mod fit;
#[cfg(feature = "images")]
pub mod import;
#[cfg(feature = "images")]
mod ktx2;
mod layer;
mod levels;
mod masking;
mod mosaic;
#[cfg(feature = "images")]
mod names;
mod options;
#[cfg(feature = "images")]
pub(crate) mod paths;
mod picture;
mod planes;
#[cfg(feature = "images")]
mod profile;
mod restore;
mod steps;
mod windows;
pub(crate) mod write;
mod written;

pub use crate::gaussians::Paging;
pub use file::encode_image;
pub use fit::{EncodedImage, SizeOf, encode_picture};
pub use layer::{CodedLayer, code_layer};
pub use options::{ImageOptions, Importance, Profile, Rate};
#[cfg(feature = "images")]
pub use paths::encode_stack;
pub use picture::Picture;
