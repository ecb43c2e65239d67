//! Prefix codes in place of tables (`SPEC.md` section 7.4.5).

use super::classes::{SYMBOLS, ZERO};
use super::lists;
use crate::error::{Result, corrupt, invalid};

/// How long the code of each symbol of one table is; 0: the table lacks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixCode {
    lengths: [u8; SYMBOLS],
}

/// A code as it is written: its bits, the first one lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Code {
    pub(super) bits: u16,
    pub(super) length: u8,
}

impl PrefixCode {
    /// A code that wastes nothing: of codes of at most `longest` bits, all 2^`longest` continuations are used.
    ///
    /// # Errors
    /// [`crate::CodingError::Invalid`] if some are not, or are used twice.
    pub fn new(lengths: [u8; SYMBOLS], longest: u8) -> Result<Self> {
        if is_full(&lengths, longest) {
            Ok(Self { lengths })
        } else {
            Err(invalid("lengths of a prefix code"))
        }
    }

    /// The shortest codes, none above `longest` (6 to 16) bits, for symbols that occur `counts` times. As no code is of no bits, there
    /// are at least two symbols: if less occur, the last ones are added.
    #[must_use]
    pub fn from_counts(counts: &[u64; SYMBOLS], longest: u8) -> Self {
        let mut leaves: Vec<(u64, u64)> =
            (0..SYMBOLS).filter(|&s| counts[s] > 0).map(|s| (counts[s], 1 << s)).collect();
        for symbol in (0..SYMBOLS).rev() {
            if leaves.len() < 2 && counts[symbol] == 0 {
                leaves.push((0, 1 << symbol));
            }
        }
        // Ties by symbol, so that the code depends on the counts alone.
        leaves.sort_unstable();
        // Package and merge: of each package, its weight and how many times each symbol is in it.
        let item = |&(weight, set): &(u64, u64)| {
            (weight, core::array::from_fn::<u8, SYMBOLS, _>(|s| (set >> s & 1) as u8))
        };
        let leaves: Vec<(u64, [u8; SYMBOLS])> = leaves.iter().map(item).collect();
        let mut row = leaves.clone();
        for _ in 1..longest {
            let pairs = row
                .chunks_exact(2)
                .map(|pair| (pair[0].0 + pair[1].0, core::array::from_fn(|s| pair[0].1[s] + pair[1].1[s])));
            let mut next: Vec<_> = leaves.iter().copied().chain(pairs).collect();
            next.sort_by_key(|package| package.0);
            row = next;
        }
        let mut lengths = [0; SYMBOLS];
        for (_, times) in row.iter().take(2 * leaves.len() - 2) {
            lengths.iter_mut().zip(times).for_each(|(length, times)| *length += times);
        }
        debug_assert!(is_full(&lengths, longest));
        Self { lengths }
    }

    /// Bits of each symbol's code.
    #[must_use]
    pub fn lengths(&self) -> &[u8; SYMBOLS] {
        &self.lengths
    }

    pub(super) fn take(rest: &mut &[u8], longest: u8) -> Result<Self> {
        let list = lists::take(rest, SYMBOLS, 0..=longest.into())?;
        let mut lengths = [0; SYMBOLS];
        lengths.iter_mut().zip(list).for_each(|(length, value)| *length = value as u8);
        if is_full(&lengths, longest) {
            Ok(Self { lengths })
        } else {
            Err(corrupt("lengths of a prefix code"))
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        lists::put(out, &self.lengths.map(i32::from));
    }

    /// The canonical codes: shorter ones first, of one length in the order of the symbols.
    pub(super) fn codes(&self) -> [Code; SYMBOLS] {
        let mut codes = [Code::default(); SYMBOLS];
        let mut next = 0u32;
        for length in 1..=u16::BITS as u8 {
            next <<= 1;
            for (code, _) in codes.iter_mut().zip(&self.lengths).filter(|(_, l)| **l == length) {
                // The highest bit is the first one.
                *code =
                    Code { bits: (next as u16).reverse_bits() >> (u16::BITS - u32::from(length)), length };
                next += 1;
            }
        }
        codes
    }

    /// Writes what each of the 2^`longest` continuations begins with: see [`Entry`].
    pub(super) fn fill(&self, entries: &mut [u16]) {
        for (symbol, code) in (0u8..).zip(self.codes()).filter(|(_, code)| code.length > 0) {
            let entry = Entry::new(symbol, code.length);
            entries.iter_mut().skip(code.bits.into()).step_by(1 << code.length).for_each(|e| *e = entry.0);
        }
    }
}

fn is_full(lengths: &[u8; SYMBOLS], longest: u8) -> bool {
    let used = lengths.iter().filter(|l| **l > 0).map(|&l| 1u64 << (longest.saturating_sub(l)));
    longest <= 16 && lengths.iter().all(|l| *l <= longest) && used.sum::<u64>() == 1 << longest
}

/// A symbol and how many bits its code has, as a decoder looks them up: in bits 0 to 5 the length, from bit 8 on the symbol, in bit 15
/// whether it is the zero or the escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Entry(pub(super) u16);

impl Entry {
    pub(super) const SPECIAL: u16 = 1 << 15;

