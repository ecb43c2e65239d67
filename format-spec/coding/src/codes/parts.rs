//! A payload of codes taken apart, for decoders elsewhere: on a GPU.

use super::payload::{Block, effective_classes};
use super::{ColumnClasses, ColumnSteps, Element, SharedObjects};
use crate::error::{Result, corrupt};
use crate::labelled::Classes;

/// A payload whose head, lists and lengths are sound (`SPEC.md` section 7.13.3). What its stream and plane say is not known yet.
#[derive(Debug)]
pub struct Parts<'a> {
    block: Block<'a>,
    words: &'a [[u8; 2]],
}

/// What a row or column has: its class, less half of its step exponent, and that exponent, in quarters of an octave. The class of an element is the
/// sum of both, within what classes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The class.
    pub class: i16,
    /// The exponent.
    pub step: i16,
}

impl<'a> Parts<'a> {
    /// Takes the payload of a chunk of `decoded_len` bytes apart. Memory is what the lists take.
    ///
    /// # Errors
    /// As [`super::decode`], for all but the stream, the escapes and the plane.
    pub fn parse(
        payload: &'a [u8],
        shared: &'a (impl SharedObjects + ?Sized),
        decoded_len: usize,
    ) -> Result<Self> {
        let block = Block::parse(payload, shared, decoded_len)?;
        let (words, half) = block.words.as_chunks::<2>();
        if half.is_empty() {
            Ok(Self { block, words })
        } else {
            Err(corrupt("rANS stream ends in half a word"))
        }
    }

    /// The classes that the chunk names: of numbers.
    #[must_use]
    pub fn classes(&self) -> &'a Classes {
        self.block.classes
    }

    /// What codes become.
    #[must_use]
    pub fn element(&self) -> Element {
        self.block.element
    }

    /// Elements, one at least.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.block.len
    }

    /// Elements of a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.block.columns
    }

    /// Column of the first element.
    #[must_use]
    pub fn first_column(&self) -> usize {
        self.block.first_column
    }

    /// Of each row that has elements of the chunk.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Line> + '_ {
        self.block.rows.iter().map(|row| Line { class: row.class, step: row.step })
    }

    /// The objects of the columns that are shared, if any.
    #[must_use]
    pub fn shared_columns(&self) -> (Option<&'a ColumnSteps>, Option<&'a ColumnClasses>) {
        (self.block.steps, self.block.shared_classes())
    }

    /// Whether classes of columns are in the chunk itself.
    #[must_use]
    pub fn has_own_columns(&self) -> bool {
        self.block.column_classes().is_some() && self.block.shared_classes().is_none()
    }

    /// Of each column; none: all 0.
    #[must_use]
    pub fn column_lines(&self) -> Option<Vec<Line>> {
        let (steps, classes) = (self.block.steps, self.block.column_classes());
        if steps.is_none() && classes.is_none() {
            return None;
        }
        let classes = effective_classes(self.block.columns, steps, classes);
        let step = |column: usize| steps.and_then(|s| s.exponents().get(column)).copied().unwrap_or(0);
        Some(
            classes
                .into_iter()
                .enumerate()
                .map(|(column, class)| Line { class, step: step(column) })
                .collect(),
        )
    }

    /// First state of each lane; their number is a power of two up to 64.
    #[must_use]
    pub fn states(&self) -> &[u32] {
        self.block.states.get(..self.block.lanes).unwrap_or_default()
    }

    /// Words of the stream, little-endian.
    #[must_use]
    pub fn words(&self) -> &'a [[u8; 2]] {
        self.words
    }

    /// The plane, without the bytes that the last states hold.
    #[must_use]
    pub fn plane(&self) -> &'a [u8] {
        self.block.plane
    }

    /// Whether the last states hold the last bytes of the plane.
    #[must_use]
    pub fn is_absorbed(&self) -> bool {
        self.block.is_absorbed
    }

    /// Escaped numbers, packed.
    #[must_use]
    pub fn escapes(&self) -> &'a [u8] {
        self.block.escapes
    }

    /// How many there are.
    #[must_use]
    pub fn escape_count(&self) -> usize {
        self.block.escape_count
    }
}
