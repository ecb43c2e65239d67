//! The command line: one definition for the parser, the completions and the manual.

pub(crate) mod bench;
mod evaluation;

use bench::Bench;
#[cfg(feature = "eval")]
pub(crate) use evaluation::ProtocolArgs;
pub(crate) use evaluation::{BenchQuant, Calibration, Eval, Stats};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

/// Compact files for learned data: models, lossless, readable tensor by tensor, and images as Gaussians.
///
/// A path of "-" is the standard input or output. Exit codes: 0 done, 1 failure (damage found by "verify" included), 2 usage
/// (refusal to overwrite included), 3 done with loss ("recover"), 4 difference found ("diff").
#[derive(Debug, Parser)]
#[command(name = "mcodec", bin_name = "mcodec", version, long_version = LONG_VERSION)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (format 1.0)");

/// Flags of every command, in any position.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Where to write; "-" is the standard output
    #[arg(short = 'o', long, global = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) output: Option<PathBuf>,
    /// Replace what is at the output
    #[arg(short, long, global = true)]
    pub(crate) force: bool,
    /// From 1 (fastest) to 9 (smallest) [default: 5]
    #[arg(short, long, global = true, value_name = "1..9", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) effort: Option<u8>,
    /// Threads; 0 is all cores [default: 0]
    #[arg(short = 'T', long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub(crate) threads: Option<u16>,
    /// Say more; may be repeated
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing but results and errors
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    /// Results as one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress bar
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

impl Common {
    /// Threads to use; 0 is all cores.
    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or(0).into()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn a model, or any file, into an mcodec file
    Encode(Encode),
    /// Give back the original, or a part of it
    Decode(Decode),
    /// Say what a file holds and where its bytes go; verifies nothing
    Info(Info),
    /// Compare every checksum
    Verify(Verify),
    /// Compare two models or files: structure, then content
    Diff(Diff),
    /// Save what is whole in a truncated or damaged file
    Recover(Recover),
    /// Add an asset to a file without rewriting it
    Append(Append),
    /// Put the assets of several files into one, chunks copied as they are
    Merge(Merge),
    /// List the assets of files as JSON, so that sample k of many files is found without opening them
    Manifest(Manifest),
    /// Rewrite a file in the finished form, without superseded bytes
    Pack(Pack),
    /// Add a record to an asset
    Attach(Attach),
    /// Remove a record from an asset
    Detach(Detach),
    /// Learn from clips of tokens what others can be coded under
    TrainPrior(TrainPrior),
    /// Make masks of block-sparse attention from queries and keys, or from scores of blocks
    Mask(crate::commands::mask::Mask),
    /// Measure mcodec beside other compressors
    Bench(Bench),
    /// Say how well a language model predicts texts, and how far from its original's its predictions are
    Eval(Eval),
    /// Run a language model on texts to learn what its layers read, for encode --bits
    Stats(Stats),
    /// Print a completion script for a shell
    Completion(Completion),
    /// Print the manual
    Man(Man),
}

/// What to make of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Tensors by name
    Model,
    /// One opaque file
    Blob,
    /// A picture, as Gaussians: lossy
    Image,
    /// Latents of a video or image tokenizer: .npy, .npz, .safetensors, .pt, a folder of such clips or a .tar of samples
    Latents,
    /// Tokens of a video or image tokenizer, from the same files
    Tokens,
    /// Masks of block-sparse attention, bool or u8 [step, layer, head, block, block], from the same files
    Masks,
}

/// Models that others are told against.
#[derive(Debug, Clone, Args)]
pub(crate) struct Bases {
    /// A model that this one is told against: an mcodec file, a model file or a folder; may be repeated, where bases have bases
    #[arg(long = "base", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
}

