//! Latents and tokens of video and image tokenizers: from arrays to assets.

mod array;
mod clustering;
mod content;
mod levels;
mod models;
mod precision;
mod statistics;

pub(crate) use content::{TrackContent, encode_track};
pub(crate) use models::StoredModel;

use content::coder_of;
use models::TokenCoder;

use crate::encode::add_asset;
use crate::inputs::AssetInput;
use crate::items::{Content, Item};
use crate::options::{EncodeOptions, EncodeReport, Output};
use crate::writer::ContainerWriter;
use crate::{EncodeError, Result};
use array::{Array, ArrayOptions, read_arrays};
pub use levels::Levels;
use mcodec_coding::latents::{Element, MAX_CHANNELS, Statistics};
use mcodec_format::natural_order::natural_cmp;
use mcodec_format::track::{Normalisation, Track};
use mcodec_format::{Fields, registry, wire};
pub use precision::Precision;
use statistics::{Moments, read_statistics};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Frames up to which a clip is one group, unless the caller says otherwise.
const WHOLE: usize = 64;
/// Frames of a group of longer clips.
const GROUP: usize = 16;

/// How latents are taken.
#[derive(Debug, Clone, Default)]
pub struct LatentsOptions {
    /// Letters of the axes of arrays, as `TCHW`; `None`: by their number.
    pub axes: Option<String>,
    /// What elements are, where the file can only say how wide they are (`bf16` in a `.npy` of u16).
    pub dtype: Option<String>,
    /// How much may be lost.
    pub precision: Precision,
    /// Frames of a group: the unit of access. 0: the whole clip.
    pub group: Option<usize>,
    /// Frames of the source in a second: numerator and denominator.
    pub frame_rate: Option<(u64, u64)>,
    /// The model that the latents are of.
    pub model: Option<String>,
    /// Whether the model's normalisation is applied to them.
    pub normalised: Option<bool>,
    /// They are tokens, of such levels.
    pub tokens: Option<Levels>,
    /// A JSON file with lists `mean` and `std`, which steps are counted in; `None`: measured.
    pub statistics: Option<PathBuf>,
    /// Of tokens: a file that [`train_prior`] made, which they are coded under.
    pub prior: Option<PathBuf>,
}

impl LatentsOptions {
    /// Frames of a group of an array of so many.
    fn group_of(&self, frames: usize) -> usize {
        match self.group {
            Some(0) => frames,
            Some(group) => group.min(frames),
            None if frames <= WHOLE => frames,
            None => GROUP,
        }
    }
}

/// Encodes a file of arrays, or a folder of such files (an asset each), as latents.
///
/// # Errors
/// If an input is malformed, does not fit the options, or cannot be read; or the output cannot be written.
pub fn encode_latents(
    input: &Path,
    latents: &LatentsOptions,
    output: Output,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let clips = clips_of(input)?;
    let statistics = statistics_for(&clips, latents, options)?;
    let model = models::model_for(&clips, latents, options)?;
    let mut writer = ContainerWriter::create(output)?;
    let mut all = EncodeReport::default();
    for (ordinal, clip) in (0u32..).zip(&clips) {
        let asset = asset_of(clip, latents, statistics.as_ref(), model.as_ref(), options)?;
        let made = add_asset(&mut writer, ordinal, asset, false, None, options)?;
        all.input_bytes += made.input_bytes;
        all.tensors += made.tensors;
        all.notes.extend(made.notes);
        (all.asset, all.content_hash) = (made.asset, made.content_hash);
    }
    all.output_bytes = writer.finish(options)?;
    Ok(all)
}

