//! `mcodec eval` and `mcodec stats`.

use crate::cli::{Common, Eval, Stats};
use crate::console::Console;
use crate::outcome::Outcome;

/// Judges a model.
#[cfg(feature = "eval")]
pub(crate) fn eval(args: &Eval, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    crate::evaluation::judge::run(args, common, console)
}

/// Collects statistics.
#[cfg(feature = "eval")]
pub(crate) fn stats(args: &Stats, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    crate::evaluation::statistics::run(args, common, console)
}

#[cfg(not(feature = "eval"))]
pub(crate) fn eval(_: &Eval, _: &Common, _: &Console) -> anyhow::Result<Outcome> {
    Err(missing("the command eval"))
}

#[cfg(not(feature = "eval"))]
pub(crate) fn stats(_: &Stats, _: &Common, _: &Console) -> anyhow::Result<Outcome> {
    Err(missing("the command stats"))
}

/// What a build that runs no models says.
#[cfg(not(feature = "eval"))]
pub(crate) fn missing(what: &str) -> anyhow::Error {
    crate::outcome::usage(format!("this mcodec was built without the feature \"eval\", which {what} needs"))
}
