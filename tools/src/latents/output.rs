//! Tracks as files of arrays.

use super::planes::part_of;
use crate::cli::{Common, Decode, Format};
use crate::export::folder::FolderOutput;
use crate::export::npy;
use crate::input::FileReader;
use crate::outcome::usage;
use crate::selection;
use crate::sink::{Sink, is_std};
use anyhow::Context;
use mcodec_decode::Entry;
use mcodec_decode::latents::{
    Extent, Fidelity, TrackArray, TrackPart, describe_masks, extent_of, read_masks, read_track,
};
use mcodec_decode::safetensors::{HeaderTensor, render_header};
use mcodec_format::track::Track;
use mcodec_format::{Asset, TensorDescriptor, registry};
use std::io::Write;
use std::path::Path;

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
        let form = match form_in_folder(args, tracks_of(args, reader, asset)?.len()) {
            Format::Npy => "npy",
            Format::Npz => "npz",
            Format::Raw => "bin",
            _ => "safetensors",
        };
        let name = format!("{}.{form}", asset.name);
        if !mcodec_decode::is_safe_path(&name) {
            anyhow::bail!("{name:?} is not a safe relative path for a file");
        }
        names.push(name);
    }
    let folder = FolderOutput::create(output, &names, common.force)?;
    let (mut total, mut all_notes) = (0, Vec::new());
    for (asset, name) in assets.iter().zip(&names) {
        let tracks = tracks_of(args, reader, asset)?;
        let format = form_in_folder(args, tracks.len());
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

/// The form of a file of so many tracks, of those that make up a folder.
fn form_in_folder(args: &Decode, tracks: usize) -> Format {
    match args.format {
        Some(format @ (Format::Npy | Format::Npz | Format::Safetensors | Format::Raw)) => format,
        _ if tracks == 1 => Format::Npy,
        _ => Format::Safetensors,
    }
}

/// The tracks that are asked for: by name, by pattern, or as parts of a time line of that name.
fn tracks_of(args: &Decode, reader: &FileReader, asset: &Asset) -> anyhow::Result<Vec<Entry>> {
    let mut patterns = args.tensors.clone();
    if let Some(line) = &args.track {
        let mut parts = Vec::new();
        for picked in selection::tensors(reader, asset, &[], None)? {
            let track = Track::parse(&picked.entry.row().fields)?;
            if track.line.as_ref() == Some(line) {
                parts.push((track.start.unwrap_or(0), picked.entry));
            }
        }
        if !parts.is_empty() {
            parts.sort_by_key(|(start, _)| *start);
            return Ok(parts.into_iter().map(|(_, entry)| entry).collect());
        }
        patterns.push(line.clone());
    }
    let mut picked = selection::tensors(reader, asset, &patterns, None)?;
    if patterns.is_empty() {
        // What the source did not have comes out where it is asked for.
        let made = |p: &selection::Picked| p.entry.row().fields.get(registry::field::KEY) == Some(&[]);
        picked.retain(|p| !made(p));
    }
    Ok(picked.into_iter().map(|p| p.entry).collect())
}

fn format_of(args: &Decode, output: &Path) -> anyhow::Result<Format> {
    let extension = output.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match (args.format, extension.as_deref()) {
        (Some(Format::Json), _) => Err(usage("--format json is for a record: name one with --record")),
        (Some(Format::Png | Format::Exr), _) => Err(usage("--format png and exr are for images")),
        (Some(format), _) => Ok(format),
        (None, Some("safetensors")) => Ok(Format::Safetensors),
        (None, Some("npz")) => Ok(Format::Npz),
        (None, Some("bin" | "raw")) => Ok(Format::Raw),
        (None, Some("npy")) => Ok(Format::Npy),
        _ => Err(usage(
            "the form of the output is not known: name it with --format, or end the path in .npy, .npz, .safetensors or .bin",
        )),
    }
}

/// An array that comes out.
struct Out {
    name: String,
    tensor: TensorDescriptor,
    array: TrackArray,
}

/// Reads what is asked for of the tracks. Positions in time that a track does not have are those of others.
fn arrays_of(args: &Decode, reader: &FileReader, tracks: &[Entry]) -> anyhow::Result<Vec<Out>> {
    let mut outs = Vec::new();
    for entry in tracks {
        let Some(tensor) = entry.tensor() else { continue };
        let mut part = TrackPart::default();
        if args.from_tokens && (tracks.len() == 1 || entry.is_refined()) {
            part.fidelity = Fidelity::Tokens;
        }
        if let Some(level) = args.level.filter(|_| tracks.len() == 1 || entry.is_refined()) {
            part.fidelity = Fidelity::Level(level as u64);
        }
        let track = Track::parse(&entry.row().fields)?;
        if let Some(Extent { times, height, width }) = extent_of(entry)? {
            let of_time = tracks.len() == 1 || track.axes.is_some_and(|a| a.letters().contains(&b'T'));
            if let Some(wanted) = args.frames.filter(|_| of_time) {
                let mut wanted = wanted.of(times.end);
                if tracks.len() > 1 {
                    wanted = wanted.start.max(times.start)..wanted.end.min(times.end);
                    if wanted.is_empty() {
                        continue;
                    }
                }
                part.frames = Some(wanted);
            }
            let of_space = tracks.len() == 1 || height * width > 1;
            if let Some((rows, columns)) = args.crop.filter(|_| of_space) {
                (part.rows, part.columns) = (Some(rows.of(height)), Some(columns.of(width)));
            }
        }
        let array = match (describe_masks(entry)?, &args.planes) {
            (Some((_, [layers, heads, steps, ..])), planes) => {
                let part = planes.map(|planes| part_of(&planes, [layers, heads, steps])).unwrap_or_default();
                read_masks(reader, entry, &part)?
            }
            (None, Some(_)) if tracks.len() == 1 => {
                return Err(usage(format!("--planes is for masks, and {:?} holds none", entry.name())));
            }
            _ => read_track(reader, entry, &part)?,
        };
        let name = track.key.filter(|k| !k.is_empty()).unwrap_or_else(|| entry.name().to_owned());
        outs.push(Out { name, tensor: tensor.clone(), array });
    }
    // What two tracks were called where they came from is no name in one file.
    for (at, entry) in tracks.iter().enumerate().take(outs.len()) {
        if outs.iter().filter(|o| o.name == outs[at].name).count() > 1 {
            outs[at].name = entry.name().to_owned();
        }
    }
    if outs.is_empty() {
        return Err(usage("no track has such positions in time"));
    }
    Ok(outs)
}

/// The bytes of an output file with these tracks.
fn render(
    args: &Decode,
    reader: &FileReader,
    tracks: &[Entry],
    format: Format,
) -> anyhow::Result<(Vec<u8>, Vec<String>)> {
    let mut outs = arrays_of(args, reader, tracks)?;
    if !matches!(format, Format::Safetensors | Format::Npz) && outs.len() != 1 {
        let count = outs.len();
        return Err(usage(format!(
            "{count} tracks are selected, and this form holds one: name it with --track, or take .npz or .safetensors"
        )));
    }
    if format == Format::Safetensors {
        // As safetensors itself orders them: it reads no file with gaps, and no element that is not aligned.
        outs.sort_by_key(|o| std::cmp::Reverse(o.tensor.dtype.map_or(0, |d| d.bits)));
        let heads = outs.iter().map(|out| HeaderTensor {
            name: &out.name,
            dtype: &out.tensor.dtype_name,
            shape: &out.array.shape,
            byte_len: out.array.bytes.len() as u64,
        });
        let mut bytes = render_header("", heads, 8)?;
        outs.iter().for_each(|out| bytes.extend_from_slice(&out.array.bytes));
        return Ok((bytes, Vec::new()));
    }
    let mut notes = Vec::new();
    let mut npy = |out: &Out| {
        let form = npy::Form::of(&out.tensor);
        let mut bytes = npy::header(&form, &out.array.shape, out.array.bytes.len() as u64);
        bytes.extend_from_slice(&out.array.bytes);
        notes.extend(form.note.map(|note| format!("{:?}: {note}", out.name)));
        bytes
    };
    let bytes = match (format, &outs[..]) {
        (Format::Npz, outs) => npz(outs.iter().map(|out| (out.name.as_str(), npy(out))))?,
        (Format::Npy, [out]) => npy(out),
        (_, outs) => outs.iter().flat_map(|out| out.array.bytes.iter().copied()).collect(),
    };
    Ok((bytes, notes))
}

/// A ZIP file of arrays, uncompressed, as NumPy writes it.
fn npz<'a>(arrays: impl Iterator<Item = (&'a str, Vec<u8>)>) -> anyhow::Result<Vec<u8>> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    for (name, bytes) in arrays {
        let path = format!("{name}.npy");
        let (mut entry, config) =
            archive.new_file(path.as_str()).compression_method(rawzip::CompressionMethod::STORE).start()?;
        let mut data = config.wrap(&mut entry);
        data.write_all(&bytes)?;
        let (_, descriptor) = data.finish()?;
        entry.finish(descriptor)?;
    }
    Ok(archive.finish()?)
}
