//! Putting elements together: exponent and top mantissa, low mantissa bits, signs.

use super::payload::Block;
use super::symbols::MINUS;
use super::vector::Level;
use crate::error::{Result, corrupt};
use crate::planes::{self, Unit};

/// Signs read at a time.
const SIGNS: usize = 56;

/// Goes through the two planes of a block: low mantissa bits, then raw signs.
pub(super) struct Planes<'b> {
    /// What is stored; the states hold the rest.
    stored: &'b [u8],
    /// Bytes of the low plane.
    low_len: usize,
    absorbed: usize,
    /// Bits taken of each plane.
    pub(super) low_at: usize,
    pub(super) sign_at: usize,
    /// Most low bits of an element.
    low_bits: usize,
}

impl<'b> Planes<'b> {
    pub(super) fn new(block: &Block<'b>) -> Self {
        let low_bits = block.classes.low_bits() as usize;
        let (stored, low_len, absorbed) = (block.planes, block.low_len, block.absorbed);
        Self { stored, low_len, absorbed, low_at: 0, sign_at: 0, low_bits }
    }

    /// Whether all plane bits of the next `count` elements are stored, for certain.
    pub(super) fn have(&self, count: usize, biases: &[i8]) -> bool {
        let raw = if biases.is_empty() { count } else { raw_count(biases) };
        let low_end = (self.low_at + count * self.low_bits).div_ceil(8).min(self.low_len);
        let sign_end = self.low_len + (self.sign_at + raw).div_ceil(8);
        low_end <= self.stored.len() && sign_end <= self.stored.len()
    }

    /// Both planes end where they are full, with zero bits to the byte.
    pub(super) fn finish(&self, absorbed: &[u8]) -> Result<()> {
        let sign_len = (self.stored.len() + self.absorbed).saturating_sub(self.low_len);
        for (at, end, bits) in
            [(0, self.low_len, self.low_at), (self.low_len, self.low_len + sign_len, self.sign_at)]
        {
            let used = bits % 8;
            if used != 0 && self.byte(end - 1, absorbed) >> used != 0 {
                return Err(corrupt("plane not filled with zero bits"));
            }
            debug_assert_eq!(at + bits.div_ceil(8), end);
        }
        Ok(())
    }

    fn byte(&self, at: usize, absorbed: &[u8]) -> u8 {
        let beyond = at.checked_sub(self.stored.len()).and_then(|at| absorbed.get(at));
        self.stored.get(at).or(beyond).copied().unwrap_or(0)
    }

    /// The 64 bits (zeros follow the end) from bit `bit` of the byte string; 57 of them at least are valid.
    fn window(&self, bit: usize, absorbed: &[u8]) -> u64 {
        let at = bit / 8;
        let word = match self.stored.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(word) => *word,
            None => core::array::from_fn(|i| self.byte(at + i, absorbed)),
        };
        u64::from_le_bytes(word) >> (bit % 8)
    }

    fn low(&mut self, bits: u32, absorbed: &[u8]) -> u64 {
        let at = self.low_at;
        self.low_at += bits as usize;
        self.window(at, absorbed) & ((1 << bits) - 1)
    }

    /// The next raw signs, [`SIGNS`] of them at least.
    fn signs(&self, absorbed: &[u8]) -> u64 {
        self.window(self.low_len * 8 + self.sign_at, absorbed)
    }

    /// What is stored of low bits and of signs from the byte of the next one on.
    pub(super) fn vector_windows(&self) -> (&'b [u8], &'b [u8]) {
        let low = self.stored.get(self.low_at / 8..).unwrap_or_default();
        let signs = self.stored.get(self.low_len + self.sign_at / 8..).unwrap_or_default();
        (low, signs)
    }
}

/// How many of the columns have raw signs.
pub(super) fn raw_count(biases: &[i8]) -> usize {
    // In bytes, for as long as these do not overflow: 16 at a time or more.
    let of_run = |run: &[i8]| run.iter().fold(0u8, |count, &bias| count + u8::from(bias == 0));
    biases.chunks(128).map(|run| usize::from(of_run(run))).sum()
}

