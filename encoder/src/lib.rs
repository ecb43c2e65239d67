//! Encoder of mcodec files: importers, the choice of codings by measured cost, and the container writer.
//!
//! ```no_run
//! use mcodec_encode::{EncodeOptions, Output, encode_path};
//! let output = Output::File { path: "model.mcodec".into(), force: false };
//! let report = encode_path("model.safetensors".as_ref(), None, output, &EncodeOptions::default())?;
//! println!("{} bytes from {}", report.output_bytes, report.input_bytes);
//! # Ok::<(), mcodec_encode::EncodeError>(())
//! ```
#![deny(unsafe_code)]

mod against;
mod bases;
pub mod blocks;
pub mod build;
mod checkpoints;
mod copy;
mod delta;
mod device;
mod difference;
mod edit;
mod encode;
mod error;
pub mod gaussians;
pub mod images;
pub mod import;
mod inputs;
mod items;
mod labelled;
pub mod latents;
mod merge;
mod options;
mod pack;
pub mod packed;
pub mod plain;
pub mod publish;
pub mod quantise;
pub mod recipes;
mod recover;
mod salvage;
mod segment;
mod writer;

pub use bases::open_bases;
pub use checkpoints::AppendBase;
pub use device::{Device, UseGpu};
pub use edit::{Attachment, append, attach, detach};
pub use encode::{encode_path, encode_stream};
pub use error::{EncodeError, Result};
pub use merge::merge;
pub use options::{AssetKind, EncodeOptions, EncodeReport, ImageReport, Output, Progress, SymbolCodes, Work};
pub use pack::pack;
pub use recover::{RecoverReport, recover};
