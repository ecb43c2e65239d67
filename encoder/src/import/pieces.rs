//! A file as tensors and the bytes between them: how formats that are not safetensors are taken apart (SPEC 5.4, layout 3).

use super::error::ImportError;
use super::file::ShardFile;
use super::safetensors::HeaderEntry;
use std::collections::{HashMap, HashSet};

/// Longest run of bytes between tensors that is kept as such; a longer one becomes a tensor of bytes, which needs not be in memory as a whole.
const MAX_LITERAL: u64 = 1 << 20;
/// Most bytes between tensors, together.
const MAX_LITERALS: u64 = 128 << 20;

/// What a file was taken apart into. Tensors that begin at one place end at one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// The tensors, their places counted from the start of the file.
    pub tensors: Vec<HeaderEntry>,
    /// What the user should be told.
    pub notes: Vec<String>,
}

impl Parts {
    /// Makes every name one that an entry can have, and that no other tensor has.
    pub(super) fn settle_names(&mut self, longest: usize) {
        let mut taken: HashSet<String> = HashSet::new();
        let mut next: HashMap<String, u64> = HashMap::new();
        let mut changed = None;
        for tensor in &mut self.tensors {
            let mut name = tensor.name.replace('\0', "\u{FFFD}");
            if name.len() > longest || name.is_empty() {
                name = format!("bytes-{}", tensor.begin);
            }
            let base = name.clone();
            while !taken.insert(name.clone()) {
                let count = next.entry(base.clone()).or_insert(1);
                *count += 1;
                name = format!("{base}~{count}");
            }
            if name != tensor.name {
                changed.get_or_insert_with(|| (shown(&tensor.name), name.clone()));
                tensor.name = name;
            }
        }
        if let Some((old, new)) = changed {
            self.notes
                .push(format!("names that are taken, empty or too long are changed: {old:?} is {new:?}"));
        }
    }

    /// Makes tensors of bytes of what is too long to be kept between tensors. The file is `len` bytes long.
    pub(super) fn fill_gaps(&mut self, len: u64) {
        for (begin, end) in self.gaps(len) {
            if end - begin > MAX_LITERAL {
                self.tensors.push(bytes_tensor(format!("bytes-{begin}"), begin, end));
            }
        }
    }

    /// What is between the tensors, in order.
    pub(super) fn gaps(&self, len: u64) -> Vec<(u64, u64)> {
        let mut places: Vec<(u64, u64)> = self.tensors.iter().map(|t| (t.begin, t.end)).collect();
        places.sort_unstable();
        let mut gaps = Vec::new();
        let mut at = 0;
        for (begin, end) in places.into_iter().chain([(len, len)]) {
            if begin > at {
                gaps.push((at, begin));
            }
            at = at.max(end);
        }
        gaps
    }
}

/// A row of bytes.
pub(super) fn bytes_tensor(name: String, begin: u64, end: u64) -> HeaderEntry {
    HeaderEntry { name, dtype: "U8".into(), shape: vec![end - begin], begin, end }
}

/// A name for a message, not all of it if it is long.
pub(super) fn shown(name: &str) -> String {
    if name.chars().count() <= 100 {
        name.to_owned()
    } else {
        name.chars().take(100).chain("...".chars()).collect()
    }
}

/// A part of a file, in the order of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Bytes `.0` to `.1` of the file.
    Between(u64, u64),
    /// The tensor of this index.
    Tensor(usize),
}

/// The parts of a file of `len` bytes, in order; of tensors at one place, the first of `order`, which lists all their indices. Empty tensors come first.
///
/// # Errors
/// [`ImportError::Limit`] if there is too much between the tensors.
pub fn in_order(
    file: &ShardFile,
    tensors: &[HeaderEntry],
    order: impl Iterator<Item = usize>,
) -> Result<Vec<Place>, ImportError> {
    let mut owners: Vec<(u64, u64, usize)> = Vec::new();
    let mut seen = HashSet::new();
    let mut places = Vec::new();
    for index in order {
        let Some(tensor) = tensors.get(index) else { continue };
        if tensor.begin == tensor.end {
            places.push(Place::Tensor(index));
        } else if seen.insert(tensor.begin) {
            owners.push((tensor.begin, tensor.end, index));
        }
    }
    owners.sort_unstable();
    let mut at = 0;
    let mut between = 0;
    for (begin, end, index) in owners {
        if begin > at {
            places.push(Place::Between(at, begin));
            between += begin - at;
        }
        places.push(Place::Tensor(index));
        at = end;
    }
    if at < file.len() {
        places.push(Place::Between(at, file.len()));
        between += file.len() - at;
    }
    if between > MAX_LITERALS {
        let (path, what) = (file.path().to_owned(), "length of what is not tensors");
        return Err(ImportError::Limit { path, what, value: between, limit: MAX_LITERALS });
    }
    Ok(places)
}
