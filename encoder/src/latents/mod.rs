//! Latents and tokens of video and image tokenizers: from arrays to assets.

mod array;
mod asset;
mod clips;
mod content;
mod fsq;
mod levels;
mod precision;
mod presets;
mod resolve;
mod shared;
mod statistics;
mod tracks;

pub(crate) use content::{TrackContent, encode_track};

use crate::edit::append_by;
use crate::encode::add_asset;
use crate::options::{EncodeOptions, EncodeReport, Output};
use crate::writer::ContainerWriter;
use crate::{EncodeError, Result};
use asset::Maker;
use clips::{Clip, clips_of};
pub use levels::Levels;
pub use precision::Precision;
use std::path::{Path, PathBuf};
pub use tracks::TrackOptions;

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
    let mut all = EncodeReport::default();
    for (number, clip) in (0u32..).zip(clips) {
        let ordinal = first.checked_add(number);
        let ordinal = ordinal.ok_or_else(|| EncodeError::Request("no asset ordinal is left".into()))?;
        let asset = maker.asset_of(clip, ordinal)?;
        let made = add_asset(writer, ordinal, asset, false, None, options)?;
        all.input_bytes += made.input_bytes;
        all.tensors += made.tensors;
        all.notes.extend(made.notes);
        (all.asset, all.content_hash) = (made.asset, made.content_hash);
    }
    all.notes.dedup();
    Ok(all)
}
