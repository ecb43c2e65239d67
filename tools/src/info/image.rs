//! What there is to say of an image.

use mcodec_decode::gaussians::Sampler;
use mcodec_decode::images::{ImageReader, page_grid};
use mcodec_decode::{ReadAt, Reader};
use mcodec_format::{Asset, ChannelGroup, Depth, GroupKind, Transfer, registry};
use serde::Serialize;

/// An image.
#[derive(Debug, Serialize)]
pub(crate) struct ImageInfo {
    /// Pixels across.
    pub(super) width: u32,
    /// Pixels down.
    pub(super) height: u32,
    /// Whether it repeats along x (first) and y.
    pub(super) repeats: [bool; 2],
    /// What its channels are.
    pub(super) channels: Vec<String>,
    /// Bytes of all its chunks, in bits for each pixel.
    pub(super) bits_per_pixel: f64,
    /// Layers, the coarsest first.
    pub(super) levels: Vec<LevelInfo>,
    /// What drawing takes; null unless the chunks were read.
    pub(super) drawing: Option<DrawingInfo>,
}

/// A layer of an image.
#[derive(Debug, Serialize)]
pub(crate) struct LevelInfo {
    /// How its Gaussians are coded.
    pub(super) coding: &'static str,
    /// Side of its pages in pixels; null if it is one chunk.
    pub(super) page: Option<u32>,
    /// Pages across and down.
    pub(super) pages: [u32; 2],
    /// Bytes of what all pages need.
    pub(super) shared_bytes: u64,
    /// Bytes of all its chunks.
    pub(super) bytes: u64,
    /// Gaussians; null unless the chunks were read.
    pub(super) gaussians: Option<u64>,
}

/// What drawing an image takes.
#[derive(Debug, Serialize)]
pub(crate) struct DrawingInfo {
    /// Gaussians that reach a pixel, on average.
    pub(super) mean_gaussians: f64,
    /// Of the pixel with the most.
    pub(super) most_gaussians: usize,
    /// Multiplications with additions for a pixel, on average.
    pub(super) mean_multiply_adds: f64,
    /// Of the pixel with the most.
    pub(super) most_multiply_adds: usize,
}

/// Multiply-adds of one Gaussian at one pixel: 3 of the form, 2 of the exponent, 5 of the exponential, 1 for the weight, 1 for each plane.
fn multiply_adds(planes: usize) -> usize {
    11 + planes
}

/// The image of an asset, as far as it can be read.
pub(super) fn image_info<S: ReadAt>(reader: &Reader<S>, asset: &Asset, deep: bool) -> Option<ImageInfo> {
    let image = ImageReader::new(reader, asset).ok()?;
    let descriptor = image.descriptor();
    let mut levels = Vec::new();
    for (at, (entry, layer)) in image.layers().enumerate() {
        let lengths = &entry.row().lengths;
        let gaussians = deep.then(|| image.read_chunks(at, 0..entry.byte_len()).ok()).flatten();
        let count = |sets: Vec<Vec<mcodec_coding::gaussians::GaussianSet>>| {
            sets.iter().flatten().map(|set| set.symbols.len() as u64).sum()
        };
        levels.push(LevelInfo {
            coding: registry::name_of(&registry::coding::ALL, layer.chunking.coding).unwrap_or("unknown"),
            page: layer.page,
            pages: layer.page.map_or([1, 1], |side| page_grid(descriptor, side).into()),
            shared_bytes: layer.page.and(lengths.first().copied()).unwrap_or(0),
            bytes: lengths.iter().fold(0, |sum, &len| sum.saturating_add(len)),
            gaussians: gaussians.map(count),
        });
    }
    let bytes: u64 = levels.iter().map(|level| level.bytes).sum();
    let pixels = f64::from(descriptor.width) * f64::from(descriptor.height);
    Some(ImageInfo {
        width: descriptor.width,
        height: descriptor.height,
        repeats: descriptor.wraps,
        channels: descriptor.groups.iter().map(channels).collect(),
        bits_per_pixel: bytes as f64 * 8.0 / pixels,
        drawing: if deep { drawing(&image) } else { None },
        levels,
    })
}

fn channels(group: &ChannelGroup) -> String {
    let what = match group.kind {
        GroupKind::Grey => "grey".to_owned(),
        GroupKind::Colour => "colour".to_owned(),
        GroupKind::GreyAlpha => "grey with alpha".to_owned(),
        GroupKind::ColourAlpha => "colour with alpha".to_owned(),
        GroupKind::Data => group.channels.join(", "),
    };
    let transfer = match group.transfer {
        Transfer::Srgb => "sRGB",
        Transfer::Linear => "linear",
        Transfer::Log2 => "high range",
    };
    let depth = match group.depth {
        Depth::Unorm8 => "8 bits",
        Depth::Unorm16 => "16 bits",
        Depth::Float => "floats",
    };
    let name = if group.name.is_empty() { String::new() } else { format!("{}: ", group.name) };
    format!("{name}{what}, {transfer}, {depth}")
}

/// Pixels that are looked at along an axis, at most.
const SAMPLES: u32 = 512;

fn drawing<S: ReadAt>(image: &ImageReader<'_, S>) -> Option<DrawingInfo> {
    let (width, height) = (image.descriptor().width, image.descriptor().height);
    let scene = image.scene(image.whole(), 1.0, None).ok()?;
    let sampler = Sampler::new(scene, width, height).ok()?;
    let (mut sum, mut most, mut count) = (0usize, 0usize, 0usize);
    let places = |side: u32| (0..side).step_by(side.div_ceil(SAMPLES) as usize);
    for y in places(height) {
        for x in places(width) {
            let reaching = sampler.reaching(x as f32 + 0.5, y as f32 + 0.5);
            sum += reaching;
            most = most.max(reaching);
            count += 1;
        }
    }
    let mean = sum as f64 / count.max(1) as f64;
    let each = multiply_adds(image.descriptor().channel_count());
    Some(DrawingInfo {
        mean_gaussians: mean,
        most_gaussians: most,
        mean_multiply_adds: mean * each as f64,
        most_multiply_adds: most * each,
    })
}