    fn new(symbol: u8, length: u8) -> Self {
        Self(u16::from(symbol) << 8 | u16::from(length) | if symbol >= ZERO { Self::SPECIAL } else { 0 })
    }

    pub(super) fn symbol(self) -> u8 {
        (self.0 >> 8) as u8 % SYMBOLS as u8
    }

    pub(super) fn length(self) -> usize {
        usize::from(self.0 & 63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn canonical_codes_by_hand() {
        let mut lengths = [0; SYMBOLS];
        (lengths[3], lengths[5], lengths[9], lengths[63]) = (2, 1, 3, 3);
        let code = PrefixCode::new(lengths, 11).unwrap();
        let codes = code.codes();
        // 5: 0; 3: 10; 9: 110; 63: 111, first bit lowest.
        let bits = |s: usize| (codes[s].bits, codes[s].length);
        assert_eq!([bits(5), bits(3), bits(9), bits(63)], [(0, 1), (0b01, 2), (0b011, 3), (0b111, 3)]);
        assert_eq!(bits(0), (0, 0));
        lengths[9] = 2;
        assert!(PrefixCode::new(lengths, 11).is_err());
        lengths[9] = 0;
        assert!(PrefixCode::new(lengths, 11).is_err());
    }

    #[test]
    fn few_symbols_get_codes() {
        let mut counts = [0; SYMBOLS];
        let lengths = |counts: &[u64; SYMBOLS]| *PrefixCode::from_counts(counts, 10).lengths();
        assert_eq!((lengths(&counts)[63], lengths(&counts)[62]), (1, 1));
        counts[7] = 9;
        assert_eq!((lengths(&counts)[7], lengths(&counts)[63]), (1, 1));
        counts = [1; SYMBOLS];
        assert_eq!(lengths(&counts), [6; SYMBOLS]);
    }

    proptest! {
        #[test]
        fn codes_are_full_and_short(
            counts in proptest::array::uniform32(prop_oneof![Just(0u64), 1u64..9, 1u64..1 << 40]), longest in 10u8..=12
        ) {
            let mut all = [0; SYMBOLS];
            all[..32].copy_from_slice(&counts);
            let code = PrefixCode::from_counts(&all, longest);
            prop_assert!(is_full(code.lengths(), longest));
            let mut entries = vec![0; 1 << longest];
            code.fill(&mut entries);
            for (at, entry) in entries.into_iter().map(Entry).enumerate() {
                let own = code.codes()[usize::from(entry.symbol())];
                prop_assert_eq!((usize::from(own.length), usize::from(own.bits)), (entry.length(), at & ((1 << own.length) - 1)));
            }
            // Within a bit of the entropy, and a little for the limit.
            let total: u64 = counts.iter().sum();
            if counts.iter().filter(|c| **c > 0).count() > 1 {
                let bits: f64 = counts.iter().zip(code.lengths()).map(|(&c, &l)| c as f64 * f64::from(l)).sum();
                let entropy: f64 = counts.iter().filter(|c| **c > 0).map(|&c| c as f64 * (total as f64 / c as f64).log2()).sum();
                prop_assert!(bits >= entropy * 0.999_999 && bits <= entropy + 1.1 * total as f64);
            }
        }
    }
}
