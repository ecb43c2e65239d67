//! The part of the command line that measures.

use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;

use super::{BenchQuant, Codes, parse_positive};

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) what: BenchWhat,
}

const BENCH_HELP: &str = "\
Each peer runs in a process of its own, with one thread, and what it decodes is compared bit for bit.
-T 2 adds rows of two threads for the peers that have them.

Below each table stands the order-0 limit of the file: the ratio of an ideal coder that has a table of
exponents for each tensor and leaves signs and mantissas raw (\"exponents\"), and of one that also codes
signs, and mantissas given the exponent (\"all fields\"). The notes below the tables say how that is
counted, and how all else is measured.";

#[derive(Debug, Subcommand)]
pub(crate) enum BenchWhat {
    /// Ratio, speed and peak memory on model files
    #[command(after_help = BENCH_HELP)]
    Models(BenchModels),
    /// Speed of decoding labelled floats on a GPU
    #[command(after_help = BENCH_GPU_HELP)]
    Gpu(BenchGpu),
    /// Ratio and speed on fine-tunes told against their base, beside differences that zstd compresses
    Deltas(BenchDeltas),
    /// Rate and distortion of pictures, beside JPEG, WebP, JPEG XL and AVIF
    Images(BenchImages),
    /// How long a page of an image takes to decode and draw, and a single pixel
    Pages(crate::picture_options::BenchPages),
    /// Bits and speed of latents and tokens, beside general compressors
    Latents(BenchLatents),
    /// Size of a quantised language model and how far its predictions are from the original's, beside other quantisers
    Quant(BenchQuant),
}

const BENCH_GPU_HELP: &str = "\
A file that is no mcodec file is encoded first. Its tensors of coding labelled are decoded on the GPU from
memory of the device into memory of the device, and with the upload; on the CPU; and what comes out is
compared bit for bit. Below it stands what copying the same bytes takes, on the device and on the host.";

#[derive(Debug, Args)]
pub(crate) struct BenchGpu {
    /// mcodec files, or files to encode
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// gpu, or gpu:NAME for a GPU with NAME in its name
    #[arg(long, value_name = "DEVICE", default_value = "gpu")]
    pub(crate) device: crate::device::Device,
    /// Bind up to N MiB at once [default: 128, which every device has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) binding: Option<u64>,
    /// Decode each tensor N times over, so that a small file keeps a large GPU busy
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) copies: u32,
    /// Repetitions, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) reps: u32,
    /// Do without subgroups
    #[arg(long)]
    pub(crate) no_subgroups: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchDeltas {
    /// The base: a model file
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) base: PathBuf,
    /// The fine-tunes: safetensors files
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Repetitions, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) reps: u32,
}

#[derive(Debug, Args)]
pub(crate) struct BenchImages {
    /// Pictures, or folders of them
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) pictures: Vec<PathBuf>,
    /// Bits per pixel, divided by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0.15,0.3", value_parser = parse_positive)]
    pub(crate) rates: Vec<f64>,
    /// Draw the curves into this file
    #[arg(long, value_name = "SVG", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
    /// Keep what is measured in this file, so that a run that was stopped goes on where it was
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) results: Option<PathBuf>,
    /// Files of N levels instead of other codecs: what each prefix is worth beside a file of its size
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=16), conflicts_with_all = ["svg", "results"])]
    pub(crate) levels: Option<u8>,
    /// A stack of all of them instead of other codecs: what each channel is worth beside a file of its own
    #[arg(long, conflicts_with_all = ["svg", "results", "levels"])]
    pub(crate) stack: bool,
    /// Damaged pictures instead of other codecs: whether --restore of encode comes nearer to what they were
    #[arg(long, conflicts_with_all = ["svg", "results", "levels", "stack"])]
    pub(crate) restore: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchLatents {
    /// Arrays (.npy), or folders of them; tokens have three axes, or a NAME.levels.json beside NAME.tok.npy
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    /// Efforts, divided by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "5,7,9", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) efforts: Vec<u8>,
    /// Repetitions, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) reps: u32,
    /// Draw bits against speed into this file
    #[arg(long, value_name = "SVG", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
    /// Frames of groups, divided by commas; 0 is the whole clip [default: 0 and 17, of codes of a codebook 0 and 100]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) groups: Vec<usize>,
    /// Instead: what --reduce keeps and what it loses, temporal and spatial apart, and bits with and without rounding to 1/8 of a deviation
    #[arg(long)]
    pub(crate) reduce: bool,
    /// Instead: what tokens cost in the file of the latents that they are quantised from, as fsq:8,8,8,5,5,5
    #[arg(long, value_name = "fsq:LEVELS", conflicts_with = "reduce")]
    pub(crate) quantise: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct BenchModels {
    /// The files
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Peers to measure, divided by commas [default: all that are installed]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) peers: Vec<String>,
    /// Repetitions, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) reps: u32,
    /// Let mcodec use no more vector instructions than this [default: all that it has use for]
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) simd: Option<Simd>,
    /// Let mcodec code the symbols of floats so [default: rans]
    #[arg(long, value_enum, value_name = "CODES", hide_possible_values = true)]
    pub(crate) codes: Option<Codes>,
}

/// Vector instructions that mcodec may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Simd {
    Scalar,
    Neon,
    Avx2,
    Avx512,
}
