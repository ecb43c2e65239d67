//! Tensors by name or pattern.

use crate::{DecodeError, Entry, ReadAt, Reader, Result, RowRef};
use globset::GlobBuilder;
use mcodec_format::registry;

impl<S: ReadAt> Reader<S> {
    /// The tensors of an asset that `pattern` names: the one of exactly that name (only its leaf of the index is read), or else all
    /// whose names match it as a glob (`*` also spans dots and slashes), in natural order. Tensors of records are found only by name.
    ///
    /// # Errors
    /// [`DecodeError::NotFound`] if there is none, [`DecodeError::Request`] if the pattern is malformed.
    pub fn select(&self, asset: &str, pattern: &str) -> Result<Vec<Entry>> {
        match self.tensor(asset, pattern) {
            Err(DecodeError::NotFound { .. }) => {}
            found => return found.map(|entry| vec![entry]),
        }
        let glob = GlobBuilder::new(pattern).build();
        let glob =
            glob.map_err(|e| DecodeError::Request(format!("pattern {pattern:?}: {e}")))?.compile_matcher();
        let fits = |row: &RowRef| {
            let row = row.get();
            row.kind == registry::entry::TENSOR
                && row.fields.get(registry::field::OWNER).is_none()
                && glob.is_match(&row.name)
        };
        let found: Vec<Entry> =
            self.rows(asset)?.into_iter().filter(fits).map(|row| self.resolve(row)).collect::<Result<_>>()?;
        if found.is_empty() {
            let hint = format!(" (asset {asset:?}, by name or pattern)");
            return Err(DecodeError::NotFound { what: "tensor", name: pattern.to_owned(), hint });
        }
        Ok(found)
    }
}
