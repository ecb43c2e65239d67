//! What is chosen decodes to the same bytes, is not longer than it must be, and is the same every time.

use mcodec_coding::fields;
use mcodec_coding::{DecodeTable, planes};

use super::{Element, Field, SharedTable, encode_chunk, encode_fields, shared_tables};

const ELEMENTS: [Element; 16] = [
    Element::Bytes,
    Element::Bf16,
    Element::F16,
    Element::F32,
    Element::F64,
    Element::Fp8,
    Element::Int { bits: 8 },
    Element::Int { bits: 16 },
    Element::Int { bits: 32 },
    Element::Int { bits: 64 },
    Element::Codes { bits: 3 },
    Element::Codes { bits: 4 },
    Element::Codes { bits: 5 },
    Element::Codes { bits: 6 },
    Element::Bool,
    Element::Bits,
];

/// Uniform in [0, 1), the same every time.
fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// About normal.
fn weights(count: usize, seed: u64) -> Vec<f32> {
    let mut next = uniform(seed);
    (0..count).map(|_| ((0..6).map(|_| next()).sum::<f64>() - 3.0) as f32 * 0.05).collect()
}

fn bf16(weights: &[f32]) -> Vec<u8> {
    weights.iter().flat_map(|weight| weight.to_le_bytes()[2..].to_vec()).collect()
}

/// Encodes and decodes; returns the payload's length.
fn check(bytes: &[u8], element: Element, effort: u8, shared: &[SharedTable]) -> usize {
    let offered: Vec<(u32, &SharedTable)> = (0..).zip(shared).collect();
    let code = encode_chunk(bytes, element, effort, &offered).unwrap();
    assert_eq!(code, encode_chunk(bytes, element, effort, &offered).unwrap(), "not deterministic");
    let payload = encode_fields(bytes, element, effort, &offered).unwrap();
    assert!(payload.len() <= bytes.len() + 4);
    let decoders: Vec<DecodeTable> = shared.iter().map(|shared| shared.table.decoder()).collect();
    let mut out = vec![0xA5; bytes.len()];
    fields::decode(&payload, decoders.as_slice(), &mut out).unwrap();
    assert!(out == bytes, "{element:?}");
    if code.raw {
        assert_eq!(code.payload, bytes);
    } else {
        assert_eq!(code.payload, payload);
        assert!(payload.len() < bytes.len());
    }
    code.payload.len()
}

#[test]
fn every_element_round_trips() {
    let weights = weights(5000, 1);
    let floats: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let zeros = vec![0; 5000];
    let text = b"a run of bytes that repeats, ".repeat(99);
    for element in ELEMENTS {
        for bytes in [&floats[..], &floats[..4097], &zeros, &text, &[], &[1], &[0; 7]] {
            for effort in [1, 3, 5, 7, 9] {
                check(bytes, element, effort, &[]);
            }
        }
        assert!(check(&zeros[..4096], element, 5, &[]) < 40);
    }
}

#[test]
fn noise_stays_raw() {
    let mut next = uniform(2);
    let noise: Vec<u8> = (0..20_000).map(|_| (next() * 256.0) as u8).collect();
    for element in ELEMENTS {
        assert_eq!(check(&noise, element, 5, &[]), noise.len(), "{element:?}");
    }
}

#[test]
fn float_weights_shrink() {
    let weights = weights(1 << 17, 3);
    let short = bf16(&weights);
    let ratio = short.len() as f64 / check(&short, Element::Bf16, 5, &[]) as f64;
    assert!(ratio > 1.45, "bf16 {ratio}");
    let single: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let ratio = single.len() as f64 / check(&single, Element::F32, 5, &[]) as f64;
    assert!(ratio > 1.17, "f32 {ratio}");
    let wide: Vec<u8> = weights.iter().flat_map(|weight| f64::from(*weight).to_le_bytes()).collect();
    let ratio = wide.len() as f64 / check(&wide, Element::F64, 5, &[]) as f64;
    assert!(ratio > 2.0, "f64 from f32 {ratio}");
}

#[test]
fn rows_widened_from_halves_are_found() {
    // In a quarter of the rows the low 13 mantissa bits are zero.
    let weights = weights(1 << 16, 4);
    let bytes: Vec<u8> = weights
        .chunks(256)
        .enumerate()
        .flat_map(|(row, row_weights)| {
            let mask = if row % 4 == 0 { 0xFFFF_E000 } else { u32::MAX };
            row_weights.iter().flat_map(move |weight| (weight.to_bits() & mask).to_le_bytes())
        })
        .collect();
    let plain: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let (with, without) = (check(&bytes, Element::F32, 5, &[]), check(&plain, Element::F32, 5, &[]));
    // A quarter of one and a half bytes in four, nearly.
    assert!(with < without - bytes.len() / 4 / 4, "{with} {without}");
}

