//! Where an element lies on its grid of units, in integers (`SPEC.md` section 7.6.4).

use super::PHASES;
use crate::bits::{BitSink, BitSource};
use crate::error::{Result, corrupt};

/// Scales, in quarter octaves relative to the unit, that contexts tell apart.
const RATIOS: core::ops::RangeInclusive<i32> = -14..=11;
/// Up to this ratio contexts tell quarters of a unit apart.
const LAST_PHASED: i32 = 8;
/// Octaves that the unit is below the scale.
const FINER: i32 = 2;

/// Contexts of symbols.
pub const CONTEXTS: usize = 104;
/// The symbol of an element that is its base, bit by bit.
pub const SAME: u8 = 62;
/// The symbol of an element that is written in full.
pub const ESCAPE: u8 = 63;
/// The symbol of a difference of no units.
const MIDDLE: i64 = 31;

/// 2^(i/4) in 16.16 fixed point, rounded.
pub(super) const QUARTERS: [i64; 4] = [65_536, 77_936, 92_682, 110_218];

/// An equal element is told as such rather than by its difference if that would take as many bits besides the symbol.
const SAME_BITS: u32 = 3;

/// A float format: `M` mantissa bits, `E` exponent bits. Values are counted in units in the last place, which have a *code*: the
/// biased exponent of the floats that they are the last place of, 1 for the smallest.
pub(super) struct Grid<const M: u32, const E: u32>;

/// What the base and the labels say of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// The unit's code.
    unit: i32,
    /// The unit nearest to the prediction, towards the base's sign.
    middle: i64,
    pub(super) context: u8,
    minus: bool,
}

/// What tells an element, its place known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) symbol: u8,
    /// Bits stored besides.
    pub(super) bits: u32,
}

/// The floats between two neighbouring multiples of half a unit.
#[derive(Clone, Copy)]
struct Half {
    /// Code of their last place, and the first of them in these.
    code: i32,
    first: u64,
    /// There are 2^bits of them.
    bits: u32,
}

impl<const M: u32, const E: u32> Grid<M, E> {
    const BITS: u32 = 1 + M + E;
    const SIGN: u64 = 1 << (M + E);
    const MANTISSA: u64 = (1 << M) - 1;
    /// The greatest code of finite floats.
    const LAST: i32 = (1 << E) - 2;
    /// The code of the last place of value 1 is `2^0` over it.
    const OFFSET: i32 = (1 << (E - 1)) - 1 + M as i32;

    /// A magnitude in its last places, and their code.
    fn split(magnitude: u64) -> (u64, i32) {
        let exponent = (magnitude >> M) as i32;
        let mantissa = magnitude & Self::MANTISSA;
        if exponent == 0 { (mantissa, 1) } else { (mantissa | 1 << M, exponent) }
    }

    fn join(places: u64, code: i32) -> u64 {
        if places >> M == 0 { places } else { (code as u64) << M | (places & Self::MANTISSA) }
    }

    /// The place of an element whose base is `base`, in a row and column whose labels sum to `label`. `predicted` is what the difference
    /// is expected to be, in 1/2^20 of the scale.
    #[inline(always)]
    pub(super) fn place(base: u64, label: i32, predicted: i32) -> Place {
        let (places, code) = Self::split(base & !Self::SIGN);
        let unit = code.max(label.div_euclid(PHASES) - FINER + Self::OFFSET);
        let ratio = label - PHASES * (unit - Self::OFFSET);
        let finer = (unit - code).min(62) as u32;
        let shift = (28 - ratio.div_euclid(PHASES)).min(63) as u32;
        let moved = (i64::from(predicted) * QUARTERS[ratio.rem_euclid(PHASES) as usize]) >> shift;
        let minus = base & Self::SIGN != 0;
        let at = ((places << 8 >> finer) as i64) + if minus { -moved } else { moved } + 128;
        let phase = if ratio <= LAST_PHASED { (at & 255) >> 6 } else { 0 };
        let ratio = ratio.clamp(*RATIOS.start(), *RATIOS.end()) - RATIOS.start();
        Place { unit, middle: at >> 8, context: (4 * ratio) as u8 + phase as u8, minus }
    }

    /// The floats in `number * half .. (number + 1) * half`, half a unit having the code `code`; `number` is not 0.
    #[inline(always)]
    fn half(number: u64, code: i32) -> Option<Half> {
        let log = number.ilog2() as i32;
        let own = (log + code - M as i32).max(1);
        if own > Self::LAST {
            return None;
        }
        if own <= code {
            let bits = (code - own) as u32;
            return Some(Half { code: own, first: number << bits, bits });
        }
        let coarser = (own - code) as u32;
        let is_float = number.trailing_zeros() >= coarser;
        is_float.then_some(Half { code: own, first: number >> coarser, bits: 0 })
    }

