//! The heads of components and parts.

use crate::error::{CodingError, Result, corrupt};
use crate::planes::{is_filled_with_zeros, mask, packed_len};
use crate::varint::{take, take_bytes, take_u8};

pub(super) const PACKED: u8 = 0;
pub(super) const CONSTANT: u8 = 1;
pub(super) const ZSTD: u8 = 2;
pub(super) const RANS: u8 = 3;

/// The symbols of one class, with their body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Packed(&'a [u8]),
    Constant(u8),
    Zstd(&'a [u8]),
    Rans(&'a [u8]),
}

/// Takes the thresholds between a component's classes: one fewer than there are classes.
pub(super) fn take_thresholds(rest: &mut &[u8], has_key: bool) -> Result<Vec<u16>> {
    let classes = usize::from(take_u8(rest, "class count")?);
    if classes == 0 || classes > super::MAX_CLASSES || (classes > 1 && !has_key) {
        return Err(corrupt("class count of a component"));
    }
    let mut thresholds: Vec<u16> = Vec::with_capacity(classes - 1);
    for _ in 1..classes {
        let least = thresholds.last().map_or(Some(0), |&t| t.checked_add(1));
        let step = take(rest)?;
        let next = least.and_then(|least| u64::from(least).checked_add(step));
        let next = next.and_then(|next| u16::try_from(next).ok());
        thresholds.push(next.ok_or(corrupt("threshold above 16 bits"))?);
    }
    Ok(thresholds)
}

/// The class of a key: how many thresholds are at most it.
pub(super) fn class_of(thresholds: &[u16], key: u16) -> usize {
    thresholds.partition_point(|&t| t <= key)
}

/// Takes a part of `n` symbols of `width` bits.
pub(super) fn take_part<'a>(rest: &mut &'a [u8], n: usize, width: u8) -> Result<Part<'a>> {
    Ok(match take_u8(rest, "part head")? {
        PACKED => {
            let plane = take_bytes(rest, packed_len(n, width), "packed part")?;
            if !is_filled_with_zeros(plane, n, width) {
                return Err(corrupt("packed part not filled with zero bits"));
            }
            Part::Packed(plane)
        }
        CONSTANT => {
            let value = take_u8(rest, "constant part")?;
            if u64::from(value) > mask(width) {
                return Err(corrupt("constant wider than its component"));
            }
            Part::Constant(value)
        }
        ZSTD => {
            let length = take(rest)?;
            Part::Zstd(take_bytes(rest, length, "zstd part")?)
        }
        RANS => {
            let length = take(rest)?;
            Part::Rans(take_bytes(rest, length, "rANS part")?)
        }
        id => return Err(CodingError::Unsupported { what: "part mode", id: id.into() }),
    })
}
