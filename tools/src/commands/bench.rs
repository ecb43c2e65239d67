//! `mcodec bench`.

use crate::cli::{Bench, BenchWhat, Common};
use crate::console::Console;
use crate::outcome::Outcome;

/// Measures.
#[cfg(feature = "bench")]
pub(crate) fn run(args: &Bench, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let BenchWhat::Models(models) = &args.what;
    crate::bench::run(models, common, console)
}

/// Says what is missing.
#[cfg(not(feature = "bench"))]
pub(crate) fn run(args: &Bench, _: &Common, _: &Console) -> anyhow::Result<Outcome> {
    let BenchWhat::Models(_) = &args.what;
    Err(crate::outcome::usage(
        "this mcodec was built without the feature \"bench\", which the command bench needs",
    ))
}
