//! A track to be encoded.

use super::array::Array;
use super::models::{StoredModel, TokenCoder};
use super::shared::Need;
use mcodec_coding::CodingError;
use mcodec_coding::latents::{
    Base, Coder, Digits, Element, Grid, GridContent, Level, Quantiser, Shape, Statistics, Tokens, Told,
    encode_refined,
};
use mcodec_format::registry::{self, Dtype};
use mcodec_format::track::Track;
use mcodec_format::{Chunking, Dependency, DependencyGroups, Fields, Representation, TensorDescriptor};
use rayon::prelude::*;
use std::sync::Arc;

/// A track's numbers and what is said of it.
#[derive(Debug, Clone)]
pub(crate) struct TrackContent {
    dtype: Dtype,
    shape: [usize; 4],
    /// Frames of a chunk.
    group: usize,
    pub(super) track: Track,
    /// Of a coarser level: which of what it needs says what its numbers are worth.
    pub(super) level: Option<u64>,
    how: How,
    /// What its chunks are decoded with, in order.
    pub(super) used: Vec<Need>,
    /// What its fields name besides.
    told: Vec<Need>,
    /// All of these, once entry ids are known.
    pub(crate) dependencies: Vec<Dependency>,
}

/// How a track is coded.
#[derive(Debug, Clone)]
enum How {
    Grid { element: Element, coder: Coder, quantised: Option<Quantised>, base: Option<Refined> },
    Tokens { coder: TokenCoder, model: Option<Arc<StoredModel>> },
}

/// Tokens, or numbers of a coarser level, that tell of a track's numbers.
#[derive(Debug, Clone)]
pub(super) struct Refined {
    /// The entry of the tokens.
    pub(super) track: Need,
    pub(super) tokens: Arc<Vec<u8>>,
    pub(super) tells: Tells,
}

/// What they tell.
#[derive(Debug, Clone)]
pub(super) enum Tells {
    Digits(Digits),
    Level(Level),
}

impl Tells {
    fn told(&self) -> Told<'_> {
        match self {
            Self::Digits(digits) => Told::Digits(digits),
            Self::Level(level) => Told::Level(level),
        }
    }
}

/// What elements were rounded to.
#[derive(Debug, Clone)]
pub(crate) struct Quantised {
    pub(super) numbers: Vec<i16>,
    pub(super) step: f32,
    pub(super) statistics: Statistics,
    /// Whether the statistics are the first of what the chunks are decoded with; else they are in each.
    shared: bool,
}

