//! `mcodec pack`.

use super::encode::{output, tell};
use crate::cli::{Common, Pack};
use crate::console::Console;
use crate::input;
use crate::outcome::{Outcome, usage};
use crate::sink::is_std;
use mcodec_encode::Output;

/// Rewrites a file in the finished form.
pub(crate) fn run(args: &Pack, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    if is_std(&args.input) {
        return Err(usage("pack reads a file, not the standard input"));
    }
    input::open_file(&args.input)?;
    let to = match common.output.as_deref() {
        Some(to) => output(to, common)?,
        None => Output::File { path: args.input.clone(), force: true },
    };
    let report = mcodec_encode::pack(&args.input, to, &console.encode_options(common))
        .map_err(|e| input::about(&args.input, e))?;
    tell(&args.input, &report, console)?;
    Ok(Outcome::Done)
}
