//! Coding 24, *codes*: floats that are an integer times a step of its row and column (`SPEC.md` section 7.13).
//!
//! A chunk is a run of a matrix's elements in row-major order. Each row and each column has a *step exponent*, in quarters of an
//! octave, and a *class*, the spread of its codes in halves of one; the sum of both classes is the element's class, known before its
//! code is. The magnitude of a code, without as many low bits as its class has to spare, is one rANS symbol under the table of the
//! class; low bits and signs are stored as they are. Tables are shared by all tensors of a model ([`Classes`]).

#[cfg(target_arch = "x86_64")]
mod avx2;
mod columns;
mod decode;
mod encode;
mod numbers;
mod parts;
mod payload;

pub use crate::labelled::Classes;
pub use columns::{ColumnClasses, ColumnSteps};
pub use decode::{decode, decode_at, dequantise};
pub use encode::{CodesSpec, ColumnClassesAt, encode};
pub use numbers::{Element, step};
pub use parts::{Line, Parts};
pub use payload::{CodesLedger, FORM, element_of, ledger};

use crate::error::{Result, invalid};
use crate::labelled::{FloatFormat, SYMBOLS, ZERO};
use crate::table::Table;

/// What chunks share, by dependency index.
pub trait SharedObjects {
    /// The classes of dependency `dependency`, if it is such an object.
    fn classes(&self, dependency: u32) -> Option<&Classes>;
    /// The column steps of dependency `dependency`, if it is such an object.
    fn column_steps(&self, dependency: u32) -> Option<&ColumnSteps>;
    /// The column classes of dependency `dependency`, if it is such an object.
    fn column_classes(&self, dependency: u32) -> Option<&ColumnClasses>;
}

/// Step exponents of rows and columns are within this of 0.
pub const MAX_STEP: i16 = 240;
/// Classes of rows and columns are within this of 0.
pub const MAX_CLASS: i16 = 2048;
/// The greatest magnitude of a code: such integers are exact in binary32.
pub const MAX_CODE: u32 = (1 << CODE_BITS) - 1;
/// The most columns of a matrix.
pub const MAX_COLUMNS: usize = 1 << 20;
/// Classes below this have no low bits.
const FIRST_WITH_LOW_BITS: usize = 17;
/// Bits of a code that is written in full.
const CODE_BITS: u32 = 24;
/// The number that says that a code is written in full.
const IN_FULL: u32 = (1 << crate::labelled::NUMBER_BITS) - 1;

/// Low bits that are stored beside the symbols of a class.
#[must_use]
pub const fn low_bits(class: usize) -> u32 {
    if class < FIRST_WITH_LOW_BITS { 0 } else { (class as u32 - 15) / 2 }
}

/// The symbol of a magnitude of class `class`; [`crate::labelled::ESCAPE`] for those that are written otherwise.
#[must_use]
pub fn symbol_of(magnitude: u32, class: usize) -> u8 {
    match magnitude >> low_bits(class) {
        high if high < u32::from(ZERO) => high as u8,
        _ => crate::labelled::ESCAPE,
    }
}

/// Classes for codes: class `k` uses table `table_of[k]`. Tables have one precision, 10 to 12, and values below 64.
///
/// # Errors
/// [`crate::CodingError::Invalid`] if a count or table is out of range.
pub fn classes(table_of: &[u8], tables: Vec<Table>) -> Result<Classes> {
    let of = |&table: &u8| crate::labelled::Class { table, octaves: 0 };
    if tables.iter().any(|t| t.values().last().is_none_or(|&v| usize::from(v) >= SYMBOLS)) {
        return Err(invalid("tables of codes have values below 64"));
    }
    Classes::new(FloatFormat::Bf16, 3, table_of.iter().map(of).collect(), tables, None)
}
