//! `mcodec eval`.

use super::{open, progress, protocol, read_texts};
use crate::cli::{Common, Eval};
use crate::console::Console;
use crate::input::is_mcodec;
use crate::outcome::{Outcome, usage};
use mcodec_encode::Attachment;
use mcodec_evaluation::{Against, Architecture, Evaluation, Judge, Score, Tokens};
use std::fmt::Write;

/// The schema of records of results.
const SCHEMA: &str = "mcodec.evaluation";

/// Judges a model by texts.
pub(crate) fn run(args: &Eval, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    if args.record.is_some() && !is_mcodec(&args.model) {
        return Err(usage(format!("--record: {} is no mcodec file", args.model.display())));
    }
    let model = open(&args.model, args.asset.as_deref(), common.threads())?;
    let against = args.against.as_ref().map(|path| open(path, None, common.threads())).transpose()?;
    let of = Architecture::of(&*model)?;
    // A file of weights alone is judged with its original's tokenizer.
    let tokens = match &against {
        Some(other) if model.file("tokenizer.json")?.is_none() => Tokens::of(&**other, of.vocabulary)?,
        _ => Tokens::of(&*model, of.vocabulary)?,
    };
    let texts = read_texts(&tokens, &args.texts)?;
    let judge = Judge::new(protocol(&args.protocol, &of, &tokens)?, &texts)?;
    let found = judge.judge(&*model, against.as_deref().map(Against::Model), &progress(console))?;
    drop(model);
    if let Some(name) = &args.record {
        let json = serde_json::to_vec_pretty(&found)?;
        let asset = args.asset.as_deref();
        let record = Attachment { name, asset, schema: SCHEMA, required: false, json: &json, tensors: None };
        mcodec_encode::attach(&args.model, &record, &console.encode_options(common))?;
    }
    if console.json() {
        console.print_json(&found)?;
    } else {
        console.print(&text(&found))?;
    }
    Ok(Outcome::Done)
}

/// A table of all texts.
fn text(found: &Evaluation) -> String {
    let protocol = &found.protocol;
    let mut out = format!(
        "{}: windows of {} tokens ({}), {} from start to start\n",
        found.model.name, protocol.window, protocol.tokens, protocol.stride
    );
    let wide = found.texts.iter().map(|t| t.text.chars().count()).max().unwrap_or(0).max(4);
    let (beside, original) = if found.all.against.is_some() {
        (format!(" {:>9} {:>9} {:>8}", "KL", "+-", "same"), format!(" {:>9}", "original"))
    } else {
        Default::default()
    };
    // Writing to a string does not fail.
    _ = writeln!(
        out,
        "{:<wide$} {:>11} {:>9}{original} {:>10} {:>7}{beside}",
        "text", "predictions", "bits/byte", "perplexity", "top-1"
    );
    for score in found.texts.iter().chain([&found.all]) {
        _ = writeln!(out, "{}", line(score, wide));
    }
    out
}

fn line(score: &Score, wide: usize) -> String {
    let (original, beside) = match &score.against {
        Some(b) => (
            format!(" {:>9.4}", b.bits_per_byte),
            format!(" {:>9.5} {:>9.5} {:>8.4}", b.kl, b.kl_error, b.same_top1),
        ),
        None => Default::default(),
    };
    format!(
        "{:<wide$} {:>11} {:>9.4}{original} {:>10.4} {:>7.4}{beside}",
        score.text, score.predictions, score.bits_per_byte, score.perplexity, score.top1
    )
}
