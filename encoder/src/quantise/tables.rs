//! Tables for the classes of codes: at most 16, shared by classes whose symbols come alike.

use super::spread::{CLASS_COUNT, Counts};
use mcodec_coding::codes::{Classes, classes};
use mcodec_coding::labelled::{ESCAPE, SYMBOLS, TABLES};
use mcodec_coding::{Result, Table};

const PRECISION: u8 = 12;
/// About what a table takes, in bits: a merge that loses less pays.
const TABLE_BITS: f64 = 300.0;

type Histogram = [u64; SYMBOLS];

/// Classes made for these counts, and what coding them takes, in bits: tables, symbols, and what is beside them.
pub(super) fn classes_for(counts: &Counts) -> Result<(Classes, f64)> {
    let mut groups: Vec<(Vec<usize>, Histogram)> = Vec::new();
    for (class, symbols) in counts.symbols.iter().enumerate() {
        if symbols.iter().any(|&n| n > 0) {
            groups.push((vec![class], *symbols));
        }
    }
    if groups.is_empty() {
        groups.push((vec![0], [1; SYMBOLS]));
    }
    while let Some((loss, a, b)) = best_merge(&groups) {
        if groups.len() <= TABLES && loss > TABLE_BITS {
            break;
        }
        let (of, symbols) = groups.remove(b);
        groups[a].0.extend(of);
        groups[a].1.iter_mut().zip(symbols).for_each(|(mine, theirs)| *mine += theirs);
    }
    let mut bits = counts.packed_bits as f64;
    let mut tables = Vec::new();
    let mut table_of = [u8::MAX; CLASS_COUNT];
    for (number, (of, symbols)) in groups.iter().enumerate() {
        let (values, seen) = occurring(symbols);
        let table = Table::from_counts(&values, &seen, PRECISION)?;
        bits += table.cost_bits(&values, &seen) + 8.0 * table.byte_len() as f64;
        of.iter().for_each(|&class| table_of[class] = number as u8);
        tables.push(table);
    }
    // A class that no code has goes with the nearest that one has.
    let known: Vec<(usize, u8)> =
        table_of.iter().copied().enumerate().filter(|(_, table)| *table != u8::MAX).collect();
    for (class, table) in table_of.iter_mut().enumerate() {
        if let Some((_, nearest)) = known.iter().min_by_key(|(of, _)| of.abs_diff(class)) {
            *table = *nearest;
        }
    }
    Ok((classes(&table_of, tables)?, bits))
}

/// Symbols that occur, and the escape, without which a code that was not counted could not be written.
fn occurring(symbols: &Histogram) -> (Vec<u16>, Vec<u64>) {
    let all = symbols.iter().enumerate().map(|(symbol, &n)| match symbol {
        s if s == usize::from(ESCAPE) => (s as u16, n.max(1)),
        s => (s as u16, n),
    });
    all.filter(|(_, n)| *n > 0).unzip()
}

/// The two groups whose merge loses least, and the bits it loses.
fn best_merge(groups: &[(Vec<usize>, Histogram)]) -> Option<(f64, usize, usize)> {
    let own: Vec<f64> = groups.iter().map(|(_, h)| entropy_bits(h)).collect();
    let mut best: Option<(f64, usize, usize)> = None;
    for a in 0..groups.len() {
        for b in a + 1..groups.len() {
            let mut both = groups[a].1;
            both.iter_mut().zip(groups[b].1).for_each(|(mine, theirs)| *mine += theirs);
            let loss = entropy_bits(&both) - own[a] - own[b];
            if best.is_none_or(|(least, ..)| loss < least) {
                best = Some((loss, a, b));
            }
        }
    }
    best
}

pub(super) fn entropy_bits(symbols: &Histogram) -> f64 {
    let total: u64 = symbols.iter().sum();
    let bits = |&n: &u64| if n == 0 { 0.0 } else { n as f64 * (total as f64 / n as f64).log2() };
    symbols.iter().map(bits).sum()
}
