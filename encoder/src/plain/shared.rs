//! Tables that several entries share.

use mcodec_coding::{Result, Table};

use super::Element;
use super::histogram::Histogram;
use super::split::{Field, Split};
use super::survey::{Survey, best_table, stream_bytes};

/// About what a table costs as an entry of its own beside its bytes: descriptors, check, dependencies.
const ENTRY_BYTES: f64 = 64.0;

/// A table that chunks of several entries may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedTable {
    /// What it was made for; it is offered to chunks whose units are as wide.
    pub element: Element,
    /// The field it codes.
    pub field: Field,
    /// The table: stored once, as an entry of kind `table`.
    pub table: Table,
}

/// Tables for chunks that are too small to carry good ones of their own: made from the pooled counts of all `chunks`
/// of an element, one for each field where it saves more than it costs.
///
/// Store each once and offer it to [`super::encode_chunk`] for every one of these chunks.
///
/// # Errors
/// Only if the zstd library fails (no memory).
pub fn shared_tables(chunks: &[(&[u8], Element)], effort: u8) -> Result<Vec<SharedTable>> {
    let mut elements: Vec<Element> = Vec::new();
    for &(_, element) in chunks {
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    let mut tables = Vec::new();
    for element in elements {
        let unit_bytes = usize::from(element.unit_bits() / 8);
        let pool: Vec<&[u8]> = chunks
            .iter()
            .filter(|(bytes, of)| {
                *of == element && !bytes.is_empty() && bytes.len().is_multiple_of(unit_bytes)
            })
            .map(|(bytes, _)| *bytes)
            .collect();
        tables.extend(tables_of(&pool, element, effort)?);
    }
    Ok(tables)
}

/// The tables of the split that saves most over all chunks of one element.
fn tables_of(pool: &[&[u8]], element: Element, effort: u8) -> Result<Vec<SharedTable>> {
    if pool.len() < 2 {
        return Ok(Vec::new());
    }
    let mut surveys = Vec::with_capacity(pool.len());
    for &bytes in pool {
        surveys.push(Survey::new(bytes, element, effort, &[])?);
    }
    let splits = Split::candidates(element, effort);
    // What the chunks cost by themselves, each under its own best split.
    let mut alone = 0.0;
    for survey in &mut surveys {
        let mut best = f64::INFINITY;
        for split in &splits {
            best = best.min(survey.price_split(split)?);
        }
        alone += best;
    }
    let (mut best_cost, mut best_tables) = (alone, Vec::new());
    for split in &splits {
        let (mut cost, mut tables) = (2.0 * surveys.len() as f64, Vec::new());
        for &field in &split.fields {
            let (field_cost, table) = price_field(&mut surveys, field, effort)?;
            cost += field_cost;
            tables.extend(table.map(|table| SharedTable { element, field, table }));
        }
        if cost < best_cost {
            (best_cost, best_tables) = (cost, tables);
        }
    }
    Ok(best_tables)
}

/// What a field costs over all chunks, and the shared table if one helps.
fn price_field(surveys: &mut [Survey<'_>], field: Field, effort: u8) -> Result<(f64, Option<Table>)> {
    let mut own = Vec::with_capacity(surveys.len());
    for survey in surveys.iter_mut() {
        own.push(survey.price(field)?.bytes);
    }
    let without = own.iter().sum();
    if field.width > super::histogram::MAX_COUNTED {
        return Ok((without, None));
    }
    let mut pooled = Histogram { counts: vec![0; 1 << field.width] };
    let mut units = 0;
    for survey in surveys.iter_mut() {
        pooled.add(survey.histograms.of(field)?);
        units += survey.units();
    }
    // More values than a table holds, or only one: nothing to share.
    if !(2..=256).contains(&pooled.occurring().0.len()) {
        return Ok((without, None));
    }
    let (table, _) = best_table(&pooled, units, effort)?;
    let mut with = table.byte_len() as f64 + ENTRY_BYTES;
    for (survey, own) in surveys.iter_mut().zip(&own) {
        let units = survey.units();
        let (values, counts) = survey.histograms.of(field)?.occurring();
        with += own.min(stream_bytes(units, table.cost_bits(&values, &counts)) + 6.0);
    }
    Ok(if with < without { (with, Some(table)) } else { (without, None) })
}
