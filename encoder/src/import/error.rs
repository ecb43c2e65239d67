//! What can be wrong with a model that is imported.

use std::path::PathBuf;

/// Why a safetensors header is refused. Offsets count from the start of the file.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The input failed.
    #[error("reading failed at byte {offset}: {source}")]
    Io {
        /// How far reading came.
        offset: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// The input ends before what its header promises.
    #[error("the file ends at byte {actual}, but {expected} bytes were promised")]
    Truncated {
        /// The least length that the header implies.
        expected: u64,
        /// The length there is.
        actual: u64,
    },
    /// Bytes follow the last tensor.
    #[error("{} bytes follow the last tensor, which ends at byte {expected}", actual.saturating_sub(*expected))]
    Trailing {
        /// Where the last tensor ends.
        expected: u64,
        /// The length of the file.
        actual: u64,
    },
    /// Something is larger than the limits allow.
    #[error("{what} of {value} is over the limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// Its size.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// The header is not a JSON object as a safetensors file has it.
    #[error("bad header at byte {offset}: {reason}")]
    Json {
        /// Where the fault was met.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A name occurs twice.
    #[error("tensor {name:?} is in the header twice")]
    Duplicate {
        /// The tensor.
        name: String,
    },
    /// A tensor's description is wrong.
    #[error("tensor {name:?}, described at byte {offset}: {reason}")]
    Tensor {
        /// The tensor.
        name: String,
        /// Where its description starts.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a model is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file or folder could not be read.
    #[error("{path:?}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A safetensors file has a bad header.
    #[error("{path:?}: {source}")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// A GGUF file has a bad header.
    #[error("{path:?}: {source}")]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: super::gguf::GgufError,
    },
    /// A ZIP file is not sound.
    #[error("{path:?}: {source}")]
    Zip {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: super::zip::ZipError,
    },
    /// A NumPy array is malformed.
    #[error("{path:?}: {source}")]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: super::numpy::NpyError,
    },
    /// A file is whole, but not one that can be taken apart.
    #[error("{path:?} holds {reason}")]
    Opaque {
        /// The file.
        path: PathBuf,
        /// What it holds.
        reason: String,
    },
    /// A picture is malformed, too large, or of a kind that is not read.
    #[error("{path:?}: {reason}")]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder has no model in it, or several and no index that joins them.
    #[error(
        "{path:?} has neither model.safetensors.index.json nor model.safetensors, nor pytorch_model.bin.index.json or pytorch_model.bin, nor just one other model file; found: {found}{}",
        if found.contains(".gguf") { " (name a GGUF file itself: each is encoded alone, parts of a split model too)" } else { "" }
    )]
    NoModel {
        /// The folder.
        path: PathBuf,
        /// The names of what it has, joined.
        found: String,
    },
    /// The index of the shards is malformed.
    #[error("{path:?}, byte {offset}: {reason}")]
    Index {
        /// The index file.
        path: PathBuf,
        /// Where the fault was met.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A file's name is not a relative path that stays in the folder.
    #[error("{path:?}: {name:?} is not a safe relative file name")]
    Name {
        /// The file or folder that has the name in it.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A file lies outside the folder, behind a symbolic link.
    #[error("{path:?} leads out of the folder, to {target:?}; following links must be asked for")]
    Link {
        /// The file in the folder.
        path: PathBuf,
        /// Where it really is.
        target: PathBuf,
    },
    /// A path is neither a file nor, where one can be, a folder.
    #[error("{path:?} is not a regular file")]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// Two shards hold a tensor of the same name.
    #[error("tensor {tensor:?} is in {first:?} and in {second:?}")]
    Duplicate {
        /// The tensor.
        tensor: String,
        /// The first shard.
        first: String,
        /// The other shard.
        second: String,
    },
    /// A shard lacks a tensor that the index has in it.
    #[error("{path:?} puts tensor {tensor:?} in {shard:?}, which does not have it")]
    Missing {
        /// The index file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shard that should hold it.
        shard: String,
    },
    /// A file is not what it was when it was first read.
    #[error("{path:?} was changed while it was read")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Something is larger than the limits allow.
    #[error("{path:?}: {what} of {value} is over the limit of {limit}")]
    Limit {
        /// The file or folder.
        path: PathBuf,
        /// What is too large.
        what: &'static str,
        /// Its size.
        value: u64,
        /// The limit.
        limit: u64,
    },
}

impl ImportError {
    pub(super) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}
