//! Codes as the kernel has them: what rows and columns have of classes and steps.

use super::pack::{Job, begin};
use super::{Chunk, Line, Rows};
use crate::error::{GpuError, Result};

/// Step exponents of rows and columns together are within this of 0, so that floats are finite and normal.
pub(super) const MOST_STEP: i32 = 400;
/// Classes from this on have low bits, whose places only the one before it knows.
pub(super) const FIRST_WITH_LOW_BITS: i32 = 17;

/// The least and greatest of some lines.
#[derive(Debug, Clone, Copy)]
struct Range {
    class: i32,
    steps: [i32; 2],
}

impl Range {
    fn of(lines: &[Line]) -> Self {
        let steps = lines.iter().map(|line| i32::from(line.step));
        Self {
            class: lines.iter().map(|line| i32::from(line.class)).max().unwrap_or(0),
            steps: [steps.clone().min().unwrap_or(0), steps.max().unwrap_or(0)],
        }
    }
}

/// The words of columns.
#[derive(Debug)]
pub(super) struct Lines {
    words: Vec<u32>,
    range: Range,
}

impl Lines {
    pub(super) fn new(lines: &[Line]) -> Result<Self> {
        if !(1..=1 << 20).contains(&lines.len()) {
            return Err(GpuError::Input("columns of codes"));
        }
        Ok(Self { words: lines.iter().map(word).collect(), range: Range::of(lines) })
    }

    pub(super) fn words(&self) -> &[u32] {
        &self.words
    }
}

fn word(line: &Line) -> u32 {
    u32::from(line.class as u16) | u32::from(line.step as u16) << 16
}

/// Appends the rows of a chunk.
pub(super) fn rows(rows: &[Line], columns: Option<&Lines>, job: &mut Job, data: &mut Vec<u8>) -> Result<()> {
    if !are_for_kernel(Range::of(rows), columns.map(|lines| lines.range)) {
        return Err(GpuError::Input("codes with low bits, or steps out of range"));
    }
    job.rows = begin(data);
    rows.iter().for_each(|line| data.extend_from_slice(&word(line).to_le_bytes()));
    Ok(())
}

fn are_for_kernel(rows: Range, columns: Option<Range>) -> bool {
    let columns = columns.unwrap_or(Range { class: 0, steps: [0; 2] });
    rows.class + columns.class < FIRST_WITH_LOW_BITS
        && rows.steps[0] + columns.steps[0] >= -MOST_STEP
        && rows.steps[1] + columns.steps[1] <= MOST_STEP
}

/// Whether the kernel takes codes of these rows and columns (none: all 0): their classes have no low bits, and their floats are finite and normal.
#[must_use]
pub fn takes(rows: &[Line], columns: Option<&[Line]>) -> bool {
    are_for_kernel(Range::of(rows), columns.map(Range::of))
}

impl Rows {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Labels(rows) => rows.len(),
            Self::Lines(_, rows) => rows.len(),
        }
    }
}

impl Chunk<'_> {
    /// Bytes of an element, if that of floats has so many.
    pub(super) fn bytes(&self, of_float: u8) -> u64 {
        match self.rows {
            Rows::Labels(_) => of_float.into(),
            Rows::Lines(super::Float::F32, _) => 4,
            Rows::Lines(..) => 2,
        }
    }
}