    /// How to tell `value` at `place`, and the bits for it if there is a sink. `base` is its base; `known` has a bit for each symbol that
    /// may be used, escapes apart.
    #[inline(always)]
    pub(super) fn tell(place: Place, base: u64, value: u64, known: u64, sink: Option<&mut BitSink>) -> Told {
        let same = Told { symbol: SAME, bits: 0 };
        let finite = |v: u64| (v & !Self::SIGN) >> M <= Self::LAST as u64;
        let is_same = value == base && known >> SAME & 1 == 1;
        if is_same && (base & !Self::SIGN == 0 || !finite(base)) {
            return same;
        }
        let escape = |sink: Option<&mut BitSink>| {
            if let Some(sink) = sink {
                sink.put(value as u32, Self::BITS.min(32));
                sink.put((value >> 32) as u32, Self::BITS - Self::BITS.min(32));
            }
            Told { symbol: ESCAPE, bits: Self::BITS }
        };
        let (places, code) = Self::split(value & !Self::SIGN);
        let half = place.unit - 1;
        // The value in halves of a unit, rounded down.
        let halves = match code - half {
            finer @ ..=0 => places >> finer.unsigned_abs().min(63),
            coarser if places == 0 || places.leading_zeros() > coarser as u32 + 1 => places << coarser,
            _ => return escape(sink),
        };
        let minus = (value & Self::SIGN != 0) != place.minus;
        let number = halves.div_ceil(2) as i64;
        let symbol = if minus { -number } else { number } - place.middle + MIDDLE;
        if !finite(value) || !(0..i64::from(SAME)).contains(&symbol) || known >> symbol & 1 == 0 {
            return escape(sink);
        }
        let symbol = symbol as u8;
        if number == 0 {
            if is_same && Self::tell_small(places, code, half, minus, None) >= SAME_BITS {
                return same;
            }
            return Told { symbol, bits: Self::tell_small(places, code, half, minus, sink) };
        }
        let Some(own) = Self::half(halves, half) else { return escape(sink) };
        // The other half of the same unit.
        let other = Self::half(if halves.is_multiple_of(2) { halves - 1 } else { halves + 1 }, half);
        let bits = own.bits + u32::from(other.is_some());
        if is_same && bits >= SAME_BITS {
            return same;
        }
        if let Some(sink) = sink {
            if other.is_some() {
                sink.put(u32::from(halves.is_multiple_of(2)), 1);
            }
            sink.put_long(places & ((1 << own.bits) - 1), own.bits);
        }
        Told { symbol, bits }
    }

    /// Tells a value below half a unit; returns the bits.
    fn tell_small(places: u64, code: i32, half: i32, minus: bool, sink: Option<&mut BitSink>) -> u32 {
        // The value is at least 2^(log - 1) of the smallest last places; halvings until it is in the upper part.
        let log = if places == 0 { 0 } else { places.ilog2() as i32 + code };
        let (halvings, bits) = match places {
            0 => ((half - 1).max(0), 0),
            _ => (half - 1 - log, (log - code) as u32),
        };
        if let Some(sink) = sink {
            for _ in 0..halvings {
                sink.put(1, 1);
            }
            if places != 0 {
                sink.put(0, 1);
                sink.put_long(places & ((1 << bits) - 1), bits);
            }
            sink.put(minus.into(), 1);
        }
        halvings as u32 + bits + u32::from(places != 0) + 1
    }

    /// The element that `symbol` tells at `place`, if its last place is the unit and nothing else is in it.
    #[inline(always)]
    pub(super) fn usual_value(place: Place, symbol: u8) -> Option<u64> {
        let number = place.middle + i64::from(symbol) - MIDDLE;
        let places = number.unsigned_abs();
        // A power of two shares its unit with the float below it.
        let usual =
            places >> M == 1 && places & Self::MANTISSA != 0 && symbol < SAME && place.unit <= Self::LAST;
        let minus = (number < 0) != place.minus;
        usual.then(|| Self::join(places, place.unit) | if minus { Self::SIGN } else { 0 })
    }

    /// The element that `symbol` tells at `place`.
    #[inline(always)]
    pub(super) fn value(place: Place, symbol: u8, base: u64, bits: &mut BitSource<'_>) -> Result<u64> {
        if symbol >= SAME {
            return if symbol == SAME { Ok(base) } else { take_long(bits, Self::BITS) };
        }
        let number = place.middle + i64::from(symbol) - MIDDLE;
        let half = place.unit - 1;
        let (magnitude, minus) = if number == 0 {
            Self::small(half, bits)?
        } else {
            let lower = Self::half(2 * number.unsigned_abs() - 1, half);
            let upper = Self::half(2 * number.unsigned_abs(), half);
            let found = match (lower, upper) {
                (None, None) => return Err(corrupt("a difference that leads to no float")),
                (Some(one), None) | (None, Some(one)) => one,
                (Some(lower), Some(upper)) => {
                    if bits.take(1)? == 0 {
                        lower
                    } else {
                        upper
                    }
                }
            };
            let low = if found.bits == 0 { 0 } else { take_long(bits, found.bits)? };
            (Self::join(found.first | low, found.code), number < 0)
        };
        Ok(magnitude | if minus != place.minus { Self::SIGN } else { 0 })
    }

