//! What a material's picture holds, by the end of its name, as engines and authoring tools name them.

use super::picture::Picture;
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
}
