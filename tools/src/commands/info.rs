//! `mcodec info`.

use crate::cli::{Common, Info};
use crate::console::Console;
use crate::info::{add_redundancy, report, text};
use crate::input;
use crate::outcome::Outcome;
use crate::sink::is_std;
use anyhow::Context;
use mcodec_decode::{ReadOptions, Reader};

/// Says what a file holds.
pub(crate) fn run(args: &Info, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let name = input::shown(&args.input);
    let file = if is_std(&args.input) {
        input::spool(&mut crate::stdin::open(console.cancel())?, &[], console)?
    } else {
        input::open_file(&args.input)?
    };
    let options = ReadOptions::default().threads(common.threads());
    let reader = Reader::open(file, options).with_context(|| name.clone())?;
    let inside = args.ledger || console.json();
    let mut report = report(name.clone(), &reader, inside, console)?;
    if let Some(within) = args.redundancy {
        add_redundancy(&mut report, &reader, within, console).with_context(|| name)?;
    }
    if console.json() {
        console.print_json(&report)?;
    } else {
        console.print(&text(&report, console.verbose(), inside))?;
    }
    Ok(Outcome::Done)
}
