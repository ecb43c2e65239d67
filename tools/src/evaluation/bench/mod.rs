//! `mcodec bench quant`: size against divergence from the original, beside other quantisers, in one run.
//!
//! Every quantiser is given the same matrices, all else stays as it is, and what comes back is judged by the same predictions. Bits are
//! counted with all that a reader needs.

mod ggml;
mod ours;
mod plot;
mod results;
mod table;

use super::statistics::Sample;
use super::{open, progress, protocol, read_texts};
use crate::cli::{BenchQuant, Common};
use crate::console::Console;
use crate::outcome::{Outcome, usage};
use anyhow::Context;
use globset::{Glob, GlobSet, GlobSetBuilder};
use mcodec_evaluation::peers::PEERS;
use mcodec_evaluation::{
    Against, Architecture, Judge, Original, Protocol, Replaced, Score, Statistics, Tokens, Weights,
};
use results::Results;
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::collections::HashMap;

/// What nobody quantises unless told otherwise.
const KEPT: [&str; 6] =
    ["*embed_tokens*", "*lm_head*", "*norm*", "*.gate.weight", "*shared_expert_gate*", "*router*"];

/// What quantisers are not run for that ask for it.
const NEEDS_STATISTICS: &str = "it needs statistics: --calib or --stats";

/// One quantiser at one size.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    /// Rows of one series are joined in the plot.
    series: String,
    name: String,
    ours: bool,
    /// Of the matrices, over their weights.
    bits_per_weight: f64,
    /// Over all texts.
    all: Score,
    texts: Vec<Score>,
}

/// A peer that was not run.
#[derive(Debug, Clone, Serialize)]
struct NotRun {
    name: String,
    why: String,
}

/// All that was measured.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    matrices: usize,
    weights: u64,
    keep: Vec<String>,
    protocol: Protocol,
    /// What tells the texts that statistics are of.
    calibration: Option<String>,
    original: Score,
    rows: Vec<Row>,
    not_run: Vec<NotRun>,
}

/// Names and dimensions of the matrices that are quantised.
type Matrices = Vec<(String, usize, usize)>;

/// What all quantisers are given.
struct Work<'a> {
    model: &'a dyn Weights,
    /// Run when the first row is measured that is not known.
    original: OnceCell<Original<'a>>,
    judge: &'a Judge,
    matrices: Matrices,
    weights: u64,
    console: &'a Console,
    /// Names of the rows to measure begin so; none: all.
    only: &'a [String],
    results: Results,
}

/// Measures quantisers.
pub(crate) fn run(args: &BenchQuant, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let model = open(&args.model, None, common.threads())?;
    let of = Architecture::of(&*model)?;
    let tokens = Tokens::of(&*model, of.vocabulary)?;
    let keep: Vec<String> =
        if args.keep.is_empty() { KEPT.map(str::to_owned).to_vec() } else { args.keep.clone() };
    let matrices = matrices(&*model, &keep)?;
    let protocol = protocol(&args.protocol, &of, &tokens)?;
    let judge = Judge::new(protocol.clone(), &read_texts(&tokens, &args.texts)?)?;
    let weights = matrices.iter().map(|(_, rows, columns)| (rows * columns) as u64).sum();
    let (mut statistics, calibration) = statistics(args, &*model, console)?;
    let texts: Vec<_> = judge.text_hashes().map(Some).collect();
    let run = (model.identity(), weights, &protocol, &keep, texts, &calibration);
    let results = Results::open(args.results.as_deref(), &serde_json::to_string(&run)?)?;
    let mut work = Work {
        model: &*model,
        original: OnceCell::new(),
        judge: &judge,
        matrices,
        weights,
        console,
        only: &args.only,
        results,
    };
    let mut not_run = Vec::new();
    ours::measure(&mut work, args, (&keep, common), statistics.as_mut())?;
    peers(&mut work, statistics.as_mut(), &mut not_run)?;
    ggml::measure(&mut work, statistics.as_mut(), &mut not_run)?;
    let original = work.score_of_original()?;
    let report = Report {
        model: model.identity().name,
        matrices: work.matrices.len(),
        weights,
        keep,
        protocol,
        calibration,
        original,
        rows: work.results.into_rows(),
        not_run,
    };
    if let Some(path) = &args.svg {
        std::fs::write(path, plot::svg(&report))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if console.json() {
        console.print_json(&report)?;
    } else {
        console.print(&table::render(&report))?;
    }
    Ok(Outcome::Done)
}

/// What is known of the model besides itself, and what tells the texts that this is of.
fn statistics(
    args: &BenchQuant,
    model: &dyn Weights,
    console: &Console,
) -> anyhow::Result<(Option<Statistics>, Option<String>)> {
    if let Some(path) = &args.stats {
        let found = Statistics::open(path)?;
        let calibration = found.calibration().unwrap_or("unknown").to_owned();
        return Ok((Some(found), Some(calibration)));
    }
    if args.calibration.calib.is_empty() {
        return Ok((None, None));
    }
    let sample = Sample::of(model, &args.calibration)?;
    console.note("calibration");
    Ok((Some(sample.collect(model, console)?), Some(sample.fingerprint)))
}

/// The matrices of the model that are not kept.
fn matrices(model: &dyn Weights, keep: &[String]) -> anyhow::Result<Matrices> {
    let mut names = model.names();
    names.sort();
    let kept = globs(keep)?;
    let of = |name: String| match model.shape(&name)?[..] {
        [rows, columns] if !kept.is_match(&name) && rows * columns >= 2048 && columns >= 16 => {
            Some((name, rows, columns))
        }
        _ => None,
    };
    let found: Matrices = names.into_iter().filter_map(of).collect();
    if found.is_empty() {
        return Err(usage("the model has no matrices that are not kept"));
    }
    Ok(found)
}

fn globs(patterns: &[String]) -> anyhow::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|e| usage(format!("pattern {pattern:?}: {e}")))?);
    }
    Ok(set.build()?)
}

