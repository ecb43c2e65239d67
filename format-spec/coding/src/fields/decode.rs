//! Reading payloads.

use super::head::{Body, Payload};
use super::sparse::SparsePayload;
use crate::error::{CodingError, Result, corrupt};
use crate::planes::{self, Odd, Unit};
use crate::rans::{DecodeTable, StreamDecoder};
use crate::table::Table;
use crate::zstd_frame;

/// Units decoded at a time: fields of a block meet in the first-level cache. A multiple of 64, so that every field's
/// block starts at a whole byte and rANS lanes start at the first.
const BLOCK: usize = 4096;

/// The tables that a chunk's entry depends on, by dependency index.
pub trait SharedTables {
    /// The table of dependency `dependency`, if the entry has that dependency and it is a table.
    fn table(&self, dependency: u32) -> Option<&DecodeTable>;
}

/// No shared tables.
impl SharedTables for () {
    fn table(&self, _: u32) -> Option<&DecodeTable> {
        None
    }
}

/// Table `i` is dependency `i`.
impl SharedTables for [DecodeTable] {
    fn table(&self, dependency: u32) -> Option<&DecodeTable> {
        self.get(usize::try_from(dependency).ok()?)
    }
}

/// Decodes the payload of a chunk of coding 1 into `out`, whose length is the chunk's decoded length.
///
/// Scratch memory is at most `out.len()` (for zstd fields; twice that and an eighth if units are sparse) plus the lookup tables of
/// at most 8 fields. After an error the content of `out` is unspecified.
///
/// # Errors
/// Any breach of section 7; [`CodingError::MissingTable`] if `shared` lacks a table that a field names.
pub fn decode(payload: &[u8], shared: &(impl SharedTables + ?Sized), out: &mut [u8]) -> Result<()> {
    match SparsePayload::parse(payload, out.len())? {
        Some(sparse) => sparse.decode(shared, out),
        None => decode_dense(payload, shared, out),
    }
}

/// As [`decode`], of payloads whose units are not sparse.
pub(super) fn decode_dense(
    payload: &[u8],
    shared: &(impl SharedTables + ?Sized),
    out: &mut [u8],
) -> Result<()> {
    let payload = Payload::parse(payload, out.len())?;
    let mut stores = Vec::with_capacity(payload.fields.len());
    for field in &payload.fields {
        stores.push(Store::prepare(&field.body, field.width, payload.units)?);
    }
    let mut cursors = Vec::with_capacity(stores.len());
    let mut shift = 0;
    for (field, store) in payload.fields.iter().zip(&stores) {
        let source = Source::start(&field.body, field.width, store, shared)?;
        cursors.push(Cursor { shift, width: field.width, source });
        shift += u32::from(field.width);
    }
    match payload.unit_bits {
        8 => decode_units::<u8>(cursors, out),
        16 => decode_units::<u16>(cursors, out),
        24 => decode_units::<Odd<3>>(cursors, out),
        40 => decode_units::<Odd<5>>(cursors, out),
        32 => decode_units::<u32>(cursors, out),
        _ => decode_units::<u64>(cursors, out),
    }
}

/// What a field's decoder borrows from and the payload does not hold.
enum Store {
    Nothing,
    Plane(Vec<u8>),
    Table { table: DecodeTable, byte_len: usize },
}

impl Store {
    fn prepare(body: &Body<'_>, width: u8, units: usize) -> Result<Self> {
        Ok(match *body {
            Body::Zstd(frame) => {
                let length = usize::try_from(planes::packed_len(units, width))
                    .map_err(|_| corrupt("field larger than memory"))?;
                let plane = zstd_frame::decompress(frame, length)?;
                if !planes::is_filled_with_zeros(&plane, units, width) {
                    return Err(corrupt("packed field not filled with zero bits"));
                }
                Self::Plane(plane)
            }
            Body::Rans(body) => {
                let (table, byte_len) = Table::parse(body)?;
                Self::Table { table: table.decoder(), byte_len }
            }
            Body::Packed(_) | Body::Constant(_) | Body::RansShared { .. } => Self::Nothing,
        })
    }
}

/// A field being decoded.
struct Cursor<'a> {
    shift: u32,
    width: u8,
    source: Source<'a>,
}

/// Where a field's symbols come from.
enum Source<'a> {
    /// The packed symbols not yet decoded.
    Packed(&'a [u8]),
    Constant(u64),
    /// Boxed for its 64 states.
    Rans(Box<StreamDecoder<'a>>),
}

impl<'a> Source<'a> {
    fn start(
        body: &Body<'a>,
        width: u8,
        store: &'a Store,
        shared: &'a (impl SharedTables + ?Sized),
    ) -> Result<Self> {
        let (table, stream) = match (*body, store) {
            (_, Store::Plane(plane)) => return Ok(Self::Packed(plane)),
            (Body::Packed(plane) | Body::Zstd(plane), _) => return Ok(Self::Packed(plane)),
            (Body::Constant(value), _) => return Ok(Self::Constant(value)),
            (Body::Rans(body), Store::Table { table, byte_len }) => (table, &body[*byte_len..]),
            (Body::Rans(_), Store::Nothing) => return Err(corrupt("rANS field without a table")),
            (Body::RansShared { dependency, stream }, _) => {
                (shared.table(dependency).ok_or(CodingError::MissingTable { dependency })?, stream)
            }
        };
        if u64::from(table.max_value()) > planes::mask(width) {
            return Err(corrupt("table value wider than its field"));
        }
        Ok(Self::Rans(Box::new(StreamDecoder::new(table, stream)?)))
    }
}

impl Cursor<'_> {
    /// Merges the field's next symbols into `units`.
    fn merge<U: Unit>(&mut self, units: &mut [U], scratch: &mut [u16]) -> Result<()> {
        match &mut self.source {
            Source::Packed(plane) => {
                planes::merge_packed(plane, self.width, self.shift, units);
                // Only the last block is not a multiple of 8 units, and nothing is read after it.
                *plane = plane.get(units.len() / 8 * usize::from(self.width)..).unwrap_or_default();
            }
            Source::Constant(value) => planes::merge_constant(*value, self.shift, units),
            Source::Rans(stream) => {
                let symbols = &mut scratch[..units.len()];
                stream.decode(symbols)?;
                planes::merge_symbols(symbols, self.shift, units);
            }
        }
        Ok(())
    }
}

fn decode_units<U: Unit>(mut cursors: Vec<Cursor<'_>>, out: &mut [u8]) -> Result<()> {
    let mut scratch = vec![0u16; BLOCK.min(out.len())];
    let mut units = vec![U::default(); BLOCK.min(out.len() / U::BYTES)];
    for block in out.chunks_mut(BLOCK * U::BYTES) {
        let units = &mut units[..block.len() / U::BYTES];
        units.fill(U::default());
        for cursor in &mut cursors {
            cursor.merge(units, &mut scratch)?;
        }
        for (bytes, unit) in block.chunks_exact_mut(U::BYTES).zip(units.iter()) {
            unit.store(bytes);
        }
    }
    for cursor in cursors {
        if let Source::Rans(stream) = cursor.source {
            stream.finish()?;
        }
    }
    Ok(())
}
