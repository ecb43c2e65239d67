//! What can go wrong while coding or decoding.

/// The result of this crate's functions.
pub type Result<T> = core::result::Result<T, CodingError>;

/// Why bytes could not be decoded, or values not be coded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodingError {
    /// The bytes end before the named part does.
    #[error("{what}: cut short")]
    Truncated {
        /// The part that was being read.
        what: &'static str,
    },
    /// The bytes break a rule of the format.
    #[error("corrupt: {what}")]
    Corrupt {
        /// The rule that is broken.
        what: &'static str,
    },
    /// The bytes use something this version does not know, or may not use.
    #[error("{what} {id} is not supported")]
    Unsupported {
        /// The kind of thing.
        what: &'static str,
        /// Its number in the bytes.
        id: u64,
    },
    /// A stated size is above a limit of the format.
    #[error("{what}: {size} is above the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The stated size, in the unit of `limit`.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A shared object was named that the caller does not have, or not of that kind.
    #[error("no table, classes or labels for dependency {dependency}")]
    MissingTable {
        /// The dependency index in the field's head.
        dependency: u32,
    },
    /// The caller's arguments do not fit together (encoders and buffer lengths).
    #[error("invalid argument: {what}")]
    Invalid {
        /// What does not fit.
        what: &'static str,
    },
    /// The zstd library refused to work.
    #[error("zstd: {what}")]
    Zstd {
        /// Which step failed.
        what: &'static str,
    },
}

/// Shorthand for [`CodingError::Corrupt`].
pub(crate) const fn corrupt(what: &'static str) -> CodingError {
    CodingError::Corrupt { what }
}

/// Shorthand for [`CodingError::Truncated`].
pub(crate) const fn truncated(what: &'static str) -> CodingError {
    CodingError::Truncated { what }
}

/// Shorthand for [`CodingError::Invalid`].
pub(crate) const fn invalid(what: &'static str) -> CodingError {
    CodingError::Invalid { what }
}
