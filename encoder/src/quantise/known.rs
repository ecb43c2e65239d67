//! What passes know of the arrays that they make: what these are multiplied with, and how much their outputs matter.

use crate::items::ReadContent;
use std::collections::HashMap;
use std::sync::Arc;

/// What is known of an array.
pub(crate) struct Known {
    /// What its columns are multiplied with.
    pub(crate) input: Input,
    /// How much each of its rows matters.
    pub(crate) fisher: Option<Vec<f32>>,
    /// Both are of the array turned: its rows are multiplied, and its columns are the outputs.
    pub(crate) turned: bool,
}

/// Numbers that an array is multiplied with.
pub(crate) enum Input {
    /// Those of a layer, by their name in the statistics.
    Layer(String),
    /// Others, which have this Gram matrix: F32, row after row.
    Gram(ReadContent<'static>),
    /// Others, of which only the diagonal is known.
    Diagonal(Vec<f32>),
}

/// What is known of arrays, by their names.
pub(crate) type KnownArrays = HashMap<String, Arc<Known>>;
