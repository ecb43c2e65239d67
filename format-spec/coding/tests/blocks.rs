//! Blocks come back whatever their bytes and however they are coded; payloads that break the format are refused.

// The lint's exception for tests does not reach helpers of integration tests.
#![allow(clippy::unwrap_used)]

use mcodec_coding::blocks::{self, ComponentCode, PartCode};
use mcodec_coding::{CodingError, Table, zstd_frame};
use proptest::prelude::*;

fn noise(seed: u32, n: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..n).map(|_| next() & next()).collect()
}

fn table_of(symbols: &[u8]) -> Table {
    let mut counts = vec![0u64; 256];
    symbols.iter().for_each(|&s| counts[usize::from(s)] += 1);
    Table::from_counts(&(0..256).collect::<Vec<u16>>(), &counts, 11).unwrap()
}

/// Codes of every mode in turn, `classes` of them where there is a key.
fn codes(bytes: &[u8], kind: u8, classes: usize) -> Vec<ComponentCode> {
    let code = |index: usize| {
        let found = blocks::component(bytes, kind, index).unwrap();
        let mut thresholds = found.keys.clone();
        thresholds.sort_unstable();
        thresholds.dedup();
        thresholds.truncate(classes - 1);
        let part = |(i, symbols): (usize, &Vec<u8>)| match (i + index) % 3 {
            0 => PartCode::Packed,
            1 => PartCode::ZstdFrame(zstd_frame::compress(&blocks::pack(symbols, found.width), 1).unwrap()),
            _ if symbols.is_empty() => PartCode::Constant(0),
            _ => PartCode::Rans { table: Box::new(table_of(symbols)), lanes_log2: (i % 4) as u8 },
        };
        let parts = found.classes(&thresholds).iter().enumerate().map(part).collect();
        ComponentCode { thresholds, parts }
    };
    (0..blocks::component_count(kind).unwrap()).map(code).collect()
}

fn payload(bytes: &[u8], kind: u8, classes: usize) -> Vec<u8> {
    blocks::encode(bytes, kind, &codes(bytes, kind, classes)).unwrap()
}

#[test]
fn every_type_comes_back_however_it_is_coded() {
    for kind in blocks::types() {
        let len = blocks::block_bytes(kind).unwrap();
        for (count, classes) in [(0, 1), (1, 2), (5, 1), (40, 3), (300, 16)] {
            let bytes = noise(u32::from(kind), len * count);
            let payload = payload(&bytes, kind, classes);
            let mut out = vec![0xEE; bytes.len()];
            blocks::decode(&payload, &mut out).unwrap();
            assert!(out == bytes, "type {kind}, {count} blocks in {classes} classes");
            assert_eq!(blocks::ledger(&payload, &out).unwrap().total(), payload.len() as u64);
        }
    }
}

#[test]
fn truncated_and_flipped_payloads_are_handled() {
    for kind in blocks::types() {
        let bytes = noise(9, blocks::block_bytes(kind).unwrap() * 6);
        let payload = payload(&bytes, kind, 3);
        let mut out = vec![0; bytes.len()];
        for end in 0..payload.len() {
            assert!(blocks::decode(&payload[..end], &mut out).is_err(), "type {kind} cut to {end}");
        }
        assert!(blocks::decode(&[&payload[..], &[0]].concat(), &mut out).is_err());
        for bit in 0..payload.len() * 8 {
            let mut bad = payload.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if blocks::decode(&bad, &mut out).is_ok() {
                let _ = blocks::ledger(&bad, &out);
            }
        }
        for wrong in [bytes.len() - 1, bytes.len() + 1, bytes.len() * 2] {
            assert!(blocks::decode(&payload, &mut vec![0; wrong]).is_err());
        }
    }
}

#[test]
fn rules_are_kept() {
    let decode = |payload: &[u8], blocks: usize| blocks::decode(payload, &mut vec![0; 18 * blocks]);
    let corrupt = |payload: &[u8]| matches!(decode(payload, 1), Err(CodingError::Corrupt { .. }));
    // Q4_0: two bytes of the half, then codes, all constant.
    decode(&[34, 1, 1, 5, 1, 1, 6, 1, 1, 15], 1).unwrap();
    assert!(corrupt(&[34, 1, 1, 5, 1, 1, 6, 1, 1, 16]), "a constant too wide");
    assert!(corrupt(&[34, 0, 1, 5]), "no class");
    assert!(corrupt(&[34, 2, 0, 1, 5, 1, 5]), "classes without a key");
    assert!(corrupt(&[34, 1, 1, 5, 1, 1, 6, 17]), "too many classes");
    // Two classes at key 0x605 and above, of which all blocks are.
    decode(&[34, 1, 1, 5, 1, 1, 6, 2, 0x85, 12, 0, 1, 3], 1).unwrap();
    assert!(corrupt(&[34, 1, 1, 5, 1, 1, 6, 3, 0xFF, 0xFF, 3, 0, 1, 0, 1, 0, 1, 0]), "a threshold too large");
    let unsupported = |payload: &[u8]| matches!(decode(payload, 1), Err(CodingError::Unsupported { .. }));
    assert!(unsupported(&[0, 1]) && unsupported(&[99]) && unsupported(&[34, 1, 4]));
    assert!(matches!(decode(&[], 0), Err(CodingError::Truncated { .. })));
    // A table with a value that the component cannot have.
    let wide = table_of(&[3, 16]);
    let stream = [wide.to_bytes(), wide.encoder().encode(&[3; 32], 0).unwrap()].concat();
    assert!(corrupt(&[&[34, 1, 1, 5, 1, 1, 6, 1, 3, stream.len() as u8], &stream[..]].concat()));
}

#[test]
fn wrong_arguments_are_refused() {
    let bytes = noise(1, 18 * 4);
    let good = codes(&bytes, 34, 2);
    let invalid = |bytes: &[u8], kind, codes: &[ComponentCode]| {
        assert!(matches!(blocks::encode(bytes, kind, codes), Err(CodingError::Invalid { .. })));
    };
    invalid(&bytes, 1, &good);
    invalid(&bytes[1..], 34, &good);
    invalid(&bytes, 34, &good[1..]);
    let mut bad = good.clone();
    bad[0].thresholds = vec![1];
    invalid(&bytes, 34, &bad);
    bad[0].parts.push(PartCode::Packed);
    invalid(&bytes, 34, &bad);
    let mut bad = good.clone();
    bad[0].parts = vec![PartCode::Constant(bytes[0] ^ 1)];
    invalid(&bytes, 34, &bad);
    assert!(blocks::component(&bytes, 34, 3).is_err() && blocks::block_bytes(33).is_none());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        kind in 34u8..74,
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        count in 0usize..6,
    ) {
        let len = blocks::block_bytes(kind).unwrap_or(18) * count;
        let mut out = vec![0; len];
        let _ = blocks::decode(&[&[kind], &bytes[..]].concat(), &mut out);
        let _ = blocks::ledger(&bytes, &out);
    }

    #[test]
    fn any_blocks_come_back(kind in 34u8..74, seed in any::<u32>(), count in 0usize..9, classes in 1usize..6) {
        if let Some(len) = blocks::block_bytes(kind) {
            let bytes = noise(seed, len * count);
            let mut out = vec![0; bytes.len()];
            blocks::decode(&payload(&bytes, kind, classes), &mut out).unwrap();
            prop_assert_eq!(out, bytes);
        }
    }
}
