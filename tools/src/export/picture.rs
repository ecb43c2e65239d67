//! Images as picture files.

use super::ktx2::Wanted;
use crate::cli::{Decode, Format};
use crate::input::FileReader;
use crate::outcome::usage;
use crate::selection::ImagePart;
use anyhow::{Context, anyhow};
use image::{ColorType, DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};
use mcodec_decode::images::ImageReader;
use mcodec_format::{Asset, ChannelGroup, Depth, GroupKind, ImageDescriptor};
use std::io::Cursor;
use std::path::Path;

/// A picture that was drawn: channels of each pixel, row by row.
pub(crate) struct Drawn {
    pub(crate) image: ImageDescriptor,
    pub(crate) size: [u32; 2],
    pub(crate) samples: Vec<f32>,
}

/// Draws the part of an image that was asked for.
pub(crate) fn draw(reader: &FileReader, asset: &Asset, part: &ImagePart) -> anyhow::Result<Drawn> {
    let image = ImageReader::new(reader, asset)?;
    let region = part.region.unwrap_or_else(|| image.whole());
    let (samples, size) = image.draw(region, part.scale.unwrap_or(1.0), part.level)?;
    let mut drawn = Drawn { image: image.descriptor().clone(), size: size.map(|side| side as u32), samples };
    if let Some(name) = &part.channels {
        drawn.keep(name)?;
    }
    Ok(drawn)
}

impl Drawn {
    /// Leaves out all groups of channels but one.
    fn keep(&mut self, name: &str) -> anyhow::Result<()> {
        let all = self.image.channel_count();
        let mut first = 0;
        for group in &self.image.groups {
            let count = group.channel_count();
            if group.name == name {
                self.samples = self
                    .samples
                    .chunks_exact(all)
                    .flat_map(|pixel| &pixel[first..first + count])
                    .copied()
                    .collect();
                self.image.groups = vec![group.clone()];
                return Ok(());
            }
            first += count;
        }
        Err(usage(format!("there are no channels {name:?}: {}", names_of(&self.image))))
    }
}

fn names_of(image: &ImageDescriptor) -> String {
    let names: Vec<String> = image.groups.iter().map(|group| format!("{:?}", group.name)).collect();
    format!("there are {}", names.join(", "))
}

/// The files that an image comes out as in a folder: one for each group of its channels, or one texture.
pub(crate) fn files_of(
    reader: &FileReader,
    asset: &Asset,
    part: &ImagePart,
    texture: Option<Wanted>,
) -> anyhow::Result<Vec<(String, ImagePart)>> {
    if texture.is_some() {
        return Ok(vec![(format!("{}.ktx2", asset.name), part.clone())]);
    }
    let image = ImageReader::new(reader, asset)?;
    let groups = &image.descriptor().groups;
    let end = |group: &ChannelGroup| if group.depth == Depth::Float { "exr" } else { "png" };
    if let [group] = &groups[..] {
        return Ok(vec![(format!("{}.{}", asset.name, end(group)), part.clone())]);
    }
    let one = |group: &ChannelGroup| {
        (
            format!("{}/{}.{}", asset.name, group.name, end(group)),
            ImagePart { channels: Some(group.name.clone()), ..part.clone() },
        )
    };
    Ok(groups
        .iter()
        .filter(|group| part.channels.as_ref().is_none_or(|name| *name == group.name))
        .map(one)
        .collect())
}

/// The form of a picture whose form is not said.
pub(crate) fn usual_format(drawn: &Drawn) -> ImageFormat {
    let floats = drawn.image.groups.iter().any(|group| group.depth == Depth::Float);
    if floats { ImageFormat::OpenExr } else { ImageFormat::Png }
}

/// The form that a picture is written in: as asked for, as the output's extension says, or PNG (of floats: OpenEXR).
pub(crate) fn format(args: &Decode, output: &Path) -> anyhow::Result<Option<ImageFormat>> {
    let extension = output.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match (args.format, extension.as_deref()) {
        (Some(Format::Png), _) | (None, Some("png")) => Ok(Some(ImageFormat::Png)),
        (Some(Format::Exr), _) | (None, Some("exr")) => Ok(Some(ImageFormat::OpenExr)),
        (None, Some("hdr")) => Ok(Some(ImageFormat::Hdr)),
        (None, Some("jpg" | "jpeg")) => Ok(Some(ImageFormat::Jpeg)),
        (None, Some("webp")) => Ok(Some(ImageFormat::WebP)),
        (Some(Format::Npy | Format::Raw), _) | (None, Some("npy" | "raw" | "bin")) => Ok(None),
        (Some(_), _) => Err(usage("an image comes out as png, exr, npy, raw or a KTX2 texture")),
        (None, _) => Ok(Some(ImageFormat::Png)),
    }
}