impl<'a> Work<'a> {
    /// Whether a row of this name was asked for, and is not known yet.
    fn is_wanted(&self, name: &str) -> bool {
        let begins = |with: &String| name.to_lowercase().starts_with(&with.to_lowercase());
        (self.only.is_empty() || self.only.iter().any(begins)) && !self.results.has(name)
    }

    /// What the original makes of the texts.
    fn original(&self) -> anyhow::Result<&Original<'a>> {
        if let Some(known) = self.original.get() {
            return Ok(known);
        }
        self.console.note("the original");
        let found = self.judge.original(self.model, &progress(self.console))?;
        Ok(self.original.get_or_init(|| found))
    }

    /// What the original scores.
    fn score_of_original(&mut self) -> anyhow::Result<Score> {
        if let Some(known) = self.results.original() {
            return Ok(known.clone());
        }
        let against = Some(Against::Known(self.original()?));
        let found = self.judge.judge(self.model, against, &progress(self.console))?.all;
        self.results.add_original(found.clone())?;
        Ok(found)
    }

    /// Judges a model that came back.
    fn row(
        &mut self,
        series: &str,
        name: String,
        ours: bool,
        bits: f64,
        model: &dyn Weights,
    ) -> anyhow::Result<()> {
        let against = Some(Against::Known(self.original()?));
        let found = self.judge.judge(model, against, &progress(self.console))?;
        let kl = found.all.against.as_ref().map_or(0.0, |a| a.kl);
        self.console.note(&format!("{name}: {bits:.3} bits, KL {kl:.4}"));
        self.results.add(Row {
            series: series.to_owned(),
            name,
            ours,
            bits_per_weight: bits,
            all: found.all,
            texts: found.texts,
        })
    }

    /// Has each matrix replaced, given what its layer reads where that is wanted; the sum of the bits.
    fn replaced(
        &self,
        mut statistics: Option<&mut Statistics>,
        mut quantise: impl FnMut(&[f32], usize, Option<&[f32]>) -> anyhow::Result<(Vec<f32>, f64)>,
    ) -> anyhow::Result<(Replaced<'a>, f64)> {
        let (mut all, mut bits) = (HashMap::new(), 0.0);
        for (name, rows, columns) in &self.matrices {
            self.console.cancel().check()?;
            let weights = self.model.rows(name, 0..*rows)?;
            let gram = match &mut statistics {
                Some(statistics) => statistics.gram(name)?,
                None => None,
            };
            let (found, size) = quantise(&weights, *columns, gram.as_deref())?;
            bits += size;
            all.insert(name.clone(), found);
        }
        Ok((Replaced::new(self.model, all)?, bits / self.weights as f64))
    }
}

/// The simple peers.
fn peers(
    work: &mut Work<'_>,
    mut statistics: Option<&mut Statistics>,
    not_run: &mut Vec<NotRun>,
) -> anyhow::Result<()> {
    for (name, peer) in PEERS {
        if !work.is_wanted(name) {
            continue;
        }
        if peer.needs_gram() && statistics.is_none() {
            not_run.push(NotRun { name: name.into(), why: NEEDS_STATISTICS.into() });
            continue;
        }
        let given = statistics.as_deref_mut().filter(|_| peer.needs_gram());
        let (model, bits) = work.replaced(given, |weights, columns, gram| {
            let bits = peer.bits(weights.len() / columns, columns) as f64;
            Ok((peer.quantised(weights, columns, gram), bits))
        })?;
        let series = name.split(' ').next().unwrap_or(name);
        work.row(series, name.to_owned(), false, bits, &model)?;
    }
    Ok(())
}
