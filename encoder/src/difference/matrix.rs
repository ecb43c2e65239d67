//! A run of a tensor's elements beside its base.

use crate::labelled::columns_of;
use mcodec_coding::labelled::FloatFormat;

/// A run of elements in row-major order, and the base's at the same place.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    /// Name of the tensor.
    pub(crate) name: &'a str,
    pub(crate) format: FloatFormat,
    pub(crate) base: &'a [u8],
    pub(crate) bytes: &'a [u8],
    /// Elements of a row.
    pub(crate) columns: usize,
    /// Column of the first element.
    pub(crate) first_column: usize,
    /// Whether columns mean the same thing in every row.
    pub(super) has_columns: bool,
}

impl<'a> Member<'a> {
    /// The elements `bytes` of a tensor of this shape, from element `start` on, beside `base`.
    pub(crate) fn new(
        name: &'a str,
        format: FloatFormat,
        shape: &[u64],
        start: u64,
        (base, bytes): (&'a [u8], &'a [u8]),
    ) -> Self {
        let (columns, has_columns) = columns_of(shape);
        let first_column = (start % columns as u64) as usize;
        Self { name, format, base, bytes, columns, first_column, has_columns }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.format.bytes()
    }

    /// How many rows the elements touch.
    pub(super) fn rows(&self) -> usize {
        (self.first_column + self.len()).div_ceil(self.columns)
    }

    /// Whether it is a matrix of whole rows.
    pub(super) fn is_rectangle(&self) -> bool {
        self.has_columns && self.first_column == 0 && self.len().is_multiple_of(self.columns)
    }

    /// What was added to the base, element by element; 0 for what is not finite.
    pub(super) fn differences(&self, out: &mut Vec<f32>) {
        match self.format {
            FloatFormat::Bf16 => self.each(out, |b| f64::from(bf16(u16::from_le_bytes(b)))),
            FloatFormat::F16 => self.each(out, |b| half(u16::from_le_bytes(b))),
            FloatFormat::F32 => self.each(out, |b| f32::from_le_bytes(b).into()),
            FloatFormat::F64 => self.each(out, f64::from_le_bytes),
        }
    }

    fn each<const SIZE: usize>(&self, out: &mut Vec<f32>, value: impl Fn([u8; SIZE]) -> f64) {
        let (base, bytes) = (self.base.as_chunks::<SIZE>().0, self.bytes.as_chunks::<SIZE>().0);
        out.extend(base.iter().zip(bytes).map(|(base, own)| {
            let difference = (value(*own) - value(*base)) as f32;
            if difference.is_finite() { difference } else { 0.0 }
        }));
    }
}

/// The value of a brain float.
fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The value of an IEEE half.
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => mantissa * f64::powi(2.0, -24),
        31 => f64::NAN,
        e => (1024.0 + mantissa) * f64::powi(2.0, e - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}
