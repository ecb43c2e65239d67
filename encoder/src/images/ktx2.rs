//! KTX2 textures: the largest level of one two-dimensional texture, of plain texels or BC1 to BC7 blocks.

use super::import::MAX_ALLOC;
use half::f16;
use ktx2::{Format, Header, LevelIndex, SupercompressionScheme};
use mcodec_format::{Depth, GroupKind, MAX_SIDE, Transfer};
use std::borrow::Cow;

/// The first bytes of a file.
pub(super) const MAGIC: [u8; 12] = ktx2::MAGIC;

/// What a texture holds.
#[derive(Debug)]
pub(super) struct Texture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) kind: GroupKind,
    pub(super) transfer: Transfer,
    pub(super) depth: Depth,
    /// Names, of data.
    pub(super) names: Vec<String>,
    /// Of each channel, row by row.
    pub(super) channels: Vec<Vec<f32>>,
    pub(super) notes: Vec<String>,
}

/// How the numbers of a texel are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Byte,
    Word,
    Half,
    Single,
}

/// Blocks of 4 x 4 pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Bc1,
    Bc2,
    Bc3,
    Bc4,
    Bc5,
    Bc6h { signed: bool },
    Bc7,
}

/// How texels are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// So many channels; blue first or red.
    Plain {
        number: Number,
        channels: usize,
        blue_first: bool,
    },
    Blocks(Block),
}

/// Reads a texture.
///
/// # Errors
/// Why it is malformed, too large, or of a kind that is not read.
pub(super) fn read(bytes: &[u8]) -> Result<Texture, String> {
    // The parts of the file by ourselves: the crate's reader adds up bytes of the descriptor beyond what they hold.
    let head = bytes.first_chunk::<{ Header::LENGTH }>().ok_or("the file ends within its header")?;
    let header = Header::from_bytes(head).map_err(|e| format!("not a sound KTX2 file: {e}"))?;
    let (width, height) = (header.pixel_width, header.pixel_height);
    let sound = |side: u32| side > 0 && u64::from(side) <= MAX_SIDE;
    if !sound(width) || !sound(height) || header.pixel_depth > 1 {
        return Err(format!(
            "it has {width} x {height} x {} pixels: two-dimensional textures of 1 to {MAX_SIDE} a side are read",
            header.pixel_depth
        ));
    }
    if header.layer_count > 1 || header.face_count != 1 {
        let (layers, faces) = (header.layer_count, header.face_count);
        return Err(format!(
            "it is an array or a cube ({layers} layers, {faces} faces): one texture is read"
        ));
    }
    if u64::from(width) * u64::from(height) * 16 > MAX_ALLOC {
        return Err(format!("{width} x {height} pixels take more than {MAX_ALLOC} bytes"));
    }
    let format = header.format.ok_or(
        "its texels have no fixed form (Basis Universal): transcode it to BC7 or plain texels first",
    )?;
    let (layout, srgb) =
        layout_of(format).ok_or_else(|| format!("texels of form {} are not read", format.value()))?;
    let wanted = layout.byte_len(width, height);
    let level = bytes.get(Header::LENGTH..).and_then(<[u8]>::first_chunk::<{ LevelIndex::LENGTH }>);
    let level = LevelIndex::from_bytes(level.ok_or("the file ends within its index of levels")?);
    let level = range(bytes, level.byte_offset, level.byte_length)
        .ok_or("its first level lies beyond the end of the file")?;
    let data = match header.supercompression_scheme {
        None => Cow::Borrowed(level),
        Some(SupercompressionScheme::Zstandard) => {
            // One byte more would show that it is longer.
            let whole = zstd::bulk::decompress(level, wanted + 1);
            Cow::Owned(whole.map_err(|e| format!("its first level: {e}"))?)
        }
        Some(other) => return Err(format!("supercompression {} is not read", other.value())),
    };
    if data.len() != wanted {
        return Err(format!("its first level has {} bytes, not {wanted}", data.len()));
    }
    let pixels = layout.pixels(&data, width as usize, height as usize);
    let mut notes = Vec::new();
    let descriptor =
        range(bytes, u64::from(header.index.dfd_byte_offset), u64::from(header.index.dfd_byte_length));
    // The flags of the first, basic block.
    if descriptor.and_then(|d| d.get(15)).is_some_and(|flags| flags & 1 == 1) {
        notes.push("its alpha is multiplied into its colours, and is taken as it is".into());
    }
    Ok(layout.texture(width, height, srgb, &pixels, notes))
}

