//! A picture as it is fitted: samples of channels, and the planes made of them (SPEC section 5.8.2).

use crate::gaussians::opponent_planes;
use mcodec_decode::images::ALPHA_SCALE;
use mcodec_format::{ChannelGroup, GroupKind, MAX_CHANNELS};

/// Samples of a picture, or of several of one size.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Its channels.
    pub groups: Vec<ChannelGroup>,
    /// Of each channel, row by row: what is coded, 0 to 1 (of sRGB colours as they are encoded, of others between the group's bounds).
    pub channels: Vec<Vec<f32>>,
    /// Whether the picture repeats along x (first) and y.
    pub wraps: [bool; 2],
}

impl Picture {
    /// This picture with the channels of another of the same size after its own.
    ///
    /// # Errors
    /// Why they do not go together.
    pub fn stacked(mut self, other: Self) -> Result<Self, String> {
        let (size, own) = ((other.width, other.height), (self.width, self.height));
        if size != own {
            return Err(format!("it has {size:?} pixels, where the first of the stack has {own:?}"));
        }
        if self.channels.len() + other.channels.len() > MAX_CHANNELS {
            return Err(format!("with it the stack has more than {MAX_CHANNELS} channels"));
        }
        if self.groups.iter().any(|group| other.groups.iter().any(|of| of.name == group.name)) {
            return Err("the stack has channels of its name already".into());
        }
        self.groups.extend(other.groups);
        self.channels.extend(other.channels);
        Ok(self)
    }

    /// A part of it with this corner and size; what lies beyond an edge is what is at the opposite one.
    pub(super) fn part(&self, corner: [i64; 2], size: [u32; 2]) -> Self {
        let channels = self.channels.iter().map(|channel| self.gather(channel, corner, size)).collect();
        Self { width: size[0], height: size[1], groups: self.groups.clone(), channels, wraps: [false; 2] }
    }

    /// The same part of one number for each pixel.
    pub(super) fn gather(&self, from: &[f32], corner: [i64; 2], size: [u32; 2]) -> Vec<f32> {
        let at =
            |corner: i64, i: u32, size: u32| (corner + i64::from(i)).rem_euclid(i64::from(size)) as usize;
        let mut out = Vec::with_capacity(size[0] as usize * size[1] as usize);
        for y in 0..size[1] {
            let row = &from[at(corner[1], y, self.height) * self.width as usize..][..self.width as usize];
            let mut x = 0;
            while x < size[0] {
                let first = at(corner[0], x, self.width);
                let count = (row.len() - first).min((size[0] - x) as usize);
                out.extend_from_slice(&row[first..first + count]);
                x += count as u32;
            }
        }
        out
    }

    /// The planes that are fitted, one after another, each row by row. Errors in them weigh as errors of the channels do: of colours with alpha,
    /// as the mean of those over black and over white.
    #[must_use]
    pub fn planes(&self) -> Vec<f32> {
        let mut planes = Vec::with_capacity(self.channels.len() * self.channels.first().map_or(0, Vec::len));
        let mut rest = &self.channels[..];
        for group in &self.groups {
            let (channels, after) = rest.split_at(group.channel_count());
            rest = after;
            match (group.kind, channels) {
                (GroupKind::Colour, [r, g, b]) => {
                    planes.extend(opponent_planes([r, g, b]));
                }
                (GroupKind::ColourAlpha, [r, g, b, a]) => {
                    let [r, g, b] = [r, g, b].map(|plane| covered(plane, a));
                    planes.extend(opponent_planes([&r, &g, &b]));
                    planes.extend(a.iter().map(|a| a * ALPHA_SCALE));
                }
                (GroupKind::GreyAlpha, [grey, a]) => {
                    planes.extend(covered(grey, a));
                    planes.extend(a.iter().map(|a| a * ALPHA_SCALE));
                }
                _ => channels.iter().for_each(|plane| planes.extend(plane)),
            }
        }
        planes
    }
}

/// A colour over middle grey: errors of it and of alpha are then independent, over black and over white.
fn covered(plane: &[f32], alpha: &[f32]) -> Vec<f32> {
    plane.iter().zip(alpha).map(|(c, a)| c * a + 0.5 * (1.0 - a)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcodec_format::ImageDescriptor;

    #[test]
    fn planes_turn_back_into_channels() {
        for kind in [GroupKind::Grey, GroupKind::Colour, GroupKind::GreyAlpha, GroupKind::ColourAlpha] {
            let group = ChannelGroup::of(kind);
            let count = group.channel_count();
            let channels: Vec<Vec<f32>> =
                (0..count).map(|c| (0..8).map(|i| (i * 3 + c * 2) as f32 / 40.0 + 0.1).collect()).collect();
            let picture = Picture {
                width: 4,
                height: 2,
                groups: vec![group],
                channels: channels.clone(),
                wraps: [false; 2],
            };
            let planes = picture.planes();
            for i in 0..8 {
                let mut pixel: Vec<f32> = (0..count).map(|c| planes[c * 8 + i]).collect();
                mcodec_decode::images::channels_of(&picture.groups, &mut pixel);
                for c in 0..count {
                    assert!((pixel[c] - channels[c][i]).abs() < 1e-5, "{kind:?} {c}");
                }
            }
        }
    }

    #[test]
    fn the_usual_steps_are_presets() {
        use mcodec_coding::gaussians::Constants;
        let image = |constants: [u8; 5]| {
            let group = ChannelGroup::of(GroupKind::Grey);
            ImageDescriptor {
                width: 4,
                height: 2,
                wraps: [false; 2],
                groups: vec![group],
                constants,
                gains: vec![0],
                means: vec![0],
            }
        };
        let written_out = image([1; 5]).to_bytes().len();
        for constants in [Constants::LOW_RATE, Constants::HIGH_RATE] {
            assert_eq!(image(constants.to_bytes()).to_bytes().len() + 5, written_out);
        }
    }
}