/// Writes elements `start..start + highs.len()` of the block. `absorbed` are the plane bytes that the states hold, once known.
#[allow(clippy::too_many_arguments)]
pub(super) fn merge(
    block: &Block<'_>,
    planes: &mut Planes<'_>,
    absorbed: &[u8],
    start: usize,
    highs: &[u16],
    biases: &[i8],
    out: &mut [u8],
    level: Level,
) {
    let size = block.classes.format().bytes();
    let place = block.first_column + start;
    let mut rows = block.rows[place / block.columns..].iter().peekable();
    let (mut at, mut end) = (0, block.columns - place % block.columns);
    // Rows with as many trailing zeros are one run.
    while let (true, Some(row)) = (at < highs.len(), rows.next()) {
        while end < highs.len() && rows.next_if(|next| next.zeros == row.zeros).is_some() {
            end += block.columns;
        }
        let stop = end.min(highs.len());
        let run = Run {
            zeros: row.zeros.into(),
            low_bits: block.low_bits(*row),
            biases: biases.get(at..stop).unwrap_or_default(),
        };
        let (highs, out) = (&highs[at..stop], &mut out[at * size..stop * size]);
        match size {
            2 => run.merge::<2>(planes, absorbed, highs, out, level),
            4 => run.merge::<4>(planes, absorbed, highs, out, level),
            _ => run.merge::<8>(planes, absorbed, highs, out, level),
        }
        (at, end) = (stop, stop + block.columns);
    }
}

/// Elements whose low bits have one width.
pub(super) struct Run<'r> {
    pub(super) zeros: u32,
    pub(super) low_bits: u32,
    pub(super) biases: &'r [i8],
}

