//! Random-access decoder of mcodec files.
//!
//! The core does no IO: [`Opener`] asks for byte ranges until the [`Index`] is open, [`Planner`] turns requests into ranges, and
//! [`decode_range`] turns fetched bytes into content. [`Reader`] drives them over any [`ReadAt`]; [`ForwardReader`] reads a streaming
//! file from a pipe, without an index.
//!
//! ```no_run
//! use mcodec_decode::{ReadOptions, Reader};
//! let reader = Reader::open(std::fs::File::open("model.mcodec")?, ReadOptions::default())?;
//! let asset = reader.asset(None)?;
//! let weight = reader.tensor(&asset.name, "lm_head.weight")?;
//! let rows = reader.read(&weight, weight.row_bytes(100..164)?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod base;
pub mod built;
mod content_hash;
mod decode;
mod dequantise;
mod entry;
mod error;
mod forward;
pub mod gaussians;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod images;
mod index;
pub mod latents;
pub mod layout;
#[cfg(feature = "mmap")]
mod mmap;
mod open;
mod path;
mod plan;
pub mod quantised;
mod reader;
mod records;
pub mod safetensors;
mod select;
mod shared;
mod source;
mod source_files;
mod verify;

pub use base::{AssetBase, BaseDescription, BaseModel};
pub use content_hash::{ModelHasher, content_hash, hex, is_hashed};
pub use decode::{Fetched, check_element, decode_chunk, decode_range};
pub use dequantise::{dequantise, is_dequantisable};
pub use entry::{BaseTensor, Entry};
pub use error::{DecodeError, Result};
pub use forward::{ForwardEvent, ForwardReader};
pub use index::{Index, Lookup, NeedLeaf, RowRef};
#[cfg(feature = "mmap")]
pub use mmap::MappedFile;
pub use open::{Opener, Step, Warning};
pub use path::{MAX_PATH_LEN, is_safe_path};
pub use plan::{Plan, Planner};
pub use reader::{ReadOptions, Reader, base_of_asset};
pub use records::{check_asset, check_record};
pub use shared::{SharedCache, SharedObject};
pub use source::ReadAt;
pub use source_files::{Part, SourceFile, source_files};
pub use verify::{Damage, Unknown, VerifyReport, verify};
