//! Bytes that break the format are refused, and nothing panics.

// The lint's exception for tests does not reach helpers of integration tests.
#![allow(clippy::unwrap_used)]

use mcodec_coding::fields::{self, FieldCode, FieldSpec, SparseUnits};
use mcodec_coding::{CodingError, DecodeTable, Table, zstd_frame};
use proptest::prelude::*;

/// bf16-like bytes.
fn sample(units: usize) -> Vec<u8> {
    (0..units as u32)
        .flat_map(|i| {
            ((i.wrapping_mul(2_654_435_761) >> 27) * 97 + 0x3C00 + i % 7).to_le_bytes()[..2].to_vec()
        })
        .collect()
}

fn table() -> Table {
    let counts: Vec<u64> = (0..256).map(|i: u64| 1 + 4000 / (1 + i)).collect();
    let values: Vec<u16> = (0..256).collect();
    Table::from_counts(&values, &counts, 12).unwrap()
}

/// A payload with all modes, its bytes, and the shared table.
fn all_modes() -> (Vec<u8>, Vec<u8>, Vec<DecodeTable>) {
    let bytes: Vec<u8> = sample(150)
        .chunks(2)
        .flat_map(|unit| [unit[0], unit[1], 5, unit[0] & 15, 9, 9, unit[1], 0])
        .collect();
    let table = table();
    let specs = [
        FieldSpec { width: 8, code: FieldCode::Rans { table: &table, lanes_log2: 2 } },
        FieldSpec { width: 8, code: FieldCode::RansShared { dependency: 0, table: &table, lanes_log2: 1 } },
        FieldSpec { width: 8, code: FieldCode::Constant(5) },
        FieldSpec { width: 5, code: FieldCode::Packed },
        FieldSpec { width: 35, code: FieldCode::Zstd { level: 3 } },
    ];
    (fields::encode(&bytes, 64, &specs).unwrap(), bytes, vec![table.decoder()])
}

#[test]
fn every_truncation_is_refused() {
    let (payload, bytes, shared) = all_modes();
    let mut out = vec![0; bytes.len()];
    fields::decode(&payload, &shared[..], &mut out).unwrap();
    assert_eq!(out, bytes);
    for length in 0..payload.len() {
        assert!(fields::decode(&payload[..length], &shared[..], &mut out).is_err(), "cut to {length}");
        assert!(fields::ledger(&payload[..length], bytes.len()).is_err(), "cut to {length}");
    }
    let mut longer = payload.clone();
    longer.push(0);
    assert!(fields::decode(&longer, &shared[..], &mut out).is_err());
}

#[test]
fn wrong_lengths_are_refused() {
    let (payload, bytes, shared) = all_modes();
    for length in [0, 1, bytes.len() - 8, bytes.len() - 1, bytes.len() + 1, bytes.len() + 8] {
        assert!(fields::decode(&payload, &shared[..], &mut vec![0; length]).is_err());
    }
    assert_eq!(
        fields::decode(&payload, &(), &mut vec![0; bytes.len()]),
        Err(CodingError::MissingTable { dependency: 0 })
    );
}

#[test]
fn bit_flips_never_panic() {
    let (payload, bytes, shared) = all_modes();
    let mut out = vec![0; bytes.len()];
    for bit in 0..payload.len() * 8 {
        let mut bad = payload.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let _ = fields::decode(&bad, &shared[..], &mut out);
        let _ = fields::ledger(&bad, bytes.len());
    }
    let table = table().to_bytes();
    for bit in 0..table.len() * 8 {
        let mut bad = table.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        if let Ok((table, used)) = Table::parse(&bad) {
            assert_eq!(table.to_bytes(), bad[..used], "a table has one form");
            let _ = (table.decoder(), table.encoder());
        }
    }
}

/// A sparse payload of units of 16 bits with places under a table, and what it decodes to.
fn sparse() -> (Vec<u8>, Vec<u8>) {
    let bytes: Vec<u8> =
        (0..3001u32).flat_map(|i| if i % 7 < 2 { [i as u8 | 1, 3] } else { [0, 128] }).collect();
    let parts = SparseUnits::of(&bytes, 16, 0x8000).unwrap();
    let (mut values, mut counts) = (Vec::new(), Vec::new());
    for value in 0..=255u8 {
        let count = parts.places.iter().filter(|place| **place == value).count();
        if count > 0 {
            values.push(u16::from(value));
            counts.push(count as u64);
        }
    }
    let table = Table::from_counts(&values, &counts, 12).unwrap();
    let code = FieldCode::Rans { table: &table, lanes_log2: 1 };
    let places = fields::encode(&parts.places, 8, &[FieldSpec { width: 8, code }]).unwrap();
    let spec = |width| FieldSpec { width, code: FieldCode::Packed };
    let high = FieldSpec { width: 8, code: FieldCode::Constant(3) };
    let values = fields::encode(&parts.values, 16, &[spec(8), high]).unwrap();
    (parts.payload(&places, &values), bytes)
}

