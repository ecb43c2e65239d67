//! Models of other files that tensors are told against.

use crate::{Entry, ReadAt, Reader, Result};
use mcodec_format::Asset;
use std::ops::Range;
use std::sync::Arc;

/// A model whose tensors others are told against, wherever it is kept.
pub trait BaseModel: Send + Sync + std::fmt::Debug {
    /// Its content hash (SPEC section 5.1).
    fn content_hash(&self) -> [u8; 32];

    /// What it is called.
    fn name(&self) -> &str;

    /// The tensor called `name`, if it has one.
    ///
    /// # Errors
    /// If its index cannot be read.
    fn describe(&self, name: &str) -> Result<Option<BaseDescription>>;

    /// Reads bytes `range` of the tensor called `name` into `out`, which has that length.
    ///
    /// # Errors
    /// If there is no such tensor, or it cannot be read.
    fn read_into(&self, name: &str, range: Range<u64>, out: &mut [u8]) -> Result<()>;
}

/// What a tensor of a base is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseDescription {
    /// Element type, as the source writes it.
    pub dtype_name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Bytes of all elements.
    pub byte_len: u64,
}

/// An asset of an mcodec file as a base.
#[derive(Debug)]
pub struct AssetBase<S> {
    reader: Arc<Reader<S>>,
    asset: Asset,
}

impl<S: ReadAt> AssetBase<S> {
    /// The asset called `asset` of an open file (which must have its own bases, if it needs some), or the only one.
    ///
    /// # Errors
    /// As [`Reader::asset`].
    pub fn new(reader: Arc<Reader<S>>, asset: Option<&str>) -> Result<Self> {
        let asset = reader.asset(asset)?;
        Ok(Self { reader, asset })
    }

    fn find(&self, name: &str) -> Result<Entry> {
        self.reader.tensor(&self.asset.name, name)
    }
}

impl<S: ReadAt + std::fmt::Debug> BaseModel for AssetBase<S> {
    fn content_hash(&self) -> [u8; 32] {
        self.asset.hash
    }

    fn name(&self) -> &str {
        &self.asset.name
    }

    fn describe(&self, name: &str) -> Result<Option<BaseDescription>> {
        let entry = match self.find(name) {
            Err(crate::DecodeError::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        Ok(entry.tensor().filter(|t| t.owner.is_none()).map(|t| BaseDescription {
            dtype_name: t.dtype_name.clone(),
            shape: t.shape.clone(),
            byte_len: entry.byte_len(),
        }))
    }

    fn read_into(&self, name: &str, range: Range<u64>, out: &mut [u8]) -> Result<()> {
        self.reader.read_into(&self.find(name)?, range, out)
    }
}
