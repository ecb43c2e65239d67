//! What a material's picture holds, by the end of its name, as engines and authoring tools name them.

use super::picture::Picture;
use crate::gaussians::opponent_planes;
use mcodec_format::{Depth, GroupKind, Transfer};

/// Ends of names of pictures that hold directions.
const NORMALS: [&str; 6] = ["normal", "normals", "nrm", "nrml", "nor", "nml"];
/// Ends of names of pictures that hold occlusion, roughness and metalness (glTF's order).
const ORM: [&str; 7] = [
    "orm",
    "arm",
    "occlusionroughmetal",
    "occlusionroughnessmetallic",
    "occlusionroughnessmetalness",
    "metallicroughness",
    "metalroughness",
];
/// Ends of names of pictures that hold some number that is not light.
const NUMBERS: [&str; 18] = [
    "roughness",
    "rough",
    "metallic",
    "metalness",
    "metal",
    "gloss",
    "glossiness",
    "smoothness",
    "height",
    "displacement",
    "disp",
    "bump",
    "ao",
    "occlusion",
    "ambientocclusion",
    "opacity",
    "mask",
    "depth",
];

/// Types the channels of a picture of integers by its name: directions and material numbers are linear, and those of several kinds are named.
pub(super) fn type_by_name(picture: &mut Picture, stem: &str) {
    let [group] = &mut picture.groups[..] else { return };
    if group.depth == Depth::Float || group.transfer != Transfer::Srgb {
        return;
    }
    let names: Option<[&str; 3]> = if ends_in(stem, &NORMALS) {
        Some(["x", "y", "z"])
    } else if ends_in(stem, &ORM) {
        Some(["occlusion", "roughness", "metallic"])
    } else if ends_in(stem, &NUMBERS) {
        None
    } else {
        return;
    };
    group.transfer = Transfer::Linear;
    if let (GroupKind::Colour, Some(names)) = (group.kind, names) {
        group.kind = GroupKind::Data;
        group.channels = names.map(String::from).to_vec();
    }
}

/// Types three channels of which a picture makes a colour, but which have so little in common that they are better coded each for itself: a map that
/// is in red only, or several maps that are packed in one.
pub(super) fn type_by_content(picture: &mut Picture) {
    let (width, [group]) = (picture.width as usize, &mut picture.groups[..]) else { return };
    let [r, g, b] = &picture.channels[..] else { return };
    if group.kind != GroupKind::Colour || group.depth == Depth::Float {
        return;
    }
    let detail = |plane: &[f32]| {
        let steps = plane.chunks_exact(width).flat_map(|row| row.windows(2).map(|pair| pair[1] - pair[0]));
        // What rounding to 8 bits makes of nothing.
        steps.map(|step| f64::from(step * step)).sum::<f64>() / plane.len() as f64 + 1e-6
    };
    let channels: f64 = [r, g, b].iter().map(|plane| detail(plane).ln()).sum();
    let planes = opponent_planes([r, g, b]);
    let planes: f64 = planes.chunks_exact(r.len()).map(|plane| detail(plane).ln()).sum();
    if planes > channels {
        group.kind = GroupKind::Data;
        group.channels = ["red", "green", "blue"].map(String::from).to_vec();
    }
}

/// Whether the words of a name end in one of these, written together or apart.
fn ends_in(stem: &str, ends: &[&str]) -> bool {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in stem.chars() {
        if !c.is_alphanumeric() {
            words.push(String::new());
        } else {
            if words.is_empty() || c.is_uppercase() && before.is_lowercase() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        before = c;
    }
    (1..=words.len().min(3)).any(|count| ends.contains(&words[words.len() - count..].concat().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcodec_format::ChannelGroup;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["rock_normal", "RockNormal", "rock-nrm", "normal", "rock.Normals"] {
            assert!(ends_in(name, &NORMALS), "{name}");
        }
        for name in ["abnormal", "normal_lamp", "rocknormal", "", "_", "minor"] {
            assert!(!ends_in(name, &NORMALS), "{name}");
        }
        assert!(ends_in("LeatherParts_OcclusionRoughMetal", &ORM) && ends_in("wall_orm", &ORM));
        assert!(ends_in("Wall_AmbientOcclusion", &NUMBERS));
    }

    #[test]
    fn channels_that_are_no_colour_are_told_by_what_they_hold() {
        let picture = |channel: fn(usize, usize) -> f32| Picture {
            width: 32,
            height: 32,
            groups: vec![ChannelGroup::of(GroupKind::Colour)],
            channels: (0..3).map(|c| (0..1024).map(|i| channel(c, i)).collect()).collect(),
            wraps: [false; 2],
        };
        let noise = |c: usize, i: usize| {
            let mixed = ((i + 1024 * c) as u32).wrapping_mul(0x9E37_79B1);
            let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x85EB_CA6B);
            // Of unlike size: equal ones are as good turned as they are.
            (0.2 + 0.4 * c as f32) * ((mixed ^ mixed >> 13) & 0xffff) as f32 / 65535.0
        };
        let only_red = |c: usize, i: usize| if c == 0 { ((i * 7) as f32).sin().abs() } else { 0.0 };
        let colour = |c: usize, i: usize| 0.5 * ((i * 7) as f32).sin().abs() + 0.1 * c as f32;
        for (channel, kind) in [
            (noise as fn(usize, usize) -> f32, GroupKind::Data),
            (only_red, GroupKind::Data),
            (colour, GroupKind::Colour),
        ] {
            let mut picture = picture(channel);
            type_by_content(&mut picture);
            assert_eq!((picture.groups[0].kind, picture.groups[0].channel_count()), (kind, 3));
        }
    }
}
