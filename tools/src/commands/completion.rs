//! `mcodec completion`.

use crate::cli::{Cli, Completion};
use crate::console::Console;
use crate::outcome::Outcome;
use clap::CommandFactory;

/// Prints a completion script.
pub(crate) fn run(args: &Completion, console: &Console) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mcodec", &mut script);
    console.print(&String::from_utf8(script)?)?;
    Ok(Outcome::Done)
}
