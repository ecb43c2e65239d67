//! What `mcodec info` tells of a file: taken from its index, nothing verified.

mod image;
mod inventory;
mod ledger;
mod masks;
mod packed;
mod recipe;
mod redundancy;
mod report;
mod text;
mod track;

pub(crate) use redundancy::add_redundancy;
pub(crate) use report::report;
pub(crate) use text::text;
