//! The heads of a payload: how units are cut, and which bytes belong to which field.

use super::{MAX_FIELDS, MAX_TABLE_WIDTH};
use crate::error::{CodingError, Result, corrupt};
use crate::planes::{is_filled_with_zeros, mask, packed_len};
use crate::varint::{take, take_bytes, take_u8};

pub(crate) const PACKED: u8 = 0;
pub(crate) const CONSTANT: u8 = 1;
pub(crate) const ZSTD: u8 = 2;
pub(crate) const RANS: u8 = 3;
pub(crate) const RANS_SHARED: u8 = 4;

/// One field of a payload, with its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    /// Bits of a symbol, 1 to 64.
    pub(crate) width: u8,
    pub(crate) body: Body<'a>,
}

/// The body of a field, by mode.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body<'a> {
    Packed(&'a [u8]),
    Constant(u64),
    Zstd(&'a [u8]),
    Rans(&'a [u8]),
    RansShared { dependency: u32, stream: &'a [u8] },
}

/// A payload cut into its fields.
pub(crate) struct Payload<'a> {
    /// Bits of a unit: 8, 16, 32 or 64.
    pub(crate) unit_bits: u8,
    /// Units of the decoded chunk.
    pub(crate) units: usize,
    /// Bytes before the first body.
    pub(crate) head_len: usize,
    /// The fields, from the least significant bits up; their widths sum to `unit_bits`.
    pub(crate) fields: Vec<Field<'a>>,
}

/// What a head says, before bodies are cut.
enum Head {
    Packed,
    Constant(u64),
    Zstd(u64),
    Rans(u64),
    RansShared { dependency: u32, length: u64 },
}

impl<'a> Payload<'a> {
    /// Parses the payload of a chunk of `decoded_len` bytes.
    pub(crate) fn parse(payload: &'a [u8], decoded_len: usize) -> Result<Self> {
        let mut rest = payload;
        let unit_bits = take_u8(&mut rest, "unit")?;
        let (_, units) = unit_of(unit_bits, decoded_len)?;
        let count = take_u8(&mut rest, "field count")?;
        if count == 0 || usize::from(count) > MAX_FIELDS {
            return Err(corrupt("field count is not 1 to 8"));
        }
        let mut heads = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            heads.push(take_head(&mut rest)?);
        }
        if heads.iter().map(|(width, _)| u32::from(*width)).sum::<u32>() != u32::from(unit_bits) {
            return Err(corrupt("field widths do not sum to the unit"));
        }
        let head_len = payload.len() - rest.len();
        let mut fields = Vec::with_capacity(heads.len());
        for (width, head) in heads {
            fields.push(Field { width, body: take_body(&mut rest, width, head, units)? });
        }
        if !rest.is_empty() {
            return Err(corrupt("bytes after the last field"));
        }
        Ok(Self { unit_bits, units, head_len, fields })
    }
}

/// Bytes of a unit of `unit_bits`, and how many fill `decoded_len`.
pub(super) fn unit_of(unit_bits: u8, decoded_len: usize) -> Result<(usize, usize)> {
    if !crate::planes::is_unit(unit_bits) {
        return Err(CodingError::Unsupported { what: "unit of bits", id: unit_bits.into() });
    }
    let unit_bytes = usize::from(unit_bits / 8);
    if !decoded_len.is_multiple_of(unit_bytes) {
        return Err(corrupt("decoded length is not a multiple of the unit"));
    }
    Ok((unit_bytes, decoded_len / unit_bytes))
}

fn take_head(rest: &mut &[u8]) -> Result<(u8, Head)> {
    let width = take_u8(rest, "field head")?;
    if width == 0 || width > 64 {
        return Err(corrupt("field width is not 1 to 64"));
    }
    let head = match take_u8(rest, "field head")? {
        PACKED => Head::Packed,
        CONSTANT => Head::Constant(take(rest)?),
        ZSTD => Head::Zstd(take(rest)?),
        RANS => Head::Rans(take(rest)?),
        RANS_SHARED => {
            let dependency = take(rest)?;
            let dependency =
                u32::try_from(dependency).map_err(|_| corrupt("dependency index above 32 bits"))?;
            Head::RansShared { dependency, length: take(rest)? }
        }
        id => return Err(CodingError::Unsupported { what: "field mode", id: id.into() }),
    };
    match head {
        Head::Constant(value) if value > mask(width) => Err(corrupt("constant wider than its field")),
        Head::Rans(_) | Head::RansShared { .. } if width > MAX_TABLE_WIDTH => {
            Err(corrupt("rANS field wider than 16 bits"))
        }
        head => Ok((width, head)),
    }
}

fn take_body<'a>(rest: &mut &'a [u8], width: u8, head: Head, units: usize) -> Result<Body<'a>> {
    Ok(match head {
        Head::Packed => {
            let plane = take_bytes(rest, packed_len(units, width), "packed field")?;
            if !is_filled_with_zeros(plane, units, width) {
                return Err(corrupt("packed field not filled with zero bits"));
            }
            Body::Packed(plane)
        }
        Head::Constant(value) => Body::Constant(value),
        Head::Zstd(length) => Body::Zstd(take_bytes(rest, length, "zstd field")?),
        Head::Rans(length) => Body::Rans(take_bytes(rest, length, "rANS field")?),
        Head::RansShared { dependency, length } => {
            Body::RansShared { dependency, stream: take_bytes(rest, length, "rANS field")? }
        }
    })
}
