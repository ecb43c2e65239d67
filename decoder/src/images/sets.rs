//! Which sets a chunk of a layer holds, and reading them.

use mcodec_coding::CodingError;
use mcodec_coding::binary::BinaryDecoder;
use mcodec_coding::gaussians::{Area, FastDecoder, GaussianSet, Grain, Image, MAX_GAUSSIANS, SetCoder};
use mcodec_format::registry::coding;
use mcodec_format::{ImageDescriptor, LayerDescriptor};
use std::collections::BTreeMap;

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

/// The chunks of a layer `lower` that chunk `chunk` of a layer above it is coded under: coarse sets under coarse ones, others under those with
/// centres in their page.
#[must_use]
pub(super) fn chunks_below(
    image: &ImageDescriptor,
    lower: &LayerDescriptor,
    upper: &LayerDescriptor,
    chunk: u64,
) -> Vec<u64> {
    let Some(lower_side) = lower.page else { return vec![0] };
    let (columns, rows) = page_grid(image, lower_side);
    let (columns, rows) = (u64::from(columns), u64::from(rows));
    match (upper.page, chunk.checked_sub(1)) {
        (None, _) => (0..=columns * rows).collect(),
        (Some(_), None) => vec![0],
        (Some(side), Some(page)) => {
            let across = u64::from(page_grid(image, side).0);
            let (side, lower_side) = (u64::from(side), u64::from(lower_side));
            let span =
                |at: u64, most: u64| at * side / lower_side..((at + 1) * side).div_ceil(lower_side).min(most);
            let rows = span(page / across, rows);
            rows.flat_map(|row| span(page % across, columns).map(move |column| 1 + row * columns + column))
                .collect()
        }
    }
}

/// What the chunks of a layer are coded under: Gaussians of the layers below it.
#[derive(Debug)]
pub struct Below {
    coarse: GaussianSet,
    /// By chunk.
    fine: BTreeMap<u64, GaussianSet>,
}

impl Below {
    /// Sorts the Gaussians of the layers below `upper`: `chunks` are theirs, layer after layer, chunk after chunk.
    pub fn new<'s>(
        coded: &Image,
        image: &ImageDescriptor,
        upper: &LayerDescriptor,
        chunks: impl Iterator<Item = (&'s LayerDescriptor, u64, &'s Vec<GaussianSet>)>,
    ) -> Self {
        let planes = coded.quantiser.planes();
        let mut below = Self { coarse: GaussianSet::default(), fine: BTreeMap::new() };
        for (layer, chunk, sets) in chunks {
            for (area, set) in areas_of_chunk(image, layer, chunk).iter().zip(sets) {
                for (symbols, colours) in set.symbols.iter().zip(set.colours.chunks_exact(planes)) {
                    let to = match (area.grain, upper.page) {
                        (Grain::Coarse, _) => &mut below.coarse,
                        (Grain::Fine, None) => below.fine.entry(0).or_default(),
                        (Grain::Fine, Some(side)) => {
                            let at = |index| {
                                coded.quantiser.centre_fixed(symbols.scales, index) as u64
                                    / 8
                                    / u64::from(side)
                            };
                            let (x, y) = (at(symbols.x), at(symbols.y));
                            let columns = u64::from(page_grid(image, side).0);
                            if x >= columns {
                                continue;
                            }
                            below.fine.entry(1 + y * columns + x).or_default()
                        }
                    };
                    to.symbols.push(*symbols);
                    to.colours.extend_from_slice(colours);
                }
            }
        }
        below
    }

    /// What the set of this grain of a chunk is coded under.
    #[must_use]
    pub fn of(&self, chunk: u64, grain: Grain) -> GaussianSet {
        match grain {
            Grain::Coarse => self.coarse.clone(),
            Grain::Fine => self.fine.get(&chunk).cloned().unwrap_or_default(),
        }
    }
}

/// Bytes of memory that a Gaussian takes while its set is read, beside its colours.
const MEMORY: u64 = 700;

/// Reads the sets of a chunk from its payload, with at most `memory` bytes.
pub(super) fn decode_sets(
    coded: &Image,
    image: &ImageDescriptor,
    (layer, chunk): (&LayerDescriptor, u64),
    payload: &[u8],
    memory: u64,
    below: &Below,
) -> Result<Vec<GaussianSet>, CodingError> {
    let each = MEMORY + 16 * coded.quantiser.planes() as u64;
    let most = usize::try_from(memory / each).unwrap_or(usize::MAX).min(MAX_GAUSSIANS);
    if layer.chunking.coding == coding::GAUSSIANS_FAST {
        let mut coder = FastDecoder::new(coded, payload)?;
        let mut sets = Vec::new();
        for area in areas_of_chunk(image, layer, chunk) {
            coder.lay_over(below.of(chunk, area.grain));
            sets.push(coder.decode(&area, most)?);
        }
        coder.finish()?;
        return Ok(sets);
    }
    let mut coder = SetCoder::new(coded);
    let mut io = BinaryDecoder::new(payload);
    let mut sets = Vec::new();
    for area in areas_of_chunk(image, layer, chunk) {
        coder.lay_over(below.of(chunk, area.grain));
        sets.push(coder.decode(&mut io, &area, most)?);
    }
    if !io.is_drained() {
        return Err(CodingError::Corrupt { what: "bytes follow the last set of Gaussians" });
    }
    Ok(sets)
}
