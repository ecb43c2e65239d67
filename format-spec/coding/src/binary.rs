//! Binary arithmetic coding under given probabilities (`SPEC.md` section 7.7.1): a range coder in the manner of LZMA's, 32 bits of
//! range, carries by a cached byte and a count of `ff` bytes.
//!
//! A probability is that of a one, in units of 2^-16, from 1 to 65535.

/// The range is refilled when it falls below this.
const LEAST_RANGE: u32 = 1 << 24;

/// Writes decisions.
#[derive(Debug)]
pub struct BinaryEncoder {
    low: u64,
    range: u32,
    cache: u8,
    /// Bytes held back: `cache`, then this many less one of `ff`. The first is always zero, and is dropped at the end.
    held: u64,
    out: Vec<u8>,
}

impl Default for BinaryEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl BinaryEncoder {
    /// An encoder that has written nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { low: 0, range: u32::MAX, cache: 0, held: 1, out: Vec::new() }
    }

    /// Writes `bit`, which was expected to be a one with probability `one` (1 to 65535).
    #[inline]
    pub fn encode(&mut self, bit: bool, one: u32) {
        let bound = (self.range >> 16) * one;
        if bit {
            self.range = bound;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
        }
        while self.range < LEAST_RANGE {
            self.range <<= 8;
            self.shift();
        }
    }

    /// Writes the low `count` bits of `value`, most significant first, each with probability one half.
    pub fn encode_raw(&mut self, value: u32, count: u32) {
        for place in (0..count).rev() {
            self.encode(value >> place & 1 == 1, 1 << 15);
        }
    }

    /// Writes `number`, one of `count` (up to 2^16) that are equally likely.
    #[inline]
    pub fn encode_even(&mut self, number: u32, count: u32) {
        let step = self.range / count;
        self.low += u64::from(number * step);
        self.range = step;
        while self.range < LEAST_RANGE {
            self.range <<= 8;
            self.shift();
        }
    }

    fn shift(&mut self) {
        if self.low < 0xff00_0000 || self.low > u64::from(u32::MAX) {
            let carry = u8::from(self.low > u64::from(u32::MAX));
            self.out.push(self.cache.wrapping_add(carry));
            for _ in 1..self.held {
                self.out.push(carry.wrapping_sub(1));
            }
            self.held = 0;
            self.cache = (self.low >> 24) as u8;
        }
        self.held += 1;
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    /// The bytes written; zero bytes at the end are dropped, since the decoder reads zeros there.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        // The value of the last interval with the most zero bits at its end.
        let last = self.low + u64::from(self.range) - 1;
        for bits in [32, 24, 16, 8] {
            let value = last >> bits << bits;
            if value >= self.low {
                self.low = value;
                break;
            }
        }
        for _ in 0..5 {
            self.shift();
        }
        while self.out.last() == Some(&0) {
            self.out.pop();
        }
        if !self.out.is_empty() {
            self.out.remove(0);
        }
        self.out
    }
}

/// Reads decisions. Bytes beyond the end are zeros, so reading never fails: who reads must bound how much he reads.
#[derive(Debug, Clone)]
pub struct BinaryDecoder<'a> {
    rest: &'a [u8],
    code: u32,
    range: u32,
}

impl<'a> BinaryDecoder<'a> {
    /// A decoder of what [`BinaryEncoder::finish`] gave.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { rest: bytes, code: 0, range: u32::MAX };
        for _ in 0..4 {
            decoder.refill();
        }
        decoder
    }

    #[inline]
    fn refill(&mut self) {
        let byte = match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => 0,
        };
        self.code = self.code << 8 | u32::from(byte);
    }

    /// Whether every byte has been taken in.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next decision, which was expected to be a one with probability `one` (1 to 65535).
    #[inline]
    pub fn decode(&mut self, one: u32) -> bool {
        let bound = (self.range >> 16) * one;
        let bit = self.code < bound;
        if bit {
            self.range = bound;
        } else {
            // A code at or above the range is not of any encoder; it then reads as zeros.
            self.code = self.code.wrapping_sub(bound);
            self.range -= bound;
        }
        while self.range < LEAST_RANGE {
            self.range <<= 8;
            self.refill();
        }
        bit
    }

    /// The next of `count` (1 to 2^16) numbers that are equally likely.
    #[inline]
    pub fn decode_even(&mut self, count: u32) -> u32 {
        let step = self.range / count;
        // A code at or above all steps is not of any encoder.
        let number = (self.code / step).min(count - 1);
        self.code = self.code.wrapping_sub(number * step);
        self.range = step;
        while self.range < LEAST_RANGE {
            self.range <<= 8;
            self.refill();
        }
        number
    }

    /// `count` bits of probability one half, most significant first; at most 32.
    pub fn decode_raw(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |value, _| value << 1 | u32::from(self.decode(1 << 15)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(decisions: &[(bool, u16)]) -> usize {
        let mut encoder = BinaryEncoder::new();
        for &(bit, one) in decisions {
            encoder.encode(bit, u32::from(one));
        }
        let bytes = encoder.finish();
        let mut decoder = BinaryDecoder::new(&bytes);
        for &(bit, one) in decisions {
            assert_eq!(decoder.decode(u32::from(one)), bit);
        }
        assert!(decoder.is_drained() || bytes.len() <= 4);
        bytes.len()
    }

    proptest! {
        #[test]
        fn decisions_come_back(decisions in prop::collection::vec((any::<bool>(), 1..=u16::MAX), 0..2000)) {
            round_trip(&decisions);
        }

        #[test]
        fn even_numbers_come_back(numbers in prop::collection::vec((1..=1u32 << 16, any::<u32>(), any::<bool>(), 1..=u16::MAX), 0..500)) {
            let mut encoder = BinaryEncoder::new();
            for &(count, number, bit, one) in &numbers {
                encoder.encode_even(number % count, count);
                encoder.encode(bit, u32::from(one));
            }
            let bytes = encoder.finish();
            let mut decoder = BinaryDecoder::new(&bytes);
            for &(count, number, bit, one) in &numbers {
                prop_assert_eq!(decoder.decode_even(count), number % count);
                prop_assert_eq!(decoder.decode(u32::from(one)), bit);
            }
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..64), ones in prop::collection::vec(1..=u16::MAX, 0..500)) {
            let mut decoder = BinaryDecoder::new(&bytes);
            for one in ones {
                decoder.decode(u32::from(one));
                prop_assert!(decoder.decode_even(u32::from(one)) < u32::from(one));
            }
        }
    }

    #[test]
    fn carries_run_through_ff_bytes() {
        // Zeros of high probability push the lower end up to the very top of the interval.
        for tail in 0..40 {
            let mut decisions = vec![(false, u16::MAX); 64];
            decisions.extend(vec![(true, 1); tail]);
            decisions.extend(vec![(false, 1); 300]);
            round_trip(&decisions);
        }
    }

    #[test]
    fn what_was_expected_costs_nothing() {
        assert_eq!(round_trip(&[(true, u16::MAX); 1000]), 0);
        assert!(round_trip(&[(false, 1); 1000]) <= 4);
        assert_eq!(round_trip(&[]), 0);
    }
}