#[test]
fn sparse_payloads_are_checked() {
    let (payload, bytes) = sparse();
    let mut out = vec![0xA5; bytes.len()];
    fields::decode(&payload, &(), &mut out).unwrap();
    assert!(out == bytes);
    assert_eq!(fields::ledger(&payload, bytes.len()).unwrap().total(), payload.len() as u64);
    assert_eq!(fields::dependencies(&payload, bytes.len()), Ok(Vec::new()));
    for length in 0..payload.len() {
        assert!(fields::decode(&payload[..length], &(), &mut out).is_err(), "cut to {length}");
    }
    for length in [0, 1, bytes.len() - 2, bytes.len() - 1, bytes.len() + 1] {
        assert!(fields::decode(&payload, &(), &mut vec![0; length]).is_err(), "into {length}");
    }
    for bit in 0..payload.len() * 8 {
        let mut bad = payload.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let _ = fields::decode(&bad, &(), &mut out);
        let _ = fields::ledger(&bad, bytes.len());
        let _ = fields::dependencies(&bad, bytes.len());
    }
    // A filler of 17 bits, then sizes above what there is.
    for head in [&[2, 16, 0x80, 0x80, 4, 0][..], &[2, 16, 0, 0xFF, 0xFF, 0xFF, 0xFF, 15], &[2, 0, 0, 0, 0]] {
        assert!(fields::decode(&[head, &[0; 40]].concat(), &(), &mut out).is_err());
    }
    assert!(SparseUnits::of(&[0; 3], 16, 0).is_err());
    assert!(SparseUnits::of(&[0; 4], 16, 1 << 16).is_err());
}

proptest! {
    #[test]
    fn random_sparse_payloads_never_panic(
        unit in prop_oneof![Just(8u8), Just(16), Just(32), Just(64)],
        kept in 0u8..80,
        place in any::<u8>(),
        rest in proptest::collection::vec(any::<u8>(), 0..300),
        units in 0usize..200,
    ) {
        let mut payload = vec![2, unit, 7, kept, 5 + (place >> 7), 8, 1, 8, 1, place];
        if place > 127 {
            payload.push(1);
        }
        payload.extend(rest);
        let _ = fields::decode(&payload, &(), &mut vec![0; units * usize::from(unit / 8)]);
        let _ = fields::ledger(&payload, units);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), length in 0usize..600) {
        let shared = [table().decoder()];
        let _ = fields::decode(&bytes, &shared[..], &mut vec![0; length]);
        let _ = fields::ledger(&bytes, length);
        if let Ok((table, used)) = Table::parse(&bytes) {
            prop_assert_eq!(&table.to_bytes()[..], &bytes[..used]);
            let _ = (table.decoder(), table.encoder());
        }
        let _ = zstd_frame::decompress(&bytes, length);
    }

    #[test]
    fn random_heads_never_panic(
        unit in prop_oneof![Just(8u8), Just(16)],
        split in 1u8..8,
        modes in proptest::array::uniform2(0u8..6),
        rest in proptest::collection::vec(any::<u8>(), 0..300),
        units in 0usize..200,
    ) {
        let mut payload = vec![unit, 2, split, modes[0], 40, unit - split, modes[1], 40];
        payload.extend(rest);
        let shared = vec![table().decoder(); 64];
        let _ = fields::decode(&payload, &shared[..], &mut vec![0; units * usize::from(unit / 8)]);
    }
}

#[test]
fn bad_heads_are_refused() {
    let mut out = [0; 4];
    for (payload, why) in [
        (&[8, 1, 7, 1, 0][..], "widths below the unit"),
        (&[8, 2, 7, 1, 0, 2, 1, 0], "widths above the unit"),
        (&[8, 1, 8, 1, 0x80, 0x02], "constant wider than its field"),
        (&[8, 2, 0, 1, 0, 8, 1, 0], "no width"),
        (&[24, 1, 24, 1, 0], "odd unit"),
        (&[8, 0], "no field"),
        (&[8, 1, 8, 5, 0], "unknown mode"),
        (&[32, 1, 32, 3, 0], "wide rANS"),
        (&[8, 1, 8, 1, 0x80, 0x00], "long varint"),
        (&[8, 2, 4, 0, 4, 1, 0, 0, 0, 0], "a byte too many"),
        (&[64, 1, 64, 1, 0], "unit above the length"),
    ] {
        assert!(fields::decode(payload, &(), &mut out).is_err(), "{why}");
    }
    fields::decode(&[8, 1, 8, 1, 0xFF, 0x01], &(), &mut out).unwrap();
    assert_eq!(out, [0xFF; 4]);
    // 9 fields
    assert!(fields::decode(&[&[16, 9][..], &[1, 1, 0].repeat(9)].concat(), &(), &mut out).is_err());
    // The bits that fill a packed field's last byte.
    assert!(fields::decode(&[8, 2, 1, 0, 7, 1, 0, 0b1_1111], &(), &mut out).is_err());
    fields::decode(&[8, 2, 1, 0, 7, 1, 0, 0b0_1111], &(), &mut out).unwrap();
    assert_eq!(out, [1; 4]);
}

