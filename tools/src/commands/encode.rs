//! `mcodec encode`.

use crate::cli::{Common, Encode, Import, Kind};
use crate::console::{Console, bytes, percent};
use crate::input;
use crate::outcome::{Outcome, usage};
use crate::sink::{self, is_std};
use mcodec_decode::hex;
use mcodec_encode::{AssetKind, EncodeOptions, EncodeReport, Output, encode_path, encode_stream};
use serde::Serialize;
use std::path::Path;

/// Encodes a file, a folder or the standard input.
pub(crate) fn run(args: &Encode, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let to = console.output()?;
    let output = output(to, common)?;
    let (mut options, kind) = import(&args.import, console.encode_options(common));
    if !args.bases.paths.is_empty() {
        if options.mappable {
            return Err(usage(
                "--mappable stores tensors as they are: there is no base to tell them against",
            ));
        }
        options.bases = mcodec_encode::open_bases(&args.bases.paths, args.base_asset.as_deref(), &options)?;
    }
    let report = if is_std(&args.input) {
        let name = args.name.clone().unwrap_or_else(|| stem(to));
        encode_stream(crate::stdin::open(console.cancel())?, &name, kind, output, &options)?
    } else if args.name.is_some() {
        return Err(usage("--name is for an asset that comes from the standard input"));
    } else {
        encode_path(&args.input, kind, output, &options).map_err(|e| input::about(&args.input, e))?
    };
    tell(&args.input, &report, console)?;
    Ok(Outcome::Done)
}

/// The output of a command that makes an mcodec file.
pub(super) fn output(to: &Path, common: &Common) -> anyhow::Result<Output> {
    if is_std(to) {
        return Ok(Output::Stream(sink::stdout()?));
    }
    Ok(Output::File { path: to.to_owned(), force: common.force })
}

/// Options with what the user says about the input.
pub(super) fn import(args: &Import, mut options: EncodeOptions) -> (EncodeOptions, Option<AssetKind>) {
    options.mappable = args.mappable;
    options.codes = args.codes.map_or_else(Default::default, Into::into);
    options.import.all_files = args.all_files;
    options.import.follow_links = args.follow_links;
    let kind = args.kind.map(|kind| match kind {
        Kind::Model => AssetKind::Model,
        Kind::Blob => AssetKind::Blob,
    });
    (options, kind)
}

/// The name of an asset that came without one.
fn stem(to: &Path) -> String {
    let stem = if is_std(to) { None } else { to.file_stem() };
    stem.map_or_else(|| "stdin".into(), |stem| stem.to_string_lossy().into_owned())
}

/// What was encoded, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    asset: &'a str,
    /// `blake3:` and hex.
    content_hash: String,
    input_bytes: u64,
    /// Bytes of the new file, or bytes added to the old one.
    output_bytes: u64,
    tensors: u64,
    /// Tensors stored as the bytes of another.
    aliases: u64,
    /// Tensors told against a base.
    deltas: u64,
    notes: &'a [String],
}

/// Reports what was encoded.
pub(super) fn tell(input: &Path, report: &EncodeReport, console: &Console) -> anyhow::Result<()> {
    for note in &report.notes {
        console.note(note);
    }
    let value = Report {
        asset: &report.asset,
        content_hash: format!("blake3:{}", hex(&report.content_hash)),
        input_bytes: report.input_bytes,
        output_bytes: report.output_bytes,
        tensors: report.tensors,
        aliases: report.aliases,
        deltas: report.deltas,
        notes: &report.notes,
    };
    let (from, to) = (report.input_bytes, report.output_bytes);
    let mut line =
        format!("{}: {} -> {} ({})", input::shown(input), bytes(from), bytes(to), percent(to, from));
    if console.verbose() {
        let (tensors, aliases) = (report.tensors, report.aliases);
        line = format!("{line}, asset {:?}, {tensors} tensors, {aliases} of them aliases", report.asset);
        if report.deltas > 0 {
            line = format!("{line}, {} told against a base", report.deltas);
        }
    }
    console.report(&value, &line)
}
