//! `mcodec bench`.

use crate::cli::Common;
use crate::cli::bench::{Bench, BenchWhat};
use crate::console::Console;
use crate::outcome::Outcome;

/// Measures.
#[cfg(feature = "bench")]
pub(crate) fn run(args: &Bench, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    match &args.what {
        BenchWhat::Models(models) => crate::bench::run(models, common, console),
        #[cfg(feature = "gpu")]
        BenchWhat::Gpu(gpu) => crate::bench::run_gpu(gpu, common, console),
        #[cfg(not(feature = "gpu"))]
        BenchWhat::Gpu(_) => Err(crate::outcome::usage(
            "this mcodec was built without the feature \"gpu\", which the command bench gpu needs",
        )),
        BenchWhat::Deltas(deltas) => crate::bench::deltas::run(deltas, common, console),
        BenchWhat::Latents(latents) => crate::bench::latents::run(latents, common, console),
        #[cfg(feature = "eval")]
        BenchWhat::Quant(quant) => crate::evaluation::bench::run(quant, common, console),
        #[cfg(not(feature = "eval"))]
        BenchWhat::Quant(_) => Err(super::eval::missing("the command bench quant")),
        #[cfg(feature = "images")]
        BenchWhat::Images(images) => crate::bench::images::run(images, common, console),
        BenchWhat::Pages(pages) => crate::bench::pages::run(pages, console),
        #[cfg(not(feature = "images"))]
        BenchWhat::Images(_) => Err(crate::outcome::usage(
            "this mcodec was built without the feature \"images\", which the command bench images needs",
        )),
    }
}

/// Says what is missing.
#[cfg(not(feature = "bench"))]
pub(crate) fn run(args: &Bench, _: &Common, _: &Console) -> anyhow::Result<Outcome> {
    let (BenchWhat::Models(_)
    | BenchWhat::Gpu(_)
    | BenchWhat::Deltas(_)
    | BenchWhat::Images(_)
    | BenchWhat::Pages(_)
    | BenchWhat::Latents(_)
    | BenchWhat::Quant(_)) = &args.what;
    Err(crate::outcome::usage(
        "this mcodec was built without the feature \"bench\", which the command bench needs",
    ))
}
