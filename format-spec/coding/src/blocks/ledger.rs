//! Where a payload's bytes go.

use super::decode::take_type;
use super::head::{Part, class_of, take_part, take_thresholds};
use super::key::Key;
use super::types::Component;
use crate::error::Result;
use crate::fields::Ledger;
use crate::rans::head_len;
use crate::table::Table;

/// The ledger of the payload of a chunk that decodes to `chunk`.
///
/// # Errors
/// Refuses payloads whose heads or tables do not parse.
pub fn ledger(payload: &[u8], chunk: &[u8]) -> Result<Ledger> {
    let mut rest = payload;
    let kind = take_type(&mut rest, chunk.len())?;
    let mut ledger = Ledger::default();
    for component in kind.components {
        let thresholds = take_thresholds(&mut rest, component.key != Key::None)?;
        for n in class_sizes(component, usize::from(kind.block_bytes), &thresholds, chunk) {
            match take_part(&mut rest, n, component.width())? {
                Part::Constant(_) => {}
                Part::Packed(plane) => ledger.packed += plane.len() as u64,
                Part::Zstd(frame) => ledger.zstd += frame.len() as u64,
                Part::Rans(body) => {
                    let (_, table) = Table::parse(body)?;
                    let stream = body.get(table..).unwrap_or_default();
                    let states = stream.first().map_or(0, |&lanes| head_len(lanes)).min(stream.len());
                    ledger.tables += table as u64;
                    ledger.states += states as u64;
                    ledger.entropy_coded += (stream.len() - states) as u64;
                }
            }
        }
    }
    ledger.heads = payload.len() as u64 - ledger.total();
    Ok(ledger)
}

fn class_sizes(component: &Component, block_len: usize, thresholds: &[u16], chunk: &[u8]) -> Vec<usize> {
    let blocks = chunk.chunks_exact(block_len);
    if thresholds.is_empty() {
        return vec![blocks.len() * component.count()];
    }
    let mut sizes = vec![0; thresholds.len() + 1];
    for block in blocks {
        for group in 0..component.groups() {
            if let Some(size) = sizes.get_mut(class_of(thresholds, component.key.of(block, group))) {
                *size += component.group_len();
            }
        }
    }
    sizes
}
