//! Where the keys of a component are cut into classes.

use mcodec_coding::blocks::{ComponentSymbols, MAX_CLASSES};

use super::price;

/// How often each symbol occurs.
pub(super) type Histogram = [u32; 256];

/// Counts symbols.
pub(super) fn histogram(symbols: &[u8]) -> Histogram {
    let mut counts = [0; 256];
    for &symbol in symbols {
        counts[usize::from(symbol)] += 1;
    }
    counts
}

/// A run of keys and what its symbols are.
struct Bin {
    /// The least key of the bin.
    from: u16,
    counts: Histogram,
    price: f64,
}

impl Bin {
    fn joined(&self, next: &Self) -> Self {
        let mut counts = self.counts;
        counts.iter_mut().zip(&next.counts).for_each(|(count, more)| *count += more);
        Self { from: self.from, price: price(&counts), counts }
    }
}

/// So many different keys are cheap to look at one by one.
const FEW_KEYS: usize = 16;

/// Bins that classes are made from, by effort.
fn bin_count(effort: u8) -> usize {
    match effort {
        0..=2 => 4,
        3..=4 => 8,
        5..=6 => 12,
        7..=8 => 16,
        _ => 32,
    }
}

/// Thresholds between classes: bins of about equally many symbols, neighbours joined as long as that pays.
pub(super) fn best_thresholds(found: &ComponentSymbols, effort: u8) -> Vec<u16> {
    let mut bins = bins_of(found, bin_count(effort));
    let Some(whole) = bins.iter().map(|b| b.counts).reduce(|mut sum, counts| {
        sum.iter_mut().zip(counts).for_each(|(count, more)| *count += more);
        sum
    }) else {
        return Vec::new();
    };
    let mut joined: Vec<Bin> = bins.windows(2).map(|pair| pair[0].joined(&pair[1])).collect();
    while bins.len() > 1 {
        let gain = |i: usize| bins[i].price + bins[i + 1].price - joined[i].price;
        let best = (0..joined.len()).max_by(|&a, &b| gain(a).total_cmp(&gain(b))).unwrap_or_default();
        if gain(best) < 0.0 && bins.len() <= MAX_CLASSES {
            break;
        }
        bins[best] = joined.remove(best);
        bins.remove(best + 1);
        if best > 0 {
            joined[best - 1] = bins[best - 1].joined(&bins[best]);
        }
        if best + 1 < bins.len() {
            joined[best] = bins[best].joined(&bins[best + 1]);
        }
    }
    let apart: f64 = bins.iter().map(|bin| bin.price).sum();
    if apart < price(&whole) { bins.iter().skip(1).map(|bin| bin.from).collect() } else { Vec::new() }
}

/// The symbols by ranges of keys, at most `most` of them.
fn bins_of(found: &ComponentSymbols, most: usize) -> Vec<Bin> {
    if found.keys.is_empty() {
        return Vec::new();
    }
    let mut sorted = found.keys.clone();
    sorted.sort_unstable();
    let mut starts: Vec<u16> = (1..most).map(|i| sorted[i * sorted.len() / most]).collect();
    // Few keys are all told apart.
    let least = sorted[0];
    sorted.dedup();
    if sorted.len() <= FEW_KEYS {
        starts = sorted;
    }
    starts.dedup();
    starts.retain(|&start| start > least);
    let classes = found.classes(&starts);
    let froms = std::iter::once(0).chain(starts);
    let bin = |(from, symbols): (u16, Vec<u8>)| {
        let counts = histogram(&symbols);
        Bin { from, counts, price: price(&counts) }
    };
    froms.zip(classes).map(bin).collect()
}
