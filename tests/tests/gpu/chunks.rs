//! Chunks that are made here: every type of float, mode and number of tables.

use crate::devices;
use crate::matrices::{Case, Coded, FORMATS};
use mcodec_coding::labelled::FloatFormat;
use mcodec_decode::gpu::{DeviceChunk, Gpu, Options, Shares, decode_chunks};
use mcodec_format::registry::coding;
use std::ops::Range;

/// The chunks, one after another, each at a multiple of 4; and the places of their bytes.
pub fn laid_out(all: &[Coded]) -> (Vec<DeviceChunk<'_>>, Vec<Range<u64>>) {
    let mut at = 0u64;
    let mut chunks = Vec::new();
    let mut places = Vec::new();
    for coded in all {
        let len = coded.bytes.len();
        let (payload, shared) = (&coded.payload[..], &coded.shared[..]);
        chunks.push(DeviceChunk { coding: coding::LABELLED, payload, shared, len, out_at: at });
        places.push(at..at + len as u64);
        at = (at + len as u64).next_multiple_of(4);
    }
    (chunks, places)
}

/// Decodes all at once and compares.
fn check(gpu: &Gpu, cases: &[Case], all: &[Coded]) -> Shares {
    let (chunks, places) = laid_out(all);
    let out = gpu.buffer(places.last().map_or(0, |place| place.end)).unwrap();
    let shares = decode_chunks(gpu, &chunks, &out, false).unwrap();
    let bytes = gpu.download(&out, 0..out.len()).unwrap();
    for ((case, coded), place) in cases.iter().zip(all).zip(places) {
        let found = &bytes[place.start as usize..place.end as usize];
        let size = case.format.bytes();
        let differs = found.chunks(size).zip(coded.bytes.chunks(size)).position(|(a, b)| a != b);
        assert!(differs.is_none(), "{}: element {differs:?} of {case:?}", gpu.info());
    }
    shares
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (f, format) in FORMATS.into_iter().enumerate() {
        for (t, tables) in [1, 2, 3, 4, 5, 8, 9, 16].into_iter().enumerate() {
            for (s, (len, columns)) in
                [(3000, 100), (4500, 64), (2000, 1900), (20_000, 96), (9001, 9)].into_iter().enumerate()
            {
                let mix = f + 3 * t + 5 * s;
                all.push(Case {
                    format,
                    top: (mix % 4) as u8,
                    tables,
                    precision: 10 + (mix % 3) as u8,
                    columns,
                    first_column: [0, columns / 3, columns - 1][mix % 3],
                    len,
                    lanes_log2: 6,
                    labelled: (mix % 8) as u8,
                    seed: 77 + mix as u64,
                });
            }
        }
    }
    all
}

#[test]
fn every_kind_of_matrix_comes_back() {
    let cases = cases();
    let coded: Vec<Coded> = cases.iter().map(Case::code).collect();
    for gpu in devices() {
        let shares = check(gpu, &cases, &coded);
        let total: usize = coded.iter().map(|c| c.bytes.len()).sum();
        assert_eq!(shares, Shares { gpu: total as u64, cpu: 0 }, "{}", gpu.info());
    }
}

/// Bits that the last states hold may be of signs, of low bits, or of both, and of any part of the chunk.
#[test]
fn short_chunks_come_back_whatever_the_states_hold() {
    let mut cases = Vec::new();
    for (f, format) in FORMATS.into_iter().enumerate() {
        for len in [1, 2, 63, 64, 65, 127, 200, 300, 500, 700, 1000, 1985, 2100] {
            for labelled in 0..4 {
                let columns = [7, 64, 33, 1000][(len + f) % 4];
                let first_column = len % columns;
                cases.push(Case {
                    format,
                    top: (labelled + f as u8) % 4,
                    tables: 2,
                    precision: 11,
                    columns,
                    first_column,
                    len,
                    lanes_log2: 6,
                    labelled,
                    seed: len as u64,
                });
            }
        }
    }
    let coded: Vec<Coded> = cases.iter().map(Case::code).collect();
    for gpu in devices() {
        let shares = check(gpu, &cases, &coded);
        assert!(shares.gpu > shares.cpu, "{shares:?}");
    }
}

/// Other lanes, and labels or rows that outweigh their chunk, are left to the CPU.
#[test]
fn what_the_gpu_leaves_comes_back_too() {
    let case = |lanes_log2, columns, len, labelled| Case {
        format: FloatFormat::F32,
        top: 1,
        tables: 2,
        precision: 12,
        columns,
        first_column: 0,
        len,
        lanes_log2,
        labelled,
        seed: 3,
    };
    let left = [case(5, 60, 3000, 3), case(0, 1, 9, 0), case(6, 1, 3000, 0), case(6, 5000, 900, 1)];
    let taken = [case(6, 60, 3000, 3), case(6, 5000, 900, 5)];
    for gpu in devices() {
        for (case, on_gpu) in left.iter().map(|c| (c, false)).chain(taken.iter().map(|c| (c, true))) {
            let coded = [case.code()];
            let len = coded[0].bytes.len() as u64;
            let expected = if on_gpu { Shares { gpu: len, cpu: 0 } } else { Shares { gpu: 0, cpu: len } };
            assert_eq!(check(gpu, std::slice::from_ref(case), &coded), expected, "{case:?}");
        }
    }
}

#[test]
fn tiles_obey_the_limit_on_bindings() {
    if devices().is_empty() {
        return;
    }
    let cases = cases();
    let coded: Vec<Coded> = cases.iter().map(Case::code).collect();
    let total: usize = coded.iter().map(|c| c.bytes.len()).sum();
    // The last is above the least of chunks only: the others are refused, and decoded by the CPU.
    for limit in [1 << 20, 256 << 10, 40 << 10] {
        let gpu = Gpu::open(&Options::default().max_binding(limit)).unwrap();
        assert_eq!(gpu.max_binding(), limit);
        let shares = check(&gpu, &cases, &coded);
        assert_eq!(shares.gpu + shares.cpu, total as u64);
        assert_eq!(shares.cpu > 0, limit < 256 << 10, "{limit}: {shares:?}");
        assert!(shares.gpu > 0);
    }
}

/// Chunks of half a word more or less: the device writes whole words, so the CPU decodes them.
#[test]
fn chunks_that_share_a_word_come_back() {
    let case = |len| Case {
        format: FloatFormat::Bf16,
        top: 2,
        tables: 1,
        precision: 10,
        columns: 50,
        first_column: 0,
        len,
        lanes_log2: 6,
        labelled: 0,
        seed: len as u64,
    };
    let coded: Vec<Coded> = [701, 900, 333].map(|len| case(len).code()).into();
    let all: Vec<u8> = coded.iter().flat_map(|c| c.bytes.clone()).collect();
    for gpu in devices() {
        let (mut chunks, _) = laid_out(&coded);
        let mut at = 0;
        for chunk in &mut chunks {
            chunk.out_at = at;
            at += chunk.len as u64;
        }
        let out = gpu.buffer(at).unwrap();
        let shares = decode_chunks(gpu, &chunks, &out, true).unwrap();
        assert_eq!(shares, Shares { gpu: 0, cpu: at });
        assert!(gpu.download(&out, 0..at).unwrap() == all);
    }
}
