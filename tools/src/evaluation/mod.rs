//! What runs language models: `eval`, `stats`, `encode --calib` and `bench quant`.

pub(crate) mod bench;
pub(crate) mod judge;
pub(crate) mod statistics;

use crate::cli::ProtocolArgs;
use crate::console::Console;
use mcodec_evaluation::{Architecture, EvaluationError, Protocol, Text, Tokens, Weights};
use std::path::{Path, PathBuf};

/// Reads texts as the model's tokens.
pub(crate) fn read_texts(tokens: &Tokens, paths: &[PathBuf]) -> anyhow::Result<Vec<(String, Text)>> {
    let read = |path: &PathBuf| -> anyhow::Result<(String, Text)> { Ok((name_of(path), tokens.read(path)?)) };
    paths.iter().map(read).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The protocol that the arguments ask for.
pub(crate) fn protocol(args: &ProtocolArgs, of: &Architecture, tokens: &Tokens) -> anyhow::Result<Protocol> {
    let usual = mcodec_evaluation::score::usual_window(of, tokens);
    let number = |n: Option<u32>| n.map(|n| n as usize);
    let window = number(args.window).unwrap_or(usual);
    if window > of.positions {
        let text = format!("the model has positions for {} tokens, not for {window}", of.positions);
        return Err(crate::outcome::usage(text));
    }
    Ok(Protocol::new(window, number(args.stride), number(args.predictions), tokens.name())?)
}

/// Shows how far a pass is, and ends it if the user wants to stop.
pub(crate) fn progress(console: &Console) -> impl Fn(u64, u64) -> mcodec_evaluation::Result<()> + '_ {
    |done, all| {
        let stop = |_| EvaluationError::Request("interrupted".into());
        console.cancel().check().map_err(stop)?;
        console.progress(done, all);
        Ok(())
    }
}

/// The model at `path`, as weights.
pub(crate) fn open(path: &Path, asset: Option<&str>, threads: usize) -> anyhow::Result<Box<dyn Weights>> {
    use anyhow::Context;
    mcodec_evaluation::open_weights(path, asset, threads).with_context(|| path.display().to_string())
}