#[test]
fn table_values_must_fit_the_field() {
    let table = Table::from_counts(&[0, 3, 4], &[1, 1, 1], 10).unwrap();
    let mut body = table.to_bytes();
    body.extend(table.encoder().encode(&[0, 3, 4, 0], 0).unwrap());
    let mut payload = vec![8, 2, 2, 3, body.len() as u8, 6, 1, 0];
    payload.extend(&body);
    let mut out = [0; 4];
    assert!(fields::decode(&payload, &(), &mut out).is_err());
    payload[2] = 3;
    payload[5] = 5;
    fields::decode(&payload, &(), &mut out).unwrap();
    assert_eq!(out, [0, 3, 4, 0]);
}

#[test]
fn bad_tables_are_refused() {
    let good = Table::from_counts(&[0, 1], &[1, 1], 12).unwrap().to_bytes();
    assert!(Table::parse(&good).is_ok());
    for (at, byte) in [
        (0, 1),          // P = 9
        (0, 8),          // P = 16
        (0, 4 | 3 << 4), // bucket code 3
        (0, 4 | 1 << 6), // reserved bit
        (1, 64),         // 65 symbols in 64 buckets
        (2, 0),          // other symbols
    ] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert!(Table::parse(&bad).is_err(), "byte {at} = {byte}");
    }
    for length in 0..good.len() {
        assert!(Table::parse(&good[..length]).is_err());
    }
    // One symbol: value EG(4) of 0 = `1 0000`; level 128: w = 144, m = 7: `000 1 0000100`.
    let bits = |text: &str| -> Vec<u8> {
        let bits: Vec<u8> = text.bytes().filter(|&b| b != b' ').map(|b| b - b'0').collect();
        bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |sum, (i, bit)| sum | bit << i)).collect()
    };
    let with = |text: &str| [vec![4, 0], bits(text)].concat();
    assert!(Table::parse(&with("10000 000 1 1111 000")).is_ok(), "level 127: w = 143 = 128 + 15");
    assert!(Table::parse(&with("10000 000 1 0000 100")).is_err(), "level 128: w = 144 = 128 + 16");
    // Value 65535: w = 65551 = 65536 + 15, m = 16; one more is above 16 bits.
    let value = |low: &str| with(&format!("{} 1 {low} 00000000000 10000", "0".repeat(12)));
    assert!(Table::parse(&value("11110")).is_ok());
    assert!(Table::parse(&value("00001")).is_err());
    assert!(Table::from_counts(&[1, 1], &[1, 1], 12).is_err());
    assert!(Table::from_counts(&[1, 2], &[1], 12).is_err());
    assert!(Table::from_counts(&[1], &[0], 12).is_err());
    assert!(Table::from_counts(&[1], &[1], 9).is_err());
    assert!(Table::from_counts(&[1], &[1], 16).is_err());
}

/// A payload of one 8-bit rANS field, from its stream.
fn payload_of(table: &Table, stream: &[u8]) -> Vec<u8> {
    let mut body = table.to_bytes();
    body.extend(stream);
    let mut payload = vec![8, 1, 8, 3];
    match body.len() {
        length @ 0..0x80 => payload.push(length as u8),
        length => payload.extend([length as u8 | 0x80, (length >> 7) as u8]),
    }
    payload.extend(body);
    payload
}

