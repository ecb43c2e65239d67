//! Picture files: PNG, JPEG, WebP, Radiance HDR, OpenEXR and KTX2.

use super::ktx2;
use super::picture::Picture;
use super::profile::{Applied, to_srgb};
use super::restore::steps_of_jpeg;
use crate::import::ImportError;
use crate::{EncodeError, Result};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use mcodec_format::{ChannelGroup, Depth, GroupKind, MAX_SIDE, Transfer};
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

/// Bytes that a picture may take in memory while it is read.
pub(super) const MAX_ALLOC: u64 = 4 << 30;
/// Bytes of a JPEG file in which its tables are looked for.
const JPEG_HEAD: u64 = 1 << 20;

/// Whether a file with these first bytes is a picture that is read here.
#[must_use]
pub fn looks_like_picture(head: &[u8]) -> bool {
    let formats =
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Hdr, ImageFormat::OpenExr];
    head.starts_with(&ktx2::MAGIC) || image::guess_format(head).is_ok_and(|format| formats.contains(&format))
}

/// A picture that was read, and what the user should be told of it.
#[derive(Debug)]
pub struct Imported {
    /// The picture.
    pub picture: Picture,
    /// Notes.
    pub notes: Vec<String>,
    /// Of a JPEG file: the steps that its luma was rounded to, by frequency, row by row.
    pub jpeg_steps: Option<Box<[u16; 64]>>,
}

/// Reads a picture file.
///
/// # Errors
/// [`ImportError::Picture`] if it is malformed, too large, or of a kind that is not read.
pub fn read_picture(path: &Path) -> Result<Imported> {
    let file = std::fs::File::open(path).map_err(EncodeError::io("open", path))?;
    read(BufReader::new(file), path)
}

/// Reads a picture from memory; `name` is what messages call it.
///
/// # Errors
/// As [`read_picture`].
pub fn read_picture_bytes(bytes: &[u8], name: &Path) -> Result<Imported> {
    read(Cursor::new(bytes), name)
}

fn read<R: BufRead + Seek>(mut input: R, path: &Path) -> Result<Imported> {
    let refuse = |reason: String| EncodeError::Import(ImportError::Picture { path: path.to_owned(), reason });
    let fail = |e: image::ImageError| refuse(e.to_string());
    let head = input.fill_buf().map_err(EncodeError::io("read", path))?;
    if head.starts_with(&ktx2::MAGIC) {
        let mut bytes = Vec::new();
        input.take(MAX_ALLOC + 1).read_to_end(&mut bytes).map_err(EncodeError::io("read", path))?;
        if bytes.len() as u64 > MAX_ALLOC {
            return Err(refuse(format!("the file has more than {MAX_ALLOC} bytes")));
        }
        return of_texture(ktx2::read(&bytes).map_err(refuse)?).map_err(refuse);
    }
    let mut jpeg_steps = None;
    if head.starts_with(&[0xff, 0xd8]) {
        let mut head = Vec::new();
        input.by_ref().take(JPEG_HEAD).read_to_end(&mut head).map_err(EncodeError::io("read", path))?;
        jpeg_steps = steps_of_jpeg(&head).map(Box::new);
        input.rewind().map_err(EncodeError::io("read", path))?;
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE as u32);
    limits.max_image_height = Some(MAX_SIDE as u32);
    limits.max_alloc = Some(MAX_ALLOC);
    let mut reader = ImageReader::new(input).with_guessed_format().map_err(EncodeError::io("read", path))?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(fail)?;
    let profile = decoder.icc_profile().ok().flatten();
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(fail)?;
    image.apply_orientation(orientation);
    if image.width() == 0 || image.height() == 0 {
        return Err(refuse("the picture has no pixels".into()));
    }
    let mut notes = Vec::new();
    if let Some(profile) = profile {
        match to_srgb(&mut image, &profile) {
            Ok(Applied::AlreadySrgb) => {}
            Ok(Applied::Converted) => {
                notes.push(format!("{}: its colours were of another profile: now sRGB's", path.display()));
            }
            Err(why) => notes.push(format!(
                "{}: its colour profile is not applied ({why}): colours are taken as sRGB",
                path.display()
            )),
        }
    }
    let picture = picture_of(&image, &mut notes).map_err(refuse)?;
    Ok(Imported { picture, notes, jpeg_steps })
}