    /// A value below half a unit: its magnitude, and whether its sign is not the base's.
    fn small(mut half: i32, bits: &mut BitSource<'_>) -> Result<(u64, bool)> {
        let mut magnitude = 0;
        while half > 1 {
            half -= 1;
            if bits.take(1)? == 0 {
                let found = Self::half(1, half).ok_or(corrupt("a difference that leads to no float"))?;
                let low = take_long(bits, found.bits)?;
                magnitude = Self::join(found.first | low, found.code);
                break;
            }
        }
        Ok((magnitude, bits.take(1)? == 1))
    }
}

/// Takes up to 64 bits.
pub(super) fn take_long(bits: &mut BitSource<'_>, count: u32) -> Result<u64> {
    let low = u64::from(bits.take(count.min(32))?);
    let high = if count > 32 { u64::from(bits.take(count - 32)?) } else { 0 };
    Ok(low | high << 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check<const M: u32, const E: u32>(base: u64, value: u64, label: i32, predicted: i32) -> Told {
        let place = Grid::<M, E>::place(base, label, predicted);
        let mut sink = BitSink::default();
        let told = Grid::<M, E>::tell(place, base, value, u64::MAX, Some(&mut sink));
        assert_eq!(told, Grid::<M, E>::tell(place, base, value, u64::MAX, None));
        let bytes = sink.into_bytes();
        assert_eq!(bytes.len(), (told.bits as usize).div_ceil(8));
        let mut source = BitSource::new(&bytes);
        assert_eq!(Grid::<M, E>::value(place, told.symbol, base, &mut source).unwrap(), value);
        if let Some(usual) = Grid::<M, E>::usual_value(place, told.symbol) {
            assert_eq!((usual, told.bits), (value, 0));
        }
        assert_eq!(source.finish().unwrap(), bytes.len());
        told
    }

    #[test]
    fn every_small_half_float_comes_back() {
        // All values near all bases of a few exponents, in coarse and fine units.
        for base in (0..0x1000u64).step_by(7).chain([0x8000, 0x8001, 0x3C00, 0x3BFF, 0x7BFF]) {
            for label in [-200, -96, -60, -20, 0, 5, 40] {
                for step in 0..40u64 {
                    let value = (base & 0x7FFF).wrapping_add(step).wrapping_sub(20) & 0x7FFF;
                    check::<10, 5>(base, value, label, (step as i32 - 10) << 18);
                    check::<10, 5>(base, value | 0x8000, label, 0);
                }
            }
        }
    }

    #[test]
    fn differences_of_whole_units_take_no_bits() {
        // 1 and 1 + 3 last places, in units of the last place.
        let told = check::<7, 8>(0x3F80, 0x3F83, -1000, 0);
        assert_eq!(told, Told { symbol: 34, bits: 0 });
        // One below a power of two lies half a last place away, and shares the unit with it.
        assert_eq!(check::<7, 8>(0x3F80, 0x3F7F, -1000, 0), Told { symbol: 31, bits: 1 });
        assert_eq!(check::<7, 8>(0x3F80, 0x3F80, -1000, 0), Told { symbol: 31, bits: 1 });
        assert_eq!(check::<7, 8>(0, 0, 0, 0).symbol, SAME);
        assert_eq!(check::<7, 8>(0x7FC1, 0x7FC1, 0, 0).symbol, SAME);
        assert_eq!(check::<7, 8>(0x3F80, 0x7F80, 0, 0).symbol, ESCAPE);
    }

    proptest! {
        #[test]
        fn floats_come_back(
            base in any::<u64>(), value in any::<u64>(), near in -200i64..200, label in -4500i32..4500, predicted in any::<i32>(),
        ) {
            fn all<const M: u32, const E: u32>(base: u64, value: u64, near: i64, label: i32, predicted: i32) {
                let mask = u64::MAX >> (63 - M - E);
                check::<M, E>(base & mask, value & mask, label, predicted);
                check::<M, E>(base & mask, base.wrapping_add_signed(near) & mask, label, predicted);
                check::<M, E>(base & mask, base.wrapping_add_signed(near) & mask, label, predicted >> 12);
            }
            all::<7, 8>(base, value, near, label, predicted);
            all::<10, 5>(base, value, near, label, predicted);
            all::<23, 8>(base, value, near, label, predicted);
            all::<52, 11>(base, value, near, label, predicted);
        }
    }
}
