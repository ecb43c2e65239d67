//! The primitive encodings of SPEC section 1, as nom parsers and as writers.

use crate::{FormatError, Result};
use nom::IResult;
use nom::bytes::complete::take;
use nom::error::{ErrorKind, ParseError};
use nom::number::complete::{le_u16, le_u32, le_u64, u8 as byte};

/// What a primitive parser found wrong, and how many bytes were left at that point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    left: usize,
    why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    Truncated,
    Broken(&'static str),
    Limit { what: &'static str, value: u64, limit: u64 },
}

impl ParseError<&[u8]> for Fault {
    fn from_error_kind(input: &[u8], kind: ErrorKind) -> Self {
        let why = if kind == ErrorKind::Eof { Why::Truncated } else { Why::Broken("malformed value") };
        Self { left: input.len(), why }
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// Result of a primitive parser: the rest of the input and the value.
pub type Parse<'a, T> = IResult<&'a [u8], T, Fault>;

/// Fails at `input` because of the broken rule `why`.
pub fn broken<'a, T>(input: &'a [u8], why: &'static str) -> Parse<'a, T> {
    Err(nom::Err::Failure(Fault { left: input.len(), why: Why::Broken(why) }))
}

/// Fails at `input` unless `value` is within `limit`.
pub fn within<'a>(input: &'a [u8], what: &'static str, value: u64, limit: u64) -> Parse<'a, ()> {
    if value > limit {
        return Err(nom::Err::Failure(Fault { left: input.len(), why: Why::Limit { what, value, limit } }));
    }
    Ok((input, ()))
}

/// Turns the result of a parser over the whole of `input` into a [`Result`], naming the structure `what`.
///
/// # Errors
/// The parser's fault with its offset in `input`.
pub fn finish<'a, T>(what: &'static str, input: &'a [u8], parsed: Parse<'a, T>) -> Result<(&'a [u8], T)> {
    match parsed {
        Ok(done) => Ok(done),
        Err(nom::Err::Incomplete(_)) => Err(FormatError::Truncated { what, offset: input.len() as u64 }),
        Err(nom::Err::Error(fault) | nom::Err::Failure(fault)) => {
            let offset = input.len().saturating_sub(fault.left) as u64;
            Err(match fault.why {
                Why::Truncated => FormatError::Truncated { what, offset },
                Why::Broken(why) => FormatError::Corrupt { what, offset, why: why.into() },
                Why::Limit { what, value, limit } => FormatError::Limit { what, value, limit },
            })
        }
    }
}

/// One byte.
pub fn u8(input: &[u8]) -> Parse<'_, u8> {
    byte(input)
}

/// A 16-bit integer.
pub fn u16(input: &[u8]) -> Parse<'_, u16> {
    le_u16(input)
}

/// A 32-bit integer.
pub fn u32(input: &[u8]) -> Parse<'_, u32> {
    le_u32(input)
}

/// A 64-bit integer.
pub fn u64(input: &[u8]) -> Parse<'_, u64> {
    le_u64(input)
}

/// The next `len` bytes.
pub fn bytes(input: &[u8], len: u64) -> Parse<'_, &[u8]> {
    match usize::try_from(len) {
        Ok(len) => take(len)(input),
        Err(_) => Err(nom::Err::Error(Fault { left: 0, why: Why::Truncated })),
    }
}

/// A varint in its shortest form.
pub fn varint(input: &[u8]) -> Parse<'_, u64> {
    let mut value = 0u64;
    for (i, &b) in input.iter().take(10).enumerate() {
        let part = u64::from(b & 0x7f);
        if i == 9 && b > 1 {
            return broken(input, "varint above 2^64");
        }
        value |= part << i.saturating_mul(7);
        if b & 0x80 == 0 {
            if b == 0 && i > 0 {
                return broken(input, "varint not in its shortest form");
            }
            return Ok((input.get(i.saturating_add(1)..).unwrap_or_default(), value));
        }
    }
    if input.len() >= 10 {
        return broken(input, "varint above 2^64");
    }
    Err(nom::Err::Error(Fault { left: 0, why: Why::Truncated }))
}

/// A signed varint (zigzag).
pub fn svarint(input: &[u8]) -> Parse<'_, i64> {
    let (rest, v) = varint(input)?;
    Ok((rest, unzigzag(v)))
}

/// A varint that must be at most `limit`, a bound of the quantity `what`.
pub fn varint_within<'a>(input: &'a [u8], what: &'static str, limit: u64) -> Parse<'a, u64> {
    let (rest, value) = varint(input)?;
    within(input, what, value, limit)?;
    Ok((rest, value))
}

/// A count of things that take at least one byte each, so that it cannot exceed what is left.
pub fn count<'a>(input: &'a [u8], what: &'static str, limit: u64) -> Parse<'a, usize> {
    let (rest, value) = varint_within(input, what, limit)?;
    match usize::try_from(value) {
        Ok(n) if n <= rest.len() => Ok((rest, n)),
        _ => Err(nom::Err::Error(Fault { left: 0, why: Why::Truncated })),
    }
}

/// A string of at most `limit` bytes.
pub fn string<'a>(input: &'a [u8], what: &'static str, limit: u64) -> Parse<'a, &'a str> {
    let (rest, len) = varint_within(input, what, limit)?;
    let (rest, raw) = bytes(rest, len)?;
    match core::str::from_utf8(raw) {
        Ok(text) => Ok((rest, text)),
        Err(_) => broken(input, "text is not UTF-8"),
    }
}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed varint.
pub fn put_svarint(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// Appends a string.
pub fn put_string(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Bytes that `value` takes as a varint.
#[must_use]
pub fn varint_len(value: u64) -> u64 {
    let bits = u64::from(64u32.saturating_sub((value | 1).leading_zeros()));
    bits.div_ceil(7)
}

fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

fn unzigzag(v: u64) -> i64 {
    ((v >> 1) as i64) ^ ((v & 1) as i64).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_round_trip(v: u64, s: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, v);
            prop_assert_eq!(out.len() as u64, varint_len(v));
            put_svarint(&mut out, s);
            let (rest, got) = varint(&out).unwrap();
            prop_assert_eq!(got, v);
            let (rest, got) = svarint(rest).unwrap();
            prop_assert_eq!(got, s);
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn long_and_short_varints_are_refused() {
        let why = |b: &[u8]| finish("test", b, varint(b)).unwrap_err();
        assert!(matches!(why(&[0x80, 0x00]), FormatError::Corrupt { .. }));
        assert!(matches!(why(&[0xff; 10]), FormatError::Corrupt { .. }));
        assert!(matches!(why(&[0xff; 11]), FormatError::Corrupt { .. }));
        assert!(matches!(why(&[0x80]), FormatError::Truncated { .. }));
        assert!(matches!(why(&[]), FormatError::Truncated { .. }));
    }

    #[test]
    fn a_count_is_bounded_by_the_bytes_left() {
        let mut b = Vec::new();
        put_varint(&mut b, u64::from(u32::MAX));
        b.extend([0; 60]);
        assert!(matches!(finish("t", &b, count(&b, "entries", 1 << 40)), Err(FormatError::Truncated { .. })));
        assert!(matches!(finish("t", &b, count(&b, "entries", 10)), Err(FormatError::Limit { .. })));
    }
}
