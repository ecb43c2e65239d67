//! `mcodec train-prior`.

use super::encode::{output, tell};
use crate::cli::{Common, TrainPrior};
use crate::console::Console;
use crate::latents::levels_of;
use crate::outcome::{Outcome, usage};
use mcodec_encode::latents::{LatentsOptions, train_prior};

/// Learns from clips of tokens.
pub(crate) fn run(args: &TrainPrior, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let output = output(console.output()?, common)?;
    let Some(tokens) = levels_of(args.fsq.as_deref(), args.vocab)? else {
        return Err(usage("which tokens? say it with --fsq or --vocab"));
    };
    let latents = LatentsOptions {
        axes: args.axes.clone(),
        tokens: Some(tokens),
        are_tokens: true,
        ..LatentsOptions::default()
    };
    let frames = args.frames.map(|rows| {
        let range = rows.of(u64::MAX);
        usize::try_from(range.start).unwrap_or(usize::MAX)..usize::try_from(range.end).unwrap_or(usize::MAX)
    });
    let report = train_prior(&args.clips, &latents, frames, output, &console.encode_options(common))?;
    tell(&args.clips[0], &report, console)?;
    Ok(Outcome::Done)
}
