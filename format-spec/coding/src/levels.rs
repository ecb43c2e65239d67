//! Levels: frequencies on a logarithmic scale of 1/8 octave (`SPEC.md` section 7.3).
//!
//! [`frequencies`] is the exact integer rule of the format. [`fit`] is an encoder's choice of levels for counts: it
//! weighs what a level costs in the table against what it costs in the data.

use crate::bits::eg_len;
use crate::error::{Result, corrupt};

/// The highest level.
pub(crate) const MAX_LEVEL: u8 = 127;

/// 65536 * 2^(i/8), rounded.
const MANTISSAS: [u64; 8] = [65_536, 71_468, 77_936, 84_990, 92_682, 101_070, 110_218, 120_194];

/// The EG parameter of the first level in a table, and of each further one.
pub(crate) const FIRST_EG: u32 = 4;
pub(crate) const STEP_EG: u32 = 1;

/// How far from the ideal level [`fit`] looks, either way.
const REACH: i32 = 6;

/// The level [`fit`] gives the commonest symbol; high enough that 2^-15 of it still has a level.
const TOP: i32 = 120;

/// What a step from one level to the next takes in a table, in bits; by step + 127.
const STEP_BITS: [u8; 2 * MAX_LEVEL as usize + 1] = {
    let mut bits = [0; 2 * MAX_LEVEL as usize + 1];
    let mut i = 0;
    while i < bits.len() {
        bits[i] = eg_len(zigzag(i as i32 - MAX_LEVEL as i32), STEP_EG) as u8;
        i += 1;
    }
    bits
};

/// The weight of a level, before scaling to 2^P.
fn weight(level: u8) -> u64 {
    MANTISSAS[usize::from(level & 7)] << (level >> 3)
}

