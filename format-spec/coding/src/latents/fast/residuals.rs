//! Residuals as symbols, and bits that follow them.

use super::deposit::Deposit;
use crate::error::{Result, corrupt, truncated};

/// Symbols that are residuals themselves, in zigzag.
const LITERALS: u16 = 8;
/// Symbols there are.
pub(super) const SYMBOLS: u16 = LITERALS + 52;

/// A residual of 16 bits as a symbol, how many bits follow it, and these.
pub(super) fn symbol_of(residual: i32) -> (u8, u32, u32) {
    let z = ((residual << 1) ^ (residual >> 31)) as u32;
    if z < u32::from(LITERALS) {
        return (z as u8, 0, 0);
    }
    let log = z.ilog2();
    let bits = log - 2;
    ((u32::from(LITERALS) + 4 * (log - 3) + (z >> bits & 3)) as u8, bits, z & ((1 << bits) - 1))
}

/// The bits that follow a symbol, and its residual in zigzag without them.
#[inline(always)]
const fn parts(symbol: u16) -> (u16, u16) {
    let quarter = symbol >> 2;
    let is_high = if quarter < 1 { quarter } else { 1 };
    let bits = quarter - is_high;
    (bits, (symbol & 3 | is_high << 2) << bits)
}

/// The same of each symbol.
const PARTS: [(u16, u16); 64] = {
    let mut all = [(0, 0); 64];
    let mut s = 0;
    while s < 64 {
        all[s] = parts(s as u16);
        s += 1;
    }
    all
};

/// Bits of residuals, lowest first; zeros follow the end, which is noticed when all is read.
pub(super) struct RawBits<'a> {
    bytes: &'a [u8],
    /// Bits that are read.
    at: u64,
    deposit: Option<Deposit>,
    /// Of each residual of a row, where its bits lie.
    masks: Vec<u16>,
}

impl<'a> RawBits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, deposit: Deposit::detect(), masks: Vec::new() }
    }

    /// The residuals of symbols, in zigzag.
    #[inline(always)]
    pub(super) fn residuals(&mut self, symbols: &[u16], out: &mut [u16]) {
        let (out, mut done) = (&mut out[..symbols.len()], 0);
        if let Some(deposit) = self.deposit {
            self.masks.resize(symbols.len(), 0);
            for ((symbol, mask), out) in symbols.iter().zip(&mut self.masks).zip(&mut *out) {
                let (bits, lead) = parts(*symbol % PARTS.len() as u16);
                (*mask, *out) = ((1 << bits) - 1, lead);
            }
            let words = out.as_chunks_mut().0;
            self.at = deposit.add(self.bytes, self.at, self.masks.as_chunks().0, words);
            done = 4 * words.len();
        }
        let ((fours, rest), (out_fours, out_rest)) =
            (symbols[done..].as_chunks::<4>(), out[done..].as_chunks_mut::<4>());
        // Each word waits for where it begins, so that and the bytes stay in registers.
        let (bytes, mut at) = (self.bytes, self.at);
        for (symbols, out) in fours.iter().zip(out_fours) {
            at += at_once(bytes, at, symbols, out);
        }
        for (symbol, out) in rest.iter().zip(out_rest) {
            at += at_once(bytes, at, &[*symbol], core::array::from_mut(out));
        }
        self.at = at;
    }

    /// Ends them.
    ///
    /// # Errors
    /// If there were too few, or something is left.
    pub(super) fn finish(self) -> Result<()> {
        let all = 8 * self.bytes.len() as u64;
        if self.at > all {
            return Err(truncated("raw bits"));
        }
        let rest = self.bytes.last().map_or(0, |&byte| byte >> (self.at & 7));
        if all - self.at >= 8 || (all > self.at && rest != 0) {
            return Err(corrupt("raw bits left over"));
        }
        Ok(())
    }
}

/// The residuals of up to four symbols, whose bits are in one word wherever it begins: at bit `at`. Returns how many bits they have.
#[inline(always)]
fn at_once<const N: usize>(bytes: &[u8], at: u64, symbols: &[u16; N], out: &mut [u16; N]) -> u64 {
    const { assert!(N <= 4) };
    let (mut word, mut all) = (word(bytes, at), 0);
    for (out, &symbol) in out.iter_mut().zip(symbols) {
        let (bits, lead) = PARTS[usize::from(symbol) % PARTS.len()];
        *out = lead | (word as u16 & ((1 << bits) - 1));
        word >>= bits;
        all += u64::from(bits);
    }
    all
}

/// Bits from bit `at` on, at least 57 of them.
#[inline(always)]
pub(super) fn word(bytes: &[u8], at: u64) -> u64 {
    let byte = (at >> 3) as usize;
    let word = bytes.get(byte..).and_then(<[u8]>::first_chunk).copied();
    u64::from_le_bytes(word.unwrap_or_else(|| last_word(bytes, byte))) >> (at & 7)
}

/// What is left from a byte on.
#[cold]
fn last_word(bytes: &[u8], byte: usize) -> [u8; 8] {
    let mut word = [0; 8];
    let rest = bytes.get(byte..).unwrap_or_default();
    word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::BitSink;

    #[test]
    fn bits_are_read_alike_with_deposits_and_without() {
        let mut state = 1u32;
        let mut raw = BitSink::default();
        let residuals: Vec<i16> = (0..1003)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // All magnitudes, the greatest too.
                (state >> 16) as i16 >> (i % 17).min(15)
            })
            .collect();
        let symbols: Vec<u16> = residuals
            .iter()
            .map(|&residual| {
                let (symbol, bits, low) = symbol_of(residual.into());
                raw.put(low, bits);
                symbol.into()
            })
            .collect();
        let bytes = raw.into_bytes();
        for deposit in [None, Deposit::detect()] {
            for run in [1, 3, 4, 17, 1003] {
                let mut raw = RawBits { deposit, ..RawBits::new(&bytes) };
                for (symbols, residuals) in symbols.chunks(run).zip(residuals.chunks(run)) {
                    let mut out = vec![0; symbols.len()];
                    raw.residuals(symbols, &mut out);
                    let expected: Vec<u16> =
                        residuals.iter().map(|&r| ((r << 1) ^ (r >> 15)) as u16).collect();
                    assert_eq!(out, expected);
                }
                raw.finish().unwrap();
            }
            // What is not there is zeros, and found at the end.
            let mut raw = RawBits { deposit, ..RawBits::new(&bytes[..bytes.len() / 2]) };
            raw.residuals(&symbols, &mut vec![0; symbols.len()]);
            assert!(raw.finish().is_err());
        }
    }
}