fn of_texture(texture: ktx2::Texture) -> Result<Imported, String> {
    let group = ChannelGroup {
        transfer: texture.transfer,
        depth: texture.depth,
        channels: texture.names,
        ..ChannelGroup::of(texture.kind)
    };
    let mut notes = texture.notes;
    let picture = bounded([texture.width, texture.height], group, texture.channels, &mut notes)?;
    Ok(Imported { picture, notes, jpeg_steps: None })
}

fn picture_of(image: &DynamicImage, notes: &mut Vec<String>) -> Result<Picture, String> {
    let (kind, depth) = match image.color() {
        ColorType::L8 => (GroupKind::Grey, Depth::Unorm8),
        ColorType::La8 => (GroupKind::GreyAlpha, Depth::Unorm8),
        ColorType::Rgb8 => (GroupKind::Colour, Depth::Unorm8),
        ColorType::Rgba8 => (GroupKind::ColourAlpha, Depth::Unorm8),
        ColorType::L16 => (GroupKind::Grey, Depth::Unorm16),
        ColorType::La16 => (GroupKind::GreyAlpha, Depth::Unorm16),
        ColorType::Rgb16 => (GroupKind::Colour, Depth::Unorm16),
        ColorType::Rgba16 => (GroupKind::ColourAlpha, Depth::Unorm16),
        ColorType::Rgb32F => (GroupKind::Colour, Depth::Float),
        ColorType::Rgba32F => (GroupKind::ColourAlpha, Depth::Float),
        other => return Err(format!("pictures of {other:?} are not read")),
    };
    let transfer = if depth == Depth::Float { Transfer::Linear } else { Transfer::Srgb };
    let group = ChannelGroup { transfer, depth, ..ChannelGroup::of(kind) };
    let count = group.channel_count();
    let channels = match image {
        DynamicImage::ImageRgb32F(image) => split(image.as_raw(), count, |v| v),
        DynamicImage::ImageRgba32F(image) => split(image.as_raw(), count, |v| v),
        DynamicImage::ImageLuma16(image) => split(image.as_raw(), count, |v| f32::from(v) / 65535.0),
        DynamicImage::ImageLumaA16(image) => split(image.as_raw(), count, |v| f32::from(v) / 65535.0),
        DynamicImage::ImageRgb16(image) => split(image.as_raw(), count, |v| f32::from(v) / 65535.0),
        DynamicImage::ImageRgba16(image) => split(image.as_raw(), count, |v| f32::from(v) / 65535.0),
        other => split(other.as_bytes(), count, |v| f32::from(v) / 255.0),
    };
    bounded([image.width(), image.height()], group, channels, notes)
}

/// The channels of samples that lie pixel by pixel: large pictures are not held in any other form beside these.
fn split<T: Copy>(samples: &[T], count: usize, value: impl Fn(T) -> f32) -> Vec<Vec<f32>> {
    (0..count).map(|c| samples.iter().skip(c).step_by(count).map(|&sample| value(sample)).collect()).collect()
}

/// A picture of channels as they were read: opaque alpha is left out, floats come within 0..1.
fn bounded(
    [width, height]: [u32; 2],
    mut group: ChannelGroup,
    mut channels: Vec<Vec<f32>>,
    notes: &mut Vec<String>,
) -> Result<Picture, String> {
    let has_alpha = |kind| matches!(kind, GroupKind::GreyAlpha | GroupKind::ColourAlpha);
    if has_alpha(group.kind) && channels.last().is_some_and(|alpha| alpha.iter().all(|&alpha| alpha >= 1.0)) {
        notes.push("alpha is opaque everywhere and is left out".into());
        channels.pop();
        group.kind = if group.kind == GroupKind::GreyAlpha { GroupKind::Grey } else { GroupKind::Colour };
    }
    if group.depth == Depth::Float {
        let colours = channels.len() - usize::from(has_alpha(group.kind));
        bound_floats(&mut group, &mut channels[..colours], notes)?;
    }
    for value in channels.iter_mut().flatten() {
        *value = value.clamp(0.0, 1.0);
    }
    Ok(Picture { width, height, groups: vec![group], channels, wraps: [false; 2] })
}

