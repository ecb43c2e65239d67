//! What dropping positions of latents keeps, what it loses and what it saves.

use super::latents::Set;
use crate::cli::Common;
use crate::cli::bench::BenchLatents;
use crate::console::Console;
use crate::outcome::Outcome;
use anyhow::Context;
use mcodec_encode::latents::{LatentsOptions, Precision, Reduction, encode_latents};
use mcodec_encode::{EncodeOptions, Output};
use std::fmt::Write;
use std::fs;

/// Thresholds, in deviations, and shares that are kept.
const THRESHOLDS: [f64; 4] = [0.0625, 0.125, 0.25, 0.5];
const RATES: [f64; 4] = [0.9, 0.75, 0.5, 0.25];
/// The step of the last column, in deviations.
const STEP: f64 = 0.125;

/// Measures what `--reduce` does to continuous sets.
pub(super) fn run(
    sets: &[Set],
    args: &BenchLatents,
    common: &Common,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let temporal = THRESHOLDS.map(|t| Reduction { threshold: Some(t), rate: None });
    let spatial = RATES.map(|rate| Reduction { threshold: None, rate: Some(rate) });
    let mut out = String::new();
    for set in sets.iter().filter(|set| set.tokens.is_none()) {
        for &effort in &args.efforts {
            writeln!(out, "{}, effort {effort}\n", set.name)?;
            writeln!(
                out,
                "| dropped | kept | SNR dB | bits/value | of all | bits/value, step sigma/8 | of all |"
            )?;
            writeln!(out, "|---|---|---|---|---|---|---|")?;
            let mut all = None;
            for reduction in [Reduction::default()].into_iter().chain(temporal).chain(spatial) {
                console.cancel().check()?;
                console.note(&format!("{}: effort {effort}, {}", set.name, said(reduction)));
                let mut options: EncodeOptions = console.encode_options(common);
                options.effort = effort;
                let kept = bits(set, reduction, Precision::Lossless, &options)?;
                let rounded = bits(set, reduction, Precision::Step(STEP), &options)?;
                let (first, first_rounded) = *all.get_or_insert((kept.0, rounded.0));
                let snr = kept.2.map_or("-".into(), |snr| format!("{snr:.2}"));
                writeln!(
                    out,
                    "| {} | {:.1}% | {snr} | {:.3} | {:.1}% | {:.3} | {:.1}% |",
                    said(reduction),
                    100.0 * kept.1,
                    kept.0,
                    100.0 * kept.0 / first,
                    rounded.0,
                    100.0 * rounded.0 / first_rounded
                )?;
            }
            out.push('\n');
        }
    }
    console.print(&out)?;
    Ok(Outcome::Done)
}

fn said(reduction: Reduction) -> String {
    match (reduction.threshold, reduction.rate) {
        (Some(threshold), _) => format!("temporal:thr={threshold}"),
        (None, Some(rate)) => format!("spatial:rate={rate}"),
        (None, None) => "nothing".into(),
    }
}

/// Bits of a value, the share of positions that is kept, and the ratio of signal to what dropping them lost, in dB.
fn bits(
    set: &Set,
    reduction: Reduction,
    precision: Precision,
    options: &EncodeOptions,
) -> anyhow::Result<(f64, f64, Option<f64>)> {
    let work = tempfile::tempdir().context("a folder for arrays")?;
    let (clips, coded) = set.copied_to(work.path())?;
    let latents =
        LatentsOptions { dtype: set.dtype.clone(), precision, reduction, ..LatentsOptions::default() };
    let output = Output::File { path: coded.clone(), force: true };
    let report = encode_latents(&clips, &latents, output, options)?;
    let positions = report.reduced.iter().map(|t| t.positions).sum::<u64>().max(1) as f64;
    let gone = report.reduced.iter().map(|t| t.dropped + t.merged).sum::<u64>() as f64;
    let error = report.reduced.iter().map(|t| t.error * t.positions as f64).sum::<f64>() / positions;
    let snr = (error > 0.0).then(|| -10.0 * error.log10());
    let bytes = fs::metadata(&coded)?.len();
    Ok((8.0 * bytes as f64 / set.count as f64, 1.0 - gone / positions, snr))
}
