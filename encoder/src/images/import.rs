//! Picture files: PNG, JPEG, WebP, Radiance HDR and OpenEXR.

use super::picture::Picture;
use crate::import::ImportError;
use crate::{EncodeError, Result};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use mcodec_format::{ChannelGroup, Depth, GroupKind, MAX_SIDE, Transfer};
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

/// Bytes that a picture may take in memory while it is read.
const MAX_ALLOC: u64 = 4 << 30;

/// Whether a file with these first bytes is a picture that is read here.
#[must_use]
pub fn looks_like_picture(head: &[u8]) -> bool {
    let formats =
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Hdr, ImageFormat::OpenExr];
    image::guess_format(head).is_ok_and(|format| formats.contains(&format))
}

/// A picture that was read, and what the user should be told of it.
#[derive(Debug)]
pub struct Imported {
    /// The picture.
    pub picture: Picture,
    /// Notes.
    pub notes: Vec<String>,
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

fn read<R: BufRead + Seek>(input: R, path: &Path) -> Result<Imported> {
    let refuse = |reason: String| EncodeError::Import(ImportError::Picture { path: path.to_owned(), reason });
    let fail = |e: image::ImageError| refuse(e.to_string());
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE as u32);
    limits.max_image_height = Some(MAX_SIDE as u32);
    limits.max_alloc = Some(MAX_ALLOC);
    let mut reader = ImageReader::new(input).with_guessed_format().map_err(EncodeError::io("read", path))?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(fail)?;
    let mut notes = Vec::new();
    if let Ok(Some(profile)) = decoder.icc_profile()
        && !is_srgb(&profile)
    {
        notes.push(format!(
            "{}: its colour profile is not applied: colours are taken as sRGB",
            path.display()
        ));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(fail)?;
    image.apply_orientation(orientation);
    if image.width() == 0 || image.height() == 0 {
        return Err(refuse("the picture has no pixels".into()));
    }
    let picture = picture_of(&image, &mut notes).map_err(refuse)?;
    Ok(Imported { picture, notes })
}

/// Whether an ICC profile calls itself sRGB.
fn is_srgb(profile: &[u8]) -> bool {
    let wide: Vec<u8> = "sRGB".bytes().flat_map(|b| [0, b]).collect();
    profile.windows(4).any(|w| w == b"sRGB") || profile.windows(wide.len()).any(|w| w == wide)
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
    let mut group = ChannelGroup {
        kind,
        transfer: if depth == Depth::Float { Transfer::Linear } else { Transfer::Srgb },
        depth,
        name: String::new(),
        channels: Vec::new(),
        bounds: [0.0, 1.0],
    };
    let rgba = image.to_rgba32f();
    let (width, height) = rgba.dimensions();
    let samples = rgba.as_raw().as_chunks::<4>().0;
    let wanted: &[usize] = match kind {
        GroupKind::Grey => &[0],
        GroupKind::GreyAlpha => &[0, 3],
        GroupKind::Colour => &[0, 1, 2],
        _ => &[0, 1, 2, 3],
    };
    let mut channels: Vec<Vec<f32>> =
        wanted.iter().map(|&c| samples.iter().map(|pixel| pixel[c]).collect()).collect();
    if wanted.contains(&3) && samples.iter().all(|pixel| pixel[3] >= 1.0) {
        notes.push("alpha is opaque everywhere and is left out".into());
        channels.pop();
        group.kind = if group.kind == GroupKind::GreyAlpha { GroupKind::Grey } else { GroupKind::Colour };
    }
    if depth == Depth::Float {
        let colours = if matches!(group.kind, GroupKind::ColourAlpha) { 3 } else { channels.len() };
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
