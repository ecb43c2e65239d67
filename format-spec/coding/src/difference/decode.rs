//! Reading chunks of differences.

use super::gaussian;
use super::grid::{Grid, Place, QUARTERS};
use super::payload::{Block, LINEAR, Shape};
use super::{Columns, MAX_RANK, PHASES, SharedObjects};
use super::{sums, whole};
use crate::bits::BitSource;
use crate::error::{Result, corrupt, invalid};
use crate::fields;
use crate::labelled::{FloatFormat, Level};

/// Decodes the payload of a chunk of coding 4 into `out`, whose length is the chunk's decoded length; `base` are the base's bytes at the
/// same place.
///
/// Scratch memory is at most 4 MiB and what the labels of the chunk's rows take. After an error the content of `out` is unspecified.
///
/// # Errors
/// Any breach of section 7.6; [`crate::CodingError::MissingTable`] if `shared` lacks what the chunk names.
pub fn decode<S>(payload: &[u8], shared: &S, base: &[u8], out: &mut [u8]) -> Result<()>
where
    S: SharedObjects + fields::SharedTables + ?Sized,
{
    decode_at(Level::detect(), payload, shared, base, out)
}

/// As [`decode`], with no more vector instructions than `level`, which the machine must have: for tests and measurements.
///
/// # Errors
/// As [`decode`].
pub fn decode_at<S>(level: Level, payload: &[u8], shared: &S, base: &[u8], out: &mut [u8]) -> Result<()>
where
    S: SharedObjects + fields::SharedTables + ?Sized,
{
    let level = level.available();
    if base.len() != out.len() {
        return Err(invalid("a base has the length of what is told against it"));
    }
    if payload.first() != Some(&LINEAR) {
        return whole::decode(payload, shared, base, out);
    }
    let block = Block::parse(payload, shared, out.len())?;
    match block.format {
        FloatFormat::Bf16 => decode_rows::<2, 7, 8>(level, block, base, out),
        FloatFormat::F16 => decode_rows::<2, 10, 5>(level, block, base, out),
        FloatFormat::F32 => decode_rows::<4, 23, 8>(level, block, base, out),
        FloatFormat::F64 => decode_rows::<8, 52, 11>(level, block, base, out),
    }
}

fn decode_rows<const SIZE: usize, const M: u32, const E: u32>(
    level: Level,
    mut block: Block<'_>,
    base: &[u8],
    out: &mut [u8],
) -> Result<()> {
    let mut stream = core::mem::replace(&mut block.stream, EMPTY);
    let mut group = Group::default();
    let mut bits = BitSource::new(stream.plane);
    let mut predictor = Predictor::new(level, block.columns(), block.shape);
    let (base, _) = base.as_chunks::<SIZE>();
    let (out, _) = out.as_chunks_mut::<SIZE>();
    for ((span, first), &label) in block.shape.spans().zip(&block.row_labels) {
        let columns = first..first + span.len();
        predictor.row(columns.clone(), |class| gaussian::take(class, &mut stream, &mut bits))?;
        let columns = predictor.labels(columns).chunks(GROUP).zip(predictor.predicted().chunks(GROUP));
        let elements = base[span.clone()].chunks(GROUP).zip(out[span].chunks_mut(GROUP));
        for ((base, out), (labels, predicted)) in elements.zip(columns) {
            let Group { places, tables, symbols } = &mut group;
            let tables = &mut tables[..base.len()];
            let symbols = &mut symbols[..base.len()];
            let of_elements = base.iter().zip(labels.iter().zip(predicted));
            let entries = places.iter_mut().zip(tables.iter_mut());
            for ((place, table), (base, (column, predicted))) in entries.zip(of_elements) {
                *place = Grid::<M, E>::place(load(base), label + i32::from(*column), *predicted);
                *table = block.tables.number(place.context);
            }
            stream.symbols(level, block.tables.buckets(), tables, symbols);
            for ((base, out), (&place, &symbol)) in base.iter().zip(out).zip(places.iter().zip(&*symbols)) {
                let value = match Grid::<M, E>::usual_value(place, symbol) {
                    Some(value) => value,
                    None => Grid::<M, E>::value(place, symbol, load(base), &mut bits)?,
                };
                out.copy_from_slice(&value.to_le_bytes()[..SIZE]);
            }
        }
    }
    stream.finish()?;
    if bits.finish()? != stream.plane.len() {
        return Err(corrupt("bits left over in a plane"));
    }
    Ok(())
}

