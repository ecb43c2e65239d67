//! Exponential Golomb codes and plain bits in a bit string, lowest bit of each byte first (`SPEC.md` sections 7.3, 7.4).

use crate::error::{Result, corrupt, truncated};

/// The largest `m` of an EG code: bounds the codes a reader must take.
const MAX_LOG: u32 = 20;

/// Collects a bit string.
#[derive(Default)]
pub(crate) struct BitSink {
    bytes: Vec<u8>,
    /// Fewer than 8 bits that wait for a byte.
    waiting: u64,
    bits: u32,
}

impl BitSink {
    /// Room for `bytes` bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes + 8), waiting: 0, bits: 0 }
    }

    /// Appends the low `count` (at most 32) bits of `value`; the others must be zero.
    pub(crate) fn put(&mut self, value: u32, count: u32) {
        self.put_long(value.into(), count);
    }

    /// Appends the low `count` (at most 56) bits of `value`; the others must be zero.
    #[inline]
    pub(crate) fn put_long(&mut self, value: u64, count: u32) {
        debug_assert!(count <= 56 && value >> count == 0);
        self.waiting |= value << self.bits;
        self.bits += count;
        let whole = self.bits / 8;
        self.bytes.extend_from_slice(&self.waiting.to_le_bytes());
        self.bytes.truncate(self.bytes.len() - 8 + whole as usize);
        self.waiting >>= 8 * whole;
        self.bits %= 8;
    }

    /// Appends EG(k) of `value`; the caller keeps `value + 2^k` below 2^21.
    pub(crate) fn put_eg(&mut self, value: u32, k: u32) {
        let shifted = value + (1 << k);
        let log = shifted.ilog2();
        debug_assert!(log <= MAX_LOG);
        self.put(1 << (log - k), log - k + 1);
        self.put(shifted ^ (1 << log), log);
    }

    /// The bytes, the last one filled with zero bits.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        if self.bits > 0 {
            self.bytes.push(self.waiting as u8);
        }
        self.bytes
    }
}

/// Reads a bit string.
pub(crate) struct BitSource<'a> {
    bytes: &'a [u8],
    /// Bits taken.
    taken: usize,
}

impl<'a> BitSource<'a> {
    /// Starts at the lowest bit of the first byte.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, taken: 0 }
    }

    /// The next bits, at least 57 where there are as many; zeros follow the end.
    fn window(&self) -> u64 {
        let rest = self.bytes.get(self.taken / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut word = [0; 8];
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        };
        word >> (self.taken % 8)
    }

    fn skip(&mut self, count: usize) -> Result<()> {
        if self.bytes.len() * 8 - self.taken < count {
            return Err(truncated("bit string"));
        }
        self.taken += count;
        Ok(())
    }

    /// Takes `count` (at most 32) bits.
    pub(crate) fn take(&mut self, count: u32) -> Result<u32> {
        let window = self.window();
        self.skip(count as usize)?;
        Ok((window & ((1 << count) - 1)) as u32)
    }

    /// Takes one EG(k) code.
    pub(crate) fn take_eg(&mut self, k: u32) -> Result<u32> {
        let window = self.window();
        let zeros = window.trailing_zeros();
        if zeros > MAX_LOG - k {
            return Err(if window == 0 { truncated("bit string") } else { corrupt("Golomb code too long") });
        }
        let log = k + zeros;
        self.skip((zeros + 1 + log) as usize)?;
        let low = (window >> (zeros + 1)) as u32 & ((1 << log) - 1);
        Ok((1 << log) + low - (1 << k))
    }

    /// Ends the string: the bytes it took. The bits that fill its last byte must be zero.
    pub(crate) fn finish(self) -> Result<usize> {
        let used = self.taken % 8;
        let bytes = self.taken.div_ceil(8);
        if used > 0 && self.bytes[bytes - 1] >> used != 0 {
            return Err(corrupt("bit string not filled with zero bits"));
        }
        Ok(bytes)
    }
}

/// How many bits EG(k) of `value` takes.
pub(crate) const fn eg_len(value: u32, k: u32) -> u32 {
    let log = (value + (1 << k)).ilog2();
    log - k + 1 + log
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golomb_codes_round_trip() {
        let values = [0, 1, 2, 3, 7, 8, 100, 127, 65_534, 65_535];
        for k in [0, 1, 4] {
            let mut sink = BitSink::default();
            let mut length = 0;
            for value in values {
                sink.put_eg(value, k);
                length += eg_len(value, k);
            }
            let bytes = sink.into_bytes();
            assert_eq!(bytes.len(), (length as usize).div_ceil(8));
            let mut source = BitSource::new(&bytes);
            for value in values {
                assert_eq!(source.take_eg(k), Ok(value));
            }
            assert_eq!(source.finish(), Ok(bytes.len()));
        }
    }

    #[test]
    fn golomb_codes_have_the_stated_bits() {
        let mut sink = BitSink::default();
        sink.put_eg(0, 4); // 1 0000
        sink.put_eg(2, 1); // w = 4: 0 1 00
        assert_eq!(sink.into_bytes(), [0b0100_0001, 0b0]);
    }

    #[test]
    fn long_and_cut_codes_are_refused() {
        assert!(BitSource::new(&[0; 8]).take_eg(0).is_err());
        assert!(BitSource::new(&[0, 0, 0x40, 0xFF, 0xFF, 0xFF, 0xFF]).take_eg(0).is_err());
        assert!(BitSource::new(&[0b1000_0000]).take_eg(0).is_err());
        let mut dirty = BitSource::new(&[0b11]);
        assert_eq!(dirty.take_eg(0), Ok(0));
        assert!(dirty.finish().is_err());
    }
}
