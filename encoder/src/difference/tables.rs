//! Tables by context: alike contexts share one.

use mcodec_coding::difference::{CONTEXTS, ESCAPE, Tables};
use mcodec_coding::{Result, Table};

const SYMBOLS: usize = 64;
/// About what a table takes by itself, and for each symbol, in bits.
const TABLE_BITS: f64 = 40.0;
const SYMBOL_BITS: f64 = 4.5;
/// Bits of an escape, besides its symbol, of the shortest floats.
const ESCAPE_BITS: f64 = 16.0;
/// A symbol whose share of the slots is below this is escaped.
const LEAST_SLOTS: f64 = 0.35;
const PRECISION: u8 = 12;

/// Counts of contexts that share a table.
struct Group {
    contexts: Vec<usize>,
    counts: [u64; SYMBOLS],
    cost: f64,
}

/// Counts with rare symbols escaped.
fn escaped(counts: &[u64; SYMBOLS]) -> ([u64; SYMBOLS], f64) {
    let n: u64 = counts.iter().sum();
    let least = LEAST_SLOTS * n as f64 / f64::from(1u32 << PRECISION);
    let mut kept = *counts;
    let mut bits = 0.0;
    for symbol in 0..usize::from(ESCAPE) {
        if kept[symbol] > 0 && (kept[symbol] as f64) < least {
            kept[usize::from(ESCAPE)] += kept[symbol];
            bits += kept[symbol] as f64 * ESCAPE_BITS;
            kept[symbol] = 0;
        }
    }
    (kept, bits)
}

/// Bits of symbols under a table of their own, and of the table.
fn cost(counts: &[u64; SYMBOLS]) -> f64 {
    let (counts, mut bits) = escaped(counts);
    let n = counts.iter().sum::<u64>() as f64;
    for count in counts.into_iter().filter(|&c| c > 0).map(|c| c as f64) {
        bits += count * (n / count).log2() + SYMBOL_BITS;
    }
    bits + TABLE_BITS
}

fn joined(a: &Group, b: &Group) -> ([u64; SYMBOLS], f64) {
    let mut counts = a.counts;
    counts.iter_mut().zip(&b.counts).for_each(|(sum, n)| *sum += n);
    (counts, cost(&counts))
}

/// The tables for counts by context.
///
/// # Errors
/// [`mcodec_coding::CodingError`] if a table cannot be made, which would be a defect.
pub(super) fn tables_for(counts: &[[u64; SYMBOLS]]) -> Result<Tables> {
    let mut groups: Vec<Group> = Vec::new();
    for (context, counts) in counts.iter().enumerate() {
        if counts.iter().any(|&n| n > 0) {
            groups.push(Group { contexts: vec![context], counts: *counts, cost: cost(counts) });
        }
    }
    if groups.is_empty() {
        let mut counts = [0; SYMBOLS];
        counts[usize::from(ESCAPE)] = 1;
        groups.push(Group { contexts: vec![0], counts, cost: 0.0 });
    }
    let saving = |a: &Group, b: &Group| a.cost + b.cost - joined(a, b).1;
    let mut savings: Vec<Vec<f64>> =
        (0..groups.len()).map(|a| (0..a).map(|b| saving(&groups[a], &groups[b])).collect()).collect();
    loop {
        let pairs = savings
            .iter()
            .enumerate()
            .flat_map(|(a, row)| row.iter().enumerate().map(move |(b, s)| (*s, a, b)));
        let Some((best, a, b)) = pairs.max_by(|x, y| x.0.total_cmp(&y.0)) else { break };
        if best <= 0.0 && groups.len() <= SYMBOLS {
            break;
        }
        let (counts, cost) = joined(&groups[a], &groups[b]);
        let gone = groups.remove(a);
        let kept = &mut groups[b];
        kept.contexts.extend(gone.contexts);
        (kept.counts, kept.cost) = (counts, cost);
        savings.remove(a);
        savings.iter_mut().filter(|row| row.len() > a).for_each(|row| _ = row.remove(a));
        for other in 0..groups.len() {
            let (high, low) = (other.max(b), other.min(b));
            if high != low {
                savings[high][low] = saving(&groups[high], &groups[low]);
            }
        }
    }
    let mut numbers = [None; CONTEXTS];
    let mut tables = Vec::with_capacity(groups.len());
    let values: Vec<u16> = (0..SYMBOLS as u16).collect();
    for group in &groups {
        group.contexts.iter().for_each(|&context| numbers[context] = Some(tables.len() as u8));
        tables.push(Table::from_counts(&values, &escaped(&group.counts).0, PRECISION)?);
    }
    // Contexts that do not occur go with those before them, which is shortest to say.
    let mut last = numbers.iter().flatten().copied().next().unwrap_or(0);
    let contexts = numbers.map(|number| {
        last = number.unwrap_or(last);
        last
    });
    Tables::new(contexts, tables)
}