/// Zigzag of the step between neighbouring levels.
pub(crate) const fn zigzag(step: i32) -> u32 {
    ((step << 1) ^ (step >> 31)) as u32
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(code: u32) -> i32 {
    (code >> 1) as i32 ^ -((code & 1) as i32)
}

/// The frequencies of `levels` (1 to 256 of them, each at most 127), which sum to 2^`precision`.
///
/// # Errors
/// Refuses levels whose least frequencies of 1 leave nothing to the commonest symbol.
pub(crate) fn frequencies(levels: &[u8], precision: u8) -> Result<Vec<u16>> {
    let total: u64 = levels.iter().map(|&level| weight(level)).sum();
    // At most 120194 * 2^15 * 2^15 < 2^47, and a single symbol's floor is 2^P <= 2^15.
    let mut freqs: Vec<u16> =
        levels.iter().map(|&level| ((weight(level) << precision) / total).max(1) as u16).collect();
    let sum: i64 = freqs.iter().map(|&f| i64::from(f)).sum();
    // `max_by_key` takes the last of equals, hence the reversal.
    let largest = freqs.iter_mut().rev().max_by_key(|f| **f).ok_or(corrupt("table without symbols"))?;
    let adjusted = i64::from(*largest) + (1 << precision) - sum;
    if adjusted < 1 {
        return Err(corrupt("table levels leave no room"));
    }
    *largest = adjusted as u16;
    Ok(freqs)
}

/// Levels for `counts` (1 to 256 of them, none zero): cheap to write and close to the ideal code lengths.
pub(crate) fn fit(counts: &[u64], precision: u8) -> Vec<u8> {
    let n: f64 = counts.iter().map(|&count| count as f64).sum();
    let most = counts.iter().fold(1.0, |most, &count| f64::max(most, count as f64));
    // First guess: weights in proportion to counts, the commonest at TOP.
    let mut total = weight(TOP as u8) as f64 * n / most;
    let mut levels = Vec::new();
    for _ in 0..2 {
        levels = cheapest(counts, n, total, precision);
        total = levels.iter().map(|&level| weight(level) as f64).sum();
    }
    if frequencies(&levels, precision).is_err() {
        levels.fill(0);
    }
    levels
}

/// A level a symbol may get, and the best way to reach it.
#[derive(Clone, Copy)]
struct Candidate {
    /// Bits of data and table up to and with this symbol.
    cost: f64,
    /// The candidate of the previous symbol on the cheapest path.
    previous: usize,
}

/// The cheapest path through the candidate levels of all symbols, if the weights sum to `total`.
///
/// The data cost of frequency f is `-count * log2 f`, plus `f * n / (2^P ln 2)` for what it takes away from all others
/// (the derivative of the cost of the sum); f counts as the format rounds it.
fn cheapest(counts: &[u64], n: f64, total: f64, precision: u8) -> Vec<u8> {
    let scale = f64::from(1u32 << precision) / total;
    let price = n / f64::from(1u32 << precision) * core::f64::consts::LOG2_E;
    // Below this level the share is under 1, and the forced 1 would be taken from the commonest symbol alone.
    let floor = (0..=MAX_LEVEL).find(|&l| weight(l) as f64 * scale >= 1.0).unwrap_or(MAX_LEVEL);
    let mut steps: Vec<(i32, Vec<Candidate>)> = Vec::with_capacity(counts.len());
    for &count in counts {
        let ideal = (8.0 * (count as f64 / n * total / 65_536.0).log2()).round() as i32;
        let ideal = ideal.clamp(i32::from(floor), i32::from(MAX_LEVEL));
        let low = (ideal - REACH).max(i32::from(floor));
        let high = (ideal + REACH).min(i32::from(MAX_LEVEL));
        let candidates = (low..=high)
            .map(|level| {
                let freq = (weight(level as u8) as f64 * scale).floor().max(1.0);
                let data = price * freq - count as f64 * freq.log2();
                let (before, previous) = match steps.last() {
                    None => (f64::from(eg_len(level as u32, FIRST_EG)), 0),
                    Some((first, column)) => best_step(*first, column, level),
                };
                Candidate { cost: before + data, previous }
            })
            .collect();
        steps.push((low, candidates));
    }
    trace(&steps)
}

/// The cheapest way from a column of candidates to `level`: its cost, and from which candidate.
fn best_step(first: i32, column: &[Candidate], level: i32) -> (f64, usize) {
    let mut best = (f64::INFINITY, 0);
    for (place, candidate) in column.iter().enumerate() {
        let step = level - first - place as i32;
        let cost = candidate.cost + f64::from(STEP_BITS[(step + i32::from(MAX_LEVEL)) as usize]);
        if cost < best.0 {
            best = (cost, place);
        }
    }
    best
}

/// Follows the cheapest path back.
fn trace(steps: &[(i32, Vec<Candidate>)]) -> Vec<u8> {
    let mut levels = Vec::with_capacity(steps.len());
    let mut place = steps
        .last()
        .and_then(|(_, column)| (0..column.len()).min_by(|&a, &b| column[a].cost.total_cmp(&column[b].cost)))
        .unwrap_or(0);
    for (first, column) in steps.iter().rev() {
        levels.push((first + place as i32) as u8);
        place = column[place].previous;
    }
    levels.reverse();
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mantissas_are_powers_of_two() {
        for (i, &mantissa) in MANTISSAS.iter().enumerate() {
            assert_eq!(mantissa, (65_536.0 * (i as f64 / 8.0).exp2()).round() as u64);
        }
    }

    #[test]
    fn frequencies_follow_the_text() {
        // Equal levels: floors of 341 sum to 1023, the first gets the one left over.
        assert_eq!(frequencies(&[7, 7, 7], 10).unwrap(), [342, 341, 341]);
        // Level 8 is twice level 0.
        assert_eq!(frequencies(&[0, 8], 10).unwrap(), [341, 683]);
        assert_eq!(frequencies(&[127], 15).unwrap(), [32_768]);
        // A share far below 1 still gets 1, at the cost of the commonest.
        assert_eq!(frequencies(&[0, 127], 10).unwrap(), [1, 1023]);
    }

    #[test]
    fn levels_without_room_are_refused() {
        // Eight symbols of 127 or 128 cannot pay for 248 forced ones.
        let mut levels = vec![0; 256];
        levels[..8].fill(127);
        assert!(frequencies(&levels, 10).is_err());
        assert!(frequencies(&levels, 12).is_ok());
    }

    #[test]
    fn fits_are_valid_for_extreme_counts() {
        for precision in 10..=15 {
            for big in [1, 8, 18, 100] {
                let mut counts = vec![1u64; 256];
                counts[..big].fill(1 << 40);
                let levels = fit(&counts, precision);
                let freqs = frequencies(&levels, precision).unwrap();
                assert_eq!(freqs.iter().map(|&f| u32::from(f)).sum::<u32>(), 1 << precision);
                assert!(levels.iter().any(|&l| l != 0), "the fit itself must hold, not its fallback");
            }
        }
    }
}
