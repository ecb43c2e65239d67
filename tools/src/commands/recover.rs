//! `mcodec recover`.

use super::encode::output;
use crate::cli::{Common, Recover};
use crate::console::{Console, bytes};
use crate::input;
use crate::outcome::{Outcome, usage};
use crate::sink::is_std;
use anyhow::bail;
use mcodec_encode::EncodeError;
use serde::Serialize;

/// What was saved, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    /// Nothing was lost.
    complete: bool,
    /// `asset/entry` of what was saved.
    saved: &'a [String],
    /// `asset/entry: why` of what was not.
    lost: &'a [String],
    output_bytes: u64,
}

/// Saves what is whole.
pub(crate) fn run(args: &Recover, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    if is_std(&args.input) {
        return Err(usage("recover reads a file, not the standard input"));
    }
    input::open_file(&args.input)?;
    let to = console.output()?;
    if to.is_dir() {
        return Err(usage(format!("{} is a directory", to.display())));
    }
    let report =
        match mcodec_encode::recover(&args.input, output(to, common)?, &console.encode_options(common)) {
            Ok(report) => report,
            // The command was right; the file is beyond help.
            Err(EncodeError::Request(why)) => bail!("{why}"),
            Err(e) => return Err(e.into()),
        };
    for lost in &report.lost {
        console.note(&format!("lost: {lost}"));
    }
    if console.verbose() {
        report.saved.iter().for_each(|saved| console.note(&format!("saved: {saved}")));
    }
    let (saved, lost) = (report.saved.len(), report.lost.len());
    let size = bytes(report.output_bytes);
    let value = Report {
        complete: report.complete,
        saved: &report.saved,
        lost: &report.lost,
        output_bytes: report.output_bytes,
    };
    let line = format!("{}: {saved} entries saved in {size}, {lost} lost", input::shown(&args.input));
    console.report(&value, &line)?;
    Ok(if report.complete { Outcome::Done } else { Outcome::Loss })
}
