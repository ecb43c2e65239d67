//! What a caller chooses of an image.

/// How large or how good the file is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// 0 (smallest) to 100 (best): 0.3 bits per pixel at 50, and twice as many for each 17 above.
    Quality(f64),
    /// The whole file has at most this many bits per pixel, and within 3% of it.
    BitsPerPixel(f64),
    /// So many Gaussians.
    Gaussians(usize),
    /// At least this PSNR, in dB over all channels.
    Psnr(f64),
}

impl Default for Rate {
    fn default() -> Self {
        Self::Quality(50.0)
    }
}

impl Rate {
    /// Bits per pixel that a quality stands for.
    #[must_use]
    pub fn bits_of_quality(quality: f64) -> f64 {
        0.3 * ((quality - 50.0) / 50.0 * 3.0).exp2()
    }
}

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

/// How to make an image.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    /// How large or how good.
    pub rate: Rate,
    /// Layers; each prefix of them is a picture. `None`: 1 up to a megapixel, else 3.
    pub levels: Option<usize>,
    /// Pages.
    pub paging: Paging,
    /// For each pixel, row by row, how much its squared error counts: 0 and more.
    pub importance: Option<Vec<f32>>,
    /// If the work is interrupted, make the file of what there is.
    pub save_on_interrupt: bool,
}
