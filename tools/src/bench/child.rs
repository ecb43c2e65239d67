//! One peer, measured in this process.

use super::codec::{Codec, Memcpy, Zstd};
use super::in_memory::InMemory;
use super::peers::{self, Kind};
use super::report::{Line, Measured};
use super::whole_file::WholeFile;
use super::{measure, memory};
use crate::console::Console;
use crate::interrupt::Cancel;
use crate::outcome::{Outcome, usage};
use mcodec_encode::EncodeOptions;
use std::path::Path;

/// What of a peer is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Both,
    /// Encoding; what it makes stays in the temporary folder.
    Encode,
    /// Decoding what is there.
    Decode,
}

/// Name of what mcodec encodes to, in the temporary folder, if each phase has its own process.
const CODED: &str = "coded.mcodec";

/// Measures a peer and prints a line of JSON. That it fails is in the line. After the name of an mcodec peer, `:encode` and
/// `:decode` ask for one phase.
pub(super) fn run(
    name: &str,
    path: &Path,
    reps: u32,
    mut options: EncodeOptions,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let (name, phase) = match name.split_once(':') {
        None => (name, Phase::Both),
        Some((name, "encode")) => (name, Phase::Encode),
        Some((name, "decode")) => (name, Phase::Decode),
        Some((_, other)) => return Err(usage(format!("there is no phase {other:?}"))),
    };
    let Some(peer) = peers::find(name) else {
        return Err(usage(format!("there is no peer {name:?}")));
    };
    options.cancel = Some(console.cancel().flag());
    let line = match measure_peer((peer.kind, options), path, phase, reps, console.cancel()) {
        Ok(line) => line,
        Err(e) => Line::Failed { reason: format!("{e:#}") },
    };
    console.print(&(serde_json::to_string(&line)? + "\n"))?;
    Ok(Outcome::Done)
}

fn measure_peer(
    (kind, mut options): (Kind, EncodeOptions),
    path: &Path,
    phase: Phase,
    reps: u32,
    cancel: &Cancel,
) -> anyhow::Result<Line> {
    let measured = match kind {
        Kind::Mcodec(effort) => {
            options.effort = effort;
            let coded = (phase != Phase::Both).then(|| std::env::temp_dir().join(CODED));
            let codec = WholeFile::open(path, options, coded)?;
            measure_codec(codec, phase, reps, cancel)?
        }
        _ if phase != Phase::Both => anyhow::bail!("it keeps what it encodes in memory"),
        Kind::McodecMemory(effort) => {
            options.effort = effort;
            match InMemory::open(path, options)? {
                Some(codec) => measure_codec(codec, phase, reps, cancel)?,
                None => return Ok(Line::NotApplicable { reason: "no safetensors file".into() }),
            }
        }
        Kind::Memcpy => measure_codec(Memcpy::open(path)?, phase, reps, cancel)?,
        Kind::Zstd(level) => measure_codec(Zstd::open(path, level)?, phase, reps, cancel)?,
        Kind::ShuffledZstd(level) => match Zstd::open_shuffled(path, level)? {
            Some(codec) => measure_codec(codec, phase, reps, cancel)?,
            None => return Ok(Line::NotApplicable { reason: "elements of one byte".into() }),
        },
        Kind::Python => anyhow::bail!("it is not in this binary"),
    };
    Ok(Line::Measured(measured))
}

/// Encodes, decodes into a reused buffer and into new ones, and compares.
fn measure_codec(
    mut codec: impl Codec,
    phase: Phase,
    reps: u32,
    cancel: &Cancel,
) -> anyhow::Result<Measured> {
    let base = memory::reset_peak();
    let above = |peak: Option<u64>| Some(peak?.saturating_sub(base?));
    let mut result =
        Measured { version: codec.version(), input_bytes: codec.input_bytes() as u64, ..Measured::default() };
    if phase != Phase::Decode {
        let encode = measure::time(reps, cancel, || {
            result.output_bytes = codec.encode()?;
            Ok(())
        })?;
        (result.encode_seconds, result.encode_reps) = (encode.seconds, encode.reps);
        result.encode_peak_bytes = above(memory::peak());
    }
    if phase != Phase::Encode {
        memory::reset_peak();
        // Not zero: zeroed memory would not be there before it is written.
        let mut out = vec![1; codec.input_bytes()];
        let decode = measure::time(reps, cancel, || codec.decode(&mut out))?;
        (result.decode_seconds, result.decode_reps) = (decode.seconds, decode.reps);
        result.decode_peak_bytes = above(memory::peak());
        result.exact = codec.matches(&out)?;
        drop(out);
        if !codec.has_new_memory() {
            return Ok(result);
        }
        let mut last = Vec::new();
        let decode_new = measure::time(reps, cancel, || {
            let mut out = vec![0; codec.input_bytes()];
            codec.decode(&mut out)?;
            Ok(std::mem::replace(&mut last, out))
        })?;
        result.decode_new_seconds = Some(decode_new.seconds);
        result.exact &= codec.matches(&last)?;
    }
    Ok(result)
}