fn range(bytes: &[u8], from: u64, len: u64) -> Option<&[u8]> {
    let from = usize::try_from(from).ok()?;
    bytes.get(from..from.checked_add(usize::try_from(len).ok()?)?)
}

/// How a form of texels is laid out, and whether its colours are sRGB's.
fn layout_of(format: Format) -> Option<(Layout, bool)> {
    use Number::{Byte, Half, Single, Word};
    let plain = |number, channels| Layout::Plain { number, channels, blue_first: false };
    let blue = |channels| Layout::Plain { number: Byte, channels, blue_first: true };
    Some(match format {
        Format::R8_UNORM => (plain(Byte, 1), false),
        Format::R8_SRGB => (plain(Byte, 1), true),
        Format::R8G8_UNORM => (plain(Byte, 2), false),
        Format::R8G8B8_UNORM => (plain(Byte, 3), false),
        Format::R8G8B8_SRGB => (plain(Byte, 3), true),
        Format::B8G8R8_UNORM => (blue(3), false),
        Format::B8G8R8_SRGB => (blue(3), true),
        Format::R8G8B8A8_UNORM => (plain(Byte, 4), false),
        Format::R8G8B8A8_SRGB => (plain(Byte, 4), true),
        Format::B8G8R8A8_UNORM => (blue(4), false),
        Format::B8G8R8A8_SRGB => (blue(4), true),
        Format::R16_UNORM => (plain(Word, 1), false),
        Format::R16G16_UNORM => (plain(Word, 2), false),
        Format::R16G16B16_UNORM => (plain(Word, 3), false),
        Format::R16G16B16A16_UNORM => (plain(Word, 4), false),
        Format::R16_SFLOAT => (plain(Half, 1), false),
        Format::R16G16_SFLOAT => (plain(Half, 2), false),
        Format::R16G16B16_SFLOAT => (plain(Half, 3), false),
        Format::R16G16B16A16_SFLOAT => (plain(Half, 4), false),
        Format::R32_SFLOAT => (plain(Single, 1), false),
        Format::R32G32_SFLOAT => (plain(Single, 2), false),
        Format::R32G32B32_SFLOAT => (plain(Single, 3), false),
        Format::R32G32B32A32_SFLOAT => (plain(Single, 4), false),
        Format::BC1_RGB_UNORM_BLOCK | Format::BC1_RGBA_UNORM_BLOCK => (Layout::Blocks(Block::Bc1), false),
        Format::BC1_RGB_SRGB_BLOCK | Format::BC1_RGBA_SRGB_BLOCK => (Layout::Blocks(Block::Bc1), true),
        Format::BC2_UNORM_BLOCK => (Layout::Blocks(Block::Bc2), false),
        Format::BC2_SRGB_BLOCK => (Layout::Blocks(Block::Bc2), true),
        Format::BC3_UNORM_BLOCK => (Layout::Blocks(Block::Bc3), false),
        Format::BC3_SRGB_BLOCK => (Layout::Blocks(Block::Bc3), true),
        Format::BC4_UNORM_BLOCK => (Layout::Blocks(Block::Bc4), false),
        Format::BC5_UNORM_BLOCK => (Layout::Blocks(Block::Bc5), false),
        Format::BC6H_UFLOAT_BLOCK => (Layout::Blocks(Block::Bc6h { signed: false }), false),
        Format::BC6H_SFLOAT_BLOCK => (Layout::Blocks(Block::Bc6h { signed: true }), false),
        Format::BC7_UNORM_BLOCK => (Layout::Blocks(Block::Bc7), false),
        Format::BC7_SRGB_BLOCK => (Layout::Blocks(Block::Bc7), true),
        _ => return None,
    })
}

