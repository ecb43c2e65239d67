//! Latents on the command line: arrays in, arrays out.

use crate::cli::{Answer, Common, Decode, Encode, Format, Kind};
use crate::console::Console;
use crate::export::folder::FolderOutput;
use crate::export::npy;
use crate::input::{self, FileReader};
use crate::outcome::{Outcome, usage};
use crate::selection;
use crate::sink::{Sink, is_std};
use anyhow::Context;
use mcodec_decode::Entry;
use mcodec_decode::latents::{TrackArray, TrackPart, describe_track, read_track};
use mcodec_decode::safetensors::{HeaderTensor, render_header};
use mcodec_encode::Output;
use mcodec_encode::latents::{LatentsOptions, Levels, Precision, encode_latents};
use mcodec_format::{Asset, registry};
use std::io::Write;
use std::path::Path;

/// Encodes a file or a folder of arrays as latents.
pub(crate) fn encode(
    args: &Encode,
    output: Output,
    common: &Common,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let [input] = &args.input[..] else { return Err(usage("one input of latents at a time")) };
    if is_std(input) {
        return Err(usage("latents are encoded from a file or a folder, not from the standard input"));
    }
    if !args.bases.paths.is_empty() || args.name.is_some() || args.import.mappable {
        return Err(usage("--base, --name and --mappable are not for latents"));
    }
    let latents = options(args)?;
    let report = encode_latents(input, &latents, output, &console.encode_options(common))
        .map_err(|e| input::about(input, e))?;
    crate::commands::tell_encoded(input, &report, console)?;
    Ok(Outcome::Done)
}

fn options(args: &Encode) -> anyhow::Result<LatentsOptions> {
    let given = &args.latents;
    let precision = match (given.step, given.snr, given.bits) {
        (Some(step), ..) if step > 0.0 && step.is_finite() => Precision::Step(step),
        (Some(_), ..) => return Err(usage("--step is a number above 0")),
        (_, Some(snr), _) if snr.is_finite() => Precision::SignalToNoise(snr),
        (.., Some(bits)) if bits > 0.0 && bits.is_finite() => Precision::Bits(bits),
        (None, None, None) => Precision::Lossless,
        _ => return Err(usage("--snr and --bits are numbers, and --bits is above 0")),
    };
    let tokens = tokens(args)?;
    if tokens.is_some() && precision != Precision::Lossless {
        return Err(usage("tokens are kept as they are: --step, --snr and --bits are for latents"));
    }
    let frame_rate = match &given.fps {
        None => None,
        Some(text) => {
            Some(rate(text).ok_or_else(|| usage("--fps is a number, or two with a slash between them"))?)
        }
    };
    Ok(LatentsOptions {
        axes: given.axes.clone(),
        dtype: given.dtype.clone(),
        precision,
        tokens,
        group: given.group,
        frame_rate,
        model: given.model.clone(),
        normalised: given.normalised.map(|answer| answer == Answer::Yes),
        statistics: given.stats.clone(),
        prior: given.prior.clone(),
    })
}

/// What tokens are made of, if there are tokens.
fn tokens(args: &Encode) -> anyhow::Result<Option<Levels>> {
    let given = &args.latents;
    let levels = levels_of(given.fsq.as_deref(), given.vocab)?;
    match (args.import.kind, &levels) {
        (Some(Kind::Tokens), None) => Err(usage("which tokens? say it with --fsq or --vocab")),
        (Some(Kind::Tokens), _) => Ok(levels),
        (_, Some(_)) => Err(usage("--fsq and --vocab are for --as tokens")),
        (_, None) if given.prior.is_some() => Err(usage("--prior is for --as tokens")),
        (_, None) => Ok(None),
    }
}