/// How an input is read, for encode and append.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Take the input as this [default: by its content]
    #[arg(long = "as", value_name = "KIND")]
    pub(crate) kind: Option<Kind>,
    /// Take every file of a folder
    #[arg(long)]
    pub(crate) all_files: bool,
    /// Take files that symbolic links in a folder lead to, outside of it
    #[arg(long)]
    pub(crate) follow_links: bool,
    /// Store tensors raw and aligned, to be used from a memory mapping
    #[arg(long)]
    pub(crate) mappable: bool,
    /// How the symbols of floats are coded [default: rans]
    #[arg(long, value_enum, value_name = "CODES")]
    pub(crate) codes: Option<Codes>,
}

/// Codes of symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Codes {
    /// Smallest, and fastest to decode with vector instructions
    Rans,
    /// Prefix codes: a little larger, and fastest to decode without vector instructions
    Prefix,
}

impl From<Codes> for mcodec_encode::SymbolCodes {
    fn from(codes: Codes) -> Self {
        match codes {
            Codes::Rans => Self::Rans,
            Codes::Prefix => Self::Prefix,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Encode {
    /// A model file (safetensors, GGUF, PyTorch, NumPy), a Hugging Face folder, a picture or a folder of them, an mcodec file, any other file, or "-"
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) input: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) import: Import,
    /// Several pictures of one size as one image: the channels of each under its file's name
    #[arg(long, help_heading = "Pictures")]
    pub(crate) stack: bool,
    #[command(flatten)]
    pub(crate) image: Image,
    /// Name of the asset, when it comes from the standard input
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) bases: Bases,
    /// The asset of the first base that is meant, if it holds several
    #[arg(long, value_name = "NAME", requires = "paths")]
    pub(crate) base_asset: Option<String>,
    #[command(flatten)]
    pub(crate) latents: Latents,
    #[command(flatten)]
    pub(crate) quantise: Quantise,
}

/// How a model is quantised (--bits, --max-bytes).
#[derive(Debug, Args)]
#[command(next_help_heading = "Models with loss")]
pub(crate) struct Quantise {
    /// Quantise a model so that the file has at most so many bytes: 60M, 1.5G
    #[arg(long, value_name = "BYTES", conflicts_with = "bits", value_parser = parse_bytes)]
    pub(crate) max_bytes: Option<u64>,
    /// Tensors that stay lossless, and do not count among the bits of a weight; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) keep: Vec<String>,
    /// A step that changes how a model is stored, PASS:KEY=VALUE,..., or a file of them: prune:ratio=0.2,axis=units, lowrank:rank=24,block=32,target=*v_proj*, quant:bits=4; may be repeated, and steps run in this order
    #[arg(long, value_name = "PASS|FILE")]
    pub(crate) recipe: Vec<String>,
    #[command(flatten)]
    pub(crate) calibration: Calibration,
}

