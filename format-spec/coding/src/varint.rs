//! Shortest-form LEB128 (`SPEC.md` section 1).

use crate::error::{Result, corrupt, truncated};

/// Appends the varint of `value`.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a varint from the front of `bytes`.
pub(crate) fn take(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take_u8(bytes, "varint")?;
        let group = u64::from(byte & 0x7F);
        if shift == 63 && group > 1 {
            return Err(corrupt("varint above 2^64 - 1"));
        }
        value |= group << shift;
        if byte < 0x80 {
            if byte == 0 && shift > 0 {
                return Err(corrupt("varint not in shortest form"));
            }
            return Ok(value);
        }
    }
    Err(corrupt("varint longer than 10 bytes"))
}

/// Takes one byte from the front of `bytes`.
pub(crate) fn take_u8(bytes: &mut &[u8], what: &'static str) -> Result<u8> {
    let (&first, rest) = bytes.split_first().ok_or(truncated(what))?;
    *bytes = rest;
    Ok(first)
}

/// Takes `count` bytes from the front of `bytes`.
pub(crate) fn take_bytes<'a>(bytes: &mut &'a [u8], count: u64, what: &'static str) -> Result<&'a [u8]> {
    let count = usize::try_from(count).map_err(|_| truncated(what))?;
    let (head, rest) = bytes.split_at_checked(count).ok_or(truncated(what))?;
    *bytes = rest;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip() {
        for value in [0, 1, 127, 128, 300, 1 << 32, u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            let mut rest = bytes.as_slice();
            assert_eq!(take(&mut rest), Ok(value));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn odd_varints_are_refused() {
        let long = [0xFF; 11];
        let big = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02];
        for mut bytes in [&[0x80, 0x00][..], &[0x80][..], &[][..], &long[..], &big[..]] {
            assert!(take(&mut bytes).is_err());
        }
    }
}
