//! What is encoded decodes to the same bytes, in every mode, width, lane count and precision.

// The lint's exception for tests does not reach helpers of integration tests.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use mcodec_coding::fields::{self, FieldCode, FieldSpec};
use mcodec_coding::{DecodeTable, Table, planes};
use proptest::prelude::*;

/// How a test codes a field.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Packed,
    Zstd,
    Rans { precision: u8, lanes_log2: u8 },
    Shared { precision: u8, lanes_log2: u8 },
}

fn table_for(symbols: &[u16], precision: u8) -> Option<Table> {
    let mut counts = BTreeMap::new();
    for &symbol in symbols {
        *counts.entry(symbol).or_insert(0u64) += 1;
    }
    let (values, counts): (Vec<u16>, Vec<u64>) = counts.into_iter().unzip();
    Table::from_counts(&values, &counts, precision).ok()
}

/// Encodes by `modes` (packed where a table cannot be had), decodes, compares; returns the payload.
fn round_trip(bytes: &[u8], unit_bits: u8, cut: &[(u8, Mode)]) -> Vec<u8> {
    let mut tables = Vec::new();
    let mut shift = 0;
    for &(width, mode) in cut {
        tables.push(match mode {
            Mode::Rans { precision, .. } | Mode::Shared { precision, .. } if width <= 16 => {
                table_for(&planes::symbols(bytes, unit_bits, shift, width).unwrap(), precision)
            }
            _ => None,
        });
        shift += width;
    }
    let mut shared: Vec<DecodeTable> = Vec::new();
    let mut specs = Vec::new();
    for (&(width, mode), table) in cut.iter().zip(&tables) {
        let code = match (mode, table) {
            (Mode::Rans { lanes_log2, .. }, Some(table)) => FieldCode::Rans { table, lanes_log2 },
            (Mode::Shared { lanes_log2, .. }, Some(table)) => {
                shared.push(table.decoder());
                FieldCode::RansShared { dependency: shared.len() as u32 - 1, table, lanes_log2 }
            }
            (Mode::Zstd, _) => FieldCode::Zstd { level: 1 },
            _ => FieldCode::Packed,
        };
        specs.push(FieldSpec { width, code });
    }
    let payload = fields::encode(bytes, unit_bits, &specs).unwrap();
    assert_eq!(payload, fields::encode(bytes, unit_bits, &specs).unwrap(), "not deterministic");
    let mut out = vec![0xA5; bytes.len()];
    fields::decode(&payload, shared.as_slice(), &mut out).unwrap();
    assert!(out == bytes, "{cut:?}");
    assert_eq!(fields::ledger(&payload, bytes.len()).unwrap().total(), payload.len() as u64);
    payload
}

/// Skewed but full-range bytes.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x1234_5678_9ABC_DEF1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..length).map(|_| (next() & next() & 0xFF) as u8).collect()
}

#[test]
fn every_lane_count_and_precision() {
    let bytes = noise(3 * 4096 + 77);
    for precision in 10..=15 {
        for lanes_log2 in 0..=6 {
            for length in [0, 1, 63, 64, 65, 4096, 4097, bytes.len()] {
                let payload = round_trip(&bytes[..length], 8, &[(8, Mode::Rans { precision, lanes_log2 })]);
                assert!(length < 4096 || payload.len() < length);
                round_trip(&bytes[..length], 8, &[(8, Mode::Shared { precision, lanes_log2 })]);
            }
        }
    }
}

#[test]
fn every_width() {
    let bytes = noise(8 * 4200);
    for unit_bits in [8u8, 16, 24, 32, 40, 64] {
        for width in 1..unit_bits {
            for mode in [Mode::Packed, Mode::Zstd, Mode::Rans { precision: 12, lanes_log2: 3 }] {
                for units in [0, 1, 7, 8, 9, 4200] {
                    let bytes = &bytes[..units * usize::from(unit_bits / 8)];
                    round_trip(bytes, unit_bits, &[(width, mode), (unit_bits - width, Mode::Packed)]);
                }
            }
        }
        round_trip(&bytes, unit_bits, &[(unit_bits, Mode::Packed)]);
        round_trip(&bytes, unit_bits, &[(unit_bits, Mode::Zstd)]);
    }
}

#[test]
fn single_symbol_tables() {
    let bytes = [7u8; 5000];
    for precision in 10..=15 {
        for lanes_log2 in 0..=6 {
            let payload = round_trip(&bytes, 8, &[(8, Mode::Rans { precision, lanes_log2 })]);
            assert!(payload.len() < 5 + 5 + 1 + (4 << lanes_log2) + 1, "no words are needed");
        }
    }
}

#[test]
fn sixteen_bit_symbols() {
    let bytes: Vec<u8> = noise(9000).chunks(2).flat_map(|pair| [0xFF, 0xF0 | pair[0] & 15]).collect();
    round_trip(&bytes, 16, &[(16, Mode::Rans { precision: 11, lanes_log2: 5 })]);
}