#[test]
fn pruned_floats_come_to_their_entropy() {
    let mut next = uniform(6);
    let kept: Vec<f32> = weights(1 << 16, 7);
    let mut values = kept.iter();
    let pruned: Vec<f32> = (0..10 * kept.len())
        .map(|_| if next() < 0.1 { *values.next().unwrap_or(&0.1) } else { 0.0 })
        .collect();
    let kept: Vec<f32> = pruned.iter().copied().filter(|v| *v != 0.0).collect();
    // 0.469 bits: the entropy of one in ten.
    let places = 0.469 * pruned.len() as f64 / 8.0;
    let single = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    for (element, to_bytes) in [(Element::Bf16, &bf16 as &dyn Fn(&[f32]) -> Vec<u8>), (Element::F32, &single)]
    {
        for effort in [1, 5, 9] {
            let dense = check(&to_bytes(&kept), element, effort, &[]) as f64;
            let sparse = check(&to_bytes(&pruned), element, effort, &[]) as f64;
            assert!(
                sparse < 1.01 * (dense + places),
                "{element:?} {effort}: {sparse} for {dense} + {places}"
            );
        }
    }
}

#[test]
fn fillers_are_found_bit_for_bit() {
    // A mask of -inf, zeros of both signs, a NaN with a payload.
    for (filler, others) in [(0xFF80_0000u32, [0, 0x8000_0000]), (0, [0x8000_0000, 0x7FC0_1234])] {
        let units = (0..5000u32)
            .map(|i| if i % 11 == 3 { others[(i % 2) as usize] ^ (i << 3 & 0xFF) } else { filler });
        let bytes: Vec<u8> = units.flat_map(u32::to_le_bytes).collect();
        assert!(check(&bytes, Element::F32, 5, &[]) < 1400);
    }
    // Too few zeros to be divided from the rest.
    let some: Vec<u8> =
        (0..5000u32).flat_map(|i| if i % 99 == 3 { [0; 4] } else { i.to_le_bytes() }).collect();
    check(&some, Element::F32, 5, &[]);
}

#[test]
fn integers_and_flags_shrink() {
    let ids: Vec<u8> = (0..4096u64).flat_map(u64::to_le_bytes).collect();
    assert!(check(&ids, Element::Int { bits: 64 }, 5, &[]) < ids.len() / 5);
    let mut next = uniform(5);
    let flags: Vec<u8> = (0..8192).map(|_| u8::from(next() < 0.5)).collect();
    assert!(check(&flags, Element::Bool, 5, &[]) <= 1024 + 16);
    let rare: Vec<u8> = (0..8192).map(|_| u8::from(next() < 0.01)).collect();
    assert!(check(&rare, Element::Bool, 5, &[]) < 200);
    let odd: Vec<u8> = flags.iter().map(|flag| flag * 2).collect();
    check(&odd, Element::Bool, 5, &[]);
}

#[test]
fn small_chunks_share_tables() {
    let chunks: Vec<Vec<u8>> = (0..200).map(|seed| bf16(&weights(96, seed + 10))).collect();
    let offered: Vec<(&[u8], Element)> = chunks.iter().map(|chunk| (&chunk[..], Element::Bf16)).collect();
    let tables = shared_tables(&offered, 5).unwrap();
    assert!(!tables.is_empty());
    assert_eq!(tables, shared_tables(&offered, 5).unwrap(), "not deterministic");
    let alone: usize = chunks.iter().map(|chunk| check(chunk, Element::Bf16, 5, &[])).sum();
    let together: usize = chunks.iter().map(|chunk| check(chunk, Element::Bf16, 5, &tables)).sum();
    let stored: usize = tables.iter().map(|shared| shared.table.byte_len() + 64).sum();
    assert!(together + stored < alone, "{together} + {stored} against {alone}");
}

#[test]
fn few_chunks_share_nothing() {
    let chunk = bf16(&weights(96, 1));
    assert!(shared_tables(&[(&chunk, Element::Bf16)], 5).unwrap().is_empty());
    assert!(shared_tables(&[(&chunk, Element::Bf16), (&[], Element::F32)], 5).unwrap().is_empty());
    assert!(shared_tables(&[], 5).unwrap().is_empty());
}

#[test]
fn a_table_that_lacks_a_symbol_is_not_used() {
    let table = mcodec_coding::Table::from_counts(&[1, 2], &[1, 1], 12).unwrap();
    let shared = SharedTable { element: Element::Bytes, field: Field { shift: 0, width: 8 }, table };
    let bytes: Vec<u8> = (0..200).map(|i| 1 + (i & 2)).collect();
    assert_eq!(planes::symbols(&bytes, 8, 0, 8).unwrap().iter().max(), Some(&3));
    check(&bytes, Element::Bytes, 5, &[shared]);
}
