//! Coding 4, *difference*: an array told against another of the same type and shape, its *base* (`SPEC.md` section 7.6).
//!
//! A fine-tune moves most weights by a few units in the last place, by amounts that do not depend on the weights themselves: what is
//! coded of a float is the linear difference. Rows and columns have labels, scales in quarter octaves, as under coding 2; the sum of
//! both sets the *unit* in which an element's difference is counted, never below its own last place. A low-rank predictor, integers
//! throughout, says where the new value should be; the count of units from there is a rANS symbol under a table that depends on the
//! scale and on where between two units the prediction lies; what the count leaves open is stored as bits.
//!
//! What many chunks need is stored once: [`Tables`] (for any number of tensors) and [`Columns`] (of one tensor, or of several that
//! are stacked). Other forms of a chunk are shorter where floats do not help: the base's bytes, exclusive or, integer difference.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod columns;
mod decode;
mod encode;
mod gaussian;
mod grid;
mod payload;
mod slots;
mod stream;
mod sums;
mod survey;
mod tables;
mod whole;

pub use columns::{Columns, Component, MAX_RANK};
pub use decode::{decode, decode_at};
pub use encode::{ChunkSpec, ColumnsAt, encode, row_labels_len};
pub use gaussian::{CLASSES as FACTOR_CLASSES, cost_bits as factor_cost_bits};
pub use grid::{CONTEXTS, ESCAPE, SAME};
pub use payload::{dependencies, ledger};
pub use survey::{Survey, survey};
pub use tables::Tables;
pub use whole::{Form, encode_whole};

/// Quarter octaves of an octave of scale.
pub const PHASES: i32 = 4;

/// What chunks share, by dependency index.
pub trait SharedObjects {
    /// The tables of dependency `dependency`, if it is such an object.
    fn tables(&self, dependency: u32) -> Option<&Tables>;
    /// The columns of dependency `dependency`, if it is such an object.
    fn columns(&self, dependency: u32) -> Option<&Columns>;
}
