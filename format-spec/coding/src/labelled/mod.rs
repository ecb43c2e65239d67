//! Coding 2, *labelled*: floats whose exponent and top mantissa bits are coded under row and column labels
//! (`SPEC.md` section 7.4).
//!
//! A chunk is a run of a matrix's elements in row-major order. Each row and each column has a label, a scale in fractions of an
//! octave; the sum of the two is the element's *class*, known before the element is. A class names a table and how many octaves that
//! table is shifted, so a few tables serve all scales. The magnitude's exponent and top mantissa bits are one symbol under that
//! table, rare ones escape; the sign is coded where its column is biased; all other bits are stored as they are.
//!
//! What many chunks need is stored once: [`Classes`] (tables and shifts, for any number of tensors) and [`ColumnLabels`] (of one
//! tensor). The coding sees bit patterns only, never values.

// Elsewhere, what serves the vector code of x86-64 alone is left over.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_merge;
#[cfg(target_arch = "x86_64")]
mod avx2_signs;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_merge;
mod class_stream;
mod classes;
mod decode;
#[cfg(all(target_arch = "x86_64", test))]
mod emulated;
mod encode;
#[cfg(target_arch = "x86_64")]
mod encode_avx2;
mod encode_symbols;
mod encode_tables;
mod float_format;
mod labels;
mod labels_of_elements;
pub(crate) mod lists;
mod merge;
mod parts;
mod payload;
mod prefix;
mod prefix_symbols;
mod symbols;
mod take_apart;
mod vector;
#[cfg(any(
    all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"),
    all(target_arch = "wasm32", target_feature = "simd128")
))]
mod vector128;

#[cfg(all(target_arch = "x86_64", not(test)))]
use core::arch::x86_64 as avx512_instructions;
#[cfg(all(target_arch = "x86_64", test))]
use emulated as avx512_instructions;

pub(crate) use class_stream::{
    ClassedDecoder, NUMBER_BITS, NumberDecoder, NumberStream, PLAIN_SYMBOLS, are_of_numbers, encode_classed,
    encode_numbers, held_bytes,
};
pub use classes::{
    CLASSES, Class, Classes, ESCAPE, SIGN_BIASES, SIGN_OCTAVES, SYMBOLS, SignCosts, TABLES, ZERO,
};
pub use decode::{decode, decode_at};
pub use encode::{BlockSpec, Columns, encode, encode_at};
pub use float_format::FloatFormat;
pub use labels::ColumnLabels;
pub(crate) use parts::buckets_of;
pub use parts::{Bucket, Parts};
pub(crate) use payload::MAX_COLUMNS;
pub use payload::{LABELLED as FORM, LabelledLedger, dependencies, ledger};
pub use prefix::PrefixCode;
pub use vector::Level;

/// What chunks share, by dependency index.
pub trait SharedObjects {
    /// The classes of dependency `dependency`, if it is such an object.
    fn classes(&self, dependency: u32) -> Option<&Classes>;
    /// The column labels of dependency `dependency`, if it is such an object.
    fn labels(&self, dependency: u32) -> Option<&ColumnLabels>;
}

/// The same tests as for the crate as others see it, which uses what the machine has; here AVX-512 is emulated.
#[cfg(test)]
#[path = "../../tests/labelled.rs"]
mod tests;
