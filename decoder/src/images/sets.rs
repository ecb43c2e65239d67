//! Which sets a chunk of a layer holds, and reading them.

use mcodec_coding::CodingError;
use mcodec_coding::binary::BinaryDecoder;
use mcodec_coding::gaussians::{Area, GaussianSet, Grain, Image, MAX_GAUSSIANS, SetCoder};
use mcodec_format::{ImageDescriptor, LayerDescriptor};

/// Columns and rows of the pages of `side` pixels of an image.
#[must_use]
pub fn page_grid(image: &ImageDescriptor, side: u32) -> (u32, u32) {
    (image.width.div_ceil(side), image.height.div_ceil(side))
}

/// The areas of the sets of chunk `chunk` of a layer, in the order in which they are coded.
#[must_use]
pub fn areas_of_chunk(image: &ImageDescriptor, layer: &LayerDescriptor, chunk: u64) -> Vec<Area> {
    let coarse = Area::whole(Grain::Coarse, image.width, image.height);
    match (layer.page, chunk.checked_sub(1)) {
        (None, _) => vec![coarse, Area::whole(Grain::Fine, image.width, image.height)],
        (Some(_), None) => vec![coarse],
        (Some(side), Some(page)) => {
            let columns = u64::from(page_grid(image, side).0);
            vec![Area::page(Grain::Fine, (page % columns) as u32, (page / columns) as u32, side)]
        }
    }
}

/// Bytes of memory that a Gaussian takes while its set is read, beside its colours.
const MEMORY: u64 = 700;

/// Reads the sets of a chunk from its payload, with at most `memory` bytes.
pub(super) fn decode_sets(
    coded: &Image,
    image: &ImageDescriptor,
    layer: &LayerDescriptor,
    chunk: u64,
    payload: &[u8],
    memory: u64,
) -> Result<Vec<GaussianSet>, CodingError> {
    let each = MEMORY + 16 * coded.quantiser.planes() as u64;
    let most = usize::try_from(memory / each).unwrap_or(usize::MAX).min(MAX_GAUSSIANS);
    let mut coder = SetCoder::new(coded);
    let mut io = BinaryDecoder::new(payload);
    let mut sets = Vec::new();
    for area in areas_of_chunk(image, layer, chunk) {
        sets.push(coder.decode(&mut io, &area, most)?);
    }
    if !io.is_drained() {
        return Err(CodingError::Corrupt { what: "bytes follow the last set of Gaussians" });
    }
    Ok(sets)
}
