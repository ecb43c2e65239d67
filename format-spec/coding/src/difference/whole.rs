//! Chunks that are not linear differences of floats (`SPEC.md` section 7.6.1).

use crate::error::{CodingError, Result, corrupt, invalid};
use crate::fields;
use crate::planes::Unit;

/// What a chunk's bytes are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The base's bytes.
    Same,
    /// A payload of coding 1, exclusive or the base's bytes.
    Xor,
    /// A payload of coding 1: differences from the base's units, in zigzag.
    Integer,
    /// A payload of coding 1; the base is not used.
    Alone,
}

const STORED: u8 = 0;
const SAME: u8 = 2;
const XOR: u8 = 3;
const INTEGER: u8 = 4;
const ALONE: u8 = 5;

/// Decodes a payload of another form than linear differences.
pub(super) fn decode<S>(payload: &[u8], shared: &S, base: &[u8], out: &mut [u8]) -> Result<()>
where
    S: fields::SharedTables + ?Sized,
{
    let (&form, rest) = payload.split_first().ok_or(crate::error::truncated("form"))?;
    match form {
        STORED if rest.len() == out.len() => out.copy_from_slice(rest),
        STORED => return Err(corrupt("a stored chunk has another length than its content")),
        SAME if rest.is_empty() => out.copy_from_slice(base),
        SAME => return Err(corrupt("bytes after the form of a chunk that is its base")),
        XOR | INTEGER | ALONE => {
            match rest.split_first() {
                Some((unit, _)) if form == INTEGER && !matches!(unit, 8 | 16 | 32 | 64) => {
                    return Err(corrupt("differences of units that no integer has"));
                }
                Some((0, stored)) if stored.len() == out.len() => out.copy_from_slice(stored),
                Some((0, _)) => return Err(corrupt("a stored chunk has another length than its content")),
                _ => fields::decode(rest, shared, out)?,
            }
            match form {
                XOR => out.iter_mut().zip(base).for_each(|(out, base)| *out ^= base),
                INTEGER => add(out, base, rest.first().copied().unwrap_or_default()),
                _ => {}
            }
        }
        other => return Err(CodingError::Unsupported { what: "form of a difference", id: other.into() }),
    }
    Ok(())
}

/// The payload of a chunk of `form`, whose bytes are `bytes`. `code` makes a payload of coding 1, in units of `unit_bits` (8, 16, 32 or 64).
///
/// # Errors
/// [`CodingError::Invalid`] if the base has another length; as `code`.
pub fn encode_whole(
    form: Form,
    base: &[u8],
    bytes: &[u8],
    unit_bits: u8,
    code: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    if base.len() != bytes.len() {
        return Err(invalid("a base has the length of what is told against it"));
    }
    let tag = match form {
        Form::Same => return if base == bytes { Ok(vec![SAME]) } else { Err(invalid("the base differs")) },
        Form::Xor => XOR,
        Form::Integer => INTEGER,
        Form::Alone => ALONE,
    };
    let mut made = bytes.to_vec();
    match form {
        Form::Xor => made.iter_mut().zip(base).for_each(|(made, base)| *made ^= base),
        Form::Integer => subtract(&mut made, base, unit_bits),
        _ => {}
    }
    let payload = code(&made)?;
    if form == Form::Integer && payload.first() != Some(&unit_bits) {
        return Err(invalid("differences are coded in their own units"));
    }
    Ok([&[tag], &payload[..]].concat())
}

macro_rules! by_unit {
    ($unit_bits:expr, $of:ident, $out:expr, $base:expr) => {
        match $unit_bits {
            16 => each::<u16>($out, $base, |a, b| $of(a.into(), b.into(), 16) as u16),
            32 => each::<u32>($out, $base, |a, b| $of(a.into(), b.into(), 32) as u32),
            64 => each::<u64>($out, $base, |a, b| $of(a, b, 64)),
            _ => each::<u8>($out, $base, |a, b| $of(a.into(), b.into(), 8) as u8),
        }
    };
}

fn add(out: &mut [u8], base: &[u8], unit_bits: u8) {
    by_unit!(unit_bits, restored, out, base);
}

fn subtract(out: &mut [u8], base: &[u8], unit_bits: u8) {
    by_unit!(unit_bits, difference, out, base);
}

fn restored(code: u64, base: u64, _: u32) -> u64 {
    base.wrapping_add((code >> 1) ^ (code & 1).wrapping_neg())
}

fn difference(value: u64, base: u64, bits: u32) -> u64 {
    let up = 64 - bits;
    let difference = (value.wrapping_sub(base) << up) as i64 >> up;
    ((difference << 1) ^ (difference >> 63)) as u64
}

fn each<T: Unit>(out: &mut [u8], base: &[u8], of: impl Fn(T, T) -> T) {
    for (out, base) in out.chunks_exact_mut(T::BYTES).zip(base.chunks_exact(T::BYTES)) {
        of(T::load(out), T::load(base)).store(out);
    }
}
