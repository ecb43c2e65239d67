//! What can be wrong with a GGUF file.

/// Why a GGUF file is refused. Offsets count from the start of the file.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The input failed.
    #[error("reading failed at byte {offset}: {source}")]
    Io {
        /// How far reading came.
        offset: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not begin with `GGUF`.
    #[error("it does not begin with GGUF")]
    Magic,
    /// A version that is not read: not 2 or 3, or of the other byte order.
    #[error("GGUF version {version}{}", if *big_endian { " in big-endian order" } else { "" })]
    Version {
        /// The version.
        version: u32,
        /// Its numbers are big-endian.
        big_endian: bool,
    },
    /// The file ends before what its header promises.
    #[error("{what} at byte {offset} does not fit the file, which ends at byte {end}")]
    Truncated {
        /// What does not fit.
        what: &'static str,
        /// Where it starts.
        offset: u64,
        /// The length of the file.
        end: u64,
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
    /// The header breaks a rule.
    #[error("bad header at byte {offset}: {reason}")]
    Header {
        /// Where.
        offset: u64,
        /// The rule.
        reason: String,
    },
    /// A metadata key or tensor name occurs twice.
    #[error("{what} {name:?} is there twice")]
    Duplicate {
        /// `key` or `tensor`.
        what: &'static str,
        /// The name.
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

impl GgufError {
    /// Whether the file may be sound, but is of a kind that is not taken apart or larger than the limits.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Version { .. } | Self::Limit { .. })
    }
}
