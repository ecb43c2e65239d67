//! One chunk: choose, then code.

use mcodec_coding::fields::{self, FieldCode, FieldSpec, SparseUnits};
use mcodec_coding::{Result, Table};

use super::Element;
use super::shared::SharedTable;
use super::split::Split;
use super::survey::{Plan, Survey, lanes_log2};

/// The coded form of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkCode {
    /// The payload.
    pub payload: Vec<u8>,
    /// True if the payload is the chunk's bytes (coding 0), because coding 1 would not be shorter.
    pub raw: bool,
}

/// The shortest payload found for `bytes`, raw if nothing is gained.
///
/// `effort` is 1 (fast) to 9. `shared` are tables stored elsewhere, each with its dependency index.
///
/// # Errors
/// Only if the zstd library fails (no memory).
pub fn encode_chunk(
    bytes: &[u8],
    element: Element,
    effort: u8,
    shared: &[(u32, &SharedTable)],
) -> Result<ChunkCode> {
    let payload = encode_fields(bytes, element, effort, shared)?;
    if payload.len() < bytes.len() {
        Ok(ChunkCode { payload, raw: false })
    } else {
        Ok(ChunkCode { payload: bytes.to_vec(), raw: true })
    }
}

/// Whether units that are mostly one value are worth dividing from the others is tried where the commonest is at least this share.
const SPARSE_SHARE: f64 = 1.0 / 16.0;

/// The shortest payload of coding 1 found for `bytes`, at most 4 bytes longer than they are; for entries whose other
/// chunks gain. Arguments and errors as for [`encode_chunk`].
///
/// # Errors
/// Only if the zstd library fails (no memory).
pub fn encode_fields(
    bytes: &[u8],
    element: Element,
    effort: u8,
    shared: &[(u32, &SharedTable)],
) -> Result<Vec<u8>> {
    // A chunk may end within an element.
    let whole = bytes.len().is_multiple_of(usize::from(element.unit_bits() / 8));
    let element = if whole { element } else { Element::Bytes };
    let dense = encode_dense(bytes, element, effort, shared)?;
    match common_unit(bytes, element) {
        Some(filler) => Ok(shorter(dense, encode_sparse(bytes, element, effort, filler)?)),
        None => Ok(dense),
    }
}

/// As [`encode_fields`], of whole elements, with no unit divided from the others.
fn encode_dense(
    bytes: &[u8],
    element: Element,
    effort: u8,
    shared: &[(u32, &SharedTable)],
) -> Result<Vec<u8>> {
    let mut survey = Survey::new(bytes, element, effort, shared)?;
    let mut priced = Vec::new();
    for split in Split::candidates(element, effort) {
        priced.push((survey.price_split(&split)?, split));
    }
    priced.sort_by(|a, b| a.0.total_cmp(&b.0));
    let trials = match element {
        _ if effort >= 7 => 3,
        // What rounding takes from a large table for few bytes is not in its price.
        Element::Bits => 2,
        _ => 1,
    };
    let mut best = fields::encode(bytes, 8, &[FieldSpec { width: 8, code: FieldCode::Packed }])?;
    for (_, split) in priced.iter().take(trials) {
        best = shorter(best, encode_split(bytes, &mut survey, split, shared)?);
    }
    Ok(best)
}

fn shorter(a: Vec<u8>, b: Vec<u8>) -> Vec<u8> {
    if b.len() < a.len() { b } else { a }
}

/// The places of units that are not `filler`, and their values, each coded on its own.
fn encode_sparse(bytes: &[u8], element: Element, effort: u8, filler: u64) -> Result<Vec<u8>> {
    let sparse = SparseUnits::of(bytes, element.unit_bits(), filler)?;
    let places = encode_dense(&sparse.places, Element::Bits, effort, &[])?;
    let values = encode_dense(&sparse.values, element, effort, &[])?;
    Ok(sparse.payload(&places, &values))
}

/// A unit so common among units of several fields that it may pay to divide it from the others: zero, or the one that is more than
/// half of them. Units of one byte are one symbol each, whose table knows a common one already.
fn common_unit(bytes: &[u8], element: Element) -> Option<u64> {
    let size = usize::from(element.unit_bits() / 8);
    if size == 1 {
        return None;
    }
    let unit = |unit: &[u8]| {
        let mut word = [0; 8];
        word[..size].copy_from_slice(unit);
        u64::from_le_bytes(word)
    };
    let (mut zeros, mut most, mut lead) = (0usize, 0u64, 0usize);
    for unit in bytes.chunks_exact(size).map(unit) {
        zeros += usize::from(unit == 0);
        // Each unit is set off against one that differs: what is more than half of all stays.
        if lead == 0 {
            most = unit;
        }
        lead = if unit == most { lead + 1 } else { lead - 1 };
    }
    let units = bytes.len() / size;
    let least = (SPARSE_SHARE * units as f64).max(1.0);
    let count = |value: u64| bytes.chunks_exact(size).filter(|bytes| unit(bytes) == value).count();
    let majority = (lead > 0 && most != 0 && 2 * count(most) > units).then_some(most);
    majority.or_else(|| (zeros as f64 >= least).then_some(0))
}

/// Codes the chunk under `split`, each field by its cheapest plan.
fn encode_split(
    bytes: &[u8],
    survey: &mut Survey<'_>,
    split: &Split,
    shared: &[(u32, &SharedTable)],
) -> Result<Vec<u8>> {
    let mut plans: Vec<(Plan, Option<Table>)> = Vec::with_capacity(split.fields.len());
    for &field in &split.fields {
        let priced = survey.price(field)?;
        plans.push(match priced.plan {
            Plan::Rans => {
                let (table, cost) = survey.own_table(field)?;
                let packed = mcodec_coding::planes::packed_len(survey.units(), field.width);
                if cost < packed as f64 { (Plan::Rans, Some(table)) } else { (Plan::Packed, None) }
            }
            plan => (plan, None),
        });
    }
    let lanes_log2 = lanes_log2(survey.units());
    let specs: Vec<FieldSpec<'_>> = split
        .fields
        .iter()
        .zip(&plans)
        .map(|(field, plan)| {
            let code = match plan {
                (Plan::Rans, Some(table)) => FieldCode::Rans { table, lanes_log2 },
                (Plan::Constant(value), _) => FieldCode::Constant(*value),
                (Plan::Zstd(frame), _) => FieldCode::ZstdFrame(frame),
                (Plan::Shared(number), _) => {
                    let (dependency, shared) = shared[*number];
                    FieldCode::RansShared { dependency, table: &shared.table, lanes_log2 }
                }
                (Plan::Packed | Plan::Rans, _) => FieldCode::Packed,
            };
            FieldSpec { width: field.width, code }
        })
        .collect();
    fields::encode(bytes, split.unit_bits, &specs)
}
