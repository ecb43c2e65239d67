//! Exponential Golomb codes in a bit string, lowest bit of each byte first (`SPEC.md` section 7.3).
//!
//! Tables are short, so this favours plainness over speed.

use bitvec::field::BitField;
use bitvec::order::Lsb0;
use bitvec::slice::BitSlice;
use bitvec::vec::BitVec;
use bitvec::view::BitView;

use crate::error::{Result, corrupt, truncated};

/// The largest `m` of an EG code: bounds the codes a reader must take.
const MAX_LOG: u32 = 20;

/// Collects a bit string.
#[derive(Default)]
pub(crate) struct BitSink {
    bits: BitVec<u8, Lsb0>,
}

impl BitSink {
    /// Appends EG(k) of `value`; the caller keeps `value + 2^k` below 2^21.
    pub(crate) fn put_eg(&mut self, value: u32, k: u32) {
        let shifted = value + (1 << k);
        let log = shifted.ilog2();
        debug_assert!(log <= MAX_LOG);
        self.bits.extend(core::iter::repeat_n(false, (log - k) as usize));
        self.bits.push(true);
        self.bits.extend((0..log).map(|bit| shifted >> bit & 1 == 1));
    }

    /// The bytes, the last one filled with zero bits.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.bits.set_uninitialized(false);
        self.bits.into_vec()
    }
}

/// Reads a bit string.
pub(crate) struct BitSource<'a> {
    bits: &'a BitSlice<u8, Lsb0>,
    taken: usize,
}

impl<'a> BitSource<'a> {
    /// Starts at the lowest bit of the first byte.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bits: bytes.view_bits::<Lsb0>(), taken: 0 }
    }

    /// Takes one EG(k) code.
    pub(crate) fn take_eg(&mut self, k: u32) -> Result<u32> {
        let rest = self.bits.get(self.taken..).ok_or(truncated("table"))?;
        let zeros = rest.first_one().ok_or(truncated("table"))?;
        if zeros > (MAX_LOG - k) as usize {
            return Err(corrupt("table code too long"));
        }
        let log = k as usize + zeros;
        let low = rest.get(zeros + 1..zeros + 1 + log).ok_or(truncated("table"))?;
        self.taken += zeros + 1 + log;
        let low = if log == 0 { 0 } else { low.load_le::<u32>() };
        Ok((1 << log) + low - (1 << k))
    }

    /// Ends the string: the bytes it took. The bits that fill its last byte must be zero.
    pub(crate) fn finish(self) -> Result<usize> {
        let bytes = self.taken.div_ceil(8);
        match self.bits.get(self.taken..bytes * 8) {
            Some(fill) if fill.not_any() => Ok(bytes),
            _ => Err(corrupt("table not filled with zero bits")),
        }
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