#[test]
fn bad_streams_are_refused() {
    let table = table();
    let bytes: Vec<u8> = (0..500u32).map(|i| (i * i % 251) as u8).collect();
    let symbols: Vec<u16> = bytes.iter().map(|&byte| byte.into()).collect();
    let good = table.encoder().encode(&symbols, 2).unwrap();
    let refused =
        |stream: &[u8]| fields::decode(&payload_of(&table, stream), &(), &mut vec![0; bytes.len()]).is_err();
    assert!(!refused(&good));
    assert!(refused(&good[..good.len() - 2]), "a word short");
    assert!(refused(&good[..good.len() - 1]), "half a word");
    assert!(refused(&[&good[..], &[0, 0]].concat()), "a word long");
    assert!(refused(&[&good[..], &[0]].concat()), "half a word long");
    let change = |at: usize, byte: u8| {
        let mut stream = good.clone();
        stream[at] = byte;
        stream
    };
    assert!(refused(&change(0, 7)), "128 lanes");
    assert!(refused(&change(0, 1)), "other lanes");
    let mut low = good.clone();
    low[3..5].fill(0);
    assert!(refused(&low), "state below 2^16");
    // Symbols never reached: a lane that carries none must still hold 2^16.
    let idle = table.encoder().encode(&[], 0).unwrap();
    let payload = |state: u8| payload_of(&table, &[0, state, 0, 1, 0]);
    assert_eq!(idle, [0, 0, 0, 1, 0]);
    assert!(fields::decode(&payload(0), &(), &mut []).is_ok());
    assert!(fields::decode(&payload(1), &(), &mut []).is_err());
    // Any other start leads to another end, or at least to other symbols.
    for (at, &byte) in good.iter().enumerate().take(17).skip(1) {
        let mut out = vec![0; bytes.len()];
        let payload = payload_of(&table, &change(at, byte ^ 1));
        assert!(fields::decode(&payload, &(), &mut out).is_err() || out != bytes, "state byte {at}");
    }
    assert!(table.encoder().encode(&[256], 0).is_err(), "not in the table");
    assert!(table.encoder().encode(&[0], 7).is_err(), "too many lanes");
}

#[test]
fn bad_zstd_frames_are_refused() {
    let content = b"mcodec mcodec mcodec mcodec mcodec mcodec ".repeat(9);
    let good = zstd_frame::compress(&content, 3).unwrap();
    let length = content.len();
    assert_eq!(zstd_frame::decompress(&good, length).unwrap(), content);
    for cut in 0..good.len() {
        assert!(zstd_frame::decompress(&good[..cut], length).is_err(), "cut to {cut}");
    }
    assert!(zstd_frame::decompress(&good, length - 1).is_err(), "content size");
    assert!(zstd_frame::decompress(&good, length + 1).is_err(), "content size");
    assert!(zstd_frame::decompress(&[&good[..], &good].concat(), length).is_err(), "two frames");
    assert!(zstd_frame::decompress(&[&good[..], &good].concat(), 2 * length).is_err(), "two frames");
    let skippable = [0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    assert!(zstd_frame::decompress(&skippable, 0).is_err(), "skippable only");
    assert!(zstd_frame::decompress(&[&skippable[..], &good].concat(), length).is_err(), "skippable first");
    assert!(zstd_frame::decompress(&[&good[..], &skippable].concat(), length).is_err(), "skippable last");
    assert!(zstd_frame::decompress(&[], 0).is_err());
    // One raw block of one byte, under several headers.
    let frame = |header: &[u8]| [&[0x28, 0xB5, 0x2F, 0xFD], header, &[9, 0, 0, b'x']].concat();
    assert_eq!(zstd_frame::decompress(&frame(&[0x20, 1]), 1).unwrap(), b"x");
    assert!(zstd_frame::decompress(&frame(&[0x00, 0x58]), 1).is_err(), "no content size");
    assert!(zstd_frame::decompress(&frame(&[0x21, 7, 1]), 1).is_err(), "dictionary id");
    assert!(zstd_frame::decompress(&frame(&[0x28, 1]), 1).is_err(), "reserved bit");
    assert!(zstd_frame::decompress(&frame(&[0x80, 13 << 3, 1, 0, 0, 0]), 1).is_ok(), "8 MiB window");
    let wide = zstd_frame::decompress(&frame(&[0x80, 13 << 3 | 1, 1, 0, 0, 0]), 1);
    assert!(matches!(wide, Err(CodingError::TooLarge { .. })), "more than 8 MiB");
    // A gigabyte in 18 bytes: refused by its size before anything is allocated.
    let bomb = frame(&[0xE0, 0, 0, 0, 64, 0, 0, 0, 0]);
    assert!(zstd_frame::decompress(&bomb, 1).is_err());
    assert!(matches!(zstd_frame::decompress(&bomb, 1 << 30), Err(CodingError::TooLarge { .. })));
    // A run block that unpacks to more than it may.
    let run = [&[0x28, 0xB5, 0x2F, 0xFD, 0x20, 1][..], &[0xFB, 0xFF, 0x0F, 0]].concat();
    assert!(zstd_frame::decompress(&run, 1).is_err());
}

#[test]
fn large_content_keeps_to_the_window() {
    let content: Vec<u8> = (0..9u32 << 20).map(|i| (i >> 6) as u8).collect();
    let frame = zstd_frame::compress(&content, 1).unwrap();
    assert!(zstd_frame::decompress(&frame, content.len()).unwrap() == content);
}