/// How latents are taken (--as latents).
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of latents")]
pub(crate) struct Latents {
    /// Letters of the axes of arrays: T(ime), C(hannel), H(eight), W(idth) [default: TCHW, CHW or HW]; of masks S(tep), L(ayer), H(ead), Q(uery
    /// blocks), K(ey blocks) [default: SLHQK, or the last of them]
    #[arg(long, value_name = "AXES")]
    pub(crate) axes: Option<String>,
    /// What elements are, where the file only says how wide they are: bf16, f8_e4m3, ...
    #[arg(long, value_name = "TYPE")]
    pub(crate) dtype: Option<String>,
    /// Round to steps of this many standard deviations of a channel [default: lossless]
    #[arg(long, value_name = "STEP", group = "rounding")]
    pub(crate) step: Option<f64>,
    /// Round so that the ratio of signal to noise is this, in dB
    #[arg(long, value_name = "DB", group = "rounding")]
    pub(crate) snr: Option<f64>,
    /// Round so that a value takes about this many bits; of a model: quantise it to at most this many bits per weight
    #[arg(long, value_name = "BITS", group = "rounding")]
    pub(crate) bits: Option<f64>,
    /// Of tokens: levels of finite scalar quantisation, as 8,8,8,5,5,5, or a JSON file with such a list for each token of a position
    #[arg(long, value_name = "LEVELS", group = "vocabulary")]
    pub(crate) fsq: Option<String>,
    /// Of tokens: how many there are
    #[arg(long, value_name = "N", group = "vocabulary")]
    pub(crate) vocab: Option<u64>,
    /// Of tokens: code them under what train-prior learned
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) prior: Option<PathBuf>,
    /// Store tokens too, as fsq:8,8,8,5,5,5, and the latents as what refines them
    #[arg(long, value_name = "fsq:LEVELS")]
    pub(crate) quantise: Option<String>,
    /// Levels of precision, 2 to 6, of which decode --level reads the first: the last is what --step, --snr or --bits say, or everything, each
    /// before it has steps twice as large
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=6))]
    pub(crate) progressive: Option<u8>,
    /// Drop positions that are like what is there already, and fill them with that, so that what is decoded has the filled values:
    /// temporal:thr=T those within T deviations (root of the mean square over channels) of what the frame before holds there;
    /// spatial:rate=R of the others all but this share, those nearest to their left or upper neighbour
    #[arg(long, value_name = "temporal:thr=T,spatial:rate=R")]
    pub(crate) reduce: Option<String>,
    /// A JSON file with lists "mean" and "std", one number for each channel [default: the model's, or measured]; of a model that is quantised: a
    /// safetensors file of what its layers read and how much their outputs matter [default: nothing is known]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) stats: Option<PathBuf>,
    /// Frames of a group, the unit of access; 0 is the whole clip [default: 0 up to 64 frames, else 16]; of masks: planes, in the order layer,
    /// head, step [default: the steps of a head]
    #[arg(long, value_name = "N")]
    pub(crate) group: Option<usize>,
    /// Frames of the source in a second: 25, or 30000/1001
    #[arg(long, value_name = "RATE")]
    pub(crate) fps: Option<String>,
    /// The model that the latents are of; of wan2.1, hunyuanvideo, cogvideox, ltx, flux.2, cosmos, vidtok, magvit-v2, commavq and others axes, factors and (where published) statistics are known
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// A hash of that model, in hexadecimal digits
    #[arg(long, value_name = "HEX")]
    pub(crate) model_hash: Option<String>,
    /// Whether the model's normalisation is applied to them
    #[arg(long, value_name = "YES/NO")]
    pub(crate) normalised: Option<Answer>,
    /// Of masks: how they were made, for a record of the asset: block=128,curve=gilbert,grid=21x30x52,text=0,sample=32,seed=0,energy=0.95,ratio=0.05..0.2,gap=30
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub(crate) mask_settings: Option<String>,
    /// A track of one array: its name, the array's, its axes, then what differs from what is said of all (role, dtype, step, snr, bits, lossless, quantise=fsq:8x8x5, fsq=8x8x5, vocab, normalised, stats, model, factors=4x8x8, first); may be repeated
    #[arg(long = "track", value_name = "NAME=KEY:AXES,...")]
    pub(crate) tracks: Vec<String>,
}

/// What is learned from.
#[derive(Debug, Args)]
pub(crate) struct TrainPrior {
    /// Files of tokens, or folders of them, all of one grid
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) clips: Vec<PathBuf>,
    /// Letters of the axes of arrays [default: THW, or THWC with several tokens at a position]
    #[arg(long, value_name = "AXES")]
    pub(crate) axes: Option<String>,
    /// Levels of finite scalar quantisation, as encode takes them
    #[arg(long, value_name = "LEVELS", group = "learned")]
    pub(crate) fsq: Option<String>,
    /// How many tokens there are
    #[arg(long, value_name = "N", group = "learned")]
    pub(crate) vocab: Option<u64>,
    /// Of each clip, learn only from these frames: a..b without b
    #[arg(long, value_name = "A..B", value_parser = crate::rows::parse)]
    pub(crate) frames: Option<crate::rows::Rows>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Answer {
    Yes,
    No,
}

