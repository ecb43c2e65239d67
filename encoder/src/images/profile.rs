//! Colours of another profile than sRGB, turned into sRGB's (ICC.1).

use image::DynamicImage;
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// What became of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    /// The colours are sRGB's already.
    AlreadySrgb,
    /// The colours were turned into sRGB's.
    Converted,
}

/// Turns the colours of a picture into sRGB's.
///
/// # Errors
/// Why the profile is not applied; the picture is then as it was.
pub(super) fn to_srgb(image: &mut DynamicImage, profile: &[u8]) -> Result<Applied, String> {
    let fail = |e: moxcms::CmsError| e.to_string();
    if is_srgb(profile) {
        return Ok(Applied::AlreadySrgb);
    }
    let source = ColorProfile::new_from_slice(profile).map_err(fail)?;
    if source.color_space != DataColorSpace::Rgb {
        return Err("it is not of red, green and blue".into());
    }
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    let eight = |layout| source.create_transform_8bit(layout, &srgb, layout, options).map_err(fail);
    let sixteen = |layout| source.create_transform_16bit(layout, &srgb, layout, options).map_err(fail);
    match image {
        DynamicImage::ImageRgb8(pixels) => {
            let from = pixels.as_raw().clone();
            eight(Layout::Rgb)?.transform(&from, pixels.as_flat_samples_mut().samples).map_err(fail)?;
        }
        DynamicImage::ImageRgba8(pixels) => {
            let from = pixels.as_raw().clone();
            eight(Layout::Rgba)?.transform(&from, pixels.as_flat_samples_mut().samples).map_err(fail)?;
        }
        DynamicImage::ImageRgb16(pixels) => {
            let from = pixels.as_raw().clone();
            sixteen(Layout::Rgb)?.transform(&from, pixels.as_flat_samples_mut().samples).map_err(fail)?;
        }
        DynamicImage::ImageRgba16(pixels) => {
            let from = pixels.as_raw().clone();
            sixteen(Layout::Rgba)?.transform(&from, pixels.as_flat_samples_mut().samples).map_err(fail)?;
        }
        _ => return Err("the picture is not of red, green and blue".into()),
    }
    Ok(Applied::Converted)
}

/// Whether an ICC profile calls itself sRGB.
fn is_srgb(profile: &[u8]) -> bool {
    let wide: Vec<u8> = "sRGB".bytes().flat_map(|b| [0, b]).collect();
    profile.windows(4).any(|w| w == b"sRGB") || profile.windows(wide.len()).any(|w| w == wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_colours_become_wider_in_srgb() {
        let profile = ColorProfile::new_display_p3().encode().unwrap();
        let mut image = DynamicImage::from(image::RgbImage::from_pixel(3, 2, image::Rgb([200, 100, 100])));
        assert_eq!(to_srgb(&mut image, &profile), Ok(Applied::Converted));
        let pixel = image.to_rgb8().get_pixel(1, 1).0;
        assert!(pixel[0] > 205 && pixel[1] < 98, "{pixel:?}");
    }

    #[test]
    fn what_is_no_profile_leaves_the_picture() {
        let mut image = DynamicImage::from(image::RgbImage::from_pixel(3, 2, image::Rgb([200, 100, 100])));
        let before = image.clone();
        for profile in [&b""[..], &[7; 200], &ColorProfile::new_gray_with_gamma(1.8).encode().unwrap()] {
            assert!(to_srgb(&mut image, profile).is_err());
        }
        assert_eq!(image, before);
    }
}
