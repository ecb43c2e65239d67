//! The `plain` representation: how a run of bytes is cut into fields and which coding each gets, by measured cost.
//!
//! [`encode_chunk`] makes one chunk's payload. For each candidate split of the chunk's [`Element`] it adds up
//! what the fields would cost (entropy, table, states), takes the cheapest, and codes it for real.
//! [`shared_tables`] looks at chunks too small to carry tables of their own, and makes tables they can share.
//!
//! Equal arguments give equal bytes.

mod choose;
mod element;
mod histogram;
mod shared;
mod split;
mod survey;

pub use choose::{ChunkCode, encode_chunk, encode_fields};
pub use element::Element;
pub use shared::{SharedTable, shared_tables};
pub use split::Field;
pub(crate) use survey::{table_for, zstd_level};

#[cfg(test)]
mod tests;
