//! Coding 3, *blocks*: chunks of quantised blocks taken apart (`SPEC.md` section 7.5).
//!
//! The bits of a block are sorted into components (codes, scales, bytes of halves); symbols of a component are told apart
//! into classes by an integer key that what was decoded before gives, and each class is coded on its own.

mod decode;
mod encode;
mod head;
mod key;
mod ledger;
mod symbols;
mod types;

pub use decode::decode;
pub use encode::{ComponentCode, ComponentSymbols, PartCode, component, encode, pack};
pub use ledger::ledger;

/// The most classes a component may have.
pub const MAX_CLASSES: usize = 16;

/// Bytes of a block of this type; `None` if the coding does not know the type.
#[must_use]
pub fn block_bytes(kind: u8) -> Option<usize> {
    types::by_id(kind).map(|t| t.block_bytes.into())
}

/// Components of a block of this type.
#[must_use]
pub fn component_count(kind: u8) -> Option<usize> {
    types::by_id(kind).map(|t| t.components.len())
}

/// The ids of all block types that the coding knows.
pub fn types() -> impl Iterator<Item = u8> {
    types::TYPES.iter().map(|t| t.id)
}
