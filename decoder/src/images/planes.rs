//! Between the planes that are coded and the channels that an image has (SPEC section 5.8.2).

use crate::gaussians::lanes::{self, Kernel, LANES, Lanes};
use core::f32::consts::SQRT_2;
use mcodec_coding::gaussians::{CHROMA_FACTOR, Constants, Image, PLAIN_FACTOR, Quantiser, Role};
use mcodec_format::{ChannelGroup, FormatError, GroupKind, ImageDescriptor, Transfer};

const ROOT_3: f32 = 1.732_050_8;
const ROOT_6: f32 = 2.449_489_7;
/// How much an error of alpha weighs beside one of colour: the root of 3/4 makes the error over black and over white, together, what is made small.
pub const ALPHA_SCALE: f32 = 0.866_025_4;

/// What each plane of a group is, and its factor of the colour step.
fn roles_of(group: &ChannelGroup) -> Vec<(Role, u8)> {
    let colour =
        [(Role::Luma, PLAIN_FACTOR), (Role::BlueRed, CHROMA_FACTOR), (Role::GreenMagenta, CHROMA_FACTOR)];
    let other = (Role::Other, PLAIN_FACTOR);
    match group.kind {
        GroupKind::Grey => vec![(Role::Luma, PLAIN_FACTOR)],
        GroupKind::Colour => colour.to_vec(),
        GroupKind::GreyAlpha => vec![(Role::Luma, PLAIN_FACTOR), other],
        GroupKind::ColourAlpha => [&colour[..], &[other]].concat(),
        GroupKind::Data => vec![other; group.channel_count()],
    }
}

/// What each plane of the image is, and its factor of the colour step.
#[must_use]
pub fn plane_roles(image: &ImageDescriptor) -> Vec<(Role, u8)> {
    image.groups.iter().flat_map(roles_of).collect()
}

/// The image as its sets are coded.
///
/// # Errors
/// If its constants make no steps.
pub fn coded_image(image: &ImageDescriptor) -> Result<Image, FormatError> {
    let constants = Constants::from_bytes(image.constants);
    let constants = constants.ok_or_else(|| FormatError::corrupt("image descriptor", 0, "a step is zero"))?;
    let (roles, factors): (Vec<Role>, Vec<u8>) = plane_roles(image).into_iter().unzip();
    Ok(Image { quantiser: Quantiser::new(constants, &factors), roles })
}

/// Turns one pixel's planes, which it holds, into channels. Channels of groups without floats are within 0..1; those with floats
/// are what they stand for.
pub fn channels_of(groups: &[ChannelGroup], pixel: &mut [f32]) {
    let mut rest = pixel;
    for group in groups {
        let (planes, after) = rest.split_at_mut(group.channel_count());
        match group.kind {
            GroupKind::Colour => colour(planes),
            GroupKind::ColourAlpha => {
                colour(&mut planes[..3]);
                uncover(planes);
            }
            GroupKind::GreyAlpha => uncover(planes),
            GroupKind::Grey | GroupKind::Data => {}
        }
        let has_alpha = matches!(group.kind, GroupKind::ColourAlpha | GroupKind::GreyAlpha);
        let colours = planes.len() - usize::from(has_alpha);
        let [low, high] = group.bounds;
        for value in &mut planes[..colours] {
            let unit = value.clamp(0.0, 1.0);
            *value = match group.transfer {
                Transfer::Srgb | Transfer::Linear if group.bounds == [0.0, 1.0] => unit,
                Transfer::Srgb | Transfer::Linear => low + unit * (high - low),
                Transfer::Log2 => (low + unit * (high - low)).exp2(),
            };
        }
        planes[colours..].iter_mut().for_each(|alpha| *alpha = alpha.clamp(0.0, 1.0));
        rest = after;
    }
}

/// [`channels_of`] of many pixels, one after another.
///
/// # Panics
/// If they are not whole pixels.
pub fn channels_of_all(image: &ImageDescriptor, samples: &mut [f32]) {
    let channels = image.channel_count();
    assert!(samples.len().is_multiple_of(channels.max(1)), "whole pixels");
    let mut rest = samples;
    if let [group] = &image.groups[..]
        && group.kind == GroupKind::Colour
        && group.transfer != Transfer::Log2
        && group.bounds == [0.0, 1.0]
    {
        let (blocks, after) = rest.as_chunks_mut::<{ 3 * LANES }>();
        lanes::run(Colours { blocks });
        rest = after;
    }
    rest.chunks_exact_mut(channels.max(1)).for_each(|pixel| channels_of(&image.groups, pixel));
}

/// Planes of a colour within 0..1 to its channels, eight pixels at once.
struct Colours<'a> {
    blocks: &'a mut [[f32; 3 * LANES]],
}

impl Kernel for Colours<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        for block in self.blocks {
            let plane = |plane: usize| std::array::from_fn(|i| block[3 * i + plane]);
            let [y, u, v] = [plane(0), plane(1), plane(2)];
            let luma = l.div(l.load(&y), l.splat(ROOT_3));
            let orange = l.div(l.load(&u), l.splat(SQRT_2));
            let green = l.div(l.load(&v), l.splat(ROOT_6));
            // As `colour` has it.
            let channels = [
                l.sub(l.add(luma, orange), green),
                l.add(luma, l.mul(l.splat(2.0), green)),
                l.sub(l.sub(luma, orange), green),
            ];
            for (plane, channel) in channels.into_iter().enumerate() {
                let mut values = [0.0; LANES];
                l.store(l.min(l.max(channel, l.splat(0.0)), l.splat(1.0)), &mut values);
                values.iter().enumerate().for_each(|(i, &value)| block[3 * i + plane] = value);
            }
        }
    }
}

/// Y, U, V to red, green, blue.
fn colour(planes: &mut [f32]) {
    if let [y, u, v] = planes {
        let (l, o, g) = (*y / ROOT_3, *u / SQRT_2, *v / ROOT_6);
        (*y, *u, *v) = (l + o - g, l + 2.0 * g, l - o - g);
    }
}

/// Colours over middle grey and scaled alpha, to colours by themselves and alpha.
fn uncover(planes: &mut [f32]) {
    if let [colours @ .., alpha] = planes {
        let a = (*alpha / ALPHA_SCALE).clamp(0.0, 1.0);
        let cover = 0.5 * (1.0 - a);
        for colour in colours {
            *colour = if a > 1e-6 { (*colour - cover) / a } else { 0.0 };
        }
        *alpha = a;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pixels_are_pixels() {
        for kind in [GroupKind::Grey, GroupKind::Colour, GroupKind::GreyAlpha, GroupKind::ColourAlpha] {
            let group = ChannelGroup::of(kind);
            let count = group.channel_count();
            let image = ImageDescriptor {
                width: 37,
                height: 1,
                wraps: [false; 2],
                groups: vec![group],
                constants: [1; 5],
                gains: vec![0; count],
                means: vec![0; count],
            };
            let mut all: Vec<f32> = (0..37 * count).map(|i| (i as f32 * 12.9898).sin() * 1.5).collect();
            let mut each = all.clone();
            each.chunks_exact_mut(count).for_each(|pixel| channels_of(&image.groups, pixel));
            channels_of_all(&image, &mut all);
            assert_eq!(all, each, "{kind:?}");
        }
    }
}
