//! Entropy coding of the mcodec format: both directions of every coding of section 7 of `SPEC.md`.
//!
//! A chunk's payload under coding 1 is made by [`fields::encode`] and read by [`fields::decode`]. The parts it is
//! built from are public because encoders price their choices with them: frequency [`Table`]s and what they cost,
//! the bit [`planes`] of a chunk, [`rans`] streams and [`zstd_frame`]s.
//!
//! Everything that reads takes hostile bytes: it returns a [`CodingError`], and it never allocates more than the
//! stated decoded length implies plus a constant (lookup tables, at most 256 KiB for each of at most 8 fields).

mod alias;
pub mod binary;
mod bits;
pub mod blocks;
pub mod codes;
pub mod difference;
mod error;
pub mod fields;
pub mod gaussians;
pub mod grouped;
pub mod index_map;
pub mod labelled;
pub mod latents;
mod levels;
pub mod logistic;
pub mod planes;
pub mod rans;
mod table;
mod varint;
pub mod zstd_frame;

// For tests that are both of the crate and in it.
#[cfg(test)]
extern crate self as mcodec_coding;

pub use error::{CodingError, Result};
pub use rans::{DecodeTable, EncodeTable};
pub use table::Table;
