//! What one peer reports, and what the run reports of all of them.

use super::input::Shape;
use super::limit::{self, Limits};
use super::machine;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What one peer's process prints.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(super) enum Line {
    /// It ran.
    Measured(Measured),
    /// It is not on this machine.
    NotInstalled {
        /// What is missing.
        reason: String,
    },
    /// It has nothing to do with such a file.
    NotApplicable {
        /// Why.
        reason: String,
    },
    /// It failed.
    Failed {
        /// How.
        reason: String,
    },
}

/// Figures of one peer on one file.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Version of what did the work.
    pub(super) version: String,
    /// Bytes that one call codes.
    pub(super) input_bytes: u64,
    /// Bytes that it codes them to.
    pub(super) output_bytes: u64,
    /// Median time of a call that encodes.
    pub(super) encode_seconds: f64,
    /// Median time of a call that decodes into memory in use.
    pub(super) decode_seconds: f64,
    /// Median time of a call that decodes into new memory.
    pub(super) decode_new_seconds: Option<f64>,
    /// Calls behind the first median.
    pub(super) encode_reps: u32,
    /// Calls behind the second one.
    pub(super) decode_reps: u32,
    /// Memory above the loaded input, encoding.
    pub(super) encode_peak_bytes: Option<u64>,
    /// The same, decoding.
    pub(super) decode_peak_bytes: Option<u64>,
    /// Whether what came back is what went in.
    pub(super) exact: bool,
}

impl Measured {
    /// With the figures of encoding from `encoded`.
    pub(super) fn with_encoding(self, encoded: &Self) -> Self {
        Self {
            output_bytes: encoded.output_bytes,
            encode_seconds: encoded.encode_seconds,
            encode_reps: encoded.encode_reps,
            encode_peak_bytes: encoded.encode_peak_bytes,
            ..self
        }
    }
}

/// The whole run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Version of mcodec.
    pub(super) mcodec: &'static str,
    /// Where it ran.
    pub(super) machine: String,
    /// Calls that a median is of, if they are not slow.
    pub(super) reps: u32,
    /// How it was measured.
    pub(super) method: &'static str,
    /// What the limits are.
    pub(super) limit_method: &'static str,
    /// The files.
    pub(super) files: Vec<FileReport>,
}

/// How it is measured.
pub(super) const METHOD: &str = "\
Every row was verified bit-exact, in a process of its own, with one thread unless the row says -T. bytes: all that the peer makes of the file; \
ratio: the file's bytes over those; pcodec, blosc2, ZipNN, OpenZL and shuffle+zstd code the tensors of the commonest dtype as \
one array, and the rest of the file counts after zstd -19. MB/s: 10^6 uncompressed bytes a second, median of the calls in the \
column reps (encode/decode) after a first one; calls over 4 s are timed once. mcodec reads a file and writes a file (its \
checksums and index included), and decodes by opening that file and reading every tensor; lmz goes from file to file both \
ways; the others work in memory, the rows mcodec-N-memory among them (streaming form, through the library, its buffers reused). decode: into memory \
that was used before (mcodec, zstd, pcodec and blosc2 into one reused buffer; mcodec-N-memory, ZipNN, OpenZL, pcodec and blosc2 with an allocator that \
keeps what is freed, MALLOC_MMAP_MAX_=0). / memcpy: that speed over the one at which one thread copies the file in memory. decode new: into memory that is allocated for each \
call, as a plain call does; lmz always writes a new file and is listed under decode only. peak: the most memory that encoding \
or decoding added to a process which had loaded its libraries and, where it works in memory, the input; outputs in memory count; \
mcodec encodes and decodes in two processes.";

/// One file.
#[derive(Debug, Serialize)]
pub(super) struct FileReport {
    /// Its name.
    pub(super) file: String,
    /// Its bytes.
    pub(super) bytes: u64,
    /// The commonest dtype in it, or nothing if its format is not known.
    pub(super) dtype: String,
    /// Bytes of the tensors of that dtype.
    pub(super) payload_bytes: u64,
    /// What order-0 coding could reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limits: Option<Limits>,
    /// The peers.
    pub(super) rows: Vec<Row>,
}

