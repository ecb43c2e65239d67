//! Tables for the classes of a grid.

use super::FILLER;
use crate::error::Result;
use crate::labelled::{Class, Classes, FloatFormat, PLAIN_SYMBOLS, TABLES};
use crate::table::Table;

const PRECISION: u8 = 11;

/// Tables for the classes: neighbours that are alike share one.
pub(super) fn tables_for(symbols: &[u8], classes: &[u8]) -> Result<Classes> {
    let mut counts = vec![[0u64; 64]; usize::from(FILLER) + 1];
    for (symbol, class) in symbols.iter().zip(classes) {
        counts[usize::from(*class)][usize::from(*symbol)] += 1;
    }
    let mut groups: Vec<(Vec<usize>, [u64; 64])> = Vec::new();
    for (class, counts) in counts[..usize::from(FILLER)].iter().enumerate() {
        if counts.iter().any(|&n| n > 0) {
            groups.push((vec![class], *counts));
        }
    }
    let together = |a: &[u64; 64], b: &[u64; 64]| -> [u64; 64] { core::array::from_fn(|s| a[s] + b[s]) };
    loop {
        let mut cheapest: Option<(usize, f64)> = None;
        for (i, pair) in groups.windows(2).enumerate() {
            let loss = cost(&together(&pair[0].1, &pair[1].1)) - cost(&pair[0].1) - cost(&pair[1].1);
            if cheapest.is_none_or(|(_, least)| loss < least) {
                cheapest = Some((i, loss));
            }
        }
        // Of a table's own bytes, about.
        let Some((i, loss)) = cheapest.filter(|(_, loss)| groups.len() >= TABLES || *loss < TABLE_BITS)
        else {
            break;
        };
        debug_assert!(loss > -1.0);
        let (members, added) = groups.remove(i + 1);
        let into = &mut groups[i];
        into.0.extend(members);
        into.1 = together(&into.1, &added);
    }
    let mut of_class = vec![0u8; usize::from(FILLER) + 1];
    let mut tables = Vec::new();
    let mut filler = [0u64; 64];
    filler[0] = 1;
    groups.push((vec![usize::from(FILLER)], filler));
    for (members, counts) in &groups {
        members.iter().for_each(|&class| of_class[class] = tables.len() as u8);
        let used: Vec<u16> = (0..u16::from(PLAIN_SYMBOLS)).filter(|&s| counts[usize::from(s)] > 0).collect();
        let of: Vec<u64> = used.iter().map(|&s| counts[usize::from(s)]).collect();
        tables.push(Table::from_counts(&used, &of, PRECISION)?);
    }
    let classes = of_class.into_iter().map(|table| Class { table, octaves: 0 }).collect();
    Classes::new(FloatFormat::Bf16, 0, classes, tables, None)
}

/// Bits of a table.
const TABLE_BITS: f64 = 160.0;

/// Bits of symbols that occur so often, under their own table.
fn cost(counts: &[u64; 64]) -> f64 {
    let all: u64 = counts.iter().sum();
    let bits = |&n: &u64| if n == 0 { 0.0 } else { n as f64 * (all as f64 / n as f64).log2() };
    counts.iter().map(bits).sum()
}
