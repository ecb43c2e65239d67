//! What tokens of several groups, or clips, are coded under: an order of the codebook, and an example that is learned from.

use super::LatentsOptions;
use super::array::Array;
use super::asset::token_arrays;
use super::clips::Clip;
use super::clustering::{Frames, order_of};
use super::resolve::about;
use crate::copy::read_chunk;
use crate::options::EncodeOptions;
use crate::{EncodeError, Result};
use mcodec_coding::latents::{Shape, TokenModel, TokenScheme, Tokens, encode_tokens};
use mcodec_decode::{ReadOptions, Reader};
use mcodec_format::registry;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Numbers of an example that is made without being asked for.
const EXAMPLE: usize = 1 << 15;
/// Tokens that an order is made from.
const COUNTED: usize = 1 << 20;

/// A model, and the object that it is stored as.
#[derive(Debug)]
pub(crate) struct StoredModel {
    pub(crate) model: TokenModel,
    pub(crate) bytes: Vec<u8>,
}

impl PartialEq for StoredModel {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl StoredModel {
    fn new(scheme: TokenScheme, example: Option<&Tokens<'_>>) -> Option<Self> {
        let (model, bytes) = TokenModel::new(scheme, example).ok()?;
        Some(Self { model, bytes })
    }
}

/// Logarithm of how many counters so many tokens of a codebook need: more save little, and take longer to reach.
fn counters(tokens: usize, vocabulary: u32, whole: bool) -> u8 {
    let depth = (u32::BITS - vocabulary.leading_zeros()) as usize;
    let all = (tokens * depth).max(1).next_power_of_two().ilog2() as u8;
    all.clamp(10, if whole { 22 } else { 18 })
}

/// What is known of tokens before they are coded.
#[derive(Debug, Clone)]
pub(crate) enum Made {
    /// Digits with these levels, for each token of a position.
    Digits(Vec<Vec<u16>>),
    /// Codes of a codebook.
    Codes(u32),
}

/// How tokens are coded by themselves.
#[derive(Debug, Clone)]
pub(crate) struct TokenCoder {
    pub(crate) made: Made,
    pub(crate) effort: u8,
}

impl TokenCoder {
    /// The scheme of `count` tokens, with the orders of these.
    fn scheme(
        &self,
        channels: usize,
        count: usize,
        all: &[Tokens<'_>],
        ordered: bool,
    ) -> Option<TokenScheme> {
        match &self.made {
            Made::Digits(levels) => TokenScheme::digits(levels.clone(), self.effort > 7).ok(),
            Made::Codes(vocabulary) => {
                let whole = self.effort > 5;
                let orders = if ordered { orders_of(all, channels, *vocabulary)? } else { Vec::new() };
                TokenScheme::codes(channels, *vocabulary, whole, counters(count, *vocabulary, whole), orders)
                    .ok()
            }
        }
    }

    /// Codes tokens by themselves, in order if that pays.
    pub(crate) fn encode(&self, tokens: &Tokens<'_>) -> Result<Vec<u8>, mcodec_coding::CodingError> {
        let invalid = mcodec_coding::CodingError::Invalid { what: "tokens of no scheme" };
        let (channels, count) = (tokens.shape.channels, tokens.shape.count());
        let scheme = |ordered| self.scheme(channels, count, &[*tokens], ordered);
        let plain = || encode_tokens(tokens, &scheme(false).ok_or(invalid)?);
        let Made::Codes(vocabulary) = self.made else { return plain() };
        // An order is worth an eighth of the bytes, about, and takes more than one of each token.
        if count < 4 * vocabulary as usize * channels {
            return plain();
        }
        let Some(ordered) = scheme(true) else { return plain() };
        let ordered = encode_tokens(tokens, &ordered)?;
        if count >= 64 * vocabulary as usize * channels {
            return Ok(ordered);
        }
        let plain = plain()?;
        Ok(if plain.len() < ordered.len() { plain } else { ordered })
    }
}

/// Orders for each token of a position.
fn orders_of(
    all: &[Tokens<'_>],
    channels: usize,
    vocabulary: u32,
) -> Option<Vec<mcodec_coding::latents::CodeOrder>> {
    (0..channels)
        .map(|k| {
            let planes: Vec<Vec<u16>> = all.iter().map(|tokens| plane_of(tokens, k)).collect();
            let frames: Vec<Frames<'_>> = planes
                .iter()
                .zip(all)
                .map(|(plane, tokens)| {
                    let Shape { height, width, .. } = tokens.shape;
                    Frames { tokens: plane, height, width }
                })
                .collect();
            order_of(&frames, vocabulary as usize)
        })
        .collect()
}

/// Token `k` of all positions.
fn plane_of(tokens: &Tokens<'_>, k: usize) -> Vec<u16> {
    let Tokens { shape, size, bytes } = *tokens;
    let plane = shape.height * shape.width * size;
    let of_frame = |t: usize| bytes[(t * shape.channels + k) * plane..][..plane].chunks_exact(size);
    // Codes are below 65536, whatever their bytes are.
    let code = |token: &[u8]| u16::from_le_bytes([token[0], token.get(1).copied().unwrap_or(0)]);
    (0..shape.frames).flat_map(|t| of_frame(t).map(code)).collect()
}

impl Array {
    /// Its first frames, as tokens.
    fn tokens(&self, frames: usize) -> Tokens<'_> {
        let [_, channels, height, width] = self.shape;
        let size = self.dtype.bits as usize / 8;
        let shape = Shape { frames, channels, height, width };
        Tokens { shape, size, bytes: &self.bytes[..shape.count() * size] }
    }
}

/// The model that the tokens of clips share, if there are several groups of them: as it is given, or made.
pub(super) fn model_for(
    clips: &[Clip],
    latents: &LatentsOptions,
    options: &EncodeOptions,
) -> Result<Option<Arc<StoredModel>>> {
    if let Some(path) = &latents.prior {
        return read_model(path).map(Some);
    }
    let mut arrays: Vec<Array> = Vec::new();
    let (mut groups, mut counted, mut made) = (0, 0, None);
    for clip in clips {
        if counted >= COUNTED && groups > 1 {
            break;
        }
        // What is wrong with an array is told when it is coded.
        let Ok(tokens) = token_arrays(clip, latents, options) else { return Ok(None) };
        for (array, found) in tokens {
            if arrays.first().is_some_and(|first| first.shape[1] != array.shape[1]) {
                return Ok(None);
            }
            groups += array.shape[0].div_ceil(latents.group_of(array.shape[0]));
            counted += array.shape.iter().product::<usize>();
            made = Some(found);
            arrays.push(array);
        }
    }
    let (Some(made), true) = (made, groups > 1) else { return Ok(None) };
    let coder = TokenCoder { made, effort: options.effort };
    Ok(automatic(&coder, &arrays, latents).map(Arc::new))
}

/// A model whose example are the first groups, if that pays.
fn automatic(coder: &TokenCoder, arrays: &[Array], latents: &LatentsOptions) -> Option<StoredModel> {
    let first = arrays.first()?;
    let [frames, channels, height, width] = first.shape;
    let group = latents.group_of(frames);
    let all: Vec<Tokens<'_>> = arrays.iter().map(|array| array.tokens(array.shape[0])).collect();
    let numbers = match &coder.made {
        Made::Digits(levels) => levels.iter().flatten().count(),
        Made::Codes(_) => channels,
    };
    let total: usize = arrays.iter().map(|array| array.shape.iter().product::<usize>()).sum();
    let frame = height * width * channels;
    let ordered = match coder.made {
        Made::Codes(vocabulary) => total >= 8 * vocabulary as usize * channels,
        Made::Digits(_) => false,
    };
    // Half of what there is, at most.
    let most = (EXAMPLE / (height * width * numbers).max(1)).min(total / 2 / frame).min(frames);
    let example = match most / group * group {
        0 if group == frames && group <= 2 * most => frames,
        example => example,
    };
    let scheme = coder.scheme(channels, example.max(group) * frame + group * frame, &all, ordered)?;
    let without = StoredModel::new(scheme.clone(), None)?;
    if example == 0 {
        return Some(without);
    }
    let with = StoredModel::new(scheme, Some(&first.tokens(example)))?;
    // What comes after the example, coded under both.
    let rest = match frames.checked_sub(example) {
        Some(rest) if rest > 0 => {
            let size = frame * first.dtype.bits as usize / 8;
            let frames = rest.min(group);
            let bytes = &first.bytes[example * size..][..frames * size];
            Tokens { bytes, ..first.tokens(frames) }
        }
        _ => *all.get(1)?,
    };
    let gain = |model: &StoredModel| model.model.encode(0, &rest).map(|coded| coded.len());
    match (gain(&with), gain(&without)) {
        (Ok(with_it), Ok(alone)) if with_it >= alone => Some(without),
        _ => Some(with),
    }
}

/// The model of a file that [`train_prior`] made, or of any other with one.
fn read_model(path: &Path) -> Result<Arc<StoredModel>> {
    let file = File::open(path).map_err(EncodeError::io("open", path))?;
    let reader = Reader::open(file, ReadOptions::default())?;
    for asset in reader.assets()? {
        for row in reader.rows(&asset.name)? {
            let row = row.get();
            if row.kind != registry::entry::TOKEN_MODEL {
                continue;
            }
            let Some(span) = row.spans(asset.ordinal).next() else { continue };
            let bytes = read_chunk(reader.source(), path, &span)?;
            let model = TokenModel::parse(&bytes)
                .map_err(|e| EncodeError::Request(format!("{}: {:?}: {e}", path.display(), row.name)))?;
            return Ok(Arc::new(StoredModel { model, bytes }));
        }
    }
    Err(EncodeError::Request(format!("{}: there is no model of tokens in it", path.display())))
}

/// Learns from clips what others can be coded under: all their frames, or those of `frames`, one clip after another, are the example.
pub(super) fn train(
    clips: &[Clip],
    latents: &LatentsOptions,
    frames: Option<std::ops::Range<usize>>,
    options: &EncodeOptions,
) -> Result<(Array, TokenCoder, Arc<StoredModel>)> {
    let mut example: Option<Array> = None;
    let mut made = None;
    for clip in clips {
        for (mut array, found) in token_arrays(clip, latents, options)? {
            made = Some(found);
            let fail = |array: &Array, why: String| about(&clip.shown(), &array.name, why);
            if let Some(wanted) = &frames {
                let end = if wanted.end == usize::MAX { array.shape[0] } else { wanted.end };
                let frames = wanted.start..end;
                if frames.start >= frames.end || frames.end > array.shape[0] {
                    return Err(fail(&array, format!("it has {} frames", array.shape[0])));
                }
                let frame = array.bytes.len() / array.shape[0];
                array.bytes = array.bytes[frames.start * frame..frames.end * frame].to_vec();
                array.shape[0] = frames.len();
            }
            match &mut example {
                None => example = Some(array),
                Some(all) if all.shape[1..] == array.shape[1..] && all.dtype.id == array.dtype.id => {
                    all.shape[0] += array.shape[0];
                    all.bytes.extend_from_slice(&array.bytes);
                }
                Some(_) => return Err(fail(&array, "its grid or type is not that of the first".into())),
            }
        }
    }
    let (Some(mut example), Some(made)) = (example, made) else {
        return Err(EncodeError::Request(
            "a prior is of tokens, and there are none: say which, with --fsq or --vocab".into(),
        ));
    };
    "example".clone_into(&mut example.name);
    let coder = TokenCoder { made, effort: options.effort };
    let tokens = example.tokens(example.shape[0]);
    let count = tokens.shape.count();
    let scheme = coder.scheme(tokens.shape.channels, count + count / 4, &[tokens], true);
    let stored = scheme.and_then(|scheme| StoredModel::new(scheme, Some(&tokens)));
    let Some(stored) = stored else {
        let why = format!(
            "an example of {count} tokens is too long: it has {} numbers at most",
            TokenModel::max_example()
        );
        return Err(EncodeError::Request(why));
    };
    Ok((example, coder, Arc::new(stored)))
}
