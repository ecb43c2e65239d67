//! Masks of block-sparse attention on the command line.

use crate::cli::{Append, Common, Latents};
use crate::commands::in_place::Target;
use crate::console::Console;
use crate::input;
use crate::outcome::{Outcome, usage};
use crate::sink::is_std;
use mcodec_encode::Output;
use mcodec_encode::latents::{MaskOptions, MaskSettings, append_mask_files, encode_mask_files};
use std::path::Path;

/// Encodes a file, a folder or a tar of masks.
pub(super) fn encode(
    input: &Path,
    given: &Latents,
    output: Output,
    common: &Common,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let masks = options(given, input)?;
    let report = encode_mask_files(input, &masks, output, &console.encode_options(common))
        .map_err(|e| input::about(input, e))?;
    crate::commands::tell_encoded(input, &report, console)?;
    Ok(Outcome::Done)
}

/// Adds masks to a file.
pub(super) fn append(args: &Append, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let masks = options(&args.latents, &args.input)?;
    let target = Target::of(&args.target, common.output.as_deref(), common.force)?;
    let report = append_mask_files(target.path(), &args.input, &masks, &console.encode_options(common))
        .map_err(|e| input::about(&args.target, e))?;
    target.commit(console)?;
    crate::commands::tell_encoded(&args.input, &report, console)?;
    Ok(Outcome::Done)
}

fn options(given: &Latents, input: &Path) -> anyhow::Result<MaskOptions> {
    if is_std(input) {
        return Err(usage("masks are encoded from a file or a folder, not from the standard input"));
    }
    let lossy = given.step.is_some() || given.snr.is_some() || given.bits.is_some() || given.reduce.is_some();
    let of_tracks =
        given.fsq.is_some() || given.vocab.is_some() || given.quantise.is_some() || !given.tracks.is_empty();
    if lossy || of_tracks || given.prior.is_some() {
        return Err(usage(
            "masks are kept as they are: of the options of latents they have --axes, --group and --mask-settings",
        ));
    }
    let settings = given.mask_settings.as_deref().map_or(Ok(Default::default()), MaskSettings::parse);
    Ok(MaskOptions {
        axes: given.axes.clone(),
        group: given.group,
        settings: settings.map_err(|why| usage(format!("--mask-settings: {why}")))?,
    })
}
