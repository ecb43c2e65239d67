//! Drawn pixels as texels and blocks that graphics hardware samples (Khronos Data Format Specification: BC1 to BC7).

use crate::{DecodeError, Result};
use block_compression::encode::{compress_rgba8, compress_rgba16};
use block_compression::{BC6HSettings, BC7Settings, CompressionVariant};
use half::f16;
use mcodec_format::{ChannelGroup, Depth, GroupKind, Limits, Transfer};
use rayon::prelude::*;

/// What a texture holds for a pixel, or for a block of 4 x 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TexelFormat {
    /// Red, green, blue and alpha, a byte each.
    Rgba8,
    /// The same as half floats, proportional to light.
    Rgba16Float,
    /// Red, green and blue: 8 bytes a block.
    Bc1,
    /// One channel: 8 bytes a block.
    Bc4,
    /// Two channels: 16 bytes a block.
    Bc5,
    /// Red, green and blue as half floats of no sign, proportional to light: 16 bytes a block.
    Bc6h,
    /// Red, green, blue and alpha: 16 bytes a block.
    Bc7,
}

/// Pixels along a side of a block.
const BLOCK: usize = 4;
/// Rows of blocks that one thread makes at a time.
const STRIP: usize = 4;

impl TexelFormat {
    /// Pixels along a side of what [`TexelFormat::unit_bytes`] are of.
    #[must_use]
    pub fn unit_side(self) -> u32 {
        if matches!(self, Self::Rgba8 | Self::Rgba16Float) { 1 } else { BLOCK as u32 }
    }

    /// Bytes of a pixel, or of a block.
    #[must_use]
    pub fn unit_bytes(self) -> u32 {
        match self {
            Self::Rgba8 => 4,
            Self::Rgba16Float | Self::Bc1 | Self::Bc4 => 8,
            Self::Bc5 | Self::Bc6h | Self::Bc7 => 16,
        }
    }

    /// Bytes of so many pixels across and down.
    #[must_use]
    pub fn byte_len(self, [width, height]: [u32; 2]) -> u64 {
        let side = self.unit_side();
        u64::from(width.div_ceil(side)) * u64::from(height.div_ceil(side)) * u64::from(self.unit_bytes())
    }

    /// Whether its numbers are floats that are proportional to light.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::Rgba16Float | Self::Bc6h)
    }

    fn variant(self, opaque: bool) -> Option<CompressionVariant> {
        Some(match self {
            Self::Rgba8 | Self::Rgba16Float => return None,
            Self::Bc1 => CompressionVariant::BC1,
            Self::Bc4 => CompressionVariant::BC4,
            Self::Bc5 => CompressionVariant::BC5,
            Self::Bc6h => CompressionVariant::BC6H(BC6HSettings::basic()),
            Self::Bc7 if opaque => CompressionVariant::BC7(BC7Settings::opaque_basic()),
            Self::Bc7 => CompressionVariant::BC7(BC7Settings::alpha_basic()),
        })
    }
}

/// Pixels of a mip level: the sides halved so often, rounded down, and at least 1.
#[must_use]
pub fn mip_size(size: [u32; 2], level: u32) -> [u32; 2] {
    size.map(|side| side.checked_shr(level).unwrap_or(0).max(1))
}