/// How a picture is encoded.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
pub(crate) struct Image {
    /// From 0 (smallest) to 100 (best): 50 is 0.3 bits per pixel, 17 more twice as many [default: 50]
    #[arg(short, long, value_name = "0..100", group = "rate", value_parser = parse_quality)]
    pub(crate) quality: Option<f64>,
    /// At most this many bits of the file for each pixel
    #[arg(long, value_name = "R", group = "rate", value_parser = parse_positive)]
    pub(crate) bpp: Option<f64>,
    /// So many Gaussians
    #[arg(long, value_name = "N", group = "rate", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) gaussians: Option<u32>,
    /// At least this PSNR, in dB over all channels
    #[arg(long, value_name = "DB", group = "rate", value_parser = parse_positive)]
    pub(crate) psnr: Option<f64>,
    /// Layers, of which each prefix is a picture [default: 1 up to a megapixel, else 3; 3 in packs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) levels: Option<u8>,
    /// Side of a page in pixels, a multiple of 8; 0: no pages [default: pages of about 4 KiB where a layer has more than 16]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub(crate) page: Option<u32>,
    /// The picture is noisy, or comes from JPEG: stop before the damage is fitted too
    #[arg(long, group = "rate")]
    pub(crate) restore: bool,
    /// A picture of the same size: the brighter, the more errors count there; or "auto": less where texture hides them
    #[arg(long, value_name = "MASK", value_hint = ValueHint::FilePath)]
    pub(crate) importance: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) layout: crate::picture_options::Layout,
    /// What Ctrl-C does to a fit
    #[arg(long, value_enum, value_name = "WHAT", default_value = "discard")]
    pub(crate) on_interrupt: OnInterrupt,
    /// Whether a GPU fits pictures, and rounds the weights of models that are quantised without Gram matrices
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub(crate) gpu: crate::device::UseGpu,
}

/// What becomes of a fit that is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnInterrupt {
    /// Nothing is written
    Discard,
    /// The best so far is written
    Save,
}

fn parse_positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|v: &f64| v.is_finite() && *v > 0.0).ok_or_else(|| "not a number above 0".into())
}

fn parse_distance(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|v: &f64| v.is_finite() && *v >= 0.0);
    number.ok_or_else(|| "not a number of 0 or more".into())
}

/// A number of bytes, with a decimal prefix if it has one.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[number.len()..] {
        "" | "B" => 1.0,
        "K" | "KB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        other => return Err(format!("{other:?} is none of K, M and G")),
    };
    Ok((parse_positive(number)? * factor) as u64)
}

fn parse_quality(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|v| (0.0..=100.0).contains(v)).ok_or_else(|| "not a number from 0 to 100".into())
}

/// Form of what is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The tensors as a safetensors file
    Safetensors,
    /// One tensor as a NumPy array
    Npy,
    /// Tracks of latents as a file of NumPy arrays
    Npz,
    /// One tensor's bytes
    Raw,
    /// A record's JSON text
    Json,
    /// An image as PNG
    Png,
    /// An image as OpenEXR
    Exr,
    /// An image as a KTX2 texture with mip levels, of bytes
    Rgba8,
    /// The same of half floats
    F16,
    /// The same of BC1 blocks (colours)
    Bc1,
    /// The same of BC4 blocks (one channel)
    Bc4,
    /// The same of BC5 blocks (two channels, as normals)
    Bc5,
    /// The same of BC6H blocks (floats)
    Bc6h,
    /// The same of BC7 blocks (colours and alpha)
    Bc7,
}

impl Format {
    /// Whether it is one of textures.
    pub(crate) fn is_texture(self) -> bool {
        use Format::{Bc1, Bc4, Bc5, Bc6h, Bc7, F16, Rgba8};
        matches!(self, Rgba8 | F16 | Bc1 | Bc4 | Bc5 | Bc6h | Bc7)
    }
}

/// Another kind of file of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OtherFile {
    /// llama.cpp's
    Gguf,
}

/// A type of float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FloatType {
    Bf16,
    F16,
    F32,
}

