//! Drawn images as KTX2 textures with all their mip levels (Khronos KTX File Format 2.0; Data Format Specification 1.3).

use crate::cli::{Decode, Format};
use crate::input::FileReader;
use crate::outcome::usage;
use crate::selection::ImagePart;
use mcodec_decode::images::{ImageReader, TexelFormat, mip_size, texels};
use mcodec_format::{Asset, ChannelGroup, Depth, GroupKind, Transfer};
use std::path::Path;

const MAGIC: [u8; 12] = *b"\xabKTX 20\xbb\r\n\x1a\n";
const HEADER_BYTES: usize = 80;
const LEVEL_INDEX_BYTES: usize = 24;

/// The form of texels that is asked for. `None`: no texture is.
pub(crate) fn format_of(args: &Decode, output: &Path) -> anyhow::Result<Option<Wanted>> {
    let is_ktx2 = output.extension().is_some_and(|e| e.eq_ignore_ascii_case("ktx2"));
    let wanted = match args.format {
        Some(Format::Rgba8) => TexelFormat::Rgba8,
        Some(Format::F16) => TexelFormat::Rgba16Float,
        Some(Format::Bc1) => TexelFormat::Bc1,
        Some(Format::Bc4) => TexelFormat::Bc4,
        Some(Format::Bc5) => TexelFormat::Bc5,
        Some(Format::Bc6h) => TexelFormat::Bc6h,
        Some(Format::Bc7) => TexelFormat::Bc7,
        None if is_ktx2 => return Ok(Some(Wanted(None))),
        Some(_) if is_ktx2 => {
            return Err(usage("a KTX2 file holds rgba8, f16, bc1, bc4, bc5, bc6h or bc7"));
        }
        _ => return Ok(None),
    };
    Ok(Some(Wanted(Some(wanted))))
}

/// A form of texels, if it is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted(Option<TexelFormat>);

/// A texture that was made, and what to tell of it.
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    pub(crate) notes: Vec<String>,
}

/// Draws an image at all mip levels; of several groups of channels each becomes a layer of an array.
pub(crate) fn make(
    reader: &FileReader,
    asset: &Asset,
    part: &ImagePart,
    wanted: Wanted,
) -> anyhow::Result<Made> {
    let image = ImageReader::new(reader, asset)?;
    let region = part.region.unwrap_or_else(|| image.whole());
    let scale = part.scale.unwrap_or(1.0);
    let size = [region.width, region.height].map(|side| (f64::from(side) * scale).round().max(1.0));
    let size = size.map(|side| side as u32);
    let groups = &image.descriptor().groups;
    let chosen: Vec<usize> = (0..groups.len())
        .filter(|&g| part.channels.as_ref().is_none_or(|name| groups[g].name == *name))
        .collect();
    if chosen.is_empty() {
        let names: Vec<String> = groups.iter().map(|group| format!("{:?}", group.name)).collect();
        return Err(usage(format!("there are no such channels: there are {}", names.join(", "))));
    }
    let layers: Vec<&ChannelGroup> = chosen.iter().map(|&g| &groups[g]).collect();
    let floats = layers.iter().any(|group| group.depth == Depth::Float);
    let format = wanted.0.unwrap_or(if floats { TexelFormat::Bc6h } else { TexelFormat::Bc7 });
    let mut texture = Texture::new(format, size, &layers);
    let all = image.descriptor().channel_count();
    // Read once: what the last level, a single pixel, needs has all that the others need.
    let smallest = f64::from(region.width.max(region.height)).recip();
    let scene = image.scene(region, smallest.min(scale), part.level)?;
    let mut level = 0;
    loop {
        let mip = mip_size(size, level);
        let samples = image.draw_sized(&scene, region, mip)?;
        let mut bytes = Vec::new();
        for &chosen in &chosen {
            let first: usize = groups[..chosen].iter().map(ChannelGroup::channel_count).sum();
            let count = groups[chosen].channel_count();
            let own: Vec<f32> =
                samples.chunks_exact(all).flat_map(|pixel| &pixel[first..first + count]).copied().collect();
            bytes.extend(texels(&own, &groups[chosen], mip, format, reader.limits())?);
        }
        texture.levels.push(bytes);
        if mip == [1, 1] {
            break;
        }
        level += 1;
    }
    let notes = texture.notes(&layers);
    Ok(Made { bytes: texture.to_bytes(), notes })
}

