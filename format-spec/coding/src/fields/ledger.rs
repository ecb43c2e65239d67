//! Where a payload's bytes go.

use super::head::Body;
use super::sparse::dense_parts;
use crate::error::Result;
use crate::rans::head_len;
use crate::table::Table;

/// The bytes of a payload by what they are for. The parts sum to the payload's length.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    /// Unit, field count and field heads.
    pub heads: u64,
    /// Tables that the payload itself carries.
    pub tables: u64,
    /// Lane codes and states of rANS streams.
    pub states: u64,
    /// Packed fields: bits stored as they are.
    pub packed: u64,
    /// Words of rANS streams.
    pub entropy_coded: u64,
    /// Zstd frames.
    pub zstd: u64,
}

impl Ledger {
    /// The sum of all parts: the payload's length.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.heads + self.tables + self.states + self.packed + self.entropy_coded + self.zstd
    }
}

/// The ledger of the payload of a chunk of `decoded_len` bytes. Nothing is decoded.
///
/// # Errors
/// Refuses payloads whose heads or tables do not parse.
pub fn ledger(payload: &[u8], decoded_len: usize) -> Result<Ledger> {
    let (head_len, parts) = dense_parts(payload, decoded_len)?;
    let heads = head_len + parts.iter().map(|part| part.head_len).sum::<usize>();
    let mut ledger = Ledger { heads: heads as u64, ..Ledger::default() };
    for field in parts.iter().flat_map(|part| &part.fields) {
        match field.body {
            Body::Constant(_) => {}
            Body::Packed(plane) => ledger.packed += plane.len() as u64,
            Body::Zstd(frame) => ledger.zstd += frame.len() as u64,
            Body::Rans(body) => {
                let (_, table_len) = Table::parse(body)?;
                ledger.tables += table_len as u64;
                add_stream(&mut ledger, &body[table_len..]);
            }
            Body::RansShared { stream, .. } => add_stream(&mut ledger, stream),
        }
    }
    Ok(ledger)
}

fn add_stream(ledger: &mut Ledger, stream: &[u8]) {
    let states = stream.first().map_or(0, |&lanes| head_len(lanes)).min(stream.len());
    ledger.states += states as u64;
    ledger.entropy_coded += (stream.len() - states) as u64;
}