/// What elements of tensors come out as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Elements {
    /// As they are stored: blocks of quantised types whole
    Blocks,
    /// As f32: blocks dequantised, halves and brain floats widened
    F32,
}

#[derive(Debug, Args)]
pub(crate) struct Decode {
    /// The mcodec file, or "-"
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// The asset to decode, if there are several
    #[arg(long, value_name = "NAME")]
    pub(crate) asset: Option<String>,
    /// A smaller variant of a model, as info lists them: what it leaves out is zeros, and is not read
    #[arg(long, value_name = "NAME")]
    pub(crate) variant: Option<String>,
    /// Only the tensors whose names match; may be repeated
    #[arg(long = "tensor", value_name = "GLOB")]
    pub(crate) tensors: Vec<String>,
    /// Only these rows of one tensor: a..b without b
    #[arg(long, value_name = "A..B", value_parser = crate::rows::parse)]
    pub(crate) rows: Option<crate::rows::Rows>,
    /// Form of the output [default: the original, or what the output's extension says of a selection]
    #[arg(long, value_name = "FORM")]
    pub(crate) format: Option<Format>,
    /// What elements of tensors come out as [default: blocks]
    #[arg(long = "as", value_name = "ELEMENTS")]
    pub(crate) elements: Option<Elements>,
    /// The files of a model with its floats as this type; what is not of F32, F16 or BF16 stays as it is
    #[arg(long, value_enum, value_name = "TYPE", conflicts_with_all = ["tensors", "rows", "elements", "format", "record"])]
    pub(crate) dtype: Option<FloatType>,
    /// Another kind of file: gguf, of a language model's folder, its matrices as Q8_0 unless --dtype names a float
    #[arg(long, value_enum, value_name = "KIND", conflicts_with_all = ["tensors", "rows", "elements", "format", "record"])]
    pub(crate) to: Option<OtherFile>,
    /// Only this part of an image: x,y,width,height in its pixels
    #[arg(long, value_name = "X,Y,W,H", value_parser = crate::selection::parse_region, conflicts_with_all = ["tensors", "rows", "elements"])]
    pub(crate) region: Option<mcodec_decode::images::Region>,
    /// An image this many times as large [default: 1]
    #[arg(long, value_name = "F", value_parser = parse_positive, conflicts_with_all = ["tensors", "rows", "elements"])]
    pub(crate) scale: Option<f64>,
    /// Only these channels of a stack
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tensors", "rows", "elements"])]
    pub(crate) channels: Option<String>,
    /// An image from its layers 0 to N, or latents from their levels of precision 0 to N [default: all]
    #[arg(long, value_name = "N", conflicts_with_all = ["rows", "elements"])]
    pub(crate) level: Option<usize>,
    /// A record's JSON text instead of the asset
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tensors", "rows", "elements"])]
    pub(crate) record: Option<String>,
    /// What decodes: cpu, gpu, or gpu:NAME for a GPU with NAME in its name
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: crate::device::Device,
    /// Whether a GPU draws images
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub(crate) gpu: crate::device::UseGpu,
    #[command(flatten)]
    pub(crate) bases: Bases,
    /// Of latents: only these positions in time: a..b without b
    #[arg(long, value_name = "A..B", value_parser = crate::rows::parse)]
    pub(crate) frames: Option<crate::rows::Rows>,
    /// Of latents: only this track
    #[arg(long, value_name = "NAME")]
    pub(crate) track: Option<String>,
    /// Of latents that refine tokens: only what the tokens tell of them
    #[arg(long)]
    pub(crate) from_tokens: bool,
    /// Of masks: only these steps, layers and heads: each a number, a..b without b, or *
    #[arg(long, value_name = "STEPS,LAYERS,HEADS", value_parser = crate::latents::planes::parse)]
    pub(crate) planes: Option<crate::latents::planes::Planes>,
    /// Of latents: only these rows and columns: y0..y1,x0..x1
    #[arg(long, value_name = "ROWS,COLUMNS", value_parser = crate::rows::parse_crop)]
    pub(crate) crop: Option<(crate::rows::Rows, crate::rows::Rows)>,
}

