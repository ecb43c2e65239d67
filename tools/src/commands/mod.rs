//! One module for each command.

mod append;
mod attach;
mod bench;
mod completion;
mod decode;
mod diff;
mod encode;
mod eval;
pub(crate) mod in_place;
mod info;
mod man;
mod manifest;
pub(crate) mod mask;
mod merge;
mod pack;
mod recover;
mod train_prior;
mod verify;

pub(crate) use encode::tell as tell_encoded;

use crate::cli::{Cli, Command};
use crate::console::Console;
use crate::outcome::Outcome;

/// Runs the command that was asked for.
pub(crate) fn run(cli: &Cli, console: &Console) -> anyhow::Result<Outcome> {
    let common = &cli.common;
    match &cli.command {
        Command::Encode(args) => encode::run(args, common, console),
        Command::Decode(args) => decode::run(args, common, console),
        Command::Info(args) => info::run(args, common, console),
        Command::Verify(args) => verify::run(args, common, console),
        Command::Diff(args) => diff::run(args, common, console),
        Command::Recover(args) => recover::run(args, common, console),
        Command::Append(args) => append::run(args, common, console),
        Command::Merge(args) => merge::run(args, common, console),
        Command::Manifest(args) => manifest::run(args, common, console),
        Command::Pack(args) => pack::run(args, common, console),
        Command::Attach(args) => attach::attach(args, common, console),
        Command::Detach(args) => attach::detach(args, common, console),
        Command::Mask(args) => mask::run(args, common, console),
        Command::TrainPrior(args) => train_prior::run(args, common, console),
        Command::Bench(args) => bench::run(args, common, console),
        Command::Eval(args) => eval::eval(args, common, console),
        Command::Stats(args) => eval::stats(args, common, console),
        Command::Completion(args) => completion::run(args, console),
        Command::Man(args) => man::run(args, common, console),
    }
}
