//! The static tables of fast sets: `fast.tables`, part of the format (`SPEC.md` section 7.15).

use crate::varint::{put, take};
use std::sync::LazyLock;

/// The file.
const FILE: &[u8] = include_bytes!("fast.tables");

/// Frequencies of a table sum to 2 to this power.
pub const PRECISION: u32 = 12;
const SUM: u32 = 1 << PRECISION;

/// What a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// How many of 1 to 12 lie in the first half, by the balance.
    First,
    /// By how much the half of more is missed, by the balance.
    Quotient,
    /// The sum of both levels.
    Sum,
    /// Half their difference.
    Difference,
    /// An angle, by its number of bits and how much the angles around agree.
    Angle,
    /// What is left of a colour.
    Colour,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::First, Self::Quotient, Self::Sum, Self::Difference, Self::Angle, Self::Colour];

    /// Number of its tables.
    const fn tables(self) -> usize {
        match self {
            Self::First => 12 * 5,
            Self::Quotient => 5,
            Self::Sum => 11 * 17,
            Self::Difference => 6 * 16,
            Self::Angle => 8 * 5,
            Self::Colour => 4 * 16 * 5,
        }
    }

    const fn first_table(self) -> usize {
        let (mut sum, mut i) = (0, 0);
        while i < self as usize {
            sum += Self::ALL[i].tables();
            i += 1;
        }
        sum
    }

    /// The table of a context; one beyond the last counts as the last.
    #[inline]
    pub(super) fn table(self, context: usize) -> u16 {
        (self.first_table() + context.min(self.tables() - 1)) as u16
    }

    /// Number of symbols of the table of a context.
    #[inline]
    pub(super) fn symbols(self, context: usize) -> u32 {
        match self {
            Self::First => 2 + context.min(self.tables() - 1) as u32 / 5,
            Self::Quotient | Self::Difference => 16,
            Self::Sum => 64,
            Self::Angle => 2 << (context as u32 / 5).min(5),
            Self::Colour => 32,
        }
    }
}

/// Every table: which slots each of its symbols has.
#[derive(Debug)]
pub(super) struct Tables {
    /// Of each table where its slots begin in `starts`.
    first: Vec<u32>,
    /// Of each symbol its first slot, and at the end of each table 2^[`PRECISION`].
    starts: Vec<u16>,
}

impl Tables {
    fn new(frequencies: &[Vec<u16>]) -> Self {
        let (mut first, mut starts) = (Vec::with_capacity(frequencies.len() + 1), Vec::new());
        for table in frequencies {
            first.push(starts.len() as u32);
            let mut slot = 0;
            for &frequency in table {
                starts.push(slot);
                slot += frequency;
            }
            starts.push(slot);
        }
        first.push(starts.len() as u32);
        Self { first, starts }
    }

    #[inline]
    fn starts_of(&self, table: u16) -> &[u16] {
        let table = usize::from(table);
        &self.starts[self.first[table] as usize..self.first[table + 1] as usize]
    }

    /// First slot and frequency of a symbol.
    pub(super) fn slots_of(&self, table: u16, symbol: u8) -> (u32, u32) {
        let starts = self.starts_of(table);
        let (from, end) = (starts[usize::from(symbol)], starts[usize::from(symbol) + 1]);
        (from.into(), (end - from).into())
    }

    /// The symbol of a slot, its first slot and its frequency.
    #[inline]
    pub(super) fn symbol_at(&self, table: u16, slot: u32) -> (u8, u32, u32) {
        let starts = self.starts_of(table);
        let symbol = starts[1..].partition_point(|&start| u32::from(start) <= slot);
        let (from, end) = (u32::from(starts[symbol]), u32::from(starts[symbol + 1]));
        (symbol as u8, from, end - from)
    }
}

/// Numbers of symbols of all tables.
fn sizes() -> Vec<usize> {
    let of = |kind: Kind| (0..kind.tables()).map(move |context| kind.symbols(context) as usize);
    Kind::ALL.into_iter().flat_map(of).collect()
}

/// The tables of the format.
pub(super) fn tables() -> &'static Tables {
    static TABLES: LazyLock<Tables> =
        LazyLock::new(|| Tables::new(&read(FILE).unwrap_or_else(|| frequencies(&tally()))));
    &TABLES
}

/// How often each symbol of each table was met, at first never.
#[must_use]
pub fn tally() -> Vec<Vec<u32>> {
    sizes().into_iter().map(|size| vec![0; size]).collect()
}

/// What symbols that are rare in a context borrow from all contexts of their kind: this many occurrences.
const BORROWED: f64 = 12.0;

/// The file that says what was met.
#[must_use]
pub fn write(tally: &[Vec<u32>]) -> Vec<u8> {
    let mut out = Vec::new();
    frequencies(tally).iter().flatten().for_each(|&frequency| put(&mut out, u64::from(frequency)));
    out
}

fn read(mut bytes: &[u8]) -> Option<Vec<Vec<u16>>> {
    let mut all = Vec::new();
    for size in sizes() {
        let table: Option<Vec<u16>> = (0..size)
            .map(|_| take(&mut bytes).ok().and_then(|frequency| u16::try_from(frequency).ok()))
            .collect();
        all.push(table?);
    }
    bytes.is_empty().then_some(all)
}

/// Frequencies of at least 1 that sum to 2^[`PRECISION`].
fn frequencies(tally: &[Vec<u32>]) -> Vec<Vec<u16>> {
    let mut out = Vec::new();
    for kind in Kind::ALL {
        let first = kind.first_table();
        let own = &tally[first..first + kind.tables()];
        for table in own {
            // All contexts with as many symbols together, and one of each symbol.
            let alike = own.iter().filter(|other| other.len() == table.len());
            let mut all = vec![1.0; table.len()];
            alike.for_each(|other| all.iter_mut().zip(other).for_each(|(sum, &n)| *sum += f64::from(n)));
            let whole: f64 = all.iter().sum();
            let weights: Vec<f64> =
                table.iter().zip(&all).map(|(&n, all)| f64::from(n) + BORROWED * all / whole).collect();
            out.push(scaled(&weights));
        }
    }
    out
}

fn scaled(weights: &[f64]) -> Vec<u16> {
    let sum: f64 = weights.iter().sum();
    let room = f64::from(SUM) - weights.len() as f64;
    let mut frequencies: Vec<u16> = weights.iter().map(|w| 1 + (w / sum * room) as u16).collect();
    let missing = SUM as u16 - frequencies.iter().sum::<u16>();
    if let Some(greatest) = frequencies.iter_mut().max_by_key(|frequency| **frequency) {
        *greatest += missing;
    }
    frequencies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_every_table_whole() {
        for (table, size) in read(FILE).expect("sound").iter().zip(sizes()) {
            assert_eq!(table.len(), size);
            assert!(table.iter().all(|&frequency| frequency > 0));
            assert_eq!(table.iter().map(|&frequency| u32::from(frequency)).sum::<u32>(), SUM);
        }
    }

    #[test]
    fn slots_are_those_of_their_symbols() {
        for table in [0u16, 59, 64, 200, 400, 707] {
            let symbols = tables().starts_of(table).len() as u8 - 1;
            for symbol in 0..symbols {
                let (start, frequency) = tables().slots_of(table, symbol);
                for slot in [start, start + frequency - 1] {
                    assert_eq!(tables().symbol_at(table, slot), (symbol, start, frequency));
                }
            }
        }
    }
}
