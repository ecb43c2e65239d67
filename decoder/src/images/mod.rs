//! Images as sets of Gaussians: what an asset says, what a region needs, and the Gaussians of it (SPEC section 5.8).

mod hash;
mod planes;
mod reader;
mod sets;
#[cfg(feature = "textures")]
mod texture;

pub use hash::{ImageHasher, content_hash};
pub use planes::{ALPHA_SCALE, channels_of, channels_of_all, coded_image, plane_roles};
pub use reader::{ImageReader, MAX_LAYERS, Region};
pub use sets::{Below, areas_of_chunk, page_grid};
#[cfg(feature = "textures")]
pub use texture::{TexelFormat, mip_size, texels};
