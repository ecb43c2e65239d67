//! Labelled floats (`SPEC.md` section 7.4) and codes (7.13) of 64 lanes: chunks go up compressed, and their floats stay in a buffer.
//!
//! One group of invocations decodes one chunk: [`LANES`] lanes, several to an invocation, and nothing but a vote on how many words
//! each takes passes between invocations. With subgroups that is a few ballots a step and no barrier; without, one or two barriers. So what
//! is parallel is the number of chunks: give [`prepare`] many at once.

mod codes;
mod pack;
mod run;
mod source;

pub use codes::takes;
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

/// What a row or column of codes has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    /// Those of row and column together, within what there are, are the class of an element.
    pub class: i16,
    /// Those of row and column together are the exponent of its step, in quarters of an octave.
    pub step: i16,
}

/// What is known of the columns of a matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns<'a> {
    /// Of labelled floats.
    Labels(ColumnLabels<'a>),
    /// Of codes, one for each column.
    Lines(Vec<Line>),
}

/// Floats that codes become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Float {
    /// bfloat16.
    Bf16,
    /// IEEE half.
    F16,
    /// IEEE single.
    F32,
}

/// The rows that a chunk's elements are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Of labelled floats.
    Labels(Vec<Row>),
    /// Of codes, and what they become.
    Lines(Float, Vec<Line>),
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
    /// Index of what is known of its columns; none: all 0.
    pub columns_of: Option<usize>,
    /// Elements, one at least.
    pub len: usize,
    /// Elements of a row.
    pub columns: usize,
    /// Column of the first element.
    pub first_column: usize,
    /// The rows that its elements are in.
    pub rows: Rows,
    /// First states, each 2^16 or more.
    pub states: [u32; LANES],
    /// Words of the stream, little-endian.
    pub words: &'a [[u8; 2]],
    /// What is stored of the planes of low bits and of raw signs, or of the plane of codes.
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
    /// Columns that chunks name.
    pub columns: Vec<Columns<'a>>,
    /// The chunks, in any order; of any tensors and types of float.
    pub chunks: Vec<Chunk<'a>>,
}
