//! The errors of the decoder.

use mcodec_coding::CodingError;
use mcodec_format::{ChunkPlace, FormatError};
use std::io;
use thiserror::Error;

/// Result of this crate.
pub type Result<T, E = DecodeError> = core::result::Result<T, E>;

/// Why something could not be read from a file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The container is not readable there.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A chunk is whole but its coding is not.
    #[error("chunk {} of entry {name:?} cannot be decoded: {source}", place.chunk)]
    Coding {
        /// Name of the entry.
        name: String,
        /// The chunk.
        place: ChunkPlace,
        /// What its coding says.
        source: CodingError,
    },
    /// A chunk or page of an entry is damaged, or the entry needs a newer reader.
    #[error("{kind} {name:?}: {source}")]
    Entry {
        /// Kind of the entry.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        source: FormatError,
    },
    /// The file could not be read.
    #[error("cannot read {len} bytes at offset {offset}: {source}")]
    Io {
        /// Offset of the read.
        offset: u64,
        /// Length of the read.
        len: u64,
        /// The system's error.
        source: io::Error,
    },
    /// There is no such thing in the file.
    #[error("there is no {what} {name:?} in this file{hint}")]
    NotFound {
        /// What was asked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// What there is instead, if that helps.
        hint: String,
    },
    /// The request does not fit the thing it is for.
    #[error("{0}")]
    Request(String),
    /// Something else is needed first: an asset of this content hash, in another file.
    #[error("entry {name:?} needs the file with content hash {hash}{hint}")]
    Missing {
        /// Name of the entry.
        name: String,
        /// The content hash, in hex.
        hash: String,
        /// What the base was called when the file was made, if that is known.
        hint: String,
    },
    /// A base was given that has not what the entry needs of it.
    #[error("entry {name:?}: its base {base:?} {why}")]
    Base {
        /// Name of the entry.
        name: String,
        /// Name of the base.
        base: String,
        /// What is not as it should be.
        why: String,
    },
    /// The GPU does not do it.
    #[cfg(feature = "gpu")]
    #[error(transparent)]
    Gpu(#[from] mcodec_gpu::GpuError),
}

impl DecodeError {
    /// Whether the file is damaged (rather than fine but unsupported, or asked for something else).
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Format(e) | Self::Entry { source: e, .. } => {
                matches!(
                    e,
                    FormatError::Check { .. } | FormatError::Corrupt { .. } | FormatError::Truncated { .. }
                )
            }
            Self::Coding { source, .. } => !matches!(source, CodingError::Unsupported { .. }),
            _ => false,
        }
    }
}
