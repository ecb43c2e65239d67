//! What coding elements against their base would take, before tables are made.

use super::decode::{Predictor, load};
use super::grid::{CONTEXTS, Grid, Place, Told};
use super::payload::Shape;
use super::slots::SYMBOLS;
use super::{Columns, Tables};
use crate::bits::BitSink;
use crate::error::{Result, invalid};
use crate::labelled::{FloatFormat, Level};

/// Symbols by context, and the bits that are stored besides.
#[derive(Debug, Clone)]
pub struct Survey {
    /// How often each symbol comes in each context.
    pub counts: Vec<[u32; SYMBOLS]>,
    /// Bits stored besides symbols, those of escapes included.
    pub bits: u64,
}

impl Default for Survey {
    fn default() -> Self {
        Self { counts: vec![[0; SYMBOLS]; CONTEXTS], bits: 0 }
    }
}

/// Where elements lie in their matrix, and what is known of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elements<'a> {
    pub(super) format: FloatFormat,
    pub(super) base: &'a [u8],
    pub(super) bytes: &'a [u8],
    pub(super) shape: Shape,
    pub(super) row_labels: &'a [i32],
    pub(super) columns: Option<&'a Columns>,
    pub(super) row_factors: &'a [i16],
    /// Their symbols alone may be used.
    pub(super) tables: Option<&'a Tables>,
}

impl Elements<'_> {
    fn check(&self) -> Result<()> {
        let rank = self.columns.map_or(0, |c| c.components().len());
        let fits = self.columns.is_none_or(|c| c.columns() == self.shape.columns);
        if self.base.len() != self.bytes.len()
            || self.bytes.len() != self.shape.len * self.format.bytes()
            || self.shape.columns == 0
            || self.shape.first_column >= self.shape.columns
            || self.row_labels.len() != self.shape.rows()
            || self.row_factors.len() != self.shape.rows() * rank
            || !fits
        {
            return Err(invalid("elements, their base, labels and factors differ in shape"));
        }
        Ok(())
    }

    /// Goes through rows and elements: `factors` gets those of each row, `element` the context of each element and what tells it. `sink`
    /// gets bits.
    pub(super) fn visit(
        &self,
        sink: Option<&mut BitSink>,
        factors: impl FnMut(&[i16], Option<&mut BitSink>),
        element: impl FnMut(u8, Told),
    ) -> Result<()> {
        self.check()?;
        match self.format {
            FloatFormat::Bf16 => self.visit_as::<2, 7, 8>(sink, factors, element),
            FloatFormat::F16 => self.visit_as::<2, 10, 5>(sink, factors, element),
            FloatFormat::F32 => self.visit_as::<4, 23, 8>(sink, factors, element),
            FloatFormat::F64 => self.visit_as::<8, 52, 11>(sink, factors, element),
        }
    }

    fn visit_as<const SIZE: usize, const M: u32, const E: u32>(
        &self,
        mut sink: Option<&mut BitSink>,
        mut factors: impl FnMut(&[i16], Option<&mut BitSink>),
        mut element: impl FnMut(u8, Told),
    ) -> Result<()> {
        let rank = self.columns.map_or(0, |c| c.components().len());
        let known = self.tables.map_or([u64::MAX; CONTEXTS], Tables::known);
        let mut predictor = Predictor::new(Level::detect(), self.columns, self.shape);
        let (base, bytes) = (self.base.as_chunks::<SIZE>().0, self.bytes.as_chunks::<SIZE>().0);
        for (row, (span, first)) in self.shape.spans().enumerate() {
            let own = &self.row_factors[row * rank..(row + 1) * rank];
            factors(own, sink.as_deref_mut());
            let mut next = own.iter();
            let columns = first..first + span.len();
            predictor.row(columns.clone(), |_| Ok(next.next().copied().unwrap_or_default()))?;
            let label = self.row_labels[row];
            let columns = predictor.labels(columns).iter().zip(predictor.predicted());
            let elements = base[span.clone()].iter().zip(&bytes[span]);
            for ((base, value), (column, predicted)) in elements.zip(columns) {
                let (base, value) = (load(base), load(value));
                let place: Place = Grid::<M, E>::place(base, label + i32::from(*column), *predicted);
                let known = known[usize::from(place.context) % CONTEXTS];
                element(place.context, Grid::<M, E>::tell(place, base, value, known, sink.as_deref_mut()));
            }
        }
        Ok(())
    }
}

/// Adds to `into` what tells the elements `bytes` against `base`. They begin in column `first_column` of rows as long as `columns`, or
/// `row_len` where there are none; of each row that they touch there is a label, and `row_factors` as the components of `columns` are many.
///
/// # Errors
/// [`crate::CodingError::Invalid`] if the arguments do not fit each other.
#[allow(clippy::too_many_arguments)]
pub fn survey(
    into: &mut Survey,
    format: FloatFormat,
    (base, bytes): (&[u8], &[u8]),
    (row_len, first_column): (usize, usize),
    row_labels: &[i32],
    columns: Option<&Columns>,
    row_factors: &[i16],
) -> Result<()> {
    let shape = Shape { len: bytes.len() / format.bytes(), columns: row_len, first_column };
    let elements = Elements { format, base, bytes, shape, row_labels, columns, row_factors, tables: None };
    let Survey { counts, bits } = into;
    elements.visit(
        None,
        |_, _| {},
        |context, told| {
            counts[usize::from(context) % CONTEXTS][usize::from(told.symbol) % SYMBOLS] += 1;
            *bits += u64::from(told.bits);
        },
    )
}