/// Octaves below the greatest value that are kept apart; what is darker counts as black.
const OCTAVES: f32 = 24.0;

/// Brings floats into 0..1: by their logarithm if they go beyond 1 and none is negative.
fn bound_floats(
    group: &mut ChannelGroup,
    channels: &mut [Vec<f32>],
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let mut odd = false;
    for value in channels.iter_mut().flatten().filter(|value| !value.is_finite()) {
        *value = if *value == f32::INFINITY { 65504.0 } else { 0.0 };
        odd = true;
    }
    if odd {
        notes.push("samples that are no numbers count as 0, infinite ones as 65504".into());
    }
    let all = || channels.iter().flatten().copied();
    let (least, most) = all().fold((f32::MAX, f32::MIN), |(least, most), v| (least.min(v), most.max(v)));
    if least >= 0.0 && most <= 1.0 {
        return Ok(());
    }
    if least < 0.0 {
        let most = if most > least { most } else { least + 1.0 };
        group.bounds = [least, most];
        channels.iter_mut().flatten().for_each(|value| *value = (*value - least) / (most - least));
        return Ok(());
    }
    let floor = most * (-OCTAVES).exp2();
    let low = all().filter(|&v| v > floor).fold(most, f32::min).log2();
    let high = most.log2();
    let high = if high > low { high } else { low + 1.0 };
    group.transfer = Transfer::Log2;
    group.bounds = [low, high];
    let black = low.exp2();
    channels.iter_mut().flatten().for_each(|value| *value = (value.max(black).log2() - low) / (high - low));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(image: &DynamicImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes
    }

    #[test]
    fn pictures_of_each_kind_are_read() {
        let rgb = image::RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8 * 50, y as u8 * 80, 255]));
        let imported = read_picture_bytes(&png(&rgb.into()), Path::new("a.png")).unwrap();
        let picture = imported.picture;
        assert_eq!((picture.width, picture.height, picture.channels.len()), (5, 3, 3));
        assert!((picture.channels[0][6] - 50.0 / 255.0).abs() < 1e-6);
        let opaque = image::RgbaImage::from_pixel(2, 2, image::Rgba([1, 2, 3, 255]));
        let imported = read_picture_bytes(&png(&opaque.into()), Path::new("a.png")).unwrap();
        assert_eq!((imported.picture.channels.len(), imported.notes.len()), (3, 1));
        let clear = image::RgbaImage::from_pixel(2, 2, image::Rgba([1, 2, 3, 0]));
        assert_eq!(
            read_picture_bytes(&png(&clear.into()), Path::new("a.png")).unwrap().picture.channels.len(),
            4
        );
    }

    #[test]
    fn high_ranges_are_coded_by_their_logarithm() {
        let hdr = image::Rgb32FImage::from_fn(4, 1, |x, _| image::Rgb([10f32.powi(x as i32 - 1), 0.0, 5.0]));
        let mut bytes = Vec::new();
        DynamicImage::from(hdr).write_to(&mut Cursor::new(&mut bytes), ImageFormat::OpenExr).unwrap();
        let picture = read_picture_bytes(&bytes, Path::new("a.exr")).unwrap().picture;
        let group = &picture.groups[0];
        assert_eq!((group.transfer, group.depth), (Transfer::Log2, Depth::Float));
        assert!(
            (group.bounds[1] - 100f32.log2()).abs() < 1e-4 && (group.bounds[0] - 0.1f32.log2()).abs() < 1e-4
        );
        assert!((picture.channels[0][3] - 1.0).abs() < 1e-6 && picture.channels[1][0].abs() < 1e-6);
    }

    #[test]
    fn what_is_no_picture_is_refused_by_name() {
        for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"hello"] {
            let error = read_picture_bytes(bytes, Path::new("odd.png")).unwrap_err();
            assert!(matches!(&error, EncodeError::Import(ImportError::Picture { .. })), "{error}");
            assert!(error.to_string().contains("odd.png"), "{error}");
        }
        assert!(!looks_like_picture(b"hello") && looks_like_picture(b"\x89PNG\r\n\x1a\n"));
    }
}
