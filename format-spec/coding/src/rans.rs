//! rANS streams (`SPEC.md` section 7.2).

use crate::error::{CodingError, Result, corrupt, invalid, truncated};
use crate::table::Table;

/// The greatest log2 of a lane count.
pub const MAX_LANES_LOG2: u8 = 6;
const MAX_LANES: usize = 1 << MAX_LANES_LOG2;

/// The lane count that encoders prefer for large chunks, decoded by code of its own.
const UNROLLED_LANES: usize = 32;
/// The lane count that encoders prefer where a chunk has many streams; the same.
const FEW_LANES: usize = 8;

/// Every state's lower bound, and where an encoder starts: states are in [2^16, 2^32).
const STATE_START: u32 = 1 << 16;

/// A table as a decoder uses it: what each of the 2^P slots stands for.
#[derive(Debug, Clone)]
pub struct DecodeTable {
    /// Value in bits 0..16, frequency in 16..32, bias in 32..48.
    slots: Vec<u64>,
    precision: u8,
    max_value: u16,
}

impl DecodeTable {
    /// Lays out the slots of `table`.
    pub(crate) fn new(table: &Table) -> Self {
        let mut slots = vec![0; 1 << table.precision()];
        table.layout().for_each_slot(|slot, symbol, rank| {
            let (value, freq) = (table.values()[symbol], table.freqs()[symbol]);
            slots[slot] = u64::from(value) | u64::from(freq) << 16 | u64::from(rank) << 32;
        });
        let max_value = table.values().last().copied().unwrap_or(0);
        Self { slots, precision: table.precision(), max_value }
    }

    /// The greatest value the table can give.
    #[must_use]
    pub fn max_value(&self) -> u16 {
        self.max_value
    }

    /// P: there are 2^P slots.
    #[must_use]
    pub fn precision(&self) -> u8 {
        self.precision
    }
}

/// What an encoder needs to know of one symbol.
#[derive(Debug, Clone, Copy)]
struct EncodeSymbol {
    /// floor((2^64 - 1) / f): turns the division by f into a multiplication.
    reciprocal: u64,
    freq: u32,
    /// Where the symbol's slots start in [`EncodeTable::slots`].
    start: u32,
}

/// A table as an encoder uses it.
#[derive(Debug, Clone)]
pub struct EncodeTable {
    symbols: Vec<EncodeSymbol>,
    /// From a value to its symbol; [`ABSENT`] if the table lacks it.
    index: Vec<u16>,
    /// The slot of each symbol's each rank.
    slots: Vec<u16>,
    precision: u8,
}

const ABSENT: u16 = u16::MAX;

impl EncodeTable {
    /// Inverts the slots of `table`.
    pub(crate) fn new(table: &Table) -> Self {
        let mut symbols = Vec::with_capacity(table.freqs().len());
        let mut start = 0;
        for &freq in table.freqs() {
            symbols.push(EncodeSymbol { reciprocal: u64::MAX / u64::from(freq), freq: freq.into(), start });
            start += u32::from(freq);
        }
        let mut slots = vec![0; 1 << table.precision()];
        table.layout().for_each_slot(|slot, symbol, rank| {
            slots[(symbols[symbol].start + rank) as usize] = slot as u16;
        });
        let mut index = vec![ABSENT; table.values().last().map_or(0, |&last| usize::from(last) + 1)];
        for (symbol, &value) in table.values().iter().enumerate() {
            index[usize::from(value)] = symbol as u16;
        }
        Self { symbols, index, slots, precision: table.precision() }
    }

    /// Codes `values` as a whole stream of 2^`lanes_log2` lanes.
    ///
    /// # Errors
    /// [`CodingError::Invalid`] if a value is not in the table or there are more than 64 lanes.
    pub fn encode(&self, values: &[u16], lanes_log2: u8) -> Result<Vec<u8>> {
        if lanes_log2 > MAX_LANES_LOG2 {
            return Err(invalid("more than 64 lanes"));
        }
        let lanes = 1usize << lanes_log2;
        let mut states = [STATE_START; MAX_LANES];
        // Each symbol emits at most one word; the last one emitted comes first.
        let mut words = vec![0u16; values.len() + 1];
        let mut free = values.len();
        for (i, &value) in values.iter().enumerate().rev() {
            let symbol = *self
                .index
                .get(usize::from(value))
                .and_then(|&symbol| self.symbols.get(usize::from(symbol)))
                .ok_or(invalid("a value is not in the table"))?;
            let state = &mut states[i & (lanes - 1)];
            let mut x = *state;
            words[free] = x as u16;
            // x >= f << (32 - P), without overflow at f = 2^P.
            if x >> (32 - self.precision) >= symbol.freq {
                x >>= 16;
                free -= 1;
            }
            // Exactly x / f for any x < 2^32 and f < 2^17: the reciprocal is short by less than f / 2^64.
            let quotient = (((u128::from(x) + 1) * u128::from(symbol.reciprocal)) >> 64) as u32;
            let rank = x - quotient * symbol.freq;
            let slot = self.slots[(symbol.start + rank) as usize];
            *state = quotient << self.precision | u32::from(slot);
        }
        let words = &words[free + 1..];
        let mut bytes = Vec::with_capacity(1 + 4 * lanes + 2 * words.len());
        bytes.push(lanes_log2);
        bytes.extend(states[..lanes].iter().flat_map(|state| state.to_le_bytes()));
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        Ok(bytes)
    }
}

