//! Content hash of an image: its descriptor and its uncoded symbols (SPEC section 5.8).

use super::reader::ImageReader;
use crate::{ReadAt, Reader, Result};
use mcodec_coding::gaussians::{GaussianSet, MAX_PLANES};
use mcodec_format::{Asset, ImageDescriptor, LayerDescriptor};

/// Hashes an image, layer after layer, chunk after chunk.
#[derive(Debug)]
pub struct ImageHasher(blake3::Hasher);

impl ImageHasher {
    /// Begins with the descriptor.
    #[must_use]
    pub fn new(image: &ImageDescriptor) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&image.to_bytes());
        Self(hasher)
    }

    /// Begins a layer.
    pub fn layer(&mut self, layer: &LayerDescriptor) {
        self.0.update(&layer.page.unwrap_or(0).to_le_bytes());
    }

    /// Adds a set; those of a chunk in the order in which they are coded.
    pub fn set(&mut self, set: &GaussianSet) {
        let mut bytes = Vec::with_capacity(4 + set.symbols.len() * (11 + 4 * MAX_PLANES));
        bytes.extend((set.symbols.len() as u32).to_le_bytes());
        for symbols in &set.symbols {
            bytes.extend(symbols.x.to_le_bytes());
            bytes.extend(symbols.y.to_le_bytes());
            bytes.extend(symbols.scales);
            bytes.push(symbols.angle);
        }
        set.colours.iter().for_each(|colour| bytes.extend(colour.to_le_bytes()));
        self.0.update(&bytes);
    }

    /// The hash.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

/// The content hash of an image, from its decoded sets.
///
/// # Errors
/// If something of it cannot be decoded.
pub fn content_hash<S: ReadAt>(reader: &Reader<S>, asset: &Asset) -> Result<[u8; 32]> {
    /// Chunks that are held at once.
    const STEP: u64 = 1024;
    let image = ImageReader::new(reader, asset)?;
    let mut hasher = ImageHasher::new(image.descriptor());
    for (at, (entry, layer)) in image.layers().enumerate() {
        hasher.layer(layer);
        let mut next = 0;
        while next < entry.byte_len() {
            let end = next.saturating_add(STEP).min(entry.byte_len());
            image.read_chunks(at, next..end)?.iter().flatten().for_each(|set| hasher.set(set));
            next = end;
        }
    }
    Ok(hasher.finish())
}
