//! One chunk: choose, then code.

use mcodec_coding::fields::{self, FieldCode, FieldSpec};
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
    let mut survey = Survey::new(bytes, element, effort, shared)?;
    let mut priced = Vec::new();
    for split in Split::candidates(element, effort) {
        priced.push((survey.price_split(&split)?, split));
    }
    priced.sort_by(|a, b| a.0.total_cmp(&b.0));
    let trials = if effort >= 7 { 3 } else { 1 };
    let mut best = fields::encode(bytes, 8, &[FieldSpec { width: 8, code: FieldCode::Packed }])?;
    for (_, split) in priced.iter().take(trials) {
        let payload = encode_split(bytes, &mut survey, split, shared)?;
        if payload.len() < best.len() {
            best = payload;
        }
    }
    Ok(best)
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
