//! Coding 1, *fields*: the payload of a chunk (`SPEC.md` section 7.1).
//!
//! A chunk is a run of little-endian units; each unit is cut into fields, and each field is coded on its own.
//! Units that are mostly one value may first be divided into places and values.

mod decode;
mod dependencies;
mod encode;
mod head;
mod ledger;
mod sparse;

pub use decode::{SharedTables, decode};
pub use dependencies::dependencies;
pub use encode::{FieldCode, FieldSpec, encode};
pub use ledger::{Ledger, ledger};
pub use sparse::{SPARSE, SparseUnits};

/// The most fields a unit may be cut into.
pub const MAX_FIELDS: usize = 8;

/// The widest field that a table may code, in bits.
pub const MAX_TABLE_WIDTH: u8 = 16;