/// A texture to be written.
struct Texture {
    format: TexelFormat,
    srgb: bool,
    size: [u32; 2],
    /// Names of the layers of an array; empty: it is none.
    layers: Vec<String>,
    /// Texels of each level, the largest first.
    levels: Vec<Vec<u8>>,
}

/// Forms whose numbers can be sRGB's.
fn may_be_srgb(format: TexelFormat) -> bool {
    matches!(format, TexelFormat::Rgba8 | TexelFormat::Bc1 | TexelFormat::Bc7)
}

fn is_srgb(group: &ChannelGroup) -> bool {
    // Colours that were coded each for itself are still colours.
    group.transfer == Transfer::Srgb && (group.kind != GroupKind::Data || group.channels.len() == 3)
}

impl Texture {
    fn new(format: TexelFormat, size: [u32; 2], groups: &[&ChannelGroup]) -> Self {
        let srgb = may_be_srgb(format) && groups.iter().all(|group| is_srgb(group));
        let layers =
            if groups.len() > 1 { groups.iter().map(|g| g.name.clone()).collect() } else { Vec::new() };
        Self { format, srgb, size, layers, levels: Vec::new() }
    }

    fn notes(&self, groups: &[&ChannelGroup]) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.layers.is_empty() {
            notes.push(format!("the layers of the array are {}", self.layers.join(", ")));
        }
        if !self.srgb && !self.format.is_float() && groups.iter().any(|group| is_srgb(group)) {
            let names: Vec<&str> =
                groups.iter().filter(|g| is_srgb(g)).map(|group| group.name.as_str()).collect();
            let of = if self.layers.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
            notes.push(format!("the texture is marked as linear, and the colours{of} in it are sRGB's"));
        }
        notes
    }

    /// The number of the form in Vulkan's list.
    fn vk_format(&self) -> u32 {
        match (self.format, self.srgb) {
            (TexelFormat::Rgba8, false) => 37,
            (TexelFormat::Rgba8, true) => 43,
            (TexelFormat::Rgba16Float, _) => 97,
            (TexelFormat::Bc1, false) => 131,
            (TexelFormat::Bc1, true) => 132,
            (TexelFormat::Bc4, _) => 139,
            (TexelFormat::Bc5, _) => 141,
            (TexelFormat::Bc6h, _) => 143,
            (TexelFormat::Bc7, false) => 145,
            (TexelFormat::Bc7, true) => 146,
        }
    }

    /// The data format descriptor, its total size in front.
    fn descriptor(&self) -> Vec<u8> {
        const FLOAT: u8 = 0x80;
        const SIGNED: u8 = 0x40;
        const LINEAR: u8 = 0x10;
        const ONE: u32 = 0x3f80_0000;
        // Model, then bits from, bits, channel, least and greatest of each sample.
        type Sample = (u16, u16, u8, u32, u32);
        let (model, samples): (u8, Vec<Sample>) = match self.format {
            TexelFormat::Rgba8 => {
                let alpha = if self.srgb { 15 | LINEAR } else { 15 };
                let of = |(at, channel): (u16, u8)| (at * 8, 8, channel, 0, 255);
                (1, [0, 1, 2, alpha].into_iter().zip(0..).map(|(c, at)| of((at, c))).collect())
            }
            TexelFormat::Rgba16Float => {
                let of = |(at, c): (u16, u8)| (at * 16, 16, c | FLOAT | SIGNED, (-1f32).to_bits(), ONE);
                (1, [0, 1, 2, 15].into_iter().zip(0..).map(|(c, at)| of((at, c))).collect())
            }
            TexelFormat::Bc1 => (128, vec![(0, 64, 0, 0, u32::MAX)]),
            TexelFormat::Bc4 => (131, vec![(0, 64, 0, 0, u32::MAX)]),
            TexelFormat::Bc5 => (132, vec![(0, 64, 0, 0, u32::MAX), (64, 64, 1, 0, u32::MAX)]),
            TexelFormat::Bc6h => (133, vec![(0, 128, FLOAT, 0, ONE)]),
            TexelFormat::Bc7 => (134, vec![(0, 128, 0, 0, u32::MAX)]),
        };
        let block_len = 24 + 16 * samples.len();
        let mut out = Vec::with_capacity(4 + block_len);
        out.extend((4 + block_len as u32).to_le_bytes());
        out.extend(0u32.to_le_bytes());
        out.extend((2u32 | (block_len as u32) << 16).to_le_bytes());
        // BT.709 primaries; linear is 1, sRGB 2; straight alpha.
        out.extend([model, 1, if self.srgb { 2 } else { 1 }, 0]);
        let side = (self.format.unit_side() - 1) as u8;
        out.extend([side, side, 0, 0]);
        out.extend([self.format.unit_bytes() as u8, 0, 0, 0, 0, 0, 0, 0]);
        for (from, bits, channel, least, greatest) in samples {
            out.extend(from.to_le_bytes());
            out.extend([(bits - 1) as u8, channel, 0, 0, 0, 0]);
            out.extend(least.to_le_bytes());
            out.extend(greatest.to_le_bytes());
        }
        out
    }

    fn key_values(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |key: &str, value: &[u8]| {
            out.extend((key.len() as u32 + 1 + value.len() as u32).to_le_bytes());
            out.extend(key.bytes());
            out.push(0);
            out.extend(value);
            out.resize(out.len().next_multiple_of(4), 0);
        };
        put("KTXorientation", b"rd\0");
        put("KTXwriter", concat!("mcodec ", env!("CARGO_PKG_VERSION"), "\0").as_bytes());
        if !self.layers.is_empty() {
            put("mcodecLayers", format!("{}\0", self.layers.join("\n")).as_bytes());
        }
        out
    }

    fn to_bytes(&self) -> Vec<u8> {
        let index_at = HEADER_BYTES + LEVEL_INDEX_BYTES * self.levels.len();
        let (descriptor, values) = (self.descriptor(), self.key_values());
        let values_at = index_at + descriptor.len();
        let align = (self.format.unit_bytes() as usize).max(4);
        let mut at = values_at + values.len();
        // The smallest level comes first in the file.
        let mut places = vec![0; self.levels.len()];
        for (place, level) in places.iter_mut().zip(&self.levels).rev() {
            at = at.next_multiple_of(align);
            *place = at;
            at += level.len();
        }
        let mut out = Vec::with_capacity(at);
        out.extend(MAGIC);
        let type_size = if self.format == TexelFormat::Rgba16Float { 2 } else { 1 };
        let [width, height] = self.size;
        let layers = self.layers.len() as u32;
        for value in [self.vk_format(), type_size, width, height, 0, layers, 1, self.levels.len() as u32, 0] {
            out.extend(value.to_le_bytes());
        }
        for value in [index_at, descriptor.len(), values_at, values.len()] {
            out.extend((value as u32).to_le_bytes());
        }
        out.extend([0; 16]);
        for (place, level) in places.iter().zip(&self.levels) {
            for value in [*place, level.len(), level.len()] {
                out.extend((value as u64).to_le_bytes());
            }
        }
        out.extend(descriptor);
        out.extend(values);
        for level in self.levels.iter().rev() {
            out.resize(out.len().next_multiple_of(align), 0);
            out.extend(level);
        }
        out
    }
}
