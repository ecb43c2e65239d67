//! An image asset in a file.

use super::layer::{CodedLayer, code_layer};
use super::options::Profile;
use crate::Result;
use crate::writer::{ContainerWriter, NewEntry, new_asset};
use mcodec_coding::gaussians::GaussianSet;
use mcodec_decode::images::{ImageHasher, ImageReader};
use mcodec_decode::{ReadAt, Reader};
use mcodec_format::{Asset, ImageDescriptor, registry};

/// Adds an image with its layers, the coarsest first; returns its content hash.
pub(crate) fn add_image(
    writer: &mut ContainerWriter,
    ordinal: u32,
    name: &str,
    image: &ImageDescriptor,
    layers: &[CodedLayer],
) -> Result<[u8; 32]> {
    let mut hasher = ImageHasher::new(image);
    for layer in layers {
        hasher.layer(&layer.descriptor);
        layer.sets.iter().flatten().for_each(|set| hasher.set(set));
    }
    let mut asset = new_asset(ordinal, registry::asset::IMAGE, name);
    asset.fields.set(registry::asset_field::IMAGE, true, image.to_bytes());
    asset.hash = hasher.finish();
    let hash = asset.hash;
    let at = writer.draft().add_asset(asset);
    let rows: Vec<usize> = (0u32..)
        .zip(layers)
        .map(|(id, layer)| {
            writer.draft().add_entry(NewEntry {
                asset: at,
                kind: registry::entry::LAYER,
                critical: true,
                id,
                name: id.to_string(),
                fields: layer.descriptor.to_fields(),
                dependencies: Vec::new(),
            })
        })
        .collect();
    writer.announce(&rows)?;
    for (id, layer) in (0u32..).zip(layers) {
        for payload in &layer.payloads {
            writer.put_chunk(at, id, payload)?;
        }
    }
    Ok(hash)
}

/// Codes an image of another file anew, its Gaussians as they are.
pub(crate) fn recode_image<S: ReadAt>(
    writer: &mut ContainerWriter,
    reader: &Reader<S>,
    asset: &Asset,
) -> Result<[u8; 32]> {
    let image = ImageReader::new(reader, asset)?;
    let mut layers = Vec::new();
    for (at, (entry, layer)) in image.layers().enumerate() {
        let mut set = GaussianSet::default();
        for read in image.read_chunks(at, 0..entry.byte_len())?.into_iter().flatten() {
            set.symbols.extend(read.symbols);
            set.colours.extend(read.colours);
        }
        let how = (layer.page, Profile::of(layer.chunking.coding));
        layers.push(code_layer(image.coded(), image.descriptor(), &set, how, &layers)?);
    }
    add_image(writer, asset.ordinal, &asset.name, image.descriptor(), &layers)
}