impl Number {
    fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Word | Self::Half => 2,
            Self::Single => 4,
        }
    }

    fn value(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::Byte, &[byte]) => f32::from(byte) / 255.0,
            (Self::Word, &[low, high]) => f32::from(u16::from_le_bytes([low, high])) / 65535.0,
            (Self::Half, &[low, high]) => f16::from_le_bytes([low, high]).to_f32(),
            (Self::Single, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            _ => 0.0,
        }
    }
}

impl Block {
    fn bytes(self) -> usize {
        if matches!(self, Self::Bc1 | Self::Bc4) { 8 } else { 16 }
    }

    /// The 16 pixels of a block.
    fn pixels(self, block: &[u8]) -> [[f32; 4]; 16] {
        let mut pixels = [[0.0, 0.0, 0.0, 1.0]; 16];
        let mut bytes = [0u8; 64];
        let channels = match self {
            Self::Bc6h { signed } => {
                let mut floats = [0.0; 48];
                bcdec_rs::bc6h_float(block, &mut floats, 12, signed);
                pixels.iter_mut().zip(floats.as_chunks::<3>().0).for_each(|(p, f)| p[..3].copy_from_slice(f));
                return pixels;
            }
            Self::Bc4 => {
                bcdec_rs::bc4(block, &mut bytes, 4, false);
                1
            }
            Self::Bc5 => {
                bcdec_rs::bc5(block, &mut bytes, 8, false);
                2
            }
            Self::Bc1 => {
                bcdec_rs::bc1(block, &mut bytes, 16);
                4
            }
            Self::Bc2 => {
                bcdec_rs::bc2(block, &mut bytes, 16);
                4
            }
            Self::Bc3 => {
                bcdec_rs::bc3(block, &mut bytes, 16);
                4
            }
            Self::Bc7 => {
                bcdec_rs::bc7(block, &mut bytes, 16);
                4
            }
        };
        for (pixel, bytes) in pixels.iter_mut().zip(bytes.chunks_exact(channels)) {
            pixel.iter_mut().zip(bytes).for_each(|(value, byte)| *value = f32::from(*byte) / 255.0);
        }
        pixels
    }
}

impl Layout {
    fn channels(self) -> usize {
        match self {
            Self::Plain { channels, .. } => channels,
            Self::Blocks(Block::Bc4) => 1,
            Self::Blocks(Block::Bc5) => 2,
            Self::Blocks(Block::Bc6h { .. }) => 3,
            Self::Blocks(_) => 4,
        }
    }

    fn depth(self) -> Depth {
        match self {
            Self::Plain { number: Number::Half | Number::Single, .. } | Self::Blocks(Block::Bc6h { .. }) => {
                Depth::Float
            }
            Self::Plain { number: Number::Word, .. } => Depth::Unorm16,
            _ => Depth::Unorm8,
        }
    }

    fn byte_len(self, width: u32, height: u32) -> usize {
        let [width, height] = [width as usize, height as usize];
        match self {
            Self::Plain { number, channels, .. } => width * height * channels * number.bytes(),
            Self::Blocks(block) => width.div_ceil(4) * height.div_ceil(4) * block.bytes(),
        }
    }

    /// Red, green, blue and alpha of each pixel, as far as there are.
    fn pixels(self, data: &[u8], width: usize, height: usize) -> Vec<[f32; 4]> {
        let mut pixels = vec![[0.0, 0.0, 0.0, 1.0]; width * height];
        match self {
            Self::Plain { number, channels, blue_first } => {
                let texels = data.chunks_exact(channels * number.bytes());
                for (pixel, texel) in pixels.iter_mut().zip(texels) {
                    let values = texel.chunks_exact(number.bytes()).map(|bytes| number.value(bytes));
                    pixel.iter_mut().zip(values).for_each(|(pixel, value)| *pixel = value);
                    if blue_first {
                        pixel.swap(0, 2);
                    }
                }
            }
            Self::Blocks(block) => {
                let across = width.div_ceil(4);
                for (at, bytes) in data.chunks_exact(block.bytes()).enumerate() {
                    let (left, top) = (at % across * 4, at / across * 4);
                    for (i, pixel) in block.pixels(bytes).into_iter().enumerate() {
                        let (x, y) = (left + i % 4, top + i / 4);
                        if x < width && y < height {
                            pixels[y * width + x] = pixel;
                        }
                    }
                }
            }
        }
        pixels
    }

