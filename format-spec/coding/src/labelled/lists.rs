//! Lists of small integers: labels, shifts, probabilities (`SPEC.md` section 7.4.1).

use crate::bits::{BitSink, BitSource, eg_len};
use crate::error::{Result, corrupt, truncated};
use crate::levels::{unzigzag, zigzag};

const CONSTANT: u8 = 0x10;
const DELTA: u8 = 0x08;
/// EG parameters that a list may use.
const KS: core::ops::Range<u32> = 0..8;

/// Values are below this in size.
pub(crate) const MAX_VALUE: i32 = 1 << 14;

/// Appends the list in the shortest of its forms. All values are within -16384..16384.
pub(crate) fn put(out: &mut Vec<u8>, values: &[i32]) {
    let Some(&first) = values.first() else { return };
    if values.iter().all(|&value| value == first) {
        out.push(CONSTANT);
        return put_base(out, first);
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let median = sorted[sorted.len() / 2];
    let around = |i: usize| zigzag(values[i] - median);
    let steps = |i: usize| zigzag(values[i] - if i == 0 { first } else { values[i - 1] });
    let cost = |code: &dyn Fn(usize) -> u32, k| {
        (0..values.len()).map(|i| u64::from(eg_len(code(i), k))).sum::<u64>()
    };
    let mut best = (u64::MAX, 0, false);
    for k in KS {
        best = best.min((cost(&around, k), k, false)).min((cost(&steps, k), k, true));
    }
    let (_, k, delta) = best;
    out.push(k as u8 | if delta { DELTA } else { 0 });
    put_base(out, if delta { first } else { median });
    let mut sink = BitSink::default();
    for i in 0..values.len() {
        sink.put_eg(if delta { steps(i) } else { around(i) }, k);
    }
    out.extend(sink.into_bytes());
}

fn put_base(out: &mut Vec<u8>, base: i32) {
    crate::varint::put(out, u64::from(zigzag(base)));
}

/// Takes a list of `count` values from the front of `bytes`; none may be outside of `range`.
pub(crate) fn take(
    bytes: &mut &[u8],
    count: usize,
    range: core::ops::RangeInclusive<i32>,
) -> Result<Vec<i32>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let mode = crate::varint::take_u8(bytes, "list")?;
    if mode & !(CONSTANT | DELTA | 7) != 0 || (mode & CONSTANT != 0 && mode != CONSTANT) {
        return Err(corrupt("mode of a list"));
    }
    let base = u32::try_from(crate::varint::take(bytes)?).map_err(|_| corrupt("base of a list"))?;
    let base = unzigzag(base);
    if !(-MAX_VALUE..MAX_VALUE).contains(&base) {
        return Err(corrupt("base of a list"));
    }
    if mode & CONSTANT != 0 {
        return if range.contains(&base) { Ok(vec![base; count]) } else { Err(corrupt("value of a list")) };
    }
    // Each value takes a bit at least.
    if count > bytes.len().saturating_mul(8) {
        return Err(truncated("list"));
    }
    let mut source = BitSource::new(bytes);
    let k = u32::from(mode & 7);
    let mut values = Vec::with_capacity(count);
    let mut reference = base;
    for _ in 0..count {
        // Both are below 2^21 in size.
        let value = reference + unzigzag(source.take_eg(k)?);
        if !range.contains(&value) {
            return Err(corrupt("value of a list"));
        }
        values.push(value);
        if mode & DELTA != 0 {
            reference = value;
        }
    }
    let used = source.finish()?;
    *bytes = &bytes[used..];
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lists_round_trip(values in proptest::collection::vec(-64i32..64, 0..200), tail in 0u8..4) {
            let mut bytes = Vec::new();
            put(&mut bytes, &values);
            let whole = bytes.len();
            bytes.extend(std::iter::repeat_n(0xA5, tail.into()));
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take(&mut rest, values.len(), -64..=63).unwrap(), values.clone());
            prop_assert_eq!(rest.len(), usize::from(tail));
            for cut in 0..whole {
                let _ = take(&mut &bytes[..cut], values.len(), -64..=63);
            }
        }
    }

    #[test]
    fn constants_are_short_and_ranges_are_kept() {
        let mut bytes = Vec::new();
        put(&mut bytes, &[7; 1000]);
        assert_eq!(bytes, [CONSTANT, 14]);
        assert!(take(&mut bytes.as_slice(), 1000, 0..=6).is_err());
        assert!(take(&mut [0x20, 0].as_slice(), 1, 0..=6).is_err());
        assert!(take(&mut [0x18, 0].as_slice(), 1, 0..=6).is_err());
        assert!(take(&mut [0x00, 0].as_slice(), usize::MAX, 0..=6).is_err());
    }
}
