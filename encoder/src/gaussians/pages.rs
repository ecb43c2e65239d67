//! How the Gaussians of a layer are cut into pages: for the file, and for what the coder would charge.

use mcodec_format::MAX_PAGE;

/// Pages have at least this many bytes on average.
const PAGE_BYTES: u64 = 4096;
/// A layer of fewer bytes is one chunk.
const WHOLE_BYTES: u64 = 4 * PAGE_BYTES;
/// Bytes of a Gaussian, about.
const GAUSSIAN_BYTES: u64 = 4;

/// How a layer is cut into pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paging {
    /// One chunk for small layers, else pages of about 4 KiB.
    #[default]
    Auto,
    /// One chunk.
    Whole,
    /// Pages of this side, in pixels: a multiple of 8.
    Side(u32),
}

impl Paging {
    /// Side of the pages of a layer of so many Gaussians of a picture of this size, in pixels; `None`: it is one chunk.
    #[must_use]
    pub fn side(self, size: [u32; 2], gaussians: usize) -> Option<u32> {
        let is_whole = size[0].max(size[1]) <= MAX_PAGE;
        let bytes = gaussians as u64 * GAUSSIAN_BYTES;
        match self {
            Self::Side(side) => Some(side),
            Self::Whole if is_whole => None,
            Self::Auto if is_whole && bytes <= WHOLE_BYTES => None,
            Self::Whole | Self::Auto => {
                let pixels = u64::from(size[0]) * u64::from(size[1]);
                let mut side = 128;
                while side < MAX_PAGE && u64::from(side) * u64::from(side) * bytes < PAGE_BYTES * pixels {
                    side *= 2;
                }
                Some(side)
            }
        }
    }
}
