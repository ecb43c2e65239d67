//! Cutting units into fields: `width`-bit symbols at bit `shift` of each little-endian unit, and their packed form
//! (`SPEC.md` section 7.1, mode 0).

use bitvec::field::BitField;
use bitvec::order::Lsb0;
use bitvec::slice::BitSlice;
use bitvec::view::BitView;

use crate::error::{Result, invalid};

/// An unsigned integer that a chunk may consist of.
pub(crate) trait Unit: Copy + Default + core::ops::BitOrAssign {
    /// Bytes of a unit.
    const BYTES: usize;
    /// Reads a unit of exactly [`Unit::BYTES`] bytes.
    fn load(bytes: &[u8]) -> Self;
    /// Writes a unit to exactly [`Unit::BYTES`] bytes.
    fn store(self, bytes: &mut [u8]);
    /// The low bits of `value`, moved up by `shift` (less than the unit's bits).
    fn place(value: u64, shift: u32) -> Self;
    /// The unit as a number, moved down by `shift`.
    fn cut(self, shift: u32) -> u64;
}

macro_rules! unit {
    ($($t:ty),*) => {$(
        impl Unit for $t {
            const BYTES: usize = size_of::<$t>();
            fn load(bytes: &[u8]) -> Self {
                bytes.first_chunk().map_or(0, |bytes| Self::from_le_bytes(*bytes))
            }
            fn store(self, bytes: &mut [u8]) {
                if let Some(slot) = bytes.first_chunk_mut() {
                    *slot = self.to_le_bytes();
                }
            }
            fn place(value: u64, shift: u32) -> Self {
                (value as Self) << shift
            }
            fn cut(self, shift: u32) -> u64 {
                u64::from(self >> shift)
            }
        }
    )*};
}
unit!(u8, u16, u32, u64);

/// A unit of `N` bytes, at most 8, that no integer has: codes of 3, 5 or 6 bits fill 24 or 40.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Odd<const N: usize>(u64);