/// Learns from clips of tokens what others can be coded under ([`LatentsOptions::prior`]), and writes it to a file: all their frames, or
/// of each those of `frames` (an end of `usize::MAX` is the clip's), are an example, which is a track of that file.
///
/// # Errors
/// As [`encode_latents`]; if the clips are of different grids, or too long together.
pub fn train_prior(
    clips: &[PathBuf],
    latents: &LatentsOptions,
    frames: Option<std::ops::Range<usize>>,
    output: Output,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let Some(levels) = &latents.tokens else {
        return Err(EncodeError::Request("a prior is of tokens: say which".into()));
    };
    let mut all = Vec::new();
    for input in clips {
        all.extend(clips_of(input)?);
    }
    let (example, model) = models::train(&all, latents, levels, frames, options)?;
    let coder = TokenCoder { made: levels.of(&example)?, effort: options.effort };
    let track = Track { axes: Some(example.axes), ..Track::default() };
    let group = example.shape[0];
    let content = TrackContent::tokens(&example, coder, Some(model), group, track);
    let input_bytes = example.bytes.len() as u64;
    let asset = AssetInput {
        kind: registry::asset::LATENTS,
        name: "prior".into(),
        fields: Fields::default(),
        items: vec![item_of(example, content)],
        input_bytes,
        notes: Vec::new(),
    };
    let mut writer = ContainerWriter::create(output)?;
    let mut report = add_asset(&mut writer, 0, asset, false, None, options)?;
    report.output_bytes = writer.finish(options)?;
    Ok(report)
}

/// A clip's file, and the name of its asset.
struct Clip {
    path: PathBuf,
    name: String,
}

/// Extensions of files that are clips.
const EXTENSIONS: [&str; 5] = ["npy", "npz", "safetensors", "pt", "pth"];

fn clips_of(input: &Path) -> Result<Vec<Clip>> {
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if !input.is_dir() {
        return Ok(vec![Clip { name: name(input), path: input.to_owned() }]);
    }
    let fail = |e| EncodeError::io("read", input)(e);
    let mut clips = Vec::new();
    for file in std::fs::read_dir(input).map_err(fail)? {
        let path = file.map_err(fail)?.path();
        let is_clip = path.extension().is_some_and(|e| EXTENSIONS.iter().any(|x| e.eq_ignore_ascii_case(x)));
        if is_clip && path.is_file() {
            clips.push(Clip { name: name(&path), path });
        }
    }
    clips.sort_by(|a, b| natural_cmp(a.name.as_bytes(), b.name.as_bytes()).then(a.path.cmp(&b.path)));
    if clips.is_empty() {
        return Err(EncodeError::Request(format!(
            "{} holds no clips: no .npy, .npz, .safetensors, .pt",
            input.display()
        )));
    }
    if let Some(twice) = clips.windows(2).find(|w| w[0].name == w[1].name) {
        return Err(EncodeError::Request(format!(
            "two clips of {} are called {:?}",
            input.display(),
            twice[0].name
        )));
    }
    Ok(clips)
}

fn array_options(latents: &LatentsOptions) -> ArrayOptions<'_> {
    ArrayOptions {
        axes: latents.axes.as_deref(),
        dtype: latents.dtype.as_deref(),
        tokens: latents.tokens.is_some(),
        name: None,
    }
}

/// What steps are counted in: as given, or measured over all clips.
fn statistics_for(
    clips: &[Clip],
    latents: &LatentsOptions,
    options: &EncodeOptions,
) -> Result<Option<Statistics>> {
    if latents.precision == Precision::Lossless {
        return Ok(None);
    }
    if let Some(path) = &latents.statistics {
        return read_statistics(path).map(Some);
    }
    let mut moments = Moments::default();
    for clip in clips {
        for array in read_arrays(&clip.path, &array_options(latents), &options.import)? {
            let element = element_of(&array, clip)?;
            if !moments.add(&array, element) {
                let why =
                    "its number of channels is not that of the others: encode it by itself, or give --stats";
                return Err(about(&array, clip, why));
            }
        }
    }
    moments.statistics().map(Some)
}

fn about(array: &Array, clip: &Clip, why: &str) -> EncodeError {
    EncodeError::Request(format!("{}: array {:?}: {why}", clip.path.display(), array.name))
}

