//! Latents on the command line: arrays in, arrays out.

mod masks;
mod output;
pub(crate) mod planes;

pub(crate) use output::decode;

use crate::cli::{Answer, Append, Common, Encode, Import, Kind, Latents};
use crate::commands::in_place::Target;
use crate::console::Console;
use crate::input;
use crate::outcome::{Outcome, usage};
use crate::sink::is_std;
use mcodec_encode::Output;
use mcodec_encode::latents::{
    LatentsOptions, Levels, Precision, Reduction, TrackOptions, append_latents, encode_latents,
};
use std::path::Path;

/// Encodes a file, a folder or a tar of arrays as latents.
pub(crate) fn encode(
    args: &Encode,
    output: Output,
    common: &Common,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let [input] = &args.input[..] else { return Err(usage("one input of latents at a time")) };
    if !args.bases.paths.is_empty() || args.name.is_some() {
        return Err(usage("--base and --name are not for latents"));
    }
    if args.import.kind == Some(Kind::Masks) {
        return masks::encode(input, &args.latents, output, common, console);
    }
    let latents = options(&args.latents, &args.import, input)?;
    let report = encode_latents(input, &latents, output, &console.encode_options(common))
        .map_err(|e| input::about(input, e))?;
    crate::commands::tell_encoded(input, &report, console)?;
    Ok(Outcome::Done)
}

/// Adds the clips of an input to a file.
pub(crate) fn append(args: &Append, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    if !args.bases.paths.is_empty() || args.base_asset != "auto" {
        return Err(usage("--base and --base-asset are not for latents"));
    }
    if args.import.kind == Some(Kind::Masks) {
        return masks::append(args, common, console);
    }
    let latents = options(&args.latents, &args.import, &args.input)?;
    let target = Target::of(&args.target, common.output.as_deref(), common.force)?;
    let report = append_latents(target.path(), &args.input, &latents, &console.encode_options(common))
        .map_err(|e| input::about(&args.target, e))?;
    target.commit(console)?;
    crate::commands::tell_encoded(&args.input, &report, console)?;
    Ok(Outcome::Done)
}

fn options(given: &Latents, import: &Import, input: &Path) -> anyhow::Result<LatentsOptions> {
    if is_std(input) {
        return Err(usage("latents are encoded from a file or a folder, not from the standard input"));
    }
    if import.mappable {
        return Err(usage("--mappable is not for latents"));
    }
    if given.mask_settings.is_some() {
        return Err(usage("--mask-settings is for --as masks"));
    }
    let precision = match (given.step, given.snr, given.bits) {
        (Some(step), ..) => Precision::Step(step),
        (_, Some(snr), _) => Precision::SignalToNoise(snr),
        (.., Some(bits)) => Precision::Bits(bits),
        (None, None, None) => Precision::Lossless,
    };
    let precision = precision.checked().map_err(usage)?;
    let are_tokens = import.kind == Some(Kind::Tokens);
    if are_tokens && precision != Precision::Lossless {
        return Err(usage("tokens are kept as they are: --step, --snr and --bits are for latents"));
    }
    let reduction = given.reduce.as_deref().map_or(Ok(Reduction::default()), Reduction::parse);
    let reduction = reduction.map_err(|why| usage(format!("--reduce: {why}")))?;
    if are_tokens && reduction.is_some() {
        return Err(usage("tokens are kept as they are: --reduce is for latents"));
    }
    if are_tokens && given.progressive.is_some() {
        return Err(usage("tokens are kept as they are: --progressive is for latents"));
    }
    let levels = levels_of(given.fsq.as_deref(), given.vocab)?;
    if given.prior.is_some() && !are_tokens {
        return Err(usage("--prior is for --as tokens"));
    }
    if levels.is_some() && !are_tokens {
        return Err(usage("--fsq and --vocab are for --as tokens; of one track, --track says it"));
    }
    let frame_rate = match &given.fps {
        None => None,
        Some(text) => {
            Some(rate(text).ok_or_else(|| usage("--fps is a number, or two with a slash between them"))?)
        }
    };
    let tracks = given.tracks.iter().map(|t| TrackOptions::parse(t).map_err(usage));
    Ok(LatentsOptions {
        axes: given.axes.clone(),
        dtype: given.dtype.clone(),
        precision,
        tokens: levels,
        are_tokens,
        quantise: match &given.quantise {
            Some(_) if are_tokens => return Err(usage("--quantise is for --as latents")),
            Some(text) => Some(Levels::quantiser(text, ',').map_err(usage)?),
            None => None,
        },
        reduction,
        progressive: given.progressive,
        group: given.group,
        frame_rate,
        model: given.model.clone(),
        model_hash: given.model_hash.as_deref().map(hexadecimal).transpose()?,
        normalised: given.normalised.map(|answer| answer == Answer::Yes),
        statistics: given.stats.clone(),
        prior: given.prior.clone(),
        tracks: tracks.collect::<Result<_, _>>()?,
    })
}

/// What tokens are made of, as the user says it.
pub(crate) fn levels_of(fsq: Option<&str>, vocabulary: Option<u64>) -> anyhow::Result<Option<Levels>> {
    Ok(match (fsq, vocabulary) {
        (Some(text), _) => Some(Levels::parse(text, ',').map_err(usage)?),
        (None, Some(count)) => Some(Levels::vocabulary(count).map_err(usage)?),
        (None, None) => None,
    })
}

fn hexadecimal(text: &str) -> anyhow::Result<Vec<u8>> {
    let digits = text.rsplit(':').next().unwrap_or_default();
    let byte = |at: usize| digits.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    let fine = bytes.filter(|b| (1..=64).contains(&b.len()));
    fine.ok_or_else(|| usage("--model-hash is of hexadecimal digits, an even number, at most 128"))
}

/// A rate as a fraction.
fn rate(text: &str) -> Option<(u64, u64)> {
    let (above, below) = match text.split_once('/') {
        Some((above, below)) => (above.parse().ok()?, below.parse().ok()?),
        None => match text.split_once('.') {
            Some((whole, part)) if part.len() <= 6 => {
                (format!("{whole}{part}").parse().ok()?, 10u64.pow(part.len() as u32))
            }
            Some(_) => return None,
            None => (text.parse().ok()?, 1),
        },
    };
    (above > 0 && below > 0).then_some((above, below))
}