#[test]
fn constants() {
    let bytes: Vec<u8> = noise(800).chunks(8).flat_map(|unit| [unit[0], 0, 0, 0, 0, 0, 0, 0xF0]).collect();
    let specs = [
        FieldSpec { width: 8, code: FieldCode::Packed },
        FieldSpec { width: 56, code: FieldCode::Constant(0xF0 << 48) },
    ];
    let payload = fields::encode(&bytes, 64, &specs).unwrap();
    let mut out = vec![1; bytes.len()];
    fields::decode(&payload, &(), &mut out).unwrap();
    assert_eq!(out, bytes);
    let whole = [FieldSpec { width: 64, code: FieldCode::Constant(u64::MAX) }];
    let payload = fields::encode(&[0xFF; 16], 64, &whole).unwrap();
    let mut out = [0; 16];
    fields::decode(&payload, &(), &mut out).unwrap();
    assert_eq!(out, [0xFF; 16]);
    assert!(fields::encode(&[0xFE; 16], 64, &whole).is_err(), "not the constant");
}

#[test]
fn a_payload_by_hand() {
    // Unit 16: 4 packed bits, 11 bits constant 0x123, 1 packed bit.
    let units: [u16; 3] = [0x1 | 0x123 << 4, 0x2 | 0x123 << 4 | 0x8000, 0xF | 0x123 << 4];
    let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let specs = [
        FieldSpec { width: 4, code: FieldCode::Packed },
        FieldSpec { width: 11, code: FieldCode::Constant(0x123) },
        FieldSpec { width: 1, code: FieldCode::Packed },
    ];
    let payload = fields::encode(&bytes, 16, &specs).unwrap();
    assert_eq!(payload, [16, 3, 4, 0, 11, 1, 0xA3, 0x02, 1, 0, 0x21, 0x0F, 0b010]);
}

#[test]
fn a_stream_by_hand() {
    // One symbol of all slots: states never move, and alias slots keep their ranks.
    let table = Table::from_counts(&[5], &[3], 10).unwrap();
    assert_eq!(table.freqs(), [1024]);
    assert_eq!(table.encoder().encode(&[5, 5, 5], 0).unwrap(), [0, 0, 0, 1, 0]);
    // EG(4) of 5 is `1 1010`; the level is the encoder's choice.
    assert_eq!(table.to_bytes()[..2], [2, 0]);
    assert_eq!(table.to_bytes()[2] & 0x1F, 0b01011);
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        Just(Mode::Packed),
        Just(Mode::Zstd),
        (10u8..=15, 0u8..=6).prop_map(|(precision, lanes_log2)| Mode::Rans { precision, lanes_log2 }),
        (10u8..=15, 0u8..=6).prop_map(|(precision, lanes_log2)| Mode::Shared { precision, lanes_log2 }),
    ]
}

/// A unit and a cut of it into 1 to 8 fields.
fn cut() -> impl Strategy<Value = (u8, Vec<(u8, Mode)>)> {
    (
        prop_oneof![Just(8u8), Just(16), Just(32), Just(64)],
        proptest::collection::vec((1u8..=64, mode()), 1..=8),
    )
        .prop_map(|(unit_bits, mut fields)| {
            let mut left = unit_bits;
            let mut cut = Vec::new();
            while let Some((width, mode)) = fields.pop() {
                if left == 0 {
                    break;
                }
                let width = if fields.is_empty() { left } else { width.min(left) };
                cut.push((width, mode));
                left -= width;
            }
            (unit_bits, cut)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_cuts((unit_bits, cut) in cut(), raw in proptest::collection::vec(any::<u8>(), 0..3000), low in any::<bool>()) {
        let raw: Vec<u8> = raw.iter().map(|&byte| if low { byte & 3 } else { byte }).collect();
        let whole = raw.len() - raw.len() % usize::from(unit_bits / 8);
        round_trip(&raw[..whole], unit_bits, &cut);
    }

    #[test]
    fn tables_round_trip(
        counts in proptest::collection::btree_map(any::<u16>(), prop_oneof![1u64..10, 1u64..1 << 40], 1..=256),
        precision in 10u8..=15,
    ) {
        let (values, counts): (Vec<u16>, Vec<u64>) = counts.into_iter().unzip();
        let table = Table::from_counts(&values, &counts, precision).unwrap();
        prop_assert_eq!(table.freqs().iter().map(|&f| u32::from(f)).sum::<u32>(), 1 << precision);
        let mut bytes = table.to_bytes();
        prop_assert_eq!(bytes.len(), table.byte_len());
        bytes.extend([0xFF; 3]);
        prop_assert_eq!(Table::parse(&bytes), Ok((table.clone(), bytes.len() - 3)));
        prop_assert!(table.cost_bits(&values, &counts).is_finite());
        prop_assert!(table.buckets() >= values.len());
    }
}

#[test]
fn fitted_tables_are_close_to_entropy() {
    // A discrete Laplace distribution of 60 values.
    let values: Vec<u16> = (100..160).collect();
    let counts: Vec<u64> =
        (0..60).map(|i: i32| (1e5 * (-f64::from((i - 30).abs()) / 6.0).exp()) as u64 + 1).collect();
    let n: f64 = counts.iter().map(|&count| count as f64).sum();
    let entropy: f64 = counts.iter().map(|&count| count as f64 * (n / count as f64).log2()).sum();
    for (precision, slack) in [(10, 1.01), (12, 1.001), (14, 1.0005)] {
        let table = Table::from_counts(&values, &counts, precision).unwrap();
        let cost = table.cost_bits(&values, &counts);
        assert!(cost >= entropy && cost < entropy * slack, "{precision}: {cost} against {entropy}");
        assert!(table.byte_len() < 50, "{} bytes", table.byte_len());
    }
    let table = Table::from_counts(&values, &counts, 12).unwrap();
    assert!(table.cost_bits(&[99], &[1]).is_infinite());
    assert!(table.cost_bits(&[160], &[1]).is_infinite());
}
