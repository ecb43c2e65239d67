//! Models from plain arrays: every representation of the format, arrays that several tensors are built from, bundles and variants.
//!
//! ```no_run
//! use mcodec_encode::build::{LowRank, ModelBuilder, Role};
//! # let (left, right) = (vec![0u8; 8 * 2 * 4], vec![0u8; 2 * 16 * 4]);
//! let mut model = ModelBuilder::new("model");
//! let left = model.plain("w.left", Role::Array, "F32", &[8, 2], left)?;
//! let right = model.plain("w.right", Role::Array, "F32", &[2, 16], right)?;
//! model.low_rank("w", Role::Tensor, "BF16", &[8, 16], LowRank::of(left, right))?;
//! # Ok::<(), mcodec_encode::EncodeError>(())
//! ```

mod coded;
mod content;
mod model;
mod nest;
mod sizes;

pub use coded::{Codes, GroupOffsets};
pub use model::{ArrayId, Base, LowRank, ModelBuilder, Role};
pub use nest::Nest;

pub(crate) use coded::CodedArray;
pub(crate) use content::{BuiltContent, On, decoded, order_of};
pub(crate) use sizes::write_bundles;