/// Elements of a row that each step is taken for at once.
const GROUP: usize = 256;

/// What is known of them.
struct Group {
    places: [Place; GROUP],
    tables: [u8; GROUP],
    symbols: [u8; GROUP],
}

impl Default for Group {
    fn default() -> Self {
        Self { places: [Place::default(); GROUP], tables: [0; GROUP], symbols: [0; GROUP] }
    }
}

const EMPTY: super::stream::Stream<'static> = super::stream::Stream::EMPTY;

/// An element's bits.
#[inline(always)]
pub(super) fn load<const SIZE: usize>(bytes: &[u8; SIZE]) -> u64 {
    let mut word = [0; 8];
    word[..SIZE].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// Predicts the differences of one row after another.
pub(super) struct Predictor<'a> {
    level: Level,
    columns: Option<&'a Columns>,
    /// Of the present row; all 0 without factors.
    predicted: Vec<i32>,
    /// In the place of column labels that there are not.
    no_labels: Vec<u8>,
    len: usize,
}

impl<'a> Predictor<'a> {
    pub(super) fn new(level: Level, columns: Option<&'a Columns>, shape: Shape) -> Self {
        let len = shape.columns.min(shape.len);
        let labelled = columns.is_some_and(|c| !c.labels().is_empty());
        let no_labels = vec![0; if labelled { 0 } else { len }];
        Self { level, columns, predicted: vec![0; len], no_labels, len: 0 }
    }

    /// Goes to the next row, of which elements in `columns` are wanted; `take` gives its factors by their classes.
    pub(super) fn row(
        &mut self,
        columns: core::ops::Range<usize>,
        mut take: impl FnMut(u8) -> Result<i16>,
    ) -> Result<()> {
        self.len = columns.len();
        let Some(all) = self.columns.filter(|c| !c.components().is_empty()) else { return Ok(()) };
        let mut weights = [0i32; MAX_RANK];
        for (weight, component) in weights.iter_mut().zip(all.components()) {
            *weight = weight_of(take(component.row_class)?, component.scale);
        }
        let mut terms = [(0, &[][..]); MAX_RANK];
        for (at, (term, weight)) in terms.iter_mut().zip(weights).enumerate().take(all.components().len()) {
            *term = (weight, all.factors(at, columns.clone()));
        }
        sums::add_up(self.level, &terms[..all.components().len()], &mut self.predicted[..columns.len()]);
        Ok(())
    }

    /// What is predicted in the columns of the present row, in 1/2^20 of the scale.
    pub(super) fn predicted(&self) -> &[i32] {
        &self.predicted[..self.len]
    }

    /// The labels of columns of the present row.
    pub(super) fn labels(&self, columns: core::ops::Range<usize>) -> &[u8] {
        let own = self.columns.and_then(|all| all.labels().get(columns));
        own.unwrap_or(&self.no_labels[..self.len.min(self.no_labels.len())])
    }
}

/// What a unit of the columns' factors adds in a row with this factor, in 1/2^20 of the scale.
fn weight_of(factor: i16, scale: i8) -> i32 {
    let product = i64::from(factor) * QUARTERS[i32::from(scale).rem_euclid(PHASES) as usize];
    let shift = i32::from(scale).div_euclid(PHASES) + 4;
    if shift >= 0 { (product << shift) as i32 } else { ((product + (1 << (-shift - 1))) >> -shift) as i32 }
}