/// How a peer fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Measured.
    Measured,
    /// Not on this machine.
    NotInstalled,
    /// Not for such a file.
    NotApplicable,
    /// It failed.
    Failed,
}

/// One peer on one file. What is not known is left out.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Its name.
    pub(super) peer: &'static str,
    /// Its threads.
    pub(super) threads: usize,
    /// How it fared.
    pub(super) status: Status,
    /// Why there are no figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// Version of what did the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    /// All bytes that it makes of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_bytes: Option<u64>,
    /// The file's bytes over those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ratio: Option<f64>,
    /// Encoding speed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encode_mb_s: Option<f64>,
    /// Decoding speed, into memory in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decode_mb_s: Option<f64>,
    /// That speed over that of a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decode_of_memcpy: Option<f64>,
    /// Decoding speed, into new memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decode_new_mb_s: Option<f64>,
    /// The larger of the two peaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peak_mb: Option<f64>,
    /// What the peer reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) measured: Option<Measured>,
}

impl Row {
    /// The row of what a peer reported, with `rest_bytes` for the part of the file that it does not code.
    pub(super) fn new(peer: &'static str, line: Line, file_bytes: u64, rest_bytes: u64) -> Self {
        let m = match line {
            Line::Measured(m) => m,
            Line::NotInstalled { reason } => return Self::without(peer, Status::NotInstalled, reason),
            Line::NotApplicable { reason } => return Self::without(peer, Status::NotApplicable, reason),
            Line::Failed { reason } => return Self::without(peer, Status::Failed, reason),
        };
        let output_bytes = m.output_bytes + rest_bytes;
        let speed = |seconds: f64| (seconds > 0.0).then(|| m.input_bytes as f64 / 1e6 / seconds);
        Self {
            peer,
            threads: 1,
            status: Status::Measured,
            reason: None,
            version: Some(m.version.clone()).filter(|v| !v.is_empty()),
            output_bytes: Some(output_bytes),
            ratio: (output_bytes > 0).then(|| file_bytes as f64 / output_bytes as f64),
            encode_mb_s: speed(m.encode_seconds),
            decode_mb_s: speed(m.decode_seconds),
            decode_of_memcpy: None,
            decode_new_mb_s: m.decode_new_seconds.and_then(speed),
            peak_mb: m.encode_peak_bytes.max(m.decode_peak_bytes).map(|n| n as f64 / 1e6),
            measured: Some(m),
        }
    }

    /// The row of a peer that failed.
    pub(super) fn failed(peer: &'static str, reason: &str) -> Self {
        Self::without(peer, Status::Failed, reason.to_owned())
    }

    fn without(peer: &'static str, status: Status, reason: String) -> Self {
        Self {
            peer,
            threads: 1,
            status,
            reason: Some(reason),
            version: None,
            output_bytes: None,
            ratio: None,
            encode_mb_s: None,
            decode_mb_s: None,
            decode_of_memcpy: None,
            decode_new_mb_s: None,
            peak_mb: None,
            measured: None,
        }
    }

    /// Whether mcodec itself failed; that others do is no failure of the command.
    pub(super) fn is_our_failure(&self) -> bool {
        self.status == Status::Failed && self.peer.starts_with("mcodec")
    }
}

impl FileReport {
    /// The report of a file.
    pub(super) fn new(path: &Path, shape: &Shape, limits: Option<Limits>, mut rows: Vec<Row>) -> Self {
        let memcpy = rows.iter().find(|row| row.peer == "memcpy").and_then(|row| row.decode_mb_s);
        for row in &mut rows {
            row.decode_of_memcpy = row.decode_mb_s.zip(memcpy).map(|(speed, copy)| speed / copy);
        }
        Self {
            file: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            bytes: shape.file_bytes,
            dtype: shape.dtype.clone(),
            payload_bytes: shape.payload_bytes,
            limits,
            rows,
        }
    }
}

impl Report {
    /// The report of a run on this machine.
    pub(super) fn new(reps: u32, files: Vec<FileReport>) -> Self {
        let (machine, limit_method) = (machine::describe(), limit::METHOD);
        Self { mcodec: env!("CARGO_PKG_VERSION"), machine, reps, method: METHOD, limit_method, files }
    }
}
