//! Chunks as the kernels take them, and which of them.

use super::DeviceChunk;
use crate::shared::{SharedObject, SharedOf};
use mcodec_coding::CodingError;
use mcodec_coding::codes::{self, Element};
use mcodec_coding::labelled::{self, Classes, ColumnLabels};
use mcodec_format::registry::coding;
use mcodec_gpu::labelled as kernel;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The most elements of a chunk: one group goes through it, and the driver is not to think that the device hangs.
const MOST: usize = 1 << 24;

/// A chunk for the GPU, taken apart.
pub(super) enum Taken<'a> {
    Floats(labelled::Parts<'a>),
    Codes(codes::Parts<'a>, Vec<kernel::Line>),
}

/// What columns of chunks are the same.
#[derive(PartialEq, Eq, Hash)]
enum ColumnsKey {
    Labels(*const ColumnLabels),
    Shared(Option<*const codes::ColumnSteps>, Option<*const codes::ColumnClasses>),
    /// Of this chunk alone.
    Own(usize),
}

/// Chunks, by who decodes them.
#[derive(Default)]
pub(super) struct Sorted<'a> {
    /// For the GPU.
    pub(super) taken: Vec<(usize, Taken<'a>)>,
    /// For the CPU.
    pub(super) left: Vec<usize>,
}

impl<'a> Sorted<'a> {
    pub(super) fn add(
        &mut self,
        index: usize,
        chunk: &DeviceChunk<'a>,
        shared: &'a SharedOf<'a>,
    ) -> Result<(), CodingError> {
        let taken = match (chunk.coding, chunk.payload.first()) {
            (coding::LABELLED, Some(&labelled::FORM)) => {
                let parts = labelled::Parts::parse(chunk.payload, shared, chunk.len)?;
                let fits = parts.states().len() == kernel::LANES && is_filled(&parts) && fits(&parts, chunk);
                fits.then_some(Taken::Floats(parts))
            }
            (coding::CODES, Some(&codes::FORM)) => {
                let parts = codes::Parts::parse(chunk.payload, shared, chunk.len)?;
                if parts.states().len() == kernel::LANES && fit(&parts, chunk) {
                    let rows = lines(parts.rows());
                    let columns = parts.column_lines().map(|columns| lines(columns.into_iter()));
                    kernel::takes(&rows, columns.as_deref()).then_some(Taken::Codes(parts, rows))
                } else {
                    None
                }
            }
            _ => None,
        };
        match taken {
            Some(taken) => self.taken.push((index, taken)),
            None => self.left.push(index),
        }
        Ok(())
    }

    /// What the kernel takes, classes and columns that chunks share once.
    pub(super) fn input(&self, chunks: &[DeviceChunk<'_>]) -> kernel::Input<'_> {
        let mut input = kernel::Input::default();
        let (mut classes_at, mut columns_at) = (HashMap::new(), HashMap::new());
        for (index, taken) in &self.taken {
            let of = taken.classes();
            let classes = *classes_at.entry(std::ptr::from_ref(of)).or_insert_with(|| {
                input.classes.push(classes_of(of));
                input.classes.len() - 1
            });
            let columns_of = taken.columns_key(*index).map(|key| match columns_at.entry(key) {
                Entry::Occupied(at) => *at.get(),
                Entry::Vacant(place) => {
                    input.columns.extend(taken.columns());
                    *place.insert(input.columns.len() - 1)
                }
            });
            input.chunks.push(taken.chunk(classes, columns_of, chunks[*index].out_at));
        }
        input
    }
}

impl Taken<'_> {
    fn classes(&self) -> &Classes {
        match self {
            Self::Floats(parts) => parts.classes(),
            Self::Codes(parts, _) => parts.classes(),
        }
    }

    /// What tells its columns from others; none: all 0.
    fn columns_key(&self, index: usize) -> Option<ColumnsKey> {
        match self {
            Self::Floats(parts) => parts.column_labels().map(|of| ColumnsKey::Labels(std::ptr::from_ref(of))),
            Self::Codes(parts, _) if parts.has_own_columns() => Some(ColumnsKey::Own(index)),
            Self::Codes(parts, _) => match parts.shared_columns() {
                (None, None) => None,
                (steps, classes) => {
                    Some(ColumnsKey::Shared(steps.map(std::ptr::from_ref), classes.map(std::ptr::from_ref)))
                }
            },
        }
    }

    fn columns(&self) -> Option<kernel::Columns<'_>> {
        match self {
            Self::Floats(parts) => parts.column_labels().map(|of| kernel::Columns::Labels(labels_of(of))),
            Self::Codes(parts, _) => {
                parts.column_lines().map(|columns| kernel::Columns::Lines(lines(columns.into_iter())))
            }
        }
    }

    fn chunk(&self, classes: usize, columns_of: Option<usize>, out_at: u64) -> kernel::Chunk<'_> {
        match self {
            Self::Floats(parts) => kernel::Chunk {
                classes,
                columns_of,
                len: parts.elements(),
                columns: parts.columns(),
                first_column: parts.first_column(),
                rows: kernel::Rows::Labels(
                    parts.rows().map(|(class, zeros)| kernel::Row { class, zeros }).collect(),
                ),
                states: states_of(parts.states()),
                words: parts.words(),
                planes: parts.planes(),
                held: parts.is_absorbed(),
                escapes: parts.escapes(),
                escape_count: parts.escape_count(),
                out_at,
            },
            Self::Codes(parts, rows) => kernel::Chunk {
                classes,
                columns_of,
                len: parts.elements(),
                columns: parts.columns(),
                first_column: parts.first_column(),
                rows: kernel::Rows::Lines(float_of(parts.element()), rows.clone()),
                states: states_of(parts.states()),
                words: parts.words(),
                planes: parts.plane(),
                held: parts.is_absorbed(),
                escapes: parts.escapes(),
                escape_count: parts.escape_count(),
                out_at,
            },
        }
    }
}

