//! The `mcodec` command line.

#[cfg(feature = "bench")]
mod bench;
mod cli;
mod commands;
mod console;
mod device;
mod diff;
mod entry_stream;
#[cfg(feature = "eval")]
mod evaluation;
mod export;
mod forward;
mod gguf;
mod info;
mod input;
mod interrupt;
mod latents;
mod outcome;
mod picture_options;
mod rows;
mod selection;
mod sink;
mod stdin;

use clap::Parser;
use console::Console;
use outcome::{Outcome, exit_code};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    let cancel = interrupt::install();
    let console = Console::new(&cli.common, cancel);
    let result = commands::run(&cli, &console);
    console.clear_progress();
    // Whatever an interrupt led to, it is the interrupt that is told.
    let result = match (result, console.cancel().check()) {
        (Err(_), Err(interrupted)) => Err(interrupted.into()),
        (result, _) => result,
    };
    let (outcome, message) = outcome::judge(result);
    if let Some(message) = message {
        console.error(&message);
    }
    exit_code(outcome)
}

/// What clap has to say: help and version are results, the rest are usage errors.
fn usage(e: &clap::Error) -> ExitCode {
    // A closed pipe is no failure, and there is nowhere else to say it.
    _ = e.print();
    exit_code(if e.use_stderr() { Outcome::Usage } else { Outcome::Done })
}