/// The texels of drawn pixels: `samples` are the group's channels of each pixel, row by row. One grey channel fills red, green and blue;
/// data fill red, green, blue and alpha in their order. Blocks that reach beyond the picture repeat its last row and column. Bytes
/// of texels and blocks row by row, without gaps.
///
/// # Errors
/// [`DecodeError::Request`] if the group has more channels than a texel or is of floats that the form cannot hold, or if there are not `width * height`
/// pixels; a limit, if the texels are more than it.
pub fn texels(
    samples: &[f32],
    group: &ChannelGroup,
    size: [u32; 2],
    format: TexelFormat,
    limits: &Limits,
) -> Result<Vec<u8>> {
    let channels = group.channel_count();
    if channels > 4 {
        return Err(DecodeError::Request(format!("a texel holds 4 channels, not {channels}")));
    }
    if group.depth == Depth::Float && !format.is_float() {
        return Err(DecodeError::Request("the channels are floats: only f16 and bc6h hold them".into()));
    }
    let [width, height] = size.map(|side| side as usize);
    if samples.len() != width * height * channels || samples.is_empty() {
        let pixels = samples.len() / channels.max(1);
        return Err(DecodeError::Request(format!("{pixels} pixels are not {width} x {height}")));
    }
    // Of what is made and of the rows that it is made of.
    Limits::check("bytes of texels", format.byte_len(size).saturating_mul(2), limits.memory)?;
    let opaque = !matches!(group.kind, GroupKind::ColourAlpha | GroupKind::GreyAlpha) && channels < 4;
    let source = Source { samples, group, channels, size: [width, height], linear: format.is_float() };
    let mut out = vec![0; format.byte_len(size) as usize];
    let Some(variant) = format.variant(opaque) else {
        let row_bytes = width * format.unit_bytes() as usize;
        out.par_chunks_exact_mut(row_bytes).enumerate().for_each(|(y, row)| {
            let texels = row.chunks_exact_mut(format.unit_bytes() as usize);
            texels.enumerate().for_each(|(x, texel)| match format {
                TexelFormat::Rgba8 => texel.copy_from_slice(&source.at(x, y).map(byte)),
                _ => texel.as_chunks_mut::<2>().0.iter_mut().zip(source.at(x, y)).for_each(|(out, value)| {
                    *out = f16::from_f32(value).to_le_bytes();
                }),
            });
        });
        return Ok(out);
    };
    let across = width.div_ceil(BLOCK) * BLOCK;
    let strip_bytes = across / BLOCK * STRIP * format.unit_bytes() as usize;
    out.par_chunks_mut(strip_bytes).enumerate().for_each(|(strip, blocks)| {
        let rows = blocks.len() / (across / BLOCK * format.unit_bytes() as usize) * BLOCK;
        let top = strip * STRIP * BLOCK;
        let pixels = (0..rows).flat_map(|y| (0..across).map(move |x| (x, top + y)));
        if format == TexelFormat::Bc6h {
            let texels: Vec<f16> = pixels.flat_map(|(x, y)| source.at(x, y).map(f16::from_f32)).collect();
            compress_rgba16(variant, &texels, blocks, across as u32, rows as u32, across as u32 * 4);
        } else {
            let texels: Vec<u8> = pixels.flat_map(|(x, y)| source.at(x, y).map(byte)).collect();
            compress_rgba8(variant, &texels, blocks, across as u32, rows as u32, across as u32 * 4);
        }
    });
    Ok(out)
}

fn byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// The greatest half float.
const MOST: f32 = 65504.0;

/// Drawn pixels, as red, green, blue and alpha.
struct Source<'a> {
    samples: &'a [f32],
    group: &'a ChannelGroup,
    channels: usize,
    size: [usize; 2],
    /// Colours are wanted proportional to light.
    linear: bool,
}

impl Source<'_> {
    /// The pixel there, or the nearest one.
    fn at(&self, x: usize, y: usize) -> [f32; 4] {
        let [width, height] = self.size;
        let pixel = y.min(height - 1) * width + x.min(width - 1);
        let mut texel = match (self.group.kind, &self.samples[pixel * self.channels..][..self.channels]) {
            (GroupKind::Grey, &[grey]) => [grey, grey, grey, 1.0],
            (GroupKind::GreyAlpha, &[grey, alpha]) => [grey, grey, grey, alpha],
            (_, values) => {
                let mut texel = [0.0, 0.0, 0.0, 1.0];
                texel.iter_mut().zip(values).for_each(|(texel, value)| *texel = *value);
                texel
            }
        };
        if self.linear {
            for value in &mut texel[..3] {
                if self.group.transfer == Transfer::Srgb {
                    *value = light_of(*value);
                }
                *value = value.clamp(-MOST, MOST);
            }
        }
        texel
    }
}

