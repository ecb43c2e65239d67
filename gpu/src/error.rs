//! What can go wrong with a device.

use thiserror::Error;

/// Result of this crate.
pub type Result<T, E = GpuError> = core::result::Result<T, E>;

/// Why something could not be done on a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GpuError {
    /// There is no adapter that can compute, or none of that name.
    #[error("no GPU: {0}")]
    NoAdapter(String),
    /// The adapter gives no device.
    #[error("GPU {adapter:?} cannot be used: {why}")]
    NoDevice {
        /// Its name.
        adapter: String,
        /// What the driver says.
        why: String,
    },
    /// The device is gone: it was removed, reset, or hung.
    #[error("the GPU was lost: {0}")]
    Lost(String),
    /// The device has no memory for it.
    #[error("the GPU has no memory for {bytes} bytes of {what}")]
    OutOfMemory {
        /// What was to be stored.
        what: &'static str,
        /// Its length.
        bytes: u64,
    },
    /// A buffer is above what the device allows.
    #[error("{what} of {bytes} bytes is above the GPU's limit of {limit}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its length.
        bytes: u64,
        /// The greatest length.
        limit: u64,
    },
    /// The caller's values contradict each other.
    #[error("unsound input for the GPU: {0}")]
    Input(&'static str),
    /// The driver, or wgpu, refuses something that should work.
    #[error("the GPU's driver fails: {0}")]
    Driver(String),
}
