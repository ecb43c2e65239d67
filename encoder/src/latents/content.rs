//! A track to be encoded.

use super::array::Array;
use super::models::{StoredModel, TokenCoder};
use mcodec_coding::CodingError;
use mcodec_coding::latents::{
    Coder, Element, Grid, GridContent, Quantiser, Shape, Statistics, Tokens, encode,
};
use mcodec_format::registry::{self, Dtype};
use mcodec_format::track::Track;
use mcodec_format::{Chunking, Fields, Representation, TensorDescriptor};
use rayon::prelude::*;
use std::sync::Arc;

/// A track's numbers and what is said of it.
#[derive(Debug, Clone)]
pub(crate) struct TrackContent {
    dtype: Dtype,
    shape: [usize; 4],
    /// Frames of a chunk.
    group: usize,
    track: Track,
    how: How,
}

/// How a track is coded.
#[derive(Debug, Clone)]
enum How {
    Grid { element: Element, coder: Coder, quantised: Option<Quantised> },
    Tokens { coder: TokenCoder, model: Option<Arc<StoredModel>> },
}

/// What elements were rounded to.
#[derive(Debug, Clone)]
pub(crate) struct Quantised {
    numbers: Vec<i16>,
    step: f32,
    statistics: Statistics,
}

impl TrackContent {
    /// Of an array as it is.
    pub(super) fn lossless(
        array: &Array,
        element: Element,
        group: usize,
        track: Track,
        coder: Coder,
    ) -> Self {
        let Array { dtype, shape, .. } = *array;
        Self { dtype, shape, group, track, how: How::Grid { element, coder, quantised: None } }
    }

    /// Rounds an array's elements to steps of `step` deviations; puts what they then stand for in their place.
    pub(super) fn quantised(
        array: &mut Array,
        element: Element,
        group: usize,
        track: Track,
        coder: Coder,
        step: f32,
        statistics: Statistics,
    ) -> Result<Self, String> {
        let numbers = numbers_of(array, element, step, &statistics)?;
        let quantiser = Quantiser { step, statistics: &statistics, dependency: None };
        let [_, channels, height, width] = array.shape;
        let size = element.bytes();
        for (i, (number, out)) in numbers.iter().zip(array.bytes.chunks_exact_mut(size)).enumerate() {
            quantiser.put(i / (height * width) % channels, i32::from(*number), element, out);
        }
        let quantised = Some(Quantised { numbers, step, statistics });
        let how = How::Grid { element, coder, quantised };
        Ok(Self { how, ..Self::lossless(array, element, group, track, coder) })
    }

    /// Of tokens, coded by themselves or under a model.
    pub(super) fn tokens(
        array: &Array,
        coder: TokenCoder,
        model: Option<Arc<StoredModel>>,
        group: usize,
        track: Track,
    ) -> Self {
        let Array { dtype, shape, .. } = *array;
        Self { dtype, shape, group, track, how: How::Tokens { coder, model } }
    }

    /// The model that all chunks are coded under.
    pub(crate) fn model(&self) -> Option<&Arc<StoredModel>> {
        match &self.how {
            How::Tokens { model, .. } => model.as_ref(),
            How::Grid { .. } => None,
        }
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub(crate) fn dimensions(&self) -> [u64; 4] {
        self.shape.map(|d| d as u64)
    }

    fn frame_bytes(&self) -> u64 {
        (self.shape[1..].iter().product::<usize>() * self.dtype.bits as usize / 8) as u64
    }

    /// Bytes of a group of frames.
    pub(crate) fn chunk_len(&self) -> u64 {
        self.frame_bytes() * self.group as u64
    }

    fn coding(&self) -> u64 {
        match &self.how {
            How::Grid { coder: Coder::Fast, .. } => registry::coding::GRID_FAST,
            How::Grid { .. } => registry::coding::GRID_DENSE,
            How::Tokens { .. } => registry::coding::TOKENS,
        }
    }

    pub(crate) fn fields(&self) -> Fields {
        let tensor = TensorDescriptor {
            dtype: Some(self.dtype),
            dtype_name: self.dtype.name.into(),
            shape: self.dimensions().to_vec(),
            representation: Representation::Predicted,
            chunking: Chunking {
                coding: self.coding(),
                chunk_len: self.chunk_len(),
                byte_len: self.frame_bytes() * self.shape[0] as u64,
            },
            owner: None,
            groups: None,
        };
        let mut fields = tensor.to_fields();
        self.track.put(&mut fields);
        fields
    }
}

/// The number of steps of each element.
pub(super) fn numbers_of(
    array: &Array,
    element: Element,
    step: f32,
    statistics: &Statistics,
) -> Result<Vec<i16>, String> {
    let quantiser = Quantiser { step, statistics, dependency: None };
    let [_, channels, height, width] = array.shape;
    let number = |(i, bytes): (usize, &[u8])| {
        let value = element.value(bytes);
        quantiser.number(i / (height * width) % channels, value).map(|n| n as i16).ok_or_else(|| {
            format!("element {i} is {value}: not finite, or too many steps of {step} from its channel's mean")
        })
    };
    array.bytes.chunks_exact(element.bytes()).enumerate().map(number).collect()
}

/// The coder of an effort.
pub(super) fn coder_of(effort: u8) -> Coder {
    match effort {
        0..=5 => Coder::Fast,
        6..=7 => Coder::Light,
        _ => Coder::Dense,
    }
}

/// Codes the groups of frames that bytes `start..` of a track, `bytes`, are made of.
pub(crate) fn encode_track(
    track: &TrackContent,
    start: u64,
    bytes: &[u8],
) -> Result<Vec<Vec<u8>>, CodingError> {
    let [_, channels, height, width] = track.shape;
    let chunk_len = track.chunk_len() as usize;
    let size = track.dtype.bits as usize / 8;
    let code = |(at, bytes): (usize, &[u8])| {
        let frames = bytes.len() / track.frame_bytes() as usize;
        let shape = Shape { frames, channels, height, width };
        let (element, coder, quantised) = match &track.how {
            How::Tokens { coder, model } => {
                let tokens = Tokens { shape, size, bytes };
                // The model is the only thing that a track depends on.
                return match model {
                    Some(stored) => stored.model.encode(0, &tokens),
                    None => coder.encode(&tokens),
                };
            }
            How::Grid { element, coder, quantised } => (*element, *coder, quantised),
        };
        let content = match quantised {
            None => GridContent::Bytes(bytes),
            Some(Quantised { numbers, step, statistics }) => {
                let from = start as usize / size + at * (chunk_len / size);
                let quantiser = Quantiser { step: *step, statistics, dependency: None };
                GridContent::Quantised(&numbers[from..][..shape.count()], quantiser)
            }
        };
        encode(&Grid { shape, element, content }, coder)
    };
    bytes.par_chunks(chunk_len).enumerate().map(code).collect()
}