/// Bytes at the front of a stream that are not words: the lane count and the states.
#[must_use]
pub fn head_len(lanes_log2: u8) -> usize {
    1 + (4 << lanes_log2.min(MAX_LANES_LOG2))
}

/// Decodes a stream, a run of symbols at a time.
#[derive(Debug)]
pub struct StreamDecoder<'a> {
    table: &'a DecodeTable,
    states: [u32; MAX_LANES],
    lanes: usize,
    words: &'a [[u8; 2]],
}

impl<'a> StreamDecoder<'a> {
    /// Starts at the front of `stream`, which must hold the stream and nothing else.
    ///
    /// # Errors
    /// Refuses a bad lane count, states out of range, and half words.
    pub fn new(table: &'a DecodeTable, stream: &'a [u8]) -> Result<Self> {
        let (&lanes_log2, rest) = stream.split_first().ok_or(truncated("rANS stream"))?;
        if lanes_log2 > MAX_LANES_LOG2 {
            return Err(CodingError::Unsupported { what: "rANS lane code", id: lanes_log2.into() });
        }
        let lanes = 1 << lanes_log2;
        let (heads, words) = rest.split_at_checked(4 * lanes).ok_or(truncated("rANS states"))?;
        let mut states = [STATE_START; MAX_LANES];
        for (state, bytes) in states.iter_mut().zip(heads.as_chunks::<4>().0) {
            *state = u32::from_le_bytes(*bytes);
            if *state < STATE_START {
                return Err(corrupt("rANS state below 2^16"));
            }
        }
        let (words, half) = words.as_chunks::<2>();
        if !half.is_empty() {
            return Err(corrupt("rANS stream ends in half a word"));
        }
        Ok(Self { table, states, lanes, words })
    }

    /// Decodes the next `out.len()` symbols. All calls but the last must ask for a multiple of 64 symbols.
    ///
    /// # Errors
    /// [`CodingError::Truncated`] if the words run out.
    pub fn decode(&mut self, out: &mut [u16]) -> Result<()> {
        let done = match self.table.precision {
            10 => self.decode_windows::<10, 1024>(out),
            11 => self.decode_windows::<11, 2048>(out),
            12 => self.decode_windows::<12, 4096>(out),
            13 => self.decode_windows::<13, 8192>(out),
            14 => self.decode_windows::<14, 16_384>(out),
            _ => self.decode_windows::<15, 32_768>(out),
        };
        self.decode_carefully(&mut out[done..])
    }

    /// Decodes whole rounds of all lanes while the words left surely suffice for a round; returns the symbols done.
    ///
    /// `SLOTS` is 2^`P`, so that neither table nor words need a bounds check in the loop.
    fn decode_windows<const P: u32, const SLOTS: usize>(&mut self, out: &mut [u16]) -> usize {
        let Some(slots) = self.table.slots.first_chunk::<SLOTS>() else { return 0 };
        let mut words = self.words;
        let mut done = 0;
        if self.lanes == UNROLLED_LANES
            && let Some(states) = self.states.first_chunk_mut::<UNROLLED_LANES>()
        {
            // Constant counts let the compiler unroll the inner loop.
            for round in out.as_chunks_mut::<UNROLLED_LANES>().0 {
                let Some(window) = words.first_chunk() else { break };
                let mut used = 0;
                let groups = states.as_chunks_mut::<8>().0.iter_mut().zip(round.as_chunks_mut::<8>().0);
                for (states, round) in groups {
                    used = decode_round::<P, SLOTS>(slots, states, window, round, used);
                }
                words = &words[used..];
                done += UNROLLED_LANES;
            }
        } else if self.lanes == FEW_LANES
            && let Some(kept) = self.states.first_chunk_mut::<FEW_LANES>()
        {
            // So few states stay in registers.
            let mut states = *kept;
            for round in out.as_chunks_mut::<FEW_LANES>().0 {
                let Some(window) = words.first_chunk() else { break };
                words = &words[decode_round::<P, SLOTS>(slots, &mut states, window, round, 0)..];
                done += FEW_LANES;
            }
            *kept = states;
        } else {
            let states = &mut self.states[..self.lanes];
            for round in out.chunks_exact_mut(self.lanes) {
                let Some(window) = words.first_chunk() else { break };
                words = &words[decode_round::<P, SLOTS>(slots, states, window, round, 0)..];
                done += self.lanes;
            }
        }
        self.words = words;
        done
    }

