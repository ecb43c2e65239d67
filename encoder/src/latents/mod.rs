//! Latents and tokens of video and image tokenizers: from arrays to assets.

mod array;
mod asset;
mod clips;
mod clustering;
mod content;
mod fsq;
mod levels;
mod masks;
mod models;
mod precision;
mod presets;
mod progressive;
mod reduce;
mod redundancy;
mod resolve;
mod shared;
mod statistics;
mod tracks;
mod unpacked;

pub(crate) use content::{TrackContent, encode_track};

use crate::edit::append_by;
use crate::encode::add_asset;
use crate::inputs::{AssetInput, bytes_item};
use crate::items::Content;
use crate::options::{EncodeOptions, EncodeReport, Output};
use crate::writer::ContainerWriter;
use crate::{EncodeError, Result};
use asset::Maker;
use clips::{Clip, clips_of};
pub use levels::Levels;
pub(crate) use masks::MaskContent;
pub use masks::{
    Curve, MASK_RECORD, MaskArray, MaskOptions, MaskSettings, MaskSource, append_mask_files,
    encode_made_masks, encode_mask_files, make_masks,
};
use mcodec_format::track::Track;
use mcodec_format::{Fields, registry};
pub use precision::Precision;
pub use reduce::{ReducedTrack, Reduction};
pub use redundancy::{Redundancy, Repeats, redundancy};
use shared::Objects;
use std::path::{Path, PathBuf};
use std::sync::Arc;
pub use tracks::TrackOptions;

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
    /// Levels of precision, 2 to 6: the track is the last, and each before it has steps twice as large, of which a reader may stop at any.
    pub progressive: Option<u8>,
    /// Positions that are dropped. The decoded arrays hold what was put in their place.
    pub reduction: Reduction,
    /// Frames of a group: the unit of access. 0: the whole clip.
    pub group: Option<usize>,
    /// Frames of the source in a second: numerator and denominator.
    pub frame_rate: Option<(u64, u64)>,
    /// The model that the latents are of. Of a known one, axes, factors, the rule of frames and statistics are known too.
    pub model: Option<String>,
    /// A hash of that model, so that what does not fit it is noticed.
    pub model_hash: Option<Vec<u8>>,
    /// Whether the model's normalisation is applied to them.
    pub normalised: Option<bool>,
    /// They are tokens, of such levels.
    pub tokens: Option<Levels>,
    /// They are tokens, of the levels of the model if `tokens` does not say them.
    pub are_tokens: bool,
    /// Tokens of finite scalar quantisation with these levels are stored too, and the latents as what refines them.
    pub quantise: Option<Vec<u16>>,
    /// A JSON file with lists `mean` and `std`: the normalisation, and what steps are counted in. `None`: the model's, or measured.
    pub statistics: Option<PathBuf>,
    /// What is said of single tracks. Arrays that none is of are taken by their names.
    pub tracks: Vec<TrackOptions>,
    /// Of tokens: a file that [`train_prior`] made, which they are coded under.
    pub prior: Option<PathBuf>,
}

impl LatentsOptions {
    /// Whether something is counted in deviations even if nothing is rounded.
    fn needs_statistics(&self) -> bool {
        self.reduction.is_some() || self.progressive.is_some()
    }

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

/// Encodes a file of arrays, a folder of such files or a tar of samples (an asset for each clip) as latents.
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
    let mut maker = Maker::new(&clips, latents, options)?;
    let mut writer = ContainerWriter::create(output)?;
    let mut report = add_clips(&mut writer, 0, &clips, &mut maker, options)?;
    report.output_bytes = writer.finish(options)?;
    Ok(report)
}

/// Adds the clips of an input to a file, as a new generation. Nothing that is there is rewritten.
///
/// # Errors
/// As [`encode_latents`], or if the file has an asset of a clip's name, or is being changed by another process.
pub fn append_latents(
    target: &Path,
    input: &Path,
    latents: &LatentsOptions,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let clips = clips_of(input)?;
    let mut maker = Maker::new(&clips, latents, options)?;
    let names: Vec<String> = clips.iter().map(|clip| clip.name.clone()).collect();
    append_by(target, &names, options, |mut writer, first| {
        let mut report = add_clips(&mut writer, first, &clips, &mut maker, options)?;
        report.output_bytes = writer.finish(options)?;
        Ok(report)
    })
}

fn add_clips(
    writer: &mut ContainerWriter,
    first: u32,
    clips: &[Clip],
    maker: &mut Maker<'_>,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let mut reduced = Vec::new();
    let mut all = add_each(writer, first, clips, options, |clip, ordinal| {
        let asset = maker.asset_of(clip, ordinal)?;
        reduced.append(&mut maker.reduced);
        Ok(asset)
    })?;
    all.reduced = reduced;
    all.notes.dedup();
    all.notes.extend(reduce::note(&all.reduced));
    Ok(all)
}

/// Adds an asset for each clip, numbered from `first` on.
fn add_each(
    writer: &mut ContainerWriter,
    first: u32,
    clips: &[Clip],
    options: &EncodeOptions,
    mut asset_of: impl FnMut(&Clip, u32) -> Result<AssetInput<'static>>,
) -> Result<EncodeReport> {
    let mut all = EncodeReport::default();
    for (number, clip) in (0u32..).zip(clips) {
        let ordinal = first.checked_add(number);
        let ordinal = ordinal.ok_or_else(|| EncodeError::Request("no asset ordinal is left".into()))?;
        let asset = asset_of(clip, ordinal)?;
        let made = add_asset(writer, ordinal, asset, false, None, options)?;
        all.input_bytes += made.input_bytes;
        all.tensors += made.tensors;
        all.notes.extend(made.notes);
        (all.asset, all.content_hash) = (made.asset, made.content_hash);
    }
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
    let mut all = Vec::new();
    for input in clips {
        all.extend(clips_of(input)?);
    }
    let (example, coder, model) = models::train(&all, latents, frames, options)?;
    let track = Track { axes: Some(example.axes), ..Track::default() };
    let group = example.shape[0];
    let mut objects = Objects::default();
    let need = objects.need(registry::entry::TOKEN_MODEL, model.bytes.clone());
    let mut content = TrackContent::tokens(&example, coder, Some((model, need)), group, track);
    content.settle(|need| objects.dependency(need));
    let input_bytes = example.bytes.len() as u64;
    let mut items = objects.items();
    items.push(bytes_item(example.name, Content::Track(Arc::new(content)), example.bytes));
    let asset = AssetInput {
        kind: registry::asset::LATENTS,
        name: "prior".into(),
        fields: Fields::default(),
        items,
        input_bytes,
        notes: Vec::new(),
    };
    let mut writer = ContainerWriter::create(output)?;
    let mut report = add_asset(&mut writer, 0, asset, false, None, options)?;
    report.output_bytes = writer.finish(options)?;
    Ok(report)
}
