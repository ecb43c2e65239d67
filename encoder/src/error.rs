//! The errors of the encoder.

use crate::import::ImportError;
use mcodec_decode::DecodeError;
use mcodec_format::FormatError;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Result of this crate.
pub type Result<T, E = EncodeError> = core::result::Result<T, E>;

/// Why a file could not be made or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The output is there already.
    #[error("{} exists; -f replaces it", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// The caller's cancel flag was set.
    #[error("interrupted")]
    Cancelled,
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The input could not be read as what it should be.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// An mcodec file could not be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Another process is changing the file.
    #[error("{} is being changed by another process", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The GPU that was asked for fails.
    #[cfg(feature = "gpu")]
    #[error(transparent)]
    Gpu(#[from] mcodec_gpu::GpuError),
    /// The request does not fit the files it is for.
    #[error("{0}")]
    Request(String),
}

impl EncodeError {
    /// A coding that failed, for want of memory: nothing else can stop one.
    pub(crate) fn coding(name: &str) -> impl FnOnce(mcodec_coding::CodingError) -> Self {
        let path = PathBuf::from(name);
        move |e| Self::Io { action: "code", path, source: io::Error::other(e) }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl From<FormatError> for EncodeError {
    fn from(e: FormatError) -> Self {
        Self::Decode(e.into())
    }
}
