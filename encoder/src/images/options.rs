//! What a caller chooses of an image.

use super::picture::Picture;
use super::restore;
use crate::gaussians::Paging;
use mcodec_format::registry;

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
    /// About this PSNR, or the best that a few tries come to.
    Near(f64),
    /// The picture is noisy, or comes from JPEG: what is fitted stops short of the damage.
    Restore,
}

impl Default for Rate {
    fn default() -> Self {
        Self::Quality(50.0)
    }
}

impl Rate {
    /// What is aimed at for a picture: [`Rate::Restore`] becomes [`Rate::Near`] one, or the usual quality if the picture is clean. `steps`: of luma, if it comes from
    /// a JPEG file, row by row.
    #[must_use]
    pub fn of_picture(self, picture: &Picture, steps: Option<&[u16; 64]>) -> Self {
        match self {
            Self::Restore => restore::target(picture, steps).map_or_else(Self::default, Self::Near),
            other => other,
        }
    }

    /// Bits per pixel that a quality stands for.
    #[must_use]
    pub fn bits_of_quality(quality: f64) -> f64 {
        0.3 * ((quality - 50.0) / 50.0 * 3.0).exp2()
    }
}

/// How layers are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Under mixed contexts that learn: the fewest bytes.
    #[default]
    Dense,
    /// Under static tables: somewhat more bytes, read several times as fast.
    Fast,
}

impl Profile {
    /// The coding's id.
    pub(super) fn coding(self) -> u64 {
        match self {
            Self::Dense => registry::coding::GAUSSIANS,
            Self::Fast => registry::coding::GAUSSIANS_FAST,
        }
    }

    /// The profile of a layer's coding.
    #[must_use]
    pub fn of(coding: u64) -> Self {
        if coding == registry::coding::GAUSSIANS_FAST { Self::Fast } else { Self::Dense }
    }
}

/// How much squared errors count at each pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// Pixels across and down.
    pub size: [u32; 2],
    /// Row by row: 0 and more.
    pub weights: Vec<f32>,
}

impl Importance {
    /// How much more a white pixel of a mask counts than a black one.
    const CONTRAST: f32 = 16.0;

    /// From a picture: its first channels' mean, black to white.
    #[must_use]
    pub fn of_mask(mask: &Picture) -> Self {
        let colours = mask.channels.len().clamp(1, 3);
        let value = |pixel: usize| {
            mask.channels[..colours].iter().map(|channel| channel[pixel]).sum::<f32>() / colours as f32
        };
        let pixels = mask.width as usize * mask.height as usize;
        let weights = (0..pixels).map(|pixel| 1.0 + value(pixel) * (Self::CONTRAST - 1.0)).collect();
        Self { size: [mask.width, mask.height], weights }
    }
}

/// How to make an image.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    /// How large or how good.
    pub rate: Rate,
    /// Layers; each prefix of them is a picture. `None`: 1 up to a megapixel, else 3; 3 of all pictures of a folder.
    pub levels: Option<usize>,
    /// Pages.
    pub paging: Paging,
    /// Coding.
    pub profile: Profile,
    /// How much squared errors count where.
    pub importance: Option<Importance>,
    /// Weigh errors as the eye does, where no map of importance says otherwise.
    pub masking: bool,
    /// Fit windows of at most so many pixels along a side one after another. `None`: as the memory for it asks, about 1600 of colours, and only pictures
    /// above about 6 megapixels.
    pub window: Option<u32>,
    /// Whether pictures repeat along x (first) and y. `None`: as each picture says.
    pub wraps: Option<[bool; 2]>,
    /// If the work is interrupted, make the file of what there is.
    pub save_on_interrupt: bool,
}
