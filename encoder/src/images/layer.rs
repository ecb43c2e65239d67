//! A layer's sets as the chunks of a file.

use super::options::Profile;
use crate::{EncodeError, Result};
use mcodec_coding::CodingError;
use mcodec_coding::binary::BinaryEncoder;
use mcodec_coding::gaussians::{Area, FastEncoder, GaussianSet, Grain, Image, SetCoder, canonical};
use mcodec_decode::gaussians::splat_of;
use mcodec_decode::images::{Below, areas_of_chunk, page_grid};
use mcodec_format::{ImageDescriptor, LayerDescriptor, MAX_REACH, REACH_UNIT};
use rayon::prelude::*;

/// A layer, coded.
#[derive(Debug, Clone)]
pub struct CodedLayer {
    /// What it is.
    pub descriptor: LayerDescriptor,
    /// Payload of each chunk.
    pub payloads: Vec<Vec<u8>>,
    /// Of each chunk, the sets in canonical form.
    pub sets: Vec<Vec<GaussianSet>>,
}

impl CodedLayer {
    /// Bytes of all payloads.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.payloads.iter().map(|payload| payload.len() as u64).sum()
    }
}

/// Codes Gaussians as a layer of one chunk, or of pages of `page` pixels, over the layers `below`.
///
/// # Errors
/// [`EncodeError::Request`] for Gaussians whose centre is outside of the image, or too many of them.
pub fn code_layer(
    coded: &Image,
    image: &ImageDescriptor,
    set: &GaussianSet,
    (page, profile): (Option<u32>, Profile),
    below: &[CodedLayer],
) -> Result<CodedLayer> {
    let mut layer = LayerDescriptor::new(page, Vec::new());
    let chunks = match page {
        None => 1,
        Some(side) => {
            let (columns, rows) = page_grid(image, side);
            layer = LayerDescriptor::new(page, vec![[0; 4]; (columns * rows) as usize]);
            layer.reach.len() + 1
        }
    };
    layer.chunking.coding = profile.coding();
    let sets = sort_out(coded, image, &layer, set, chunks)?;
    if let Some(side) = page {
        let columns = page_grid(image, side).0;
        for (page, sets) in sets.iter().skip(1).enumerate() {
            let corner = (page as u32 % columns * side, page as u32 / columns * side);
            layer.reach[page] = reach_of(coded, &sets[0], corner, side);
        }
    }
    let chunks_below = below
        .iter()
        .flat_map(|layer| layer.sets.iter().zip(0..).map(|(sets, chunk)| (&layer.descriptor, chunk, sets)));
    let below = Below::new(coded, image, &layer, chunks_below);
    let payloads: Result<Vec<Vec<u8>>> = sets
        .par_iter()
        .enumerate()
        .map(|(chunk, sets)| {
            let areas = areas_of_chunk(image, &layer, chunk as u64);
            let sets =
                areas.iter().zip(sets).map(|(area, set)| (area, set, below.of(chunk as u64, area.grain)));
            let payload = match profile {
                Profile::Dense => dense(coded, sets),
                Profile::Fast => fast(coded, sets),
            };
            payload.map_err(EncodeError::coding("Gaussians"))
        })
        .collect();
    Ok(CodedLayer { descriptor: layer, payloads: payloads?, sets })
}

/// The payload of sets, each with those it lies over, under mixed contexts.
fn dense<'s>(
    coded: &Image,
    sets: impl Iterator<Item = (&'s Area, &'s GaussianSet, GaussianSet)>,
) -> Result<Vec<u8>, CodingError> {
    let mut io = BinaryEncoder::new();
    let mut coder = SetCoder::new(coded);
    for (area, set, below) in sets {
        coder.lay_over(below);
        coder.encode(&mut io, area, set)?;
    }
    Ok(io.finish())
}

/// The same under static tables.
fn fast<'s>(
    coded: &Image,
    sets: impl Iterator<Item = (&'s Area, &'s GaussianSet, GaussianSet)>,
) -> Result<Vec<u8>, CodingError> {
    let mut coder = FastEncoder::new(coded);
    for (area, set, below) in sets {
        coder.lay_over(below);
        coder.encode(area, set)?;
    }
    Ok(coder.finish())
}

/// The sets of each chunk, in canonical form.
fn sort_out(
    coded: &Image,
    image: &ImageDescriptor,
    layer: &LayerDescriptor,
    set: &GaussianSet,
    chunks: usize,
) -> Result<Vec<Vec<GaussianSet>>> {
    let planes = coded.quantiser.planes();
    let mut sets: Vec<Vec<GaussianSet>> = (0..chunks)
        .map(|chunk| vec![GaussianSet::default(); areas_of_chunk(image, layer, chunk as u64).len()])
        .collect();
    let outside = || EncodeError::Request("a Gaussian lies outside of its image".into());
    for (symbols, colours) in set.symbols.iter().zip(set.colours.chunks_exact(planes)) {
        let grain = Grain::of(&coded.quantiser, symbols.scales);
        let place = match (layer.page, grain) {
            (None, Grain::Coarse) | (Some(_), Grain::Coarse) => (0, 0),
            (None, Grain::Fine) => (0, 1),
            (Some(side), Grain::Fine) => {
                let page = |index: u32| {
                    (coded.quantiser.centre_fixed(symbols.scales, index) / (8 * i64::from(side))) as u32
                };
                let (columns, rows) = page_grid(image, side);
                let (x, y) = (page(symbols.x), page(symbols.y));
                if x >= columns || y >= rows {
                    return Err(outside());
                }
                ((1 + y * columns + x) as usize, 0)
            }
        };
        let set = &mut sets[place.0][place.1];
        set.symbols.push(*symbols);
        set.colours.extend(colours);
    }
    for (chunk, sets) in sets.iter_mut().enumerate() {
        for (area, set) in areas_of_chunk(image, layer, chunk as u64).iter().zip(sets) {
            *set = canonical(coded, area, set).ok_or_else(outside)?;
        }
    }
    Ok(sets)
}

/// How far a page's Gaussians reach beyond its left, right, upper and lower side.
fn reach_of(coded: &Image, set: &GaussianSet, corner: (u32, u32), side: u32) -> [u8; 4] {
    let mut reach = [0f32; 4];
    for symbols in &set.symbols {
        let shape = splat_of(&coded.quantiser, symbols).shape();
        let (x, y, [half_width, half_height]) = (shape.x, shape.y, shape.half);
        let (left, top) = (corner.0 as f32, corner.1 as f32);
        let (right, bottom) = (left + side as f32, top + side as f32);
        let beyond = [
            left - (x - half_width),
            x + half_width - right,
            top - (y - half_height),
            y + half_height - bottom,
        ];
        reach = core::array::from_fn(|i| reach[i].max(beyond[i]));
    }
    reach.map(|pixels| ((pixels / REACH_UNIT as f32).ceil() as u8).min(MAX_REACH))
}
