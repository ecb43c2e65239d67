//! GGUF files: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod error;
mod header;
mod value;

use std::path::{Path, PathBuf};

use mcodec_decode::is_safe_path;

pub use error::GgufError;
pub use header::{GgufHeader, GgufLimits, GgufTensor, MAGIC, parse_header, read_header};
pub use value::Value;

use super::error::ImportError;
use super::file::{ShardFile, Stamp};

/// Bytes beside the tensors that are kept in memory at most.
const MAX_LITERALS: u64 = 160 << 20;
const EXTENSION: &str = ".gguf";

/// A GGUF file that was found and checked, its tensors not yet read.
#[derive(Debug, Clone)]
pub struct GgufSource {
    /// The name of the file without `.gguf`.
    pub name: String,
    /// The file's name.
    pub file_name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What its header says.
    pub header: GgufHeader,
    /// Its length in bytes.
    pub byte_len: u64,
    stamp: Stamp,
}

/// A run of the file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// Bytes that are no tensor's: where they start, and how many.
    Other(u64, u64),
    /// A tensor, by its index in [`GgufHeader::tensors`].
    Tensor(usize),
}

impl GgufSource {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`ImportError`] if it cannot be read or is malformed.
    pub fn open(path: &Path, limits: &GgufLimits) -> Result<Self, ImportError> {
        let refuse = |source| ImportError::Gguf { path: path.to_owned(), source };
        let file = ShardFile::open(path)?;
        let input = std::io::BufReader::new(file.file());
        let header = read_header(input, file.len(), limits).map_err(refuse)?;
        let mut file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !is_safe_path(&file_name) {
            file_name = format!("model{EXTENSION}");
        }
        let name = file_name.strip_suffix(EXTENSION).unwrap_or(&file_name).to_owned();
        let found = Self {
            name,
            file_name,
            path: path.to_owned(),
            header,
            byte_len: file.len(),
            stamp: file.stamp(),
        };
        let others = found.runs().iter().fold(0u64, |sum, run| match run {
            Run::Other(_, len) => sum.saturating_add(*len),
            Run::Tensor(_) => sum,
        });
        if others > MAX_LITERALS {
            let what = "length of what is no tensor";
            return Err(refuse(GgufError::Limit { what, value: others, limit: MAX_LITERALS }));
        }
        Ok(found)
    }

    /// Opens the file to read from it, in the state its header was read in.
    ///
    /// # Errors
    /// [`ImportError::Changed`] if it is not the file whose header was read, or another error of opening it.
    pub fn open_file(&self) -> Result<ShardFile, ImportError> {
        ShardFile::reopen(&self.path, self.stamp)
    }

    /// The file as runs, in order: they cover all of it.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        let tensors = &self.header.tensors;
        let mut order: Vec<usize> = (0..tensors.len()).collect();
        order.sort_by_key(|&i| (tensors[i].begin, tensors[i].byte_len, i));
        let mut runs = Vec::new();
        let mut at = 0;
        for i in order {
            let tensor = &tensors[i];
            // An empty tensor may lie within another one: it is taken to be before it.
            if tensor.begin > at && tensor.byte_len > 0 {
                runs.push(Run::Other(at, tensor.begin - at));
            }
            if tensor.byte_len > 0 {
                at = tensor.begin + tensor.byte_len;
            }
            runs.push(Run::Tensor(i));
        }
        if at < self.byte_len {
            runs.push(Run::Other(at, self.byte_len - at));
        }
        runs
    }
}

/// Whether the first bytes of a file are those of a GGUF file.
#[must_use]
pub fn looks_like_gguf(head: &[u8]) -> bool {
    head.starts_with(&MAGIC)
}
