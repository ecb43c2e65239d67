//! Labelled floats (`SPEC.md` section 7.4) of 64 lanes: chunks go up compressed, and their floats stay in a buffer.
//!
//! One group of invocations decodes one chunk: [`LANES`] lanes, several to an invocation, and nothing but a vote on how many words
//! each takes passes between invocations. With subgroups that is a few ballots a step and no barrier; without, one or two barriers. So what
//! is parallel is the number of chunks: give [`prepare`] many at once.

mod pack;
mod run;
mod source;

pub(crate) use run::Pipelines;
pub use run::{Prepared, Status, Timing, prepare};

/// Lanes of a chunk.
pub const LANES: usize = 64;
/// Symbols, and buckets, of a table.
pub const SYMBOLS: usize = 64;
/// Classes there may be.
pub const CLASSES: usize = 64;
/// Tables there may be.
pub const TABLES: usize = 16;
/// Probabilities of signs: of 14 degrees of bias, 8 octaves each.
pub const SIGN_PROBABILITIES: usize = 112;

/// The slots of a bucket: the first `own` are of the symbol of the bucket's number, the others of `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// Slots of the bucket's own symbol, in rank order from 0; at most the slots of a bucket.
    pub own: u8,
    /// Frequency of the own symbol.
    pub own_frequency: u16,
    /// The other symbol, below 64.
    pub other: u8,
    /// Frequency of the other symbol.
    pub other_frequency: u16,
    /// Added to a slot's place in the bucket: the slot's rank among the other symbol's, modulo 2^16.
    pub other_rank: u16,
}

/// Where the elements of a class find their symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Class {
    /// Which table.
    pub table: u8,
    /// High part of symbol 0.
    pub offset: u16,
}

/// Tables and shifts that chunks share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    /// Bytes of an element: 2, 4 or 8.
    pub bytes: u8,
    /// Bits of exponent and top mantissa together, which a symbol stands for.
    pub high_bits: u32,
    /// Top mantissa bits among them.
    pub top: u32,
    /// Mantissa bits below them.
    pub low_bits: u32,
    /// Frequencies sum to 2^precision; 10 to 12.
    pub precision: u32,
    /// By class.
    pub classes: Vec<Class>,
    /// The tables.
    pub tables: Vec<[Bucket; SYMBOLS]>,
    /// First octave, and 8 probabilities of the commoner sign, out of 128, for each degree of bias.
    pub signs: Option<(u8, [u8; SIGN_PROBABILITIES])>,
}

/// Labels of the columns of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnLabels<'a> {
    /// How many columns there are.
    pub columns: usize,
    /// Added to the row's class; one for each column, or none (all 0).
    pub classes: &'a [u8],
    /// Degree and direction of the sign's bias, -14 to 14; one for each column, or none (all 0).
    pub biases: &'a [i8],
}

/// Label of a row of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row {
    /// Added to the column's class.
    pub class: u8,
    /// Trailing zero bits of every element, which are not stored.
    pub zeros: u8,
}

/// A chunk of 64 lanes, taken apart.
#[derive(Debug, Clone)]
pub struct Chunk<'a> {
    /// Index of its classes.
    pub classes: usize,
    /// Index of its column labels; none: all 0.
    pub labels: Option<usize>,
    /// Elements, one at least.
    pub len: usize,
    /// Elements of a row.
    pub columns: usize,
    /// Column of the first element.
    pub first_column: usize,
    /// The rows that its elements are in.
    pub rows: Vec<Row>,
    /// First states, each 2^16 or more.
    pub states: [u32; LANES],
    /// Words of the stream, little-endian.
    pub words: &'a [[u8; 2]],
    /// What is stored of the planes of low bits and of raw signs.
    pub planes: &'a [u8],
    /// Whether the last states hold the rest of the planes' bytes, 248; else they are all stored.
    pub held: bool,
    /// Full high parts of escaped elements, packed.
    pub escapes: &'a [u8],
    /// How many there are.
    pub escape_count: usize,
    /// Where in the output its bytes go; a multiple of 4. After a chunk whose bytes are not, two bytes more are written.
    pub out_at: u64,
}

/// What [`prepare`] takes.
#[derive(Debug, Clone, Default)]
pub struct Input<'a> {
    /// Classes that chunks name.
    pub classes: Vec<Classes>,
    /// Column labels that chunks name.
    pub labels: Vec<ColumnLabels<'a>>,
    /// The chunks, in any order; of any tensors and types of float.
    pub chunks: Vec<Chunk<'a>>,
}