    fn texture(
        self,
        width: u32,
        height: u32,
        srgb: bool,
        pixels: &[[f32; 4]],
        notes: Vec<String>,
    ) -> Texture {
        let channels = self.channels();
        let kind = match channels {
            1 => GroupKind::Grey,
            2 => GroupKind::Data,
            3 => GroupKind::Colour,
            _ => GroupKind::ColourAlpha,
        };
        let names = if kind == GroupKind::Data { vec!["r".into(), "g".into()] } else { Vec::new() };
        Texture {
            width,
            height,
            kind,
            transfer: if srgb { Transfer::Srgb } else { Transfer::Linear },
            depth: self.depth(),
            names,
            channels: (0..channels).map(|c| pixels.iter().map(|pixel| pixel[c]).collect()).collect(),
            notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one level with this descriptor's texels.
    fn file(format: Format, [width, height]: [u32; 2], level: &[u8], zstd: bool) -> Vec<u8> {
        let descriptor_len = 4 + 24;
        let (at, compressed) = (80 + 24 + descriptor_len, zstd::bulk::compress(level, 1).unwrap());
        let data = if zstd { &compressed } else { level };
        let mut out = MAGIC.to_vec();
        let scheme = if zstd { 2 } else { 0 };
        for value in [format.value(), 1, width, height, 0, 0, 1, 1, scheme, 104, descriptor_len, 0, 0] {
            out.extend(value.to_le_bytes());
        }
        out.extend([0; 16]);
        for value in [u64::from(at), data.len() as u64, level.len() as u64] {
            out.extend(value.to_le_bytes());
        }
        out.extend(descriptor_len.to_le_bytes());
        out.extend(0u32.to_le_bytes());
        out.extend((2u32 | 24 << 16).to_le_bytes());
        out.extend([1, 1, 2, 0]);
        out.extend([0; 12]);
        out.extend(data);
        out
    }

    #[test]
    fn texels_are_read_as_they_are_laid_out() {
        let bytes: Vec<u8> = (0..24).collect();
        for zstd in [false, true] {
            let texture = read(&file(Format::B8G8R8A8_SRGB, [3, 2], &bytes, zstd)).unwrap();
            assert_eq!((texture.width, texture.height, texture.kind), (3, 2, GroupKind::ColourAlpha));
            assert_eq!(texture.transfer, Transfer::Srgb);
            let firsts: Vec<f32> = texture.channels.iter().map(|c| (c[1] * 255.0).round()).collect();
            assert_eq!(firsts, [6.0, 5.0, 4.0, 7.0]);
        }
        let two = read(&file(Format::R8G8_UNORM, [3, 4], &bytes, false)).unwrap();
        assert_eq!((two.kind, two.transfer, two.channels.len()), (GroupKind::Data, Transfer::Linear, 2));
        let halves: Vec<u8> = (0..6).flat_map(|i| f16::from_f32(i as f32 * 3.0).to_le_bytes()).collect();
        let floats = read(&file(Format::R16G16B16_SFLOAT, [2, 1], &halves, false)).unwrap();
        assert_eq!((floats.depth, floats.channels[2][1]), (Depth::Float, 15.0));
    }

    #[test]
    fn what_is_wrong_is_said_and_nothing_panics() {
        let good = file(Format::R8_UNORM, [6, 4], &[7; 24], true);
        assert!(read(&good).is_ok());
        for len in 0..good.len() {
            assert!(read(&good[..len]).is_err(), "{len}");
        }
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = read(&bad);
            }
        }
        let short = file(Format::R8_UNORM, [6, 4], &[7; 23], false);
        assert!(read(&short).unwrap_err().contains("23 bytes"));
        let odd = read(&file(Format::ASTC_4x4_SRGB_BLOCK, [4, 4], &[0; 16], false)).unwrap_err();
        assert!(odd.contains("158"), "{odd}");
    }
}
