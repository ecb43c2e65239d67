//! Factors of the low-rank predictor: integers under tables that only their class gives (`SPEC.md` section 7.6.3).

use std::sync::OnceLock;

use super::slots::{Buckets, PRECISION, RankTable, buckets, freqs};
use super::stream::Stream;
use crate::bits::{BitSink, BitSource};
use crate::error::Result;
use crate::table::Table;

/// Classes of factors: a factor of class c has a deviation of about 2^((c - 6) / 4).
pub const CLASSES: u8 = 59;
/// Classes from this one on are those before with low bits apart.
const TABLES: usize = 19;
/// 8 log2(e) / 2 in 16.16 fixed point, over the square of the deviation of classes 0 and 1.
const STEEPNESS: [u64; 2] = [3_025_560, 2_139_391];
/// Symbols this many eighths of an octave rarer than the commonest are escaped.
const DEPTH: u64 = 88;
const TOP_LEVEL: u8 = 127;
/// The symbol of factor 0, and the one of factors written in full.
const MIDDLE: i32 = 31;
const ESCAPE: u8 = 63;
/// Bits of a factor written in full.
const FULL_BITS: u32 = 16;

/// Low bits that are stored apart, for a factor of class `class`.
fn low_bits(class: u8) -> u32 {
    if usize::from(class) < TABLES { 0 } else { (u32::from(class) - 15) / 4 }
}

/// The table's number of class `class`.
fn table_of(class: u8) -> usize {
    (usize::from(class) - 4 * low_bits(class) as usize).min(TABLES - 1)
}

/// Levels of symbols -31..=31 by their distance from 0, as far as they are in the table.
fn table(number: usize) -> Table {
    let steepness = STEEPNESS[number & 1] >> (number >> 1);
    let mut values = Vec::new();
    let mut levels = Vec::new();
    for symbol in -MIDDLE..=MIDDLE {
        let depth = ((symbol * symbol) as u64 * steepness) >> 16;
        if depth <= DEPTH {
            values.push((symbol + MIDDLE) as u16);
            levels.push(TOP_LEVEL - depth as u8);
        }
    }
    values.push(u16::from(ESCAPE));
    levels.push(TOP_LEVEL - DEPTH as u8);
    Table::from_levels(values, levels, PRECISION as u8).expect("a fixed table")
}

struct Tables {
    buckets: Vec<Buckets>,
    ranks: Vec<RankTable>,
    /// Bits of each symbol.
    costs: Vec<[f32; 64]>,
}

fn tables() -> &'static Tables {
    static ALL: OnceLock<Tables> = OnceLock::new();
    ALL.get_or_init(|| {
        let tables: Vec<Table> = (0..TABLES).map(table).collect();
        let ranks = tables.iter().map(RankTable::new).collect();
        let cost =
            |freq: u16| if freq == 0 { f32::INFINITY } else { PRECISION as f32 - f32::from(freq).log2() };
        let costs = tables.iter().map(|t| freqs(t).map(cost)).collect();
        Tables { buckets: tables.iter().map(buckets).collect(), ranks, costs }
    })
}

/// The table of a class, as encoders use it.
pub(super) fn ranks(number: u8) -> Option<&'static RankTable> {
    tables().ranks.get(usize::from(number))
}

/// Takes a factor of class `class`, which is below [`CLASSES`].
pub(super) fn take(class: u8, stream: &mut Stream<'_>, bits: &mut BitSource<'_>) -> Result<i16> {
    let symbol = stream.symbol(&tables().buckets[table_of(class)]);
    if symbol == ESCAPE {
        return Ok(bits.take(FULL_BITS)? as u16 as i16);
    }
    let low = low_bits(class);
    let rest = if low == 0 { 0 } else { bits.take(low)? as i32 };
    Ok((((i32::from(symbol) - MIDDLE) << low) + rest - ((1 << low) >> 1)) as i16)
}

/// The table's number and symbol of a factor, and the bits stored besides.
pub(super) fn tell(class: u8, factor: i16) -> ((u8, u8), (u32, u32)) {
    let number = table_of(class);
    let low = low_bits(class);
    let moved = i32::from(factor) + ((1 << low) >> 1);
    let symbol = (moved >> low) + MIDDLE;
    let known =
        (0..=2 * MIDDLE).contains(&symbol) && tables().costs[number][symbol as usize % 64].is_finite();
    if known {
        ((number as u8, symbol as u8), ((moved & ((1 << low) - 1)) as u32, low))
    } else {
        ((number as u8, ESCAPE), (u32::from(factor as u16), FULL_BITS))
    }
}

/// Stores the bits of a factor; returns its table's number and symbol.
pub(super) fn put(class: u8, factor: i16, sink: &mut BitSink) -> (u8, u8) {
    let (coded, (value, count)) = tell(class, factor);
    sink.put(value, count);
    coded
}

/// What `factors` take under class `class`, in bits.
#[must_use]
pub fn cost_bits(class: u8, factors: impl Iterator<Item = i16>) -> f64 {
    let class = class.min(CLASSES - 1);
    let costs = &tables().costs;
    let one = |factor| {
        let ((number, symbol), (_, bits)) = tell(class, factor);
        f64::from(costs[usize::from(number)][usize::from(symbol)]) + f64::from(bits)
    };
    factors.map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_as_wide_as_they_say() {
        for class in 0..CLASSES {
            let low = low_bits(class);
            assert!((15..19).contains(&table_of(class)) || low == 0, "{class}");
            let deviation = 2f64.powf((f64::from(class) - 6.0) / 4.0);
            let normal = |i: i32| (-f64::from(i * i) / 2.0 / deviation / deviation).exp();
            let reach = (4.0 * deviation) as i32 + 1;
            let (sum, entropy) = (-reach..=reach).fold((0.0, 0.0), |(sum, cost), i| {
                (sum + normal(i), cost + normal(i) * cost_bits(class, std::iter::once(i as i16)))
            });
            let ideal = (-reach..=reach).map(|i| -normal(i) / sum * (normal(i) / sum).log2()).sum::<f64>();
            assert!(entropy / sum < ideal + 0.05, "{class}: {} {ideal}", entropy / sum);
        }
    }
}
