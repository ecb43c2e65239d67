//! What a twin says of images and their layers.

use crate::twin::Source;
use mcodec_coding::gaussians::GaussianSet;
use mcodec_decode::DecodeError;
use mcodec_decode::images::ImageReader;
use mcodec_format::{Asset, ChannelGroup, GroupKind, Transfer};
use serde_json::{Value, json};

/// An image as its asset field says it.
///
/// # Errors
/// If it or its layers are not what an image and layers must be.
pub fn image_twin(reader: &Source, asset: &Asset) -> Result<Value, DecodeError> {
    let opened = ImageReader::new(reader, asset)?;
    let image = opened.descriptor();
    Ok(json!({
        "width": image.width,
        "height": image.height,
        "repeats": image.wraps,
        "groups": image.groups.iter().map(group).collect::<Vec<_>>(),
        "constants": image.constants,
        "gains": image.gains,
        "means": image.means,
    }))
}

fn group(group: &ChannelGroup) -> Value {
    let kind = match group.kind {
        GroupKind::Grey => "grey",
        GroupKind::Colour => "colour",
        GroupKind::GreyAlpha => "grey with alpha",
        GroupKind::ColourAlpha => "colour with alpha",
        GroupKind::Data => "data",
    };
    let transfer = match group.transfer {
        Transfer::Srgb => "sRGB",
        Transfer::Linear => "linear",
        Transfer::Log2 => "logarithm",
    };
    json!({
        "kind": kind,
        "transfer": transfer,
        "depth": group.depth as u8,
        "name": group.name,
        "channels": group.channels,
        "bounds": group.bounds.map(f64::from),
    })
}

/// Of each page, how far it reaches beyond the left, right, upper and lower side; `None` where half a page is left over.
pub fn reaches(field: &[u8]) -> Option<Value> {
    let (pages, []) = field.as_chunks::<2>() else { return None };
    Some(pages.iter().map(|&[x, y]| json!([x & 15, x >> 4, y & 15, y >> 4])).collect())
}

/// How many Gaussians each set of a layer has, and a hash of their symbols as the content hash of an image takes them.
///
/// # Errors
/// If the image is refused, or a chunk of the layer.
pub fn layer_content(reader: &Source, asset: &Asset, name: &str) -> Result<Value, DecodeError> {
    let image = ImageReader::new(reader, asset)?;
    let layers: Vec<u64> = image.layers().map(|(entry, _)| entry.byte_len()).collect();
    let at = image.layers().position(|(entry, _)| entry.name() == name).expect("an image has all its layers");
    let sets: Vec<GaussianSet> = image.read_chunks(at, 0..layers[at])?.into_iter().flatten().collect();
    let mut hasher = blake3::Hasher::new();
    for set in &sets {
        hasher.update(&(set.symbols.len() as u32).to_le_bytes());
        for symbols in &set.symbols {
            hasher.update(&symbols.x.to_le_bytes()).update(&symbols.y.to_le_bytes());
            hasher.update(&symbols.scales).update(&[symbols.angle]);
        }
        for colour in &set.colours {
            hasher.update(&colour.to_le_bytes());
        }
    }
    Ok(json!({
        "sets": sets.iter().map(|set| set.symbols.len()).collect::<Vec<_>>(),
        "blake3": hasher.finalize().to_hex().as_str(),
    }))
}
