//! What a caller is ready to spend on a file.

use crate::{FormatError, Result};

/// Bounds that every allocation made on behalf of a file obeys. The defaults suit files of many terabytes read by a
/// trusted person; servers and fuzzers set smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one index page after decompression.
    pub page_bytes: u64,
    /// Bytes of a root frame.
    pub root_bytes: u64,
    /// Leaves of a root.
    pub leaves: u64,
    /// Assets in a page, and in a file when all are listed.
    pub assets: u64,
    /// Entries in a page.
    pub entries: u64,
    /// Chunks in one row of a page.
    pub chunks: u64,
    /// Bytes of a name.
    pub name_bytes: u64,
    /// Dimensions of a tensor.
    pub rank: u64,
    /// Dependencies of one entry.
    pub dependencies: u64,
    /// Edges on a path of dependencies.
    pub dependency_depth: u64,
    /// Bytes that one chunk decodes to.
    pub chunk_bytes: u64,
    /// Bytes of coded chunks and scratch held at once while decoding, over all threads.
    pub memory: u64,
    /// Bytes of one decoded entry, record or file header that is returned in memory.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            page_bytes: 64 << 20,
            root_bytes: 4 << 20,
            leaves: 1 << 16,
            assets: 1 << 20,
            entries: 1 << 20,
            chunks: 1 << 24,
            name_bytes: 65_536,
            rank: 255,
            dependencies: 4096,
            dependency_depth: 8,
            chunk_bytes: 16 << 20,
            memory: 256 << 20,
            output_bytes: 1 << 40,
        }
    }
}

impl Limits {
    /// Small bounds for hostile input: no structure above a few MiB.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            page_bytes: 1 << 20,
            root_bytes: 1 << 16,
            leaves: 1 << 10,
            assets: 1 << 12,
            entries: 1 << 14,
            chunks: 1 << 16,
            name_bytes: 4096,
            rank: 32,
            dependencies: 64,
            dependency_depth: 8,
            chunk_bytes: 1 << 20,
            memory: 8 << 20,
            output_bytes: 8 << 20,
        }
    }

    /// No bound at all: for the target that checks arithmetic alone.
    #[must_use]
    pub fn none() -> Self {
        let no = u64::MAX;
        Self {
            page_bytes: no,
            root_bytes: no,
            leaves: no,
            assets: no,
            entries: no,
            chunks: no,
            name_bytes: no,
            rank: no,
            dependencies: no,
            dependency_depth: no,
            chunk_bytes: no,
            memory: no,
            output_bytes: no,
        }
    }

    /// Checks `value` of the quantity `what` against `limit`.
    ///
    /// # Errors
    /// [`FormatError::Limit`] if it is above.
    pub fn check(what: &'static str, value: u64, limit: u64) -> Result<()> {
        if value > limit { Err(FormatError::Limit { what, value, limit }) } else { Ok(()) }
    }
}