fn element_of(array: &Array, clip: &Clip) -> Result<Element> {
    let element = Element::by_id(array.dtype.id);
    let why = || about(array, clip, &format!("elements of type {} are not latents", array.dtype.name));
    let element = element.ok_or_else(why)?;
    if array.shape[1] > MAX_CHANNELS {
        let why = format!(
            "{} channels are more than {MAX_CHANNELS}: is its order of axes as --axes says?",
            array.shape[1]
        );
        return Err(about(array, clip, &why));
    }
    Ok(element)
}

fn asset_of(
    clip: &Clip,
    latents: &LatentsOptions,
    statistics: Option<&Statistics>,
    model: Option<&Arc<StoredModel>>,
    options: &EncodeOptions,
) -> Result<AssetInput<'static>> {
    let mut fields = Fields::default();
    if let Some((numerator, denominator)) = latents.frame_rate {
        let mut value = Vec::new();
        wire::put_varint(&mut value, numerator);
        wire::put_varint(&mut value, denominator);
        fields.set(registry::asset_field::FRAME_RATE, false, value);
    }
    if let Some(model) = &latents.model {
        fields.set(registry::asset_field::MODEL, false, model.clone().into_bytes());
    }
    let coder = coder_of(options.effort);
    let mut items = Vec::new();
    let mut input_bytes = 0;
    let mut notes = Vec::new();
    for mut array in read_arrays(&clip.path, &array_options(latents), &options.import)? {
        input_bytes += array.bytes.len() as u64;
        let track = Track {
            axes: Some(array.axes),
            normalisation: latents.normalised.map(|applied| Normalisation { applied, channels: Vec::new() }),
            ..Track::default()
        };
        let group = latents.group_of(array.shape[0]);
        if let Some(tokens) = &latents.tokens {
            if array.dtype.width() % 8 != 0 || !array.dtype.name.starts_with(['U', 'I']) {
                return Err(about(
                    &array,
                    clip,
                    &format!("elements of type {} are not tokens", array.dtype.name),
                ));
            }
            let made = tokens.of(&array).map_err(|e| about(&array, clip, &e.to_string()))?;
            let fits = |stored: &&Arc<StoredModel>| made.is_of(stored.model.scheme(), array.shape[1]);
            if latents.prior.is_some() && model.is_none_or(|stored| !fits(&stored)) {
                return Err(about(&array, clip, "the prior is of other tokens"));
            }
            let model = model.filter(fits).cloned();
            let coder = TokenCoder { made, effort: options.effort };
            let content = TrackContent::tokens(&array, coder, model, group, track);
            items.push(item_of(array, content));
            continue;
        }
        let element = element_of(&array, clip)?;
        let content = match statistics {
            Some(statistics) if element.float().is_some() => {
                if statistics.channels().len() != array.shape[1] {
                    return Err(about(&array, clip, "the statistics are of another number of channels"));
                }
                let step = latents
                    .precision
                    .step(&array, element, statistics, coder)
                    .map_err(|why| about(&array, clip, &why))?;
                let statistics = statistics.clone();
                TrackContent::quantised(&mut array, element, group, track, coder, step, statistics)
                    .map_err(|why| about(&array, clip, &why))?
            }
            _ => TrackContent::lossless(&array, element, group, track, coder),
        };
        if statistics.is_some() && element.float().is_none() {
            notes.push(format!(
                "{:?}: elements of type {} are kept as they are",
                array.name, array.dtype.name
            ));
        }
        items.push(item_of(array, content));
    }
    Ok(AssetInput {
        kind: registry::asset::LATENTS,
        name: clip.name.clone(),
        fields,
        items,
        input_bytes,
        notes,
    })
}

fn item_of(array: Array, content: TrackContent) -> Item<'static> {
    let Array { name, bytes, .. } = array;
    Item {
        name,
        content: Content::Track(Arc::new(content)),
        byte_len: bytes.len() as u64,
        alias_of: None,
        base: None,
        read: Box::new(move |offset, buf| {
            buf.copy_from_slice(&bytes[offset as usize..][..buf.len()]);
            Ok(())
        }),
    }
}
