//! `mcodec diff`.

use crate::cli::{Common, Diff};
use crate::console::Console;
#[cfg(feature = "images")]
use crate::diff::pictures;
use crate::diff::{Report, compare, pairs, text};
use crate::input;
use crate::outcome::{Outcome, usage};

/// Compares two inputs.
pub(crate) fn run(args: &Diff, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    #[cfg(feature = "images")]
    if let Some(report) = pictures::compare(args, common, console)? {
        if console.json() {
            console.print_json(&report)?;
        } else if !report.equal || console.tells() {
            console.print(&pictures::text(&report))?;
        }
        return Ok(if report.equal { Outcome::Done } else { Outcome::Different });
    }
    if args.heatmap.is_some() {
        return Err(usage("--heatmap is of two pictures"));
    }
    let bases = input::bases(&args.bases, common, console)?;
    let pairs = pairs(&args.a, &args.b, args.asset.as_deref(), &bases, common, console)?;
    let report: Report = compare(pairs, console)?;
    if console.json() {
        console.print_json(&report)?;
    } else if !report.equal || console.tells() {
        console.print(&text(&report))?;
    }
    Ok(if report.equal { Outcome::Done } else { Outcome::Different })
}