#[derive(Debug, Args)]
pub(crate) struct Info {
    /// The mcodec file, or "-"
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// Read all chunks, to say where the bytes within them go (--json does so too)
    #[arg(long)]
    pub(crate) ledger: bool,
    /// Decode tracks of latents, to say what share of their positions is the same as in the frame before, and as to the left or above, and
    /// what share is within this many deviations (root of the mean square over channels) of it
    #[arg(long, value_name = "DEVIATIONS", num_args = 0..=1, require_equals = true, default_missing_value = "0.125", value_parser = parse_distance)]
    pub(crate) redundancy: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The mcodec file, or "-"
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// Decode everything and compare content hashes too
    #[arg(long)]
    pub(crate) deep: bool,
    #[command(flatten)]
    pub(crate) bases: Bases,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// An mcodec file, a safetensors file or folder, a GGUF file, a picture, or any other file
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) a: PathBuf,
    /// What to compare it with
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) b: PathBuf,
    /// The asset to compare, if a file holds several
    #[arg(long, value_name = "NAME")]
    pub(crate) asset: Option<String>,
    /// Of two pictures: write a PNG of where they differ
    #[arg(long, value_name = "PNG", value_hint = ValueHint::FilePath)]
    pub(crate) heatmap: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) bases: Bases,
}

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The damaged file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Append {
    /// The mcodec file to add to
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) target: PathBuf,
    /// What to add
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) input: PathBuf,
    #[command(flatten)]
    pub(crate) import: Import,
    #[command(flatten)]
    pub(crate) image: Image,
    #[command(flatten)]
    pub(crate) latents: Latents,
    #[command(flatten)]
    pub(crate) bases: Bases,
    /// The asset of the file that the new one is told against, "auto" (the nearest of the first, the last and the base) or "none"
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) base_asset: String,
}

#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The mcodec files; no two of their assets have one name
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub(crate) inputs: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Manifest {
    /// mcodec files, in the order in which their samples count; a folder stands for those in it
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) inputs: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Pack {
    /// The mcodec file; rewritten in place unless an output is given
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// The mcodec file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) target: PathBuf,
    /// The record's JSON text, or "-"
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) json_file: PathBuf,
    /// Name of the record
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// The asset it is about: its name, or blake3:HEX of its content [default: the only one]
    #[arg(long = "for", value_name = "ASSET")]
    pub(crate) asset: Option<String>,
    /// Schema of the text
    #[arg(long, value_name = "ID", default_value = "json")]
    pub(crate) schema: String,
    /// A reader that does not know the schema must not decode the asset
    #[arg(long)]
    pub(crate) required: bool,
    /// A safetensors file of tensors that belong to the record
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) tensors: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Detach {
    /// The mcodec file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) target: PathBuf,
    /// Name of the record
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// The asset it is about: its name, or blake3:HEX of its content [default: the only one]
    #[arg(long = "for", value_name = "ASSET")]
    pub(crate) asset: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write one page for each command into this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn common_flags_stand_anywhere() {
        for line in [
            "mcodec -e 9 -T2 -f -v --json --quiet --no-progress -o out encode in",
            "mcodec encode -e 9 -T2 -f -v --json --quiet --no-progress -o out in",
            "mcodec encode in -e9 -T 2 -fv --json --quiet --no-progress -oout",
            "mcodec -e9 -v encode in --threads=2 --force --json --quiet --no-progress --output out",
        ] {
            let c = Cli::try_parse_from(line.split(' ')).unwrap().common;
            assert_eq!((c.effort, c.threads(), c.force, c.verbose), (Some(9), 2, true, 1), "{line}");
            assert!(c.json && c.quiet && c.no_progress && c.output == Some("out".into()), "{line}");
        }
        for line in ["mcodec encode in -e 0", "mcodec encode in -e 10", "mcodec frob", "mcodec verify"] {
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