/// The light that a colour stands for which sRGB encodes (IEC 61966-2-1).
fn light_of(colour: f32) -> f32 {
    if colour <= 0.040_45 { colour / 12.92 } else { ((colour + 0.055) / 1.055).powf(2.4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(kind: GroupKind, channels: usize) -> ChannelGroup {
        ChannelGroup {
            kind,
            transfer: Transfer::Srgb,
            depth: Depth::Unorm8,
            name: String::new(),
            channels: if kind == GroupKind::Data {
                (0..channels).map(|c| c.to_string()).collect()
            } else {
                Vec::new()
            },
            bounds: [0.0, 1.0],
        }
    }

    /// Slow enough for a block to follow.
    fn ramp(width: usize, height: usize, channels: usize) -> Vec<f32> {
        (0..width * height * channels)
            .map(|i| {
                let (pixel, c) = (i / channels, i % channels);
                (pixel % width) as f32 * 0.008 + (pixel / width) as f32 * 0.01 + c as f32 * 0.05
            })
            .collect()
    }

    /// The pixels of a block, by another's decoder.
    fn decoded(format: TexelFormat, block: &[u8]) -> [[f32; 4]; 16] {
        let mut bytes = [0u8; 64];
        let mut pixels = [[0.0, 0.0, 0.0, 1.0]; 16];
        let channels = match format {
            TexelFormat::Bc1 => {
                bcdec_rs::bc1(block, &mut bytes, 16);
                4
            }
            TexelFormat::Bc4 => {
                bcdec_rs::bc4(block, &mut bytes, 4, false);
                1
            }
            TexelFormat::Bc5 => {
                bcdec_rs::bc5(block, &mut bytes, 8, false);
                2
            }
            TexelFormat::Bc6h => {
                let mut floats = [0.0; 48];
                bcdec_rs::bc6h_float(block, &mut floats, 12, false);
                pixels.iter_mut().zip(floats.as_chunks::<3>().0).for_each(|(p, f)| p[..3].copy_from_slice(f));
                return pixels;
            }
            _ => {
                bcdec_rs::bc7(block, &mut bytes, 16);
                4
            }
        };
        for (pixel, bytes) in pixels.iter_mut().zip(bytes.chunks_exact(channels)) {
            pixel.iter_mut().zip(bytes).for_each(|(value, byte)| *value = f32::from(*byte) / 255.0);
        }
        pixels
    }

    #[test]
    fn blocks_come_near_the_pixels_also_at_odd_sides() {
        let limits = Limits::default();
        for (format, kind, channels, most) in [
            (TexelFormat::Bc1, GroupKind::Colour, 3, 0.04),
            (TexelFormat::Bc7, GroupKind::ColourAlpha, 4, 0.03),
            (TexelFormat::Bc7, GroupKind::Colour, 3, 0.03),
            (TexelFormat::Bc4, GroupKind::Grey, 1, 0.02),
            (TexelFormat::Bc5, GroupKind::Data, 2, 0.02),
        ] {
            for size in [[33u32, 18u32], [1, 1], [4, 7], [16, 40]] {
                let [width, height] = size.map(|side| side as usize);
                let samples = ramp(width, height, channels);
                let blocks = texels(&samples, &group(kind, channels), size, format, &limits).unwrap();
                assert_eq!(blocks.len() as u64, format.byte_len(size));
                for (at, value) in samples.iter().enumerate() {
                    let (pixel, c) = (at / channels, at % channels);
                    let (x, y) = (pixel % width, pixel / width);
                    let block = y / 4 * width.div_ceil(4) + x / 4;
                    let unit = format.unit_bytes() as usize;
                    let back = decoded(format, &blocks[block * unit..][..unit]);
                    let error = (back[y % 4 * 4 + x % 4][c] - value).abs();
                    assert!(error < most, "{format:?} {size:?} {pixel} {c}: {error}");
                }
            }
        }
    }

    #[test]
    fn halves_are_proportional_to_light_and_bytes_are_as_coded() {
        let limits = Limits::default();
        let samples = [0.5, 0.0, 1.0];
        let group = group(GroupKind::Colour, 3);
        let bytes = texels(&samples, &group, [1, 1], TexelFormat::Rgba8, &limits).unwrap();
        assert_eq!(bytes, [128, 0, 255, 255]);
        let halves = texels(&samples, &group, [1, 1], TexelFormat::Rgba16Float, &limits).unwrap();
        let halves: Vec<f32> =
            halves.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect();
        assert!((halves[0] - 0.214).abs() < 1e-3 && halves[1..] == [0.0, 1.0, 1.0], "{halves:?}");
    }

    #[test]
    fn floats_survive_in_blocks_of_halves() {
        let floats =
            ChannelGroup { depth: Depth::Float, transfer: Transfer::Log2, ..group(GroupKind::Colour, 3) };
        let samples: Vec<f32> = ramp(20, 36, 3).iter().map(|v| (v * 4.0).exp2()).collect();
        let blocks = texels(&samples, &floats, [20, 36], TexelFormat::Bc6h, &Limits::default()).unwrap();
        for (at, block) in blocks.as_chunks::<16>().0.iter().enumerate() {
            for (pixel, back) in decoded(TexelFormat::Bc6h, block).iter().enumerate() {
                let (x, y) = (at % 5 * 4 + pixel % 4, at / 5 * 4 + pixel / 4);
                for (value, wanted) in back[..3].iter().zip(&samples[(y * 20 + x) * 3..]) {
                    assert!((value / wanted - 1.0).abs() < 0.02, "{x} {y}: {value} {wanted}");
                }
            }
        }
    }

    #[test]
    fn what_a_texel_cannot_hold_is_refused() {
        let limits = Limits::default();
        let many = group(GroupKind::Data, 5);
        assert!(texels(&[0.0; 5], &many, [1, 1], TexelFormat::Rgba8, &limits).is_err());
        let floats = ChannelGroup { depth: Depth::Float, ..group(GroupKind::Colour, 3) };
        assert!(texels(&[0.0; 3], &floats, [1, 1], TexelFormat::Bc7, &limits).is_err());
        assert!(texels(&[9.0; 3], &floats, [1, 1], TexelFormat::Bc6h, &limits).is_ok());
        assert!(texels(&[0.0; 4], &group(GroupKind::Colour, 3), [1, 1], TexelFormat::Bc7, &limits).is_err());
        assert_eq!(mip_size([5, 300], 2), [1, 75]);
        assert_eq!(mip_size([5, 300], 40), [1, 1]);
    }
}
