//! Which shared tables a payload uses.

use super::head::Body;
use super::sparse::dense_parts;
use crate::error::Result;

/// The dependency indices that the fields of a payload name, in ascending order, each once.
///
/// # Errors
/// As [`super::decode`], for what the heads say.
pub fn dependencies(payload: &[u8], decoded_len: usize) -> Result<Vec<u32>> {
    let (_, parts) = dense_parts(payload, decoded_len)?;
    let mut all: Vec<u32> = parts
        .iter()
        .flat_map(|part| &part.fields)
        .filter_map(|field| match field.body {
            Body::RansShared { dependency, .. } => Some(dependency),
            _ => None,
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