/// What tokens are made of, as the user says it.
pub(crate) fn levels_of(fsq: Option<&str>, vocabulary: Option<u64>) -> anyhow::Result<Option<Levels>> {
    Ok(match (fsq, vocabulary) {
        (Some(text), _) if text.ends_with(".json") => Some(Levels::FsqFile(text.into())),
        (Some(text), _) => {
            let levels = text.split(',').map(str::parse).collect::<Result<_, _>>();
            let why = "--fsq takes numbers with commas between them, or a .json file";
            Some(Levels::Fsq(levels.map_err(|_| usage(why))?))
        }
        (None, Some(vocabulary)) if vocabulary > 1 => Some(Levels::Vocabulary(vocabulary)),
        (None, Some(_)) => return Err(usage("--vocab is at least 2")),
        (None, None) => None,
    })
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

/// What was decoded.
pub(crate) struct Decoded {
    pub(crate) files: Vec<String>,
    pub(crate) bytes: u64,
    pub(crate) notes: Vec<String>,
}

/// Decodes what is asked for, if it is of latents.
pub(crate) fn decode(
    args: &Decode,
    reader: &FileReader,
    output: &Path,
    common: &Common,
) -> anyhow::Result<Option<Decoded>> {
    let several = args.asset.is_none() && reader.index().root().assets > 1;
    if several {
        let assets = reader.assets()?;
        if assets.iter().any(|a| a.kind != registry::asset::LATENTS) {
            return Ok(None);
        }
        return decode_all(args, reader, &assets, output, common).map(Some);
    }
    let asset = selection::asset(reader, args.asset.as_deref())?;
    if asset.kind != registry::asset::LATENTS {
        return Ok(None);
    }
    if args.rows.is_some() || args.elements.is_some() {
        return Err(usage("--rows and --as are not for latents: --frames and --crop are"));
    }
    selection::check_decodable(reader, &asset)?;
    let tracks = tracks_of(args, reader, &asset)?;
    let format = format_of(args, output)?;
    let (bytes, notes) = render(args, reader, &tracks, format)?;
    let mut sink = Sink::create(output, common.force)?;
    sink.write_all(&bytes).context("writing the output")?;
    sink.commit()?;
    Ok(Some(Decoded { files: vec![output.display().to_string()], bytes: bytes.len() as u64, notes }))
}

/// Every asset as a file of its own in a folder.
fn decode_all(
    args: &Decode,
    reader: &FileReader,
    assets: &[Asset],
    output: &Path,
    common: &Common,
) -> anyhow::Result<Decoded> {
    if is_std(output) {
        return Err(usage("the file holds several assets: name one with --asset, or a folder with -o"));
    }
    let mut names = Vec::new();
    for asset in assets {
        selection::check_decodable(reader, asset)?;
        let single = tracks_of(args, reader, asset)?.len() == 1;
        let name = format!("{}.{}", asset.name, if single { "npy" } else { "safetensors" });
        if !mcodec_decode::is_safe_path(&name) {
            anyhow::bail!("{name:?} is not a safe relative path for a file");
        }
        names.push(name);
    }
    let folder = FolderOutput::create(output, &names, common.force)?;
    let (mut total, mut all_notes) = (0, Vec::new());
    for (asset, name) in assets.iter().zip(&names) {
        let tracks = tracks_of(args, reader, asset)?;
        let format = if tracks.len() == 1 { Format::Npy } else { Format::Safetensors };
        let (bytes, notes) = render(args, reader, &tracks, format)?;
        let mut file = folder.file(name)?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .with_context(|| format!("cannot write {name:?}"))?;
        total += bytes.len() as u64;
        all_notes.extend(notes);
    }
    folder.commit()?;
    all_notes.dedup();
    Ok(Decoded { files: names, bytes: total, notes: all_notes })
}

fn tracks_of(args: &Decode, reader: &FileReader, asset: &Asset) -> anyhow::Result<Vec<Entry>> {
    let mut patterns = args.tensors.clone();
    patterns.extend(args.track.clone());
    let picked = selection::tensors(reader, asset, &patterns, None)?;
    Ok(picked.into_iter().map(|p| p.entry).collect())
}

fn format_of(args: &Decode, output: &Path) -> anyhow::Result<Format> {
    let extension = output.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match (args.format, extension.as_deref()) {
        (Some(Format::Json), _) => Err(usage("--format json is for a record: name one with --record")),
        (Some(format), _) => Ok(format),
        (None, Some("safetensors")) => Ok(Format::Safetensors),
        (None, Some("bin" | "raw")) => Ok(Format::Raw),
        (None, Some("npy")) => Ok(Format::Npy),
        _ => Err(usage(
            "the form of the output is not known: name it with --format, or end the path in .npy, .safetensors or .bin",
        )),
    }
}

/// The bytes of an output file with these tracks.
fn render(
    args: &Decode,
    reader: &FileReader,
    tracks: &[Entry],
    format: Format,
) -> anyhow::Result<(Vec<u8>, Vec<String>)> {
    if format != Format::Safetensors && tracks.len() != 1 {
        let count = tracks.len();
        return Err(usage(format!(
            "{count} tracks are selected, and this form holds one: name it with --track"
        )));
    }
    let mut arrays: Vec<(&Entry, TrackArray)> = Vec::new();
    for entry in tracks {
        let (_, [frames, _, height, width]) = describe_track(entry)?;
        let part = TrackPart {
            frames: args.frames.map(|r| r.of(frames)),
            rows: args.crop.map(|(rows, _)| rows.of(height)),
            columns: args.crop.map(|(_, columns)| columns.of(width)),
        };
        arrays.push((entry, read_track(reader, entry, &part)?));
    }
    if format == Format::Safetensors {
        let mut heads = Vec::new();
        for (entry, array) in &arrays {
            let dtype = entry.tensor().map_or("", |t| t.dtype_name.as_str());
            heads.push(HeaderTensor {
                name: entry.name(),
                dtype,
                shape: &array.shape,
                byte_len: array.bytes.len() as u64,
            });
        }
        let mut out = render_header("", heads.into_iter(), 8)?;
        arrays.iter().for_each(|(_, array)| out.extend_from_slice(&array.bytes));
        return Ok((out, Vec::new()));
    }
    let Some((entry, array)) = arrays.pop() else { return Ok((Vec::new(), Vec::new())) };
    let Some(tensor) = entry.tensor().filter(|_| format == Format::Npy) else {
        return Ok((array.bytes, Vec::new()));
    };
    let form = npy::Form::of(tensor);
    let mut out = npy::header(&form, &array.shape, array.bytes.len() as u64);
    out.extend_from_slice(&array.bytes);
    Ok((out, form.note.map(|note| format!("{:?}: {note}", entry.name())).into_iter().collect()))
}
