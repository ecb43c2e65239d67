//! Writing payloads.

use super::head::{CONSTANT, PACKED, RANS, RANS_SHARED, ZSTD};
use super::{MAX_FIELDS, MAX_TABLE_WIDTH};
use crate::error::{Result, invalid};
use crate::planes;
use crate::table::Table;
use crate::varint::put;
use crate::zstd_frame;

/// How one field is coded.
#[derive(Debug, Clone, Copy)]
pub enum FieldCode<'a> {
    /// The symbols' bits, one after another.
    Packed,
    /// Every symbol is this value.
    Constant(u64),
    /// A zstd frame of the packed form, made here.
    Zstd {
        /// The level, 1 to 19.
        level: i32,
    },
    /// A zstd frame of the packed form, made before by [`zstd_frame::compress`] of [`planes::packed`].
    ZstdFrame(&'a [u8]),
    /// A table, then a rANS stream under it.
    Rans {
        /// Must have all symbols that occur.
        table: &'a Table,
        /// log2 of the lane count, 0 to 6.
        lanes_log2: u8,
    },
    /// A rANS stream under a table stored elsewhere.
    RansShared {
        /// Which dependency of the chunk's entry the table is.
        dependency: u32,
        /// That table; must have all symbols that occur.
        table: &'a Table,
        /// log2 of the lane count, 0 to 6.
        lanes_log2: u8,
    },
}

/// One field: the next `width` bits of each unit, from the least significant up.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec<'a> {
    /// Bits, 1 to 64 (1 to 16 under a table). All fields' widths sum to the unit.
    pub width: u8,
    /// How the field is coded.
    pub code: FieldCode<'a>,
}

/// The payload of coding 1 of `bytes`, units of `unit_bits` (8, 16, 24, 32, 40 or 64) cut into the fields of `specs`.
///
/// The same arguments always give the same bytes (for zstd fields: with the same zstd library).
///
/// # Errors
/// [`crate::CodingError::Invalid`] if the specs do not fit the unit, the units not the bytes, or a constant or table
/// not the symbols that occur; [`crate::CodingError::Zstd`] if zstd fails. A [`FieldCode::ZstdFrame`] is believed.
pub fn encode(bytes: &[u8], unit_bits: u8, specs: &[FieldSpec<'_>]) -> Result<Vec<u8>> {
    if specs.is_empty() || specs.len() > MAX_FIELDS {
        return Err(invalid("a unit has 1 to 8 fields"));
    }
    if !planes::is_unit(unit_bits) || !bytes.len().is_multiple_of(usize::from(unit_bits / 8)) {
        return Err(invalid("a unit is 8, 16, 24, 32, 40 or 64 bits, and units fill the bytes"));
    }
    if specs.iter().map(|spec| u32::from(spec.width)).sum::<u32>() != u32::from(unit_bits) {
        return Err(invalid("field widths do not sum to the unit"));
    }
    let mut out = vec![unit_bits, specs.len() as u8];
    let mut bodies = Vec::new();
    let mut shift = 0;
    for spec in specs {
        put_field(&mut out, &mut bodies, bytes, Place { unit_bits, shift, width: spec.width }, spec.code)?;
        shift += spec.width;
    }
    out.append(&mut bodies);
    Ok(out)
}

/// Where a field lies in the units.
#[derive(Clone, Copy)]
struct Place {
    unit_bits: u8,
    shift: u8,
    width: u8,
}

impl Place {
    fn packed(self, bytes: &[u8]) -> Result<Vec<u8>> {
        planes::packed(bytes, self.unit_bits, self.shift, self.width)
    }

    fn stream(self, bytes: &[u8], table: &Table, lanes_log2: u8) -> Result<Vec<u8>> {
        if self.width > MAX_TABLE_WIDTH {
            return Err(invalid("a rANS field is at most 16 bits wide"));
        }
        if table.values().last().is_some_and(|&last| u64::from(last) > planes::mask(self.width)) {
            return Err(invalid("a table value does not fit its field"));
        }
        let symbols = planes::symbols(bytes, self.unit_bits, self.shift, self.width)?;
        table.encoder().encode(&symbols, lanes_log2)
    }
}

/// Appends a field's head and body.
fn put_field(
    heads: &mut Vec<u8>,
    bodies: &mut Vec<u8>,
    bytes: &[u8],
    place: Place,
    code: FieldCode<'_>,
) -> Result<()> {
    let made;
    let (mode, body): (u8, &[u8]) = match code {
        FieldCode::Packed => {
            made = place.packed(bytes)?;
            (PACKED, &made)
        }
        FieldCode::Constant(value) => {
            check_constant(
                &place.packed(bytes)?,
                place.width,
                value,
                bytes.len() / usize::from(place.unit_bits / 8),
            )?;
            (CONSTANT, &[])
        }
        FieldCode::Zstd { level } => {
            made = zstd_frame::compress(&place.packed(bytes)?, level)?;
            (ZSTD, &made)
        }
        FieldCode::ZstdFrame(frame) => (ZSTD, frame),
        FieldCode::Rans { table, lanes_log2 } => {
            let mut body = table.to_bytes();
            body.append(&mut place.stream(bytes, table, lanes_log2)?);
            made = body;
            (RANS, &made)
        }
        FieldCode::RansShared { table, lanes_log2, .. } => {
            made = place.stream(bytes, table, lanes_log2)?;
            (RANS_SHARED, &made)
        }
    };
    heads.extend([place.width, mode]);
    match code {
        FieldCode::Packed => {}
        FieldCode::Constant(value) => put(heads, value),
        FieldCode::RansShared { dependency, .. } => {
            put(heads, dependency.into());
            put(heads, body.len() as u64);
        }
        _ => put(heads, body.len() as u64),
    }
    bodies.extend_from_slice(body);
    Ok(())
}

/// Refuses a constant that is not what every symbol of `plane` is.
fn check_constant(plane: &[u8], width: u8, value: u64, n: usize) -> Result<()> {
    let mut units = vec![0u64; n];
    planes::merge_packed(plane, width, 0, &mut units);
    if value > planes::mask(width) || units.iter().any(|&unit| unit != value) {
        return Err(invalid("a field is not the stated constant"));
    }
    Ok(())
}
