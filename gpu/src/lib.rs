//! Buffers and kernels of mcodec on a GPU, through wgpu.
//!
//! This crate knows buffers and kernels, not the format: [`labelled`] takes the parts of compressed chunks as plain values and leaves
//! the floats in a [`DeviceBuffer`], where an inference engine may bind them; [`gaussians`] draws, fits and refines pictures of 2D Gaussians;
//! [`rounding`] makes integer codes of weights. `mcodec-decode` and `mcodec-encode` call it with their features `gpu`. Here, and nowhere else in mcodec, types of wgpu show.
//!
//! ```no_run
//! let gpu = mcodec_gpu::Gpu::open(&mcodec_gpu::Options::default())?;
//! let buffer = gpu.buffer(1 << 20)?;
//! assert_eq!(gpu.download(&buffer, 0..4)?, [0; 4]);
//! let _binding = buffer.wgpu().as_entire_binding();
//! # Ok::<(), mcodec_gpu::GpuError>(())
//! ```
#![forbid(unsafe_code)]

mod device;
mod error;
pub mod gaussians;
pub mod labelled;
pub mod rounding;

pub use device::{AdapterInfo, DeviceBuffer, Gpu, Options};
pub use error::{GpuError, Result};
pub use wgpu;
