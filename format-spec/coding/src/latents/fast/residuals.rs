//! Residuals as symbols, and bits that follow them.

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

/// Of each symbol, the bits that follow a symbol, and the residual in zigzag without them.
const PARTS: [(u8, u32); 64] = {
    let mut all = [(0, 0); 64];
    let mut s = 0;
    while s < 64 {
        all[s] = if s < LITERALS as usize {
            (0, s as u32)
        } else {
            let bits = 1 + (s - LITERALS as usize) / 4;
            let lead = 4 + (s - LITERALS as usize) as u32 % 4;
            (bits as u8, lead << bits)
        };
        s += 1;
    }
    all
};

/// Bits of residuals, lowest first; zeros follow the end, which is noticed when all is read.
pub(super) struct RawBits<'a> {
    bytes: &'a [u8],
    /// Bits that are read.
    at: u64,
}

impl<'a> RawBits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The residuals of symbols, in zigzag.
    #[inline(always)]
    pub(super) fn residuals(&mut self, symbols: &[u16], out: &mut [i32]) {
        let out = &mut out[..symbols.len()];
        let ((fours, rest), (out_fours, out_rest)) = (symbols.as_chunks::<4>(), out.as_chunks_mut::<4>());
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
fn at_once<const N: usize>(bytes: &[u8], at: u64, symbols: &[u16; N], out: &mut [i32; N]) -> u64 {
    const { assert!(N <= 4) };
    let byte = (at >> 3) as usize;
    let word = bytes.get(byte..).and_then(<[u8]>::first_chunk).copied();
    let mut word = u64::from_le_bytes(word.unwrap_or_else(|| last_word(bytes, byte))) >> (at & 7);
    let mut all = 0;
    for (out, &symbol) in out.iter_mut().zip(symbols) {
        let (bits, lead) = PARTS[usize::from(symbol) % PARTS.len()];
        *out = (lead | (word as u32 & ((1 << bits) - 1))) as i32;
        word >>= bits;
        all += u64::from(bits);
    }
    all
}

/// What is left from a byte on.
#[cold]
fn last_word(bytes: &[u8], byte: usize) -> [u8; 8] {
    let mut word = [0; 8];
    let rest = bytes.get(byte..).unwrap_or_default();
    word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    word
}
