//! `mcodec merge`.

use super::encode::{output, tell};
use crate::cli::{Common, Merge};
use crate::console::Console;
use crate::input;
use crate::outcome::{Outcome, usage};
use crate::sink::is_std;

/// Puts the assets of several files into one.
pub(crate) fn run(args: &Merge, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let to = console.output()?;
    if args.inputs.iter().any(|path| is_std(path)) {
        return Err(usage("merge reads files, not the standard input"));
    }
    for path in &args.inputs {
        input::open_file(path)?;
        if !is_std(to) && std::fs::canonicalize(path).ok() == std::fs::canonicalize(to).ok() {
            return Err(usage(format!("{} is both an input and the output", path.display())));
        }
    }
    let report = mcodec_encode::merge(&args.inputs, output(to, common)?, &console.encode_options(common))?;
    tell(&args.inputs[0], &report, console)?;
    Ok(Outcome::Done)
}