/// The bytes of a picture file.
pub(crate) fn encode(drawn: Drawn, format: ImageFormat) -> anyhow::Result<Vec<u8>> {
    let [group] = &drawn.image.groups[..] else {
        let names: Vec<String> = drawn.image.groups.iter().map(|group| format!("{:?}", group.name)).collect();
        return Err(usage(format!(
            "a picture file holds one group of channels: name one of {}",
            names.join(", ")
        )));
    };
    let group = group.clone();
    let picture = picture_of(&group, drawn.size, drawn.samples)?;
    let picture = match format {
        ImageFormat::Jpeg => DynamicImage::from(picture.to_rgb8()),
        ImageFormat::OpenExr if !matches!(picture.color(), ColorType::Rgb32F | ColorType::Rgba32F) => {
            if picture.color().has_alpha() {
                picture.to_rgba32f().into()
            } else {
                picture.to_rgb32f().into()
            }
        }
        ImageFormat::Hdr => picture.to_rgb32f().into(),
        ImageFormat::WebP if !matches!(picture.color(), ColorType::Rgb8 | ColorType::Rgba8) => {
            if picture.color().has_alpha() { picture.to_rgba8().into() } else { picture.to_rgb8().into() }
        }
        ImageFormat::Png if matches!(picture.color(), ColorType::Rgb32F | ColorType::Rgba32F) => {
            return Err(usage("the image holds floats: write it as .exr or .npy"));
        }
        _ => picture,
    };
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).context("writing the picture")?;
    Ok(bytes)
}

/// A buffer of whole numbers, or of floats, as the source had.
fn picture_of(
    group: &ChannelGroup,
    [width, height]: [u32; 2],
    samples: Vec<f32>,
) -> anyhow::Result<DynamicImage> {
    let bytes = || samples.iter().map(|v| (v * 255.0).round() as u8).collect::<Vec<_>>();
    let words = || samples.iter().map(|v| (v * 65535.0).round() as u16).collect::<Vec<_>>();
    // Data go by their number, as a file that they came from has them.
    let kind = match (group.kind, group.channel_count()) {
        (GroupKind::Data, 1) => GroupKind::Grey,
        (GroupKind::Data, 2) => GroupKind::GreyAlpha,
        (GroupKind::Data, 3) => GroupKind::Colour,
        (GroupKind::Data, 4) => GroupKind::ColourAlpha,
        (kind, _) => kind,
    };
    let picture = match (kind, group.depth) {
        (GroupKind::Grey, Depth::Unorm8) => {
            ImageBuffer::<Luma<u8>, _>::from_raw(width, height, bytes()).map(Into::into)
        }
        (GroupKind::GreyAlpha, Depth::Unorm8) => {
            ImageBuffer::<LumaA<u8>, _>::from_raw(width, height, bytes()).map(Into::into)
        }
        (GroupKind::Colour, Depth::Unorm8) => {
            ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, bytes()).map(Into::into)
        }
        (GroupKind::ColourAlpha, Depth::Unorm8) => {
            ImageBuffer::<Rgba<u8>, _>::from_raw(width, height, bytes()).map(Into::into)
        }
        (GroupKind::Grey, Depth::Unorm16) => {
            ImageBuffer::<Luma<u16>, _>::from_raw(width, height, words()).map(Into::into)
        }
        (GroupKind::GreyAlpha, Depth::Unorm16) => {
            ImageBuffer::<LumaA<u16>, _>::from_raw(width, height, words()).map(Into::into)
        }
        (GroupKind::Colour, Depth::Unorm16) => {
            ImageBuffer::<Rgb<u16>, _>::from_raw(width, height, words()).map(Into::into)
        }
        (GroupKind::ColourAlpha, Depth::Unorm16) => {
            ImageBuffer::<Rgba<u16>, _>::from_raw(width, height, words()).map(Into::into)
        }
        (GroupKind::Colour, Depth::Float) => {
            ImageBuffer::<Rgb<f32>, _>::from_raw(width, height, samples).map(Into::into)
        }
        (GroupKind::ColourAlpha, Depth::Float) => {
            ImageBuffer::<Rgba<f32>, _>::from_raw(width, height, samples).map(Into::into)
        }
        _ => return Err(usage("no picture file holds these channels: write .npy")),
    };
    picture.ok_or_else(|| anyhow!("the picture has another size than its samples"))
}
