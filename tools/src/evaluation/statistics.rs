//! `mcodec stats`, and the statistics of `mcodec encode --calib`.

use super::{open, progress};
use crate::cli::{Calibration, Common, Stats};
use crate::console::{Console, bytes};
use crate::outcome::{Outcome, usage};
use crate::sink::Sink;
use anyhow::Context;
use mcodec_evaluation::statistics::{USUAL_TOKENS, USUAL_WINDOW, collect};
use mcodec_evaluation::{Architecture, Statistics, Text, Tokens, Weights};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What was collected, as JSON.
#[derive(Serialize)]
struct Report {
    tokens: usize,
    window: usize,
    calibration: String,
    output_bytes: u64,
}

/// Collects statistics.
pub(crate) fn run(args: &Stats, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let to = console.output()?;
    let model = open(&args.model, args.asset.as_deref(), common.threads())?;
    let sample = Sample::of(&*model, &args.calibration)?;
    let mut sink = Sink::create(to, common.force)?;
    let mut found = sample.collect(&*model, console)?;
    found.write(&mut sink)?;
    sink.commit()?;
    let report = Report {
        tokens: sample.tokens(),
        window: sample.windows[0].len(),
        calibration: sample.fingerprint,
        output_bytes: std::fs::metadata(to).map_or(0, |m| m.len()),
    };
    let line = format!("{}: {} tokens, {}", to.display(), report.tokens, bytes(report.output_bytes));
    console.report(&report, &line)?;
    Ok(Outcome::Done)
}

/// What a model is run on.
pub(crate) struct Sample {
    pub(crate) windows: Vec<Vec<u32>>,
    /// Tells these windows from others.
    pub(crate) fingerprint: String,
}

impl Sample {
    /// Windows of the calibration texts.
    pub(crate) fn of(model: &dyn Weights, args: &Calibration) -> anyhow::Result<Self> {
        if args.calib.is_empty() {
            return Err(usage("no calibration text was named: --calib FILE"));
        }
        let of = Architecture::of(model)?;
        let tokens = Tokens::of(model, of.vocabulary)?;
        let read = |path: &PathBuf| -> anyhow::Result<Text> { Ok(tokens.read(path)?) };
        let texts: Vec<Text> = args.calib.iter().map(read).collect::<anyhow::Result<_>>()?;
        let wanted = args.calib_tokens.map_or(USUAL_TOKENS, |n| n as usize);
        let window = USUAL_WINDOW.min(of.positions).min(wanted);
        let windows = mcodec_evaluation::text::sample(&texts, window, wanted)?;
        let mut hasher = blake3::Hasher::new();
        for token in windows.iter().flatten() {
            hasher.update(&token.to_le_bytes());
        }
        let hash = hasher.finalize().to_hex();
        let fingerprint = format!("blake3:{hash} {} windows of {window} {}", windows.len(), tokens.name());
        Ok(Self { windows, fingerprint })
    }

    fn tokens(&self) -> usize {
        self.windows.iter().map(Vec::len).sum()
    }

    pub(crate) fn collect(&self, model: &dyn Weights, console: &Console) -> anyhow::Result<Statistics> {
        Ok(collect(model, &self.windows, &self.fingerprint, &progress(console))?)
    }
}

/// Statistics of the model at `input`, in a file that is removed with what is returned.
pub(crate) fn for_encode(
    input: &Path,
    args: &Calibration,
    common: &Common,
    console: &Console,
) -> anyhow::Result<tempfile::TempPath> {
    let model = open(input, None, common.threads())?;
    let mut found = Sample::of(&*model, args)?.collect(&*model, console)?;
    let mut file = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    found.write(&mut file)?;
    Ok(file.into_temp_path())
}