impl Run<'_> {
    fn merge<const SIZE: usize>(
        &self,
        planes: &mut Planes<'_>,
        absorbed: &[u8],
        highs: &[u16],
        out: &mut [u8],
        level: Level,
    ) {
        let mut done = self.merge_vectors::<SIZE>(planes, highs, out, level);
        if level == Level::Scalar {
            done = match SIZE {
                2 if self.biases.is_empty() => self.merge_fours(planes, highs, out),
                2 => self.merge_units::<u16, SIZE>(planes, highs, out),
                4 => self.merge_units::<u32, SIZE>(planes, highs, out),
                _ => self.merge_units::<u64, SIZE>(planes, highs, out),
            };
        }
        let (sign_place, high_place) = (8 * SIZE as u32 - 1, self.low_bits + self.zeros);
        let elements = out.as_chunks_mut::<SIZE>().0;
        for (group, (highs, elements)) in
            highs[done..].chunks(SIGNS).zip(elements[done..].chunks_mut(SIGNS)).enumerate()
        {
            let biases = self.biases.get(done + group * SIGNS..).unwrap_or_default();
            let mut signs = planes.signs(absorbed);
            let mut raw = 0;
            for (i, (&high, bytes)) in highs.iter().zip(elements).enumerate() {
                let minus = match biases.get(i) {
                    None | Some(0) => {
                        let minus = signs & 1;
                        signs >>= 1;
                        raw += 1;
                        minus
                    }
                    Some(_) => u64::from(high & MINUS != 0),
                };
                let low = planes.low(self.low_bits, absorbed) << self.zeros;
                let value = u64::from(high & !MINUS) << high_place | low | minus << sign_place;
                bytes.copy_from_slice(&value.to_le_bytes()[..SIZE]);
            }
            planes.sign_at += raw;
        }
    }

    /// Writes elements of 2 bytes whose signs are all in the plane, four in a long word, while the planes can be read so; returns how many.
    fn merge_fours(&self, planes: &mut Planes<'_>, highs: &[u16], out: &mut [u8]) -> usize {
        const LANES: u64 = 0x0001_0001_0001_0001;
        let (low, signs) = planes.vector_windows();
        let (mut low_at, mut sign_at) = (planes.low_at % 8, planes.sign_at % 8);
        let (bits, high_place) = (self.low_bits, self.low_bits + self.zeros);
        let one = (1u64 << bits) - 1;
        let (firsts, seconds, pair) = (one | one << 32, (one | one << 32) << bits, one | one << bits);
        let mut done = 0;
        for (highs, out) in highs.as_chunks::<4>().0.iter().zip(out.as_chunks_mut::<8>().0) {
            let Some(window) = low.get(low_at / 8..).and_then(|rest| rest.first_chunk()) else { break };
            let Some(minus) = signs.get(sign_at / 8..).and_then(|rest| rest.first_chunk()) else { break };
            // All four together, then in pairs, then each by itself.
            let together = u64::from_le_bytes(*window) >> (low_at % 8);
            let pairs = together & pair | (together >> (2 * bits) & pair) << 32;
            let apart = pairs & firsts | (pairs & seconds) << (16 - bits);
            // Each of the four bits is moved by the factor that brings it to the top of its word; nothing else comes there.
            let minus = u64::from(u16::from_le_bytes(*minus) >> (sign_at % 8) & 15);
            let minus = (minus * (1 << 15 | 1 << 30 | 1 << 45 | 1 << 60)) & (LANES << 15);
            let [a, b, c, d] = highs.map(u64::from);
            let high = a | b << 16 | c << 32 | d << 48;
            *out = (high << high_place | apart << self.zeros | minus).to_le_bytes();
            low_at += 4 * bits as usize;
            sign_at += 4;
            done += 4;
        }
        planes.low_at += done * bits as usize;
        planes.sign_at += done;
        done
    }

    /// Writes all elements in passes over the run, if its planes lie before what the states hold and begin at whole bytes (signs may begin
    /// anywhere if some are coded); returns the elements done.
    fn merge_units<U: Unit, const SIZE: usize>(
        &self,
        planes: &mut Planes<'_>,
        highs: &[u16],
        out: &mut [u8],
    ) -> usize {
        const BLOCK: usize = 1024;
        let (low, signs) = planes.vector_windows();
        let bits = highs.len() * self.low_bits as usize;
        let raw = if self.biases.is_empty() { highs.len() } else { raw_count(self.biases) };
        let stored = bits.div_ceil(8) <= low.len() && (planes.sign_at % 8 + raw).div_ceil(8) <= signs.len();
        let whole =
            planes.low_at.is_multiple_of(8) && (planes.sign_at.is_multiple_of(8) || !self.biases.is_empty());
        if !stored || !whole || self.low_bits == 0 {
            return 0;
        }
        let mut units = [U::default(); BLOCK];
        let (high_place, sign_place) = (self.low_bits + self.zeros, 8 * SIZE as u32 - 1);
        for (index, (highs, out)) in highs.chunks(BLOCK).zip(out.chunks_mut(BLOCK * SIZE)).enumerate() {
            let units = &mut units[..highs.len()];
            for (unit, &high) in units.iter_mut().zip(highs) {
                *unit = U::place((high & !MINUS).into(), high_place);
            }
            let low = &low[index * BLOCK / 8 * self.low_bits as usize..];
            planes::merge_packed(low, self.low_bits as u8, self.zeros, units);
            match self.biases.get(index * BLOCK..) {
                None | Some([]) => {
                    planes::merge_packed(&signs[index * BLOCK / 8..], 1, sign_place, units);
                }
                Some(biases) => merge_signs(planes, biases, highs, sign_place, units),
            }
            for (bytes, unit) in out.chunks_exact_mut(SIZE).zip(units) {
                unit.store(bytes);
            }
        }
        planes.low_at += bits;
        if self.biases.is_empty() {
            planes.sign_at += raw;
        }
        highs.len()
    }

    /// Writes what vector instructions can; returns the elements done.
    #[allow(unsafe_code, unused_variables)]
    fn merge_vectors<const SIZE: usize>(
        &self,
        planes: &mut Planes<'_>,
        highs: &[u16],
        out: &mut [u8],
        level: Level,
    ) -> usize {
        match (level, SIZE) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level says that the machine has these instructions.
            (Level::Avx512, 2) => unsafe { self.merge_words_avx512(planes, highs, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Level::Avx512, 4) => unsafe { self.merge_double_words_avx512(planes, highs, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Level::Avx2, 2) => unsafe { self.merge_words_avx2(planes, highs, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Level::Avx2, 4) => unsafe { self.merge_double_words_avx2(planes, highs, out) },
            #[cfg(any(
                all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"),
                all(target_arch = "wasm32", target_feature = "simd128")
            ))]
            (Level::Vector128, 2) => self.merge_words_vector128(planes, highs, out),
            #[cfg(any(
                all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"),
                all(target_arch = "wasm32", target_feature = "simd128")
            ))]
            (Level::Vector128, 4) => self.merge_double_words_vector128(planes, highs, out),
            _ => 0,
        }
    }
}

/// Sets signs, each the plane's next or, in biased columns, the one that was decoded. The plane lies before what the states hold.
fn merge_signs<U: Unit>(
    planes: &mut Planes<'_>,
    biases: &[i8],
    highs: &[u16],
    sign_place: u32,
    units: &mut [U],
) {
    let groups = units.chunks_mut(SIGNS).zip(highs.chunks(SIGNS)).zip(biases.chunks(SIGNS));
    for ((units, highs), biases) in groups {
        let mut signs = planes.signs(&[]);
        for ((unit, &high), &bias) in units.iter_mut().zip(highs).zip(biases) {
            // Without branches: what is not taken from the plane stays in it.
            let is_raw = u32::from(bias == 0);
            let coded = u64::from(high & MINUS != 0);
            *unit |= U::place(if bias == 0 { signs & 1 } else { coded }, sign_place);
            signs >>= is_raw;
        }
        planes.sign_at += raw_count(&biases[..highs.len().min(biases.len())]);
    }
}
