//! What the quantised tensors of a file take, and those that are built from arrays.

use mcodec_format::registry::{self, Dtype};
use mcodec_format::{Dependency, EntryDescriptor, EntryRow, Limits, Representation, TensorDescriptor};
use std::collections::{HashMap, HashSet};

/// Bytes of quantised tensors: their chunks and shared objects, with frames, and their part of the index.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counted {
    /// Tensors.
    pub tensors: u64,
    /// Elements of them.
    pub weights: u64,
    /// Bytes of their chunks.
    pub chunks: u64,
    /// Bytes of the objects that they share.
    pub shared: u64,
    /// Bytes of frames and checks around both.
    pub frames: u64,
    /// Their part of the index: as many of its bytes as they have of its rows.
    pub index: f64,
}

impl Counted {
    /// Of all rows that a file owns, each with its asset's ordinal, and the bytes of the index.
    #[must_use]
    pub fn of<'r>(rows: impl Iterator<Item = (u32, &'r EntryRow)> + Clone, index: u64) -> Self {
        let mut counted = Self::default();
        let mut elements: HashMap<(u32, u32), u64> = HashMap::new();
        let mut dependencies: HashMap<(u32, u32), &'r [Dependency]> = HashMap::new();
        for (asset, row) in rows.clone() {
            dependencies.entry((asset, row.id)).or_insert(&row.dependencies);
            if let Some(tensor) = quantised(row).filter(|_| row.kind == registry::entry::TENSOR) {
                elements
                    .insert((asset, row.id), tensor.shape.iter().fold(1, |n: u64, &d| n.saturating_mul(d)));
            }
        }
        // What they are built from or share, to any depth.
        let mut needed: HashSet<(u32, u32)> = HashSet::new();
        let mut open: Vec<(u32, u32)> = elements.keys().copied().collect();
        while let Some((asset, id)) = open.pop() {
            for dependency in dependencies.get(&(asset, id)).copied().unwrap_or_default() {
                if let Dependency::Entry(on) = dependency
                    && needed.insert((asset, *on))
                {
                    open.push((asset, *on));
                }
            }
        }
        counted.tensors = elements.len() as u64;
        counted.weights = elements.values().fold(0, |sum: u64, &n| sum.saturating_add(n));
        let (mut own, mut all) = (0u64, 0u64);
        for (asset, row) in rows {
            all += 1;
            let key = (asset, row.id);
            let is_shared = registry::entry::is_shared_object(row.kind) && needed.contains(&key);
            let is_part = row.kind == registry::entry::ARRAY && needed.contains(&key);
            if !is_shared && !is_part && !elements.contains_key(&key) {
                continue;
            }
            own += 1;
            let bytes = row.lengths.iter().fold(0u64, |sum, &n| sum.saturating_add(n));
            *(if is_shared { &mut counted.shared } else { &mut counted.chunks }) += bytes;
            let end = row.end(asset).unwrap_or(row.offset);
            counted.frames += end.saturating_sub(row.offset).saturating_sub(bytes);
        }
        counted.index = index as f64 * own as f64 / f64::max(all as f64, 1.0);
        counted
    }

    /// All of it, in bits.
    #[must_use]
    pub fn bits(&self) -> f64 {
        8.0 * ((self.chunks + self.shared + self.frames) as f64 + self.index)
    }

    /// Bits for each weight; 0 without weights.
    #[must_use]
    pub fn bits_per_weight(&self) -> f64 {
        if self.weights == 0 { 0.0 } else { self.bits() / self.weights as f64 }
    }
}

fn quantised(row: &EntryRow) -> Option<TensorDescriptor> {
    match EntryDescriptor::parse(row.kind, &row.fields, &Limits::default()) {
        Ok(EntryDescriptor::Tensor(tensor))
            if matches!(tensor.representation, Representation::Quant | Representation::Built(_)) =>
        {
            Some(tensor)
        }
        _ => None,
    }
}

/// Elements of the tensor that a row is of, if they are floats of their own: what bits per weight of a whole file are counted over.
#[must_use]
pub fn weights_of(row: &EntryRow) -> u64 {
    if row.kind != registry::entry::TENSOR || row.first_chunk > 0 {
        return 0;
    }
    match EntryDescriptor::parse(row.kind, &row.fields, &Limits::default()) {
        Ok(EntryDescriptor::Tensor(tensor))
            if tensor.owner.is_none()
                && (!tensor.representation.is_borrowed() || tensor.representation.built().is_some()) =>
        {
            let is_float = |d: Dtype| matches!(d.name, "F64" | "F32" | "F16" | "BF16");
            let count = tensor.shape.iter().fold(1, |n: u64, &d| n.saturating_mul(d));
            if tensor.dtype.is_some_and(is_float) { count } else { 0 }
        }
        _ => 0,
    }
}
