//! The part of the command line that runs models.

use clap::{Args, ValueHint};
use std::path::PathBuf;

/// How a model is judged.
#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// The model: an mcodec file, whose weights are read layer by layer, or a folder
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) model: PathBuf,
    /// A text to predict; may be repeated
    #[arg(long = "text", value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) texts: Vec<PathBuf>,
    /// The original: tell how far from its predictions these are (divergence, in nats for each token)
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::AnyPath)]
    pub(crate) against: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) protocol: ProtocolArgs,
    /// The asset to judge, if there are several
    #[arg(long, value_name = "NAME")]
    pub(crate) asset: Option<String>,
    /// Keep the result in the mcodec file, as a record of this name
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "evaluation")]
    pub(crate) record: Option<String>,
}

/// How texts are cut into predictions.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProtocolArgs {
    /// Tokens that are read at once [default: 512, or 256 where tokens are bytes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) window: Option<u32>,
    /// Tokens from the start of one window to that of the next, so that all but these are read again [default: the window]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) stride: Option<u32>,
    /// Predictions of each text at most [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) predictions: Option<u32>,
}

/// What statistics are collected from.
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// The model: a folder, or an mcodec file
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) calibration: Calibration,
    /// The asset, if there are several
    #[arg(long, value_name = "NAME")]
    pub(crate) asset: Option<String>,
}

/// Texts that a model is run on, to learn what its layers read.
#[derive(Debug, Clone, Args)]
pub(crate) struct Calibration {
    /// A text that is like those the model is for; may be repeated, best of several kinds
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) calib: Vec<PathBuf>,
    /// Tokens that are taken of them, spread evenly [default: 32768]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calib_tokens: Option<u32>,
}

/// What quantisers are measured on.
#[derive(Debug, Args)]
pub(crate) struct BenchQuant {
    /// The model: a folder
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) calibration: Calibration,
    /// Statistics that were collected before, with Fisher information or without, in place of --calib
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "calib")]
    pub(crate) stats: Option<PathBuf>,
    /// A text to predict; may be repeated
    #[arg(long = "text", value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) texts: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) protocol: ProtocolArgs,
    /// Tensors that all leave alone [default: embeddings, heads, norms and routers]
    #[arg(long, value_name = "GLOB")]
    pub(crate) keep: Vec<String>,
    /// Bits per weight that mcodec is measured at, divided by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "2.5,3,3.5,4,4.5", value_parser = super::parse_positive)]
    pub(crate) bits: Vec<f64>,
    /// Rows to measure, by how their names begin, divided by commas [default: all that can be had]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Keep what is measured in this file, so that a run that was stopped goes on where it was, and one that measures other rows has these too
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) results: Option<PathBuf>,
    /// Draw size against divergence into this file
    #[arg(long, value_name = "SVG", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
}