fn float_of(element: Element) -> kernel::Float {
    match element {
        Element::Bf16 => kernel::Float::Bf16,
        Element::F16 => kernel::Float::F16,
        Element::F32 => kernel::Float::F32,
    }
}

fn lines(of: impl Iterator<Item = codes::Line>) -> Vec<kernel::Line> {
    of.map(|codes::Line { class, step }| kernel::Line { class, step }).collect()
}

fn states_of(of: &[u32]) -> [u32; kernel::LANES] {
    let mut states = [0; kernel::LANES];
    states.iter_mut().zip(of).for_each(|(to, state)| *to = *state);
    states
}

/// Whether the last byte of the escapes is filled with zero bits. If it is not, the CPU says so.
fn is_filled(parts: &labelled::Parts<'_>) -> bool {
    are_filled(parts.escapes(), parts.escape_count(), parts.classes())
}

fn are_filled(escapes: &[u8], count: usize, classes: &Classes) -> bool {
    let used = (count as u64 * u64::from(classes.high_bits())) % 8;
    used == 0 || escapes.last().is_none_or(|last| last >> used == 0)
}

/// Whether the kernel's numbers hold the chunk's columns, and what it needs of memory for rows and columns is little beside the chunk.
fn fits(parts: &labelled::Parts<'_>, chunk: &DeviceChunk<'_>) -> bool {
    let elements = parts.elements();
    let ends = parts.first_column().saturating_add(elements);
    let is_shared = |labels: &ColumnLabels| {
        let is = |object: &SharedObject| matches!(object, SharedObject::ColumnLabels(of) if std::ptr::eq(of, labels));
        chunk.shared.iter().flatten().any(|object| is(object))
    };
    elements <= MOST
        && (parts.columns() <= 1 << 26 || ends <= parts.columns())
        && parts.rows().len() <= elements / 8 + 16
        && parts.column_labels().is_none_or(|labels| labels.columns() <= elements + 128 || is_shared(labels))
}

/// As [`fits`], of codes.
fn fit(parts: &codes::Parts<'_>, chunk: &DeviceChunk<'_>) -> bool {
    let elements = parts.elements();
    let are_shared = chunk
        .shared
        .iter()
        .flatten()
        .any(|object| matches!(&**object, SharedObject::ColumnSteps(_) | SharedObject::ColumnClasses(_)));
    elements <= MOST
        && parts.rows().len() <= elements / 8 + 16
        && (parts.columns() <= elements + 128 || (are_shared && !parts.has_own_columns()))
        && are_filled(parts.escapes(), parts.escape_count(), parts.classes())
}

fn classes_of(of: &Classes) -> kernel::Classes {
    let class =
        |class: &labelled::Class| kernel::Class { table: class.table, offset: class.octaves << of.top() };
    let bucket = |bucket: labelled::Bucket| kernel::Bucket {
        own: bucket.own,
        own_frequency: bucket.own_frequency,
        other: bucket.other,
        other_frequency: bucket.other_frequency,
        other_rank: bucket.other_rank,
    };
    let signs = of.signs().map(|signs| {
        let mut all = [0; kernel::SIGN_PROBABILITIES];
        all.iter_mut().zip(signs.commoner.iter().flatten()).for_each(|(to, p)| *to = *p);
        (signs.first_octave, all)
    });
    kernel::Classes {
        bytes: of.format().bytes() as u8,
        high_bits: of.high_bits(),
        top: of.top(),
        low_bits: of.low_bits(),
        precision: of.precision(),
        classes: of.classes().iter().map(class).collect(),
        tables: of.bucket_tables().map(|buckets| buckets.map(bucket)).collect(),
        signs,
    }
}

fn labels_of(of: &ColumnLabels) -> kernel::ColumnLabels<'_> {
    kernel::ColumnLabels { columns: of.columns(), classes: of.classes(), biases: of.biases() }
}
