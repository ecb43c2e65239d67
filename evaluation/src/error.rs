//! What goes wrong.

use std::path::PathBuf;

/// Why a model cannot be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// The model is not of the families whose forward pass is known, or differs from them.
    #[error("{what}")]
    Unsupported {
        /// What it has that is not known.
        what: String,
    },
    /// The configuration lacks something, or says what cannot be.
    #[error("config.json: {0}")]
    Config(String),
    /// A tensor is missing or does not fit.
    #[error("tensor {name:?} {why}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A text or the tokenizer cannot be used.
    #[error("{0}")]
    Text(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Request(String),
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// An mcodec file cannot be read.
    #[error(transparent)]
    Decode(#[from] mcodec_decode::DecodeError),
    /// A model folder cannot be read.
    #[error(transparent)]
    Encode(#[from] mcodec_encode::EncodeError),
    /// A model folder cannot be read.
    #[error(transparent)]
    Import(#[from] mcodec_encode::import::ImportError),
    /// The tensor library failed.
    #[error("tensor library: {0}")]
    Candle(#[from] candle_core::Error),
}

/// What may fail so.
pub type Result<T> = std::result::Result<T, EvaluationError>;

pub(crate) fn tensor(name: &str, why: impl Into<String>) -> EvaluationError {
    EvaluationError::Tensor { name: name.to_owned(), why: why.into() }
}

pub(crate) fn io(
    action: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(std::io::Error) -> EvaluationError {
    let path = path.to_owned();
    move |source| EvaluationError::Io { action, path, source }
}
