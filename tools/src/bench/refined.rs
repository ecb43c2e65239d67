//! What tokens in the file of the latents that they are quantised from cost: a base that is read alone, and what refines it.

use super::latents::Set;
use crate::cli::Common;
use crate::cli::bench::BenchLatents;
use crate::console::Console;
use crate::outcome::{Outcome, usage};
use anyhow::{Context, bail};
use mcodec_decode::latents::{TrackPart, read_track};
use mcodec_decode::{ReadOptions, Reader};
use mcodec_encode::latents::{LatentsOptions, Levels, encode_latents};
use mcodec_encode::{EncodeOptions, Output};
use mcodec_format::registry;
use std::fmt::Write;
use std::fs;

/// Measures what `--quantise` costs continuous sets, kept without loss.
pub(super) fn run(
    sets: &[Set],
    quantiser: &str,
    args: &BenchLatents,
    common: &Common,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let levels = Levels::quantiser(quantiser, ',').map_err(usage)?;
    let mut out = String::from(
        "| set | effort | latents alone, bytes | with tokens | cost | tokens alone | refinement |\n|---|---|---|---|---|---|---|\n",
    );
    for set in sets.iter().filter(|set| set.tokens.is_none()) {
        for &effort in &args.efforts {
            console.cancel().check()?;
            console.note(&format!("{}: effort {effort}, {quantiser}", set.name));
            let mut options: EncodeOptions = console.encode_options(common);
            options.effort = effort;
            let alone = sizes(set, None, &options)?;
            let both = sizes(set, Some(&levels), &options)?;
            writeln!(
                out,
                "| {} | {effort} | {} | {} | {:+.2}% | {} | {} |",
                set.name,
                alone.file,
                both.file,
                100.0 * (both.file as f64 / alone.file as f64 - 1.0),
                both.tokens,
                both.latents
            )?;
        }
    }
    console.print(&out)?;
    Ok(Outcome::Done)
}

/// Bytes of a file, and of its chunks.
#[derive(Default)]
struct Sizes {
    file: u64,
    tokens: u64,
    latents: u64,
}

/// Encodes a set, and decodes it to see that it is the same.
fn sizes(set: &Set, quantise: Option<&[u16]>, options: &EncodeOptions) -> anyhow::Result<Sizes> {
    let work = tempfile::tempdir().context("a folder for arrays")?;
    let (clips, coded) = set.copied_to(work.path())?;
    let latents = LatentsOptions {
        dtype: set.dtype.clone(),
        quantise: quantise.map(<[u16]>::to_vec),
        ..LatentsOptions::default()
    };
    encode_latents(&clips, &latents, Output::File { path: coded.clone(), force: true }, options)?;
    let file = fs::read(&coded)?;
    let mut sizes = Sizes { file: file.len() as u64, ..Sizes::default() };
    let reader = Reader::open(file, ReadOptions::default())?;
    for (at, original) in set.files.iter().enumerate() {
        let name = format!("clip_{at}");
        let stored = |name_of_track: &str| -> anyhow::Result<_> {
            let entry = reader.entry(&name, registry::entry::TENSOR, name_of_track)?;
            let bytes = entry.row().spans(0).map(|s| s.frame.end - s.frame.start).sum::<u64>();
            Ok((entry, bytes))
        };
        let (entry, bytes) = stored(&name)?;
        sizes.latents += bytes;
        let decoded = read_track(&reader, &entry, &TrackPart::default())?.bytes;
        if !fs::read(original)?.ends_with(&decoded) {
            bail!("{}: what was decoded is not what was encoded", original.display());
        }
        if quantise.is_some() {
            sizes.tokens += stored(&format!("{name}.tokens"))?.1;
        }
    }
    Ok(sizes)
}
