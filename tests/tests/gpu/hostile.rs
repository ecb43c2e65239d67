//! Payloads that are not what an encoder wrote: the same error as the scalar decoder, or the same bytes.

use crate::chunks::laid_out;
use crate::devices;
use crate::matrices::{Case, Coded, FORMATS};
use mcodec_decode::decode_chunk;
use mcodec_decode::gpu::{ChunkError, decode_chunks};
use mcodec_format::registry::coding;
use mcodec_tests::inputs::Noise;

#[test]
fn mutated_payloads_say_what_they_say_to_the_cpu() {
    let mut noise = Noise(2026);
    let (mut refused, mut sound) = (0, 0);
    for round in 0..160u64 {
        let case = Case {
            format: FORMATS[(round % 4) as usize],
            top: (noise.word() % 4) as u8,
            tables: [1, 2, 4, 16][(round / 4 % 4) as usize],
            precision: 10 + (round % 3) as u8,
            columns: 50,
            first_column: 3,
            len: 400 + (noise.word() % 900) as usize,
            lanes_log2: 6,
            labelled: (round % 8) as u8,
            seed: round,
        };
        let mut coded = case.code();
        for _ in 0..=noise.word() % 3 {
            let len = coded.payload.len() as u64;
            // The head, where most bytes mean something, as often as the rest.
            let range = if noise.word().is_multiple_of(2) { len } else { len.min(300) };
            let at = (noise.word() % range) as usize;
            match noise.word() % 8 {
                0 => coded.payload.truncate(at),
                1 => coded.payload.insert(at, noise.word() as u8),
                _ => coded.payload[at] ^= 1 << (noise.word() % 8),
            }
            if coded.payload.is_empty() {
                break;
            }
        }
        let mut expected = vec![0; coded.bytes.len()];
        let here = decode_chunk(coding::LABELLED, &coded.payload, &coded.shared, &[], &mut expected);
        for gpu in devices() {
            let (chunks, places) = laid_out(std::slice::from_ref(&coded));
            let out = gpu.buffer(places[0].end).unwrap();
            match (&here, decode_chunks(gpu, &chunks, &out, false)) {
                (Ok(()), Ok(_)) => {
                    assert!(gpu.download(&out, 0..out.len()).unwrap() == expected, "{case:?}");
                    sound += 1;
                }
                (Err(here), Err(ChunkError::Coding { index: 0, source })) => {
                    assert_eq!(source.to_string(), here.to_string());
                    refused += 1;
                }
                (here, there) => panic!("{here:?} here, {there:?} on {}, of {case:?}", gpu.info()),
            }
        }
    }
    assert!(devices().is_empty() || (refused > 20 && sound > 5), "{refused} refused, {sound} not");
}

/// One chunk of many is damaged: it is the one that is named.
#[test]
fn the_damaged_chunk_is_named() {
    let case = |seed| Case {
        format: FORMATS[0],
        top: 2,
        tables: 2,
        precision: 12,
        columns: 64,
        first_column: 0,
        len: 2000,
        lanes_log2: 6,
        labelled: 3,
        seed,
    };
    for gpu in devices() {
        for bad in [0, 17, 39] {
            let mut all: Vec<Coded> = (0..40).map(|seed| case(seed).code()).collect();
            // Its last word is missing.
            let len = all[bad].payload.len();
            all[bad].payload.truncate(len - 2);
            let (chunks, places) = laid_out(&all);
            let out = gpu.buffer(places[39].end).unwrap();
            let result = decode_chunks(gpu, &chunks, &out, false);
            assert!(
                matches!(result, Err(ChunkError::Coding { index, .. }) if index == bad),
                "{bad}: {result:?}"
            );
        }
    }
}

#[test]
fn chunks_outside_of_the_output_are_refused() {
    let coded = [Case {
        format: FORMATS[0],
        top: 2,
        tables: 2,
        precision: 12,
        columns: 64,
        first_column: 0,
        len: 200,
        lanes_log2: 6,
        labelled: 0,
        seed: 1,
    }
    .code()];
    for gpu in devices() {
        for (len, at) in [(396, 0), (400, 4), (400, u64::MAX - 3)] {
            let (mut chunks, _) = laid_out(&coded);
            chunks[0].out_at = at;
            let result = decode_chunks(gpu, &chunks, &gpu.buffer(len).unwrap(), false);
            assert!(matches!(result, Err(ChunkError::Device(_))), "{len} {at}");
        }
    }
}