impl Quantised {
    pub(super) fn quantiser(&self) -> Quantiser<'_> {
        let dependency = self.shared.then_some(0);
        Quantiser { step: self.step, statistics: &self.statistics, dependency }
    }
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
        Self::new(array, group, track, How::Grid { element, coder, quantised: None, base: None })
    }

    fn new(array: &Array, group: usize, track: Track, how: How) -> Self {
        let Array { dtype, shape, .. } = *array;
        let (used, told, dependencies) = (Vec::new(), Vec::new(), Vec::new());
        Self { dtype, shape, group, track, level: None, how, used, told, dependencies }
    }

    /// Makes it a refinement of tokens.
    pub(super) fn refine(&mut self, refined: Refined, digits: Need) {
        if let How::Grid { base, coder, .. } = &mut self.how {
            *base = Some(refined);
            // The fast coder knows nothing of what numbers can be.
            if *coder == Coder::Fast {
                *coder = Coder::Light;
            }
            self.used.push(digits);
        }
    }

    /// What its elements were rounded to.
    pub(super) fn rounded(&self) -> Option<&Quantised> {
        match &self.how {
            How::Grid { quantised, .. } => quantised.as_ref(),
            How::Tokens { .. } => None,
        }
    }

    /// Whether it is a refinement.
    pub(super) fn is_refined(&self) -> bool {
        self.base().is_some()
    }

    fn base(&self) -> Option<&Refined> {
        match &self.how {
            How::Grid { base, .. } => base.as_ref(),
            How::Tokens { .. } => None,
        }
    }

    /// Adds something that a field names; returns the index that names it.
    pub(super) fn told(&mut self, need: Need) -> u64 {
        if let Some(at) = self.used.iter().chain(&self.told).position(|n| *n == need) {
            return at as u64;
        }
        self.told.push(need);
        (self.used.len() + self.told.len() - 1) as u64
    }

    /// Makes dependencies of what is needed.
    pub(super) fn settle(&mut self, dependency: impl Fn(&Need) -> Dependency) {
        let base = self.base().map(|base| &base.track);
        self.dependencies = base.into_iter().chain(&self.used).chain(&self.told).map(dependency).collect();
    }

    /// Rounds an array's elements to steps of `step` deviations; puts what they then stand for in their place.
    pub(super) fn quantised(
        array: &mut Array,
        element: Element,
        group: usize,
        track: Track,
        coder: Coder,
        (step, statistics, shared): (f32, Statistics, bool),
    ) -> Result<Self, String> {
        let numbers = numbers_of(array, element, step, &statistics)?;
        let quantiser = Quantiser { step, statistics: &statistics, dependency: None };
        let [_, channels, height, width] = array.shape;
        let size = element.bytes();
        for (i, (number, out)) in numbers.iter().zip(array.bytes.chunks_exact_mut(size)).enumerate() {
            quantiser.put(i / (height * width) % channels, i32::from(*number), element, out);
        }
        let quantised = Some(Quantised { numbers, step, statistics, shared });
        let how = How::Grid { element, coder, quantised, base: None };
        Ok(Self { how, ..Self::lossless(array, element, group, track, coder) })
    }

    /// Of tokens, coded by themselves or under a model.
    pub(super) fn tokens(
        array: &Array,
        coder: TokenCoder,
        model: Option<(Arc<StoredModel>, Need)>,
        group: usize,
        track: Track,
    ) -> Self {
        let (model, need) = model.unzip();
        let mut content = Self::new(array, group, track, How::Tokens { coder, model });
        content.used.extend(need);
        content
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
            representation: match self.base() {
                Some(_) => Representation::Refined,
                None => Representation::Predicted,
            },
            chunking: Chunking {
                coding: self.coding(),
                chunk_len: self.chunk_len(),
                byte_len: self.frame_bytes() * self.shape[0] as u64,
            },
            owner: None,
            groups: (!self.told.is_empty()).then(|| DependencyGroups {
                chunks: (self.shape[0].div_ceil(self.group.max(1)) as u64).max(1),
                dependencies: self.used.len() as u64,
            }),
        };
        let mut fields = tensor.to_fields();
        self.track.put(&mut fields);
        if let Some(level) = self.level {
            fields.set_varint(registry::field::LEVEL, false, level);
        }
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
        let (element, coder, quantised, base) = match &track.how {
            How::Tokens { coder, model } => {
                let tokens = Tokens { shape, size, bytes };
                // The model is the only thing that the chunks are decoded with.
                return match model {
                    Some(stored) => stored.model.encode(0, &tokens),
                    None => coder.encode(&tokens),
                };
            }
            How::Grid { element, coder, quantised, base } => (*element, *coder, quantised, base),
        };
        let base = base.as_ref().map(|base| {
            let per_frame = base.tokens.len() / track.shape[0];
            let frame = (start as usize + at * chunk_len) / track.frame_bytes() as usize;
            let tokens = &base.tokens[frame * per_frame..][..frames * per_frame];
            Base { tokens, told: base.tells.told(), dependency: track.used.len() as u32 - 1 }
        });
        let content = match quantised {
            None => GridContent::Bytes(bytes),
            Some(quantised) => {
                let from = start as usize / size + at * (chunk_len / size);
                let numbers = &quantised.numbers[from..][..shape.count()];
                GridContent::Quantised(numbers, quantised.quantiser())
            }
        };
        encode_refined(&Grid { shape, element, content }, coder, base.as_ref())
    };
    bytes.par_chunks(chunk_len).enumerate().map(code).collect()
}
