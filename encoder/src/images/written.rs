//! How far a picture is from what it should be once its samples are written as numbers of their depth.

use mcodec_decode::images::channels_of;
use mcodec_format::{ChannelGroup, Depth, GroupKind, Transfer};

/// What is wrong in a picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrong {
    /// Mean squared error of a sample.
    pub(super) error: f64,
    /// In how few pixels it is: 1 if all of it is in one, the root of 1 / n if n have as much each.
    pub(super) few: f64,
}

/// What is wrong in the channels that these planes are, against what they should be, all as numbers of their depth: differences that rounding takes away
/// are none. Colours with alpha are compared over black and over white.
pub(super) fn wrong_as_written(planes: &[f32], (group, channels): (&ChannelGroup, &[Vec<f32>])) -> Wrong {
    let as_coded = [ChannelGroup { transfer: Transfer::Linear, bounds: [0.0, 1.0], ..group.clone() }];
    let has_alpha = matches!(group.kind, GroupKind::ColourAlpha | GroupKind::GreyAlpha);
    let colours = channels.len() - usize::from(has_alpha);
    let pixels = channels[0].len();
    let [mut pixel, mut wanted] = [vec![0.0; channels.len()], vec![0.0; channels.len()]];
    let (mut sum, mut squares) = (0.0, 0.0);
    for i in 0..pixels {
        pixel.iter_mut().zip(planes[i..].iter().step_by(pixels)).for_each(|(value, plane)| *value = *plane);
        wanted.iter_mut().zip(channels).for_each(|(value, channel)| *value = channel[i]);
        channels_of(&as_coded, &mut pixel);
        pixel.iter_mut().for_each(|value| *value = rounded(*value, group.depth));
        let [alpha, own] = if has_alpha { [pixel[colours], wanted[colours]] } else { [1.0; 2] };
        let pairs = pixel[..colours].iter().zip(&wanted);
        let squared = |(a, b): (&f32, &f32)| {
            let black = a * alpha - b * own;
            let white = black - (alpha - own);
            f64::from(0.5 * (black * black + white * white))
        };
        let error = pairs.map(squared).sum::<f64>();
        (sum, squares) = (sum + error, squares + error * error);
    }
    let few = if sum > 0.0 { squares.sqrt() / sum } else { 0.0 };
    Wrong { error: sum / (pixels * colours) as f64, few }
}

/// The nearest number that a sample of this depth may be.
pub(super) fn rounded(value: f32, depth: Depth) -> f32 {
    match depth {
        Depth::Unorm8 => (value * 255.0).round() / 255.0,
        Depth::Unorm16 => (value * 65535.0).round() / 65535.0,
        Depth::Float => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_takes_small_differences_away() {
        let group = |depth| ChannelGroup { depth, ..ChannelGroup::of(GroupKind::Grey) };
        let wanted = vec![vec![0.2; 4]];
        let planes = [0.2, 0.2015, 0.2, 0.2 + 2.0 / 255.0];
        let eight = wrong_as_written(&planes, (&group(Depth::Unorm8), &wanted));
        assert!((eight.error * 65025.0 - 1.0).abs() < 1e-3, "{eight:?}");
        assert!((eight.few - 1.0).abs() < 1e-6, "all of it is in one pixel: {eight:?}");
        let floats = wrong_as_written(&planes, (&group(Depth::Float), &wanted));
        assert!(floats.error > eight.error && floats.few < 1.0, "{floats:?}");
        let none = wrong_as_written(&[0.2; 4], (&group(Depth::Unorm8), &wanted));
        assert_eq!((none.error, none.few), (0.0, 0.0));
    }

    #[test]
    fn colour_under_no_alpha_is_free() {
        let group = ChannelGroup::of(GroupKind::GreyAlpha);
        // Over middle grey, and alpha as it is scaled: nothing of it, where another grey would be.
        let wrong = wrong_as_written(&[0.5, 0.0], (&group, &[vec![0.9], vec![0.0]]));
        assert_eq!(wrong.error, 0.0);
        // All of it, 20 levels off.
        let wrong = wrong_as_written(&[0.6, 0.866_025_4], (&group, &[vec![0.6 + 20.0 / 255.0], vec![1.0]]));
        assert!((wrong.error.sqrt() * 255.0 - 20.0).abs() < 1e-3, "{wrong:?}");
    }
}
