//! Chunks of quantised blocks (coding 3): which classes of symbols are told apart, and how each is coded, by measured cost.
//!
//! Equal arguments give equal bytes.

mod classes;

use mcodec_coding::blocks::{self, ComponentCode, PartCode};
use mcodec_coding::{Result, zstd_frame};

use crate::plain::{table_for, zstd_level};
use classes::{Histogram, best_thresholds, histogram};

/// The shortest payload of coding 3 found for `bytes`, whole blocks of type `kind`: stored, if nothing is gained.
///
/// `effort` is 1 (fast) to 9.
///
/// # Errors
/// If `bytes` are not whole blocks of a known type, or the zstd library fails (no memory).
pub fn encode_chunk(bytes: &[u8], kind: u8, effort: u8) -> Result<Vec<u8>> {
    let mut codes = Vec::new();
    for index in 0..blocks::component_count(kind).unwrap_or_default() {
        let found = blocks::component(bytes, kind, index)?;
        let thresholds = best_thresholds(&found, effort);
        let classes = found.classes(&thresholds);
        let mut parts = Vec::with_capacity(classes.len());
        for symbols in &classes {
            parts.push(part_code(symbols, found.width, effort)?);
        }
        codes.push(ComponentCode { thresholds, parts });
    }
    let payload = blocks::encode(bytes, kind, &codes)?;
    if payload.len() <= bytes.len() {
        return Ok(payload);
    }
    Ok([&[0], bytes].concat())
}

/// The cheapest code of the symbols of one class.
fn part_code(symbols: &[u8], width: u8, effort: u8) -> Result<PartCode> {
    let counts = histogram(symbols);
    let packed = (symbols.len() * usize::from(width)).div_ceil(8) as f64;
    let mut used = (0u8..=255).filter(|&s| counts[usize::from(s)] > 0);
    let (first, second) = (used.next(), used.next());
    if second.is_none() {
        return Ok(PartCode::Constant(first.unwrap_or_default()));
    }
    let lanes_log2 = lanes_log2(symbols.len(), effort);
    let (mut code, mut best) = (PartCode::Packed, packed);
    let (table, bits) = table_for(&counts, symbols.len(), effort)?;
    let rans = 2.0 + table.byte_len() as f64 + stream_bytes(lanes_log2, bits);
    if rans < best {
        (code, best) = (PartCode::Rans { table: Box::new(table), lanes_log2 }, rans);
    }
    if wants_zstd(symbols, width, best, effort)? {
        let frame = zstd_frame::compress(&blocks::pack(symbols, width), zstd_level(effort))?;
        if (frame.len() as f64) + 3.0 < best {
            code = PartCode::ZstdFrame(frame);
        }
    }
    Ok(code)
}

/// Whether repetition may beat frequencies: tried on a slice from the middle.
fn wants_zstd(symbols: &[u8], width: u8, best: f64, effort: u8) -> Result<bool> {
    const SLICE: usize = 1 << 14;
    if symbols.len() <= SLICE {
        return Ok(effort >= 4 || best < 0.5 * symbols.len() as f64 / 8.0 * f64::from(width));
    }
    let middle = symbols.len() / 2;
    let slice = &symbols[middle - SLICE / 2..middle + SLICE / 2];
    let frame = zstd_frame::compress(&blocks::pack(slice, width), 1)?;
    let share = best / symbols.len() as f64 * SLICE as f64;
    Ok((frame.len() as f64) < share * 1.05)
}

/// Bytes of a stream whose symbols take `bits`. States carry about a byte each as payload.
fn stream_bytes(lanes_log2: u8, bits: f64) -> f64 {
    f64::from(1 + (3u32 << lanes_log2)) + bits / 8.0
}

/// log2 of the lanes of a stream: few, as a chunk has many streams.
fn lanes_log2(units: usize, effort: u8) -> u8 {
    match units {
        4096.. if effort < 9 => 3,
        4096.. => 2,
        512.. => 1,
        _ => 0,
    }
}

/// The estimated bytes of symbols that occur so often, under a table of their own.
fn price(counts: &Histogram) -> f64 {
    let n: f64 = counts.iter().map(|&c| f64::from(c)).sum();
    let occurring = || counts.iter().filter(|c| **c > 0).map(|&c| f64::from(c));
    let symbols = occurring().count();
    if symbols < 2 {
        return 2.0;
    }
    let bits: f64 = occurring().map(|c| c * (n / c).log2()).sum();
    // Head, table and states, as they come out on average.
    bits / 8.0 + 4.0 + 0.45 * symbols as f64 + 16.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_stored_and_zeros_vanish() {
        let mut state = 1u32;
        let mut noise = |n: usize| -> Vec<u8> {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            (0..n).map(|_| next()).collect()
        };
        for kind in blocks::types() {
            let len = blocks::block_bytes(kind).unwrap();
            for effort in [1, 5, 9] {
                for bytes in [noise(len * 50), vec![0; len * 50], Vec::new(), noise(len)] {
                    let payload = encode_chunk(&bytes, kind, effort).unwrap();
                    assert!(payload.len() <= bytes.len() + 1 || payload.len() < 64);
                    assert_eq!(payload, encode_chunk(&bytes, kind, effort).unwrap());
                    let mut out = vec![0xAA; bytes.len()];
                    match payload.split_first() {
                        Some((0, stored)) => out.copy_from_slice(stored),
                        _ => blocks::decode(&payload, &mut out).unwrap(),
                    }
                    assert!(out == bytes, "type {kind}");
                    if payload.first() != Some(&0) {
                        let ledger = blocks::ledger(&payload, &bytes).unwrap();
                        assert_eq!(ledger.total(), payload.len() as u64);
                    }
                }
                assert!(encode_chunk(&vec![0; len * 1000], kind, effort).unwrap().len() < 64);
            }
        }
        assert!(encode_chunk(&[0; 17], 34, 5).is_err());
    }
}
