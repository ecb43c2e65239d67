//! Entropy tables, rANS streams, coded fields, coded blocks, labelled floats and differences. The first byte says which.

use super::{difference, labelled};
use mcodec_coding::rans::StreamDecoder;
use mcodec_coding::{DecodeTable, Table, blocks, fields};
use std::sync::OnceLock;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    match how % 9 {
        0 => table(rest),
        1 => stream(rest),
        3 => block_payload(rest),
        4 => labelled::payload(rest),
        5 => labelled::payload_under(rest),
        6 => labelled::objects(rest),
        7 => difference::payload(rest),
        8 => difference::objects(rest),
        _ => payload(rest),
    }
}

/// What is a table is written again as it was.
fn table(bytes: &[u8]) {
    let Ok((table, used)) = Table::parse(bytes) else { return };
    assert_eq!(table.to_bytes(), bytes[..used], "a table is written differently");
    assert_eq!(table.byte_len(), used);
    assert_eq!(table.freqs().iter().map(|&f| u32::from(f)).sum::<u32>(), 1 << table.precision());
    assert!(table.freqs().iter().all(|&f| f > 0) && table.values().is_sorted_by(|a, b| a < b));
    assert_eq!(table.decoder().max_value(), *table.values().last().expect("a symbol"));
}

/// Symbol count (2 bytes), table, stream: what decodes to its end is the stream that its symbols encode to.
fn stream(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first_chunk::<2>() else { return };
    let Ok((table, used)) = Table::parse(rest) else { return };
    let (decoder, stream) = (table.decoder(), &rest[used..]);
    let Ok(mut whole) = StreamDecoder::new(&decoder, stream) else { return };
    let mut symbols = vec![0; usize::from(u16::from_le_bytes(*count)) % 2048];
    let done = whole.decode(&mut symbols);
    let mut pieces = StreamDecoder::new(&decoder, stream).expect("the same stream");
    let mut again = vec![0; symbols.len()];
    let done_again = again.chunks_mut(64).try_for_each(|piece| pieces.decode(piece));
    assert_eq!(done, done_again, "64 symbols at a time end differently");
    if done.is_err() {
        return;
    }
    assert_eq!(symbols, again);
    let ends = whole.finish();
    assert_eq!(ends, pieces.finish());
    if ends.is_ok() {
        let encoded = table.encoder().encode(&symbols, stream[0]);
        assert_eq!(encoded.as_deref(), Ok(stream), "the symbols of a sound stream encode differently");
    }
}

/// Decoded length (2 bytes), payload of coding 1.
fn payload(bytes: &[u8]) {
    let Some((len, payload)) = bytes.split_first_chunk::<2>() else { return };
    let len = usize::from(u16::from_le_bytes(*len)) % 4097;
    let shared = shared();
    let needs = fields::dependencies(payload, len);
    let ledger = fields::ledger(payload, len);
    let mut out = vec![0; len];
    if fields::decode(payload, shared, &mut out).is_ok() {
        let needs = needs.expect("a payload that decodes has heads");
        assert!(needs.iter().all(|&n| (n as usize) < shared.len()));
        assert_eq!(ledger.expect("a payload that decodes has a ledger").total(), payload.len() as u64);
        let mut again = vec![0xFF; len];
        fields::decode(payload, shared, &mut again).expect("the same payload");
        assert!(out == again, "what is in the buffer before shows through");
        if needs.is_empty() {
            fields::decode(payload, &(), &mut again).expect("without tables");
        }
    }
}

/// Number of blocks, payload of coding 3 (whose first byte says the type).
fn block_payload(bytes: &[u8]) {
    let Some((&count, payload)) = bytes.split_first() else { return };
    let kind = payload.first().copied().unwrap_or_default();
    let len = usize::from(count % 16) * blocks::block_bytes(kind).unwrap_or(18);
    let mut out = vec![0; len];
    if blocks::decode(payload, &mut out).is_ok() {
        let ledger = blocks::ledger(payload, &out).expect("a payload that decodes has a ledger");
        assert_eq!(ledger.total(), payload.len() as u64);
        let mut again = vec![0xFF; len];
        blocks::decode(payload, &mut again).expect("the same payload");
        assert!(out == again, "what is in the buffer before shows through");
        let coded = mcodec_encode::blocks::encode_chunk(&out, kind, 1 + count / 32).expect("whole blocks");
        match coded.split_first() {
            Some((0, stored)) => again.copy_from_slice(stored),
            _ => blocks::decode(&coded, &mut again).expect("what was encoded"),
        }
        assert!(out == again, "blocks come back differently");
    }
}

/// Two tables that payloads may name.
fn shared() -> &'static [DecodeTable] {
    static TABLES: OnceLock<[DecodeTable; 2]> = OnceLock::new();
    TABLES.get_or_init(|| {
        let of = |values: &[u16], counts: &[u64], precision| {
            Table::from_counts(values, counts, precision).expect("a table").decoder()
        };
        [of(&[1, 2, 3, 60], &[1000, 300, 20, 1], 12), of(&[0, 1], &[3, 1], 10)]
    })
}