    /// Decodes symbol by symbol, checking each word.
    fn decode_carefully(&mut self, out: &mut [u16]) -> Result<()> {
        let precision = self.table.precision;
        for (i, value) in out.iter_mut().enumerate() {
            let state = &mut self.states[i & (self.lanes - 1)];
            let slot = self.table.slots[*state as usize & (self.table.slots.len() - 1)];
            *value = slot as u16;
            let freq = u32::from((slot >> 16) as u16);
            let mut x = freq.wrapping_mul(*state >> precision).wrapping_add((slot >> 32) as u32);
            if x < STATE_START {
                let (word, rest) = self.words.split_first().ok_or(truncated("rANS words"))?;
                self.words = rest;
                x = x << 16 | u32::from(u16::from_le_bytes(*word));
            }
            *state = x;
        }
        Ok(())
    }

    /// Ends the stream: all words must be used and all states back at 2^16.
    ///
    /// # Errors
    /// [`CodingError::Corrupt`] otherwise.
    pub fn finish(self) -> Result<()> {
        if !self.words.is_empty() {
            return Err(corrupt("rANS stream has words left over"));
        }
        if self.states.iter().any(|&state| state != STATE_START) {
            return Err(corrupt("rANS stream does not end in its first state"));
        }
        Ok(())
    }
}

/// Decodes one symbol of each of some lanes, when `used` words of the window are used; returns how many then are.
#[inline(always)]
fn decode_round<const P: u32, const SLOTS: usize>(
    slots: &[u64; SLOTS],
    states: &mut [u32],
    window: &[[u8; 2]; MAX_LANES],
    round: &mut [u16],
    mut used: usize,
) -> usize {
    for (state, value) in states.iter_mut().zip(round) {
        let slot = slots[*state as usize & (SLOTS - 1)];
        *value = slot as u16;
        let freq = u32::from((slot >> 16) as u16);
        let x = freq.wrapping_mul(*state >> P).wrapping_add((slot >> 32) as u32);
        let refilled = x << 16 | u32::from(u16::from_le_bytes(window[used & (MAX_LANES - 1)]));
        let low = x < STATE_START;
        *state = if low { refilled } else { x };
        used += usize::from(low);
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn slots_of_encoder_and_decoder_are_inverse(
            counts in proptest::collection::vec(prop_oneof![Just(1u64), 1u64..1000, 1u64..1 << 30], 1..=256),
            precision in 10u8..=15,
        ) {
            let values: Vec<u16> = (0..counts.len() as u16).map(|i| i * 3).collect();
            let table = Table::from_counts(&values, &counts, precision).unwrap();
            let (decode, encode) = (table.decoder(), table.encoder());
            for (slot, &entry) in decode.slots.iter().enumerate() {
                let (value, freq, bias) = (entry as u16, (entry >> 16) as u16, (entry >> 32) as u32);
                let symbol = encode.symbols[usize::from(encode.index[usize::from(value)])];
                prop_assert!(symbol.freq == u32::from(freq) && bias < symbol.freq);
                prop_assert_eq!(usize::from(encode.slots[(symbol.start + bias) as usize]), slot);
            }
        }

        #[test]
        fn reciprocals_divide_exactly(x in any::<u32>(), near in 0u32..3, freq in 1u32..=1 << 15) {
            let reciprocal = u64::MAX / u64::from(freq);
            for x in [x, (x / freq * freq).wrapping_sub(near), u32::MAX - near] {
                let quotient = (((u128::from(x) + 1) * u128::from(reciprocal)) >> 64) as u32;
                prop_assert_eq!(quotient, x / freq);
            }
        }
    }
}
