//! `mcodec bench models`: mcodec beside other compressors on the same files, in one run.
//!
//! Every peer runs in a process of its own, so that what is counted as its memory is its own. The peers in this binary run as
//! `mcodec bench models --peers run:NAME FILE`, which measures that one and prints a line of JSON; the Python ones run through
//! `tools/peers/run_peer.py`, which prints the same line.

mod child;
mod codec;
pub(crate) mod deltas;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "images")]
pub(crate) mod images;
mod in_memory;
mod input;
pub(crate) mod latents;
mod limit;
mod machine;
mod measure;
mod memory;
pub(crate) mod pages;
mod peers;
mod reduced;
mod refined;
mod report;
mod shuffle;
mod spawn;
mod table;
mod whole_file;

#[cfg(feature = "gpu")]
pub(crate) use gpu::run as run_gpu;
#[cfg(feature = "eval")]
pub(crate) use spawn::find_python;

use crate::cli::Common;
use crate::cli::bench::BenchModels;
use crate::console::Console;
use crate::outcome::{Outcome, usage};
use anyhow::Context;
use input::Shape;
use limit::Limits;
use mcodec_encode::EncodeOptions;
use peers::{Kind, Peer};
use report::{FileReport, Line, Report, Row};
use spawn::Workshop;
use std::path::Path;

/// Before the name of a peer in `--peers`: measure it in this process and print a line of JSON.
const CHILD_PREFIX: &str = "run:";

/// Measures, and prints a table for each file, or JSON.
pub(crate) fn run(args: &BenchModels, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    if let Some(simd) = args.simd {
        machine::level(simd).cap();
    }
    if let ([file], [peer]) = (args.files.as_slice(), args.peers.as_slice())
        && let Some(name) = peer.strip_prefix(CHILD_PREFIX)
    {
        let mut options = EncodeOptions::default();
        options.codes = args.codes.map_or_else(Default::default, Into::into);
        options.threads = common.threads().max(1);
        return child::run(name, file, args.reps, options, console);
    }
    let threads = threads(common);
    let peers = peers::select(&args.peers).map_err(usage)?;
    let workshop = Workshop::new(args.reps, args.simd, args.codes)?;
    let mut files = Vec::new();
    for file in &args.files {
        files.push(measure_file(file, (&peers, threads), &workshop, console)?);
    }
    let failed = files.iter().flat_map(|f| &f.rows).any(Row::is_our_failure);
    let report = Report::new(args.reps, files);
    if console.json() {
        console.print_json(&report)?;
    } else {
        console.print(&table::render(&report))?;
    }
    Ok(if failed { Outcome::Failed } else { Outcome::Done })
}

/// Threads of the additional rows; without a wish for them there are none.
fn threads(common: &Common) -> usize {
    match common.threads {
        None => 1,
        Some(0) => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        Some(threads) => threads.into(),
    }
}

/// Measures every peer on one file: with one thread, and if more are wanted, where a peer has them, with as many again.
fn measure_file(
    path: &Path,
    (peers, threads): (&[&'static Peer], usize),
    workshop: &Workshop,
    console: &Console,
) -> anyhow::Result<FileReport> {
    let shape = Shape::of(path).with_context(|| format!("reading {}", path.display()))?;
    let mut rows = Vec::new();
    for (i, peer) in peers.iter().enumerate() {
        console.cancel().check()?;
        console.note(&format!("{}: {} ({} of {})", path.display(), peer.name, i + 1, peers.len()));
        let more = (threads > 1 && peer.has_threads()).then_some(threads);
        for threads in [Some(1), more].into_iter().flatten() {
            let line = match peer.kind {
                Kind::Python => workshop.python_peer(peer, threads, path, console)?,
                _ => workshop.own_peer(peer, threads, path, console)?,
            };
            rows.push(Row { threads, ..row(peer, line, &shape) });
        }
    }
    let limits = Limits::of(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(FileReport::new(path, &shape, limits, rows))
}

/// The row of a peer, if what it coded is what there was to code.
fn row(peer: &'static Peer, line: Line, shape: &Shape) -> Row {
    let rest = match &line {
        Line::Measured(m) if !m.exact => {
            return Row::failed(peer.name, "what it decoded is not what it was given");
        }
        Line::Measured(m) if m.input_bytes == shape.file_bytes => 0,
        Line::Measured(m) if m.input_bytes == shape.payload_bytes => shape.rest_coded_bytes,
        Line::Measured(_) => return Row::failed(peer.name, "it coded another part of the file"),
        _ => 0,
    };
    Row::new(peer.name, line, shape.file_bytes, rest)
}

#[cfg(test)]
mod tests {
    use super::report::{Measured, Status};
    use super::*;

    fn measured(input_bytes: u64, exact: bool) -> Line {
        Line::Measured(Measured { input_bytes, output_bytes: 50, exact, ..Measured::default() })
    }

    #[test]
    fn what_a_peer_leaves_out_is_counted() {
        let shape =
            Shape { file_bytes: 110, payload_bytes: 100, rest_coded_bytes: 5, dtype: "F32".into(), width: 4 };
        let peer = peers::PEERS.first().unwrap();
        assert_eq!(row(peer, measured(110, true), &shape).output_bytes, Some(50));
        assert_eq!(row(peer, measured(100, true), &shape).output_bytes, Some(55));
        assert_eq!(row(peer, measured(90, true), &shape).status, Status::Failed);
        let inexact = row(peer, measured(110, false), &shape);
        assert!(inexact.status == Status::Failed && inexact.is_our_failure());
    }
}