impl<const N: usize> core::ops::BitOrAssign for Odd<N> {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl<const N: usize> Unit for Odd<N> {
    const BYTES: usize = N;
    fn load(bytes: &[u8]) -> Self {
        let mut word = [0; 8];
        if let Some(bytes) = bytes.first_chunk::<N>() {
            word[..N].copy_from_slice(bytes);
        }
        Self(u64::from_le_bytes(word))
    }
    fn store(self, bytes: &mut [u8]) {
        if let Some(slot) = bytes.first_chunk_mut::<N>() {
            slot.copy_from_slice(&self.0.to_le_bytes()[..N]);
        }
    }
    fn place(value: u64, shift: u32) -> Self {
        Self(value << shift)
    }
    fn cut(self, shift: u32) -> u64 {
        self.0 >> shift
    }
}

/// Whether units may be of so many bits.
pub(crate) fn is_unit(bits: u8) -> bool {
    matches!(bits, 8 | 16 | 24 | 32 | 40 | 64)
}

/// The low `width` bits set, `width` 1 to 64.
pub(crate) fn mask(width: u8) -> u64 {
    u64::MAX >> (64 - u32::from(width))
}

/// Bytes of the packed form of `n` symbols of `width` bits.
#[must_use]
pub fn packed_len(n: usize, width: u8) -> u64 {
    (n as u128 * u128::from(width)).div_ceil(8) as u64
}

/// Checks that `width` bits at `shift` lie in a unit of `unit_bits`, and that units fill `bytes`.
fn check(bytes: &[u8], unit_bits: u8, shift: u8, width: u8) -> Result<()> {
    if !is_unit(unit_bits) || !bytes.len().is_multiple_of(usize::from(unit_bits / 8)) {
        return Err(invalid("a unit is 8, 16, 24, 32, 40 or 64 bits, and units fill the bytes"));
    }
    if width == 0 || u32::from(shift) + u32::from(width) > u32::from(unit_bits) {
        return Err(invalid("a field must lie in its unit"));
    }
    Ok(())
}

/// The symbols of the field of `width` (1 to 16) bits at bit `shift` of each unit.
///
/// # Errors
/// [`crate::CodingError::Invalid`] if the field does not lie in the unit, units do not fill `bytes`, or `width` is
/// above 16.
pub fn symbols(bytes: &[u8], unit_bits: u8, shift: u8, width: u8) -> Result<Vec<u16>> {
    check(bytes, unit_bits, shift, width)?;
    if width > 16 {
        return Err(invalid("symbols are at most 16 bits"));
    }
    fn of<U: Unit>(bytes: &[u8], shift: u32, mask: u64) -> Vec<u16> {
        bytes.chunks_exact(U::BYTES).map(|unit| (U::load(unit).cut(shift) & mask) as u16).collect()
    }
    let (shift, mask) = (u32::from(shift), mask(width));
    Ok(match unit_bits {
        8 => of::<u8>(bytes, shift, mask),
        16 => of::<u16>(bytes, shift, mask),
        24 => of::<Odd<3>>(bytes, shift, mask),
        40 => of::<Odd<5>>(bytes, shift, mask),
        32 => of::<u32>(bytes, shift, mask),
        _ => of::<u64>(bytes, shift, mask),
    })
}

/// The packed form of the field of `width` (1 to 64) bits at bit `shift` of each unit.
///
/// # Errors
/// [`crate::CodingError::Invalid`] if the field does not lie in the unit or units do not fill `bytes`.
pub fn packed(bytes: &[u8], unit_bits: u8, shift: u8, width: u8) -> Result<Vec<u8>> {
    check(bytes, unit_bits, shift, width)?;
    if width == unit_bits {
        return Ok(bytes.to_vec());
    }
    let shift = u32::from(shift);
    Ok(match unit_bits {
        8 => pack::<u8>(bytes, shift, width),
        16 => pack::<u16>(bytes, shift, width),
        24 => pack::<Odd<3>>(bytes, shift, width),
        40 => pack::<Odd<5>>(bytes, shift, width),
        32 => pack::<u32>(bytes, shift, width),
        _ => pack::<u64>(bytes, shift, width),
    })
}

fn pack<U: Unit>(bytes: &[u8], shift: u32, width: u8) -> Vec<u8> {
    match width {
        1 => pack_small::<U, 1>(bytes, shift),
        2 => pack_small::<U, 2>(bytes, shift),
        3 => pack_small::<U, 3>(bytes, shift),
        4 => pack_small::<U, 4>(bytes, shift),
        5 => pack_small::<U, 5>(bytes, shift),
        6 => pack_small::<U, 6>(bytes, shift),
        7 => pack_small::<U, 7>(bytes, shift),
        8 => bytes.chunks_exact(U::BYTES).map(|unit| U::load(unit).cut(shift) as u8).collect(),
        _ => pack_any::<U>(bytes, shift, width),
    }
}

/// Widths below 8: eight symbols are `W` bytes.
fn pack_small<U: Unit, const W: usize>(bytes: &[u8], shift: u32) -> Vec<u8> {
    let groups = bytes.chunks_exact(8 * U::BYTES);
    let tail = pack_any::<U>(groups.remainder(), shift, W as u8);
    let mut out = vec![0; groups.len() * W];
    for (packed, group) in out.as_chunks_mut::<W>().0.iter_mut().zip(groups) {
        let mut word = 0;
        for (i, unit) in group.chunks_exact(U::BYTES).enumerate() {
            word |= (U::load(unit).cut(shift) & ((1 << W) - 1)) << (i * W);
        }
        packed.copy_from_slice(&word.to_le_bytes()[..W]);
    }
    out.extend(tail);
    out
}

fn pack_any<U: Unit>(bytes: &[u8], shift: u32, width: u8) -> Vec<u8> {
    let mask = mask(width);
    let mut out = Vec::with_capacity(bytes.len() / U::BYTES * usize::from(width) / 8 + 16);
    let width = u32::from(width);
    // Invariant: fewer than 8 bits wait, so a symbol of 64 bits still fits.
    let (mut waiting, mut bits) = (0u128, 0);
    for unit in bytes.chunks_exact(U::BYTES) {
        waiting |= u128::from(U::load(unit).cut(shift) & mask) << bits;
        bits += width;
        if bits >= 32 {
            out.extend_from_slice(&(waiting as u32).to_le_bytes());
            waiting >>= 32;
            bits -= 32;
        }
        if bits >= 32 {
            out.extend_from_slice(&(waiting as u32).to_le_bytes());
            waiting >>= 32;
            bits -= 32;
        }
    }
    let last = waiting.to_le_bytes();
    out.extend_from_slice(&last[..bits.div_ceil(8) as usize]);
    out
}

/// True if the bits that fill the last byte of a packed form of `n` symbols are zero.
pub(crate) fn is_filled_with_zeros(plane: &[u8], n: usize, width: u8) -> bool {
    let used = (n as u64 % 8 * u64::from(width) % 8) as u32;
    used == 0 || plane.last().is_none_or(|last| last >> used == 0)
}

/// Moves the packed symbols at the front of `plane` up by `shift` and merges them into `units`.
///
/// `plane` must hold at least `units.len()` symbols.
pub(crate) fn merge_packed<U: Unit>(plane: &[u8], width: u8, shift: u32, units: &mut [U]) {
    match width {
        1 => merge_small::<U, 1>(plane, shift, units),
        2 => merge_small::<U, 2>(plane, shift, units),
        3 => merge_small::<U, 3>(plane, shift, units),
        4 => merge_small::<U, 4>(plane, shift, units),
        5 => merge_small::<U, 5>(plane, shift, units),
        6 => merge_small::<U, 6>(plane, shift, units),
        7 => merge_small::<U, 7>(plane, shift, units),
        8 => merge_whole::<U, u8>(plane, shift, units),
        16 => merge_whole::<U, u16>(plane, shift, units),
        32 => merge_whole::<U, u32>(plane, shift, units),
        64 => merge_whole::<U, u64>(plane, shift, units),
        9..=57 => merge_windows(plane, width, shift, units),
        _ => merge_any(plane, width, shift, 0, units),
    }
}

/// Widths below 8: eight symbols are `W` bytes.
fn merge_small<U: Unit, const W: usize>(plane: &[u8], shift: u32, units: &mut [U]) {
    let (groups, tail) = units.as_chunks_mut::<8>();
    for (group, packed) in groups.iter_mut().zip(plane.as_chunks::<W>().0) {
        let mut word = [0; 8];
        word[..W].copy_from_slice(packed);
        let word = u64::from_le_bytes(word);
        for (i, unit) in group.iter_mut().enumerate() {
            *unit |= U::place(word >> (i * W) & ((1 << W) - 1), shift);
        }
    }
    merge_any(plane, W as u8, shift, groups.len() * 8, tail);
}

/// Widths that are whole integers.
fn merge_whole<U: Unit, V: Unit>(plane: &[u8], shift: u32, units: &mut [U]) {
    for (unit, symbol) in units.iter_mut().zip(plane.chunks_exact(V::BYTES)) {
        *unit |= U::place(V::load(symbol).cut(0), shift);
    }
}

/// Widths up to 57: a symbol lies within 8 bytes from the byte it starts in.
fn merge_windows<U: Unit>(plane: &[u8], width: u8, shift: u32, units: &mut [U]) {
    let (step, mask) = (usize::from(width), mask(width));
    let mut bit = 0;
    let mut done = 0;
    for unit in units.iter_mut() {
        let Some(window) = plane.get(bit / 8..).and_then(|rest| rest.first_chunk()) else { break };
        *unit |= U::place(u64::from_le_bytes(*window) >> (bit % 8) & mask, shift);
        bit += step;
        done += 1;
    }
    merge_any(plane, width, shift, done, &mut units[done..]);
}

/// Any width, from symbol number `first`, by way of a bit view: for what the fast ways leave over.
fn merge_any<U: Unit>(plane: &[u8], width: u8, shift: u32, first: usize, units: &mut [U]) {
    let bits: &BitSlice<u8, Lsb0> = plane.view_bits();
    let Some(bits) = bits.get(first * usize::from(width)..) else { return };
    for (unit, symbol) in units.iter_mut().zip(bits.chunks_exact(usize::from(width))) {
        *unit |= U::place(symbol.load_le(), shift);
    }
}

/// Moves `symbols` up by `shift` and merges them into `units`.
pub(crate) fn merge_symbols<U: Unit>(symbols: &[u16], shift: u32, units: &mut [U]) {
    for (unit, &symbol) in units.iter_mut().zip(symbols) {
        *unit |= U::place(symbol.into(), shift);
    }
}

/// Merges the same bits into all `units`.
pub(crate) fn merge_constant<U: Unit>(value: u64, shift: u32, units: &mut [U]) {
    let bits = U::place(value, shift);
    for unit in units {
        *unit |= bits;
    }
}
