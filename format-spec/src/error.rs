//! The errors of the container.

use thiserror::Error;

/// Result of this crate.
pub type Result<T, E = FormatError> = core::result::Result<T, E>;

/// Why bytes are not a readable mcodec container. Every variant says what was being read and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The first bytes are not those of an mcodec file.
    #[error("not an mcodec file: {0}")]
    NotMcodec(&'static str),
    /// The bytes end too early.
    #[error("{what} is truncated at offset {offset}")]
    Truncated {
        /// The structure that was being read.
        what: &'static str,
        /// Offset within the file, or within the structure when that is held apart.
        offset: u64,
    },
    /// A rule of the specification is broken.
    #[error("{what} at offset {offset} is damaged: {why}")]
    Corrupt {
        /// The structure that was being read.
        what: &'static str,
        /// Offset within the file, or within the structure when that is held apart.
        offset: u64,
        /// The rule that is broken.
        why: String,
    },
    /// A stored check differs from the bytes.
    #[error("{what} at offset {offset} fails its checksum")]
    Check {
        /// The structure whose check differs.
        what: &'static str,
        /// Its offset in the file.
        offset: u64,
    },
    /// The file needs a newer or fuller reader.
    #[error("unsupported {what}: {needs}")]
    Unsupported {
        /// What is not supported, by name.
        what: String,
        /// What a reader needs to have for it.
        needs: String,
    },
    /// A value is above what the caller's [`crate::Limits`] allow.
    #[error("{what} is {value}, above the limit of {limit}")]
    Limit {
        /// The limited quantity.
        what: &'static str,
        /// Its value in the file.
        value: u64,
        /// The limit.
        limit: u64,
    },
}

impl FormatError {
    /// A [`FormatError::Corrupt`] for `what` at `offset`.
    pub fn corrupt(what: &'static str, offset: u64, why: impl Into<String>) -> Self {
        Self::Corrupt { what, offset, why: why.into() }
    }

    /// The same error with its offset counted from `base`.
    #[must_use]
    pub fn at(self, base: u64) -> Self {
        match self {
            Self::Truncated { what, offset } => Self::Truncated { what, offset: offset.saturating_add(base) },
            Self::Corrupt { what, offset, why } => {
                Self::Corrupt { what, offset: offset.saturating_add(base), why }
            }
            Self::Check { what, offset } => Self::Check { what, offset: offset.saturating_add(base) },
            other => other,
        }
    }
}
