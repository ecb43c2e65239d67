//! What order-0 entropy coding of floats could reach at most: the yardstick of every row that uses no context.

use anyhow::Context;
use mcodec_encode::import::safetensors::HeaderEntry;
use mcodec_encode::import::{ImportOptions, ModelSource, Shard};
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;

/// Bytes read at once; whole elements.
const PIECE: usize = 1 << 20;
/// Level at which what is no tensor is counted.
const REST_LEVEL: i32 = 19;

/// What it is, for the reader of the table.
pub(super) const METHOD: &str = "\
Order-0 limit: the file's bytes over those of an ideal coder with tables of its own for each tensor, whose model costs 0.5 log2(n) bits for \
each symbol that occurs in n ones. \"exponents\": exponents at their entropy, signs and mantissas raw. \"all fields\": also signs at their \
entropy, and the mantissa (of f32 and f64: its top 3 bits, the others raw) at its entropy given the exponent. What would cost more so than raw \
counts raw, as do tensors that are no floats (BF16, F16, F32, F64); the header counts after zstd -19, and a tensor that has several names once. A coder that \
uses context (the place in the matrix, the scale of row or column, repeats) may get below.";

/// The limits of a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Limits {
    /// Exponents at their entropy, the rest of each number raw.
    pub(super) exponent_bytes: u64,
    /// Also signs, and mantissas given the exponent.
    pub(super) all_fields_bytes: u64,
}

impl Limits {
    /// Those of a file; None if it has no tensors that are known.
    pub(super) fn of(path: &Path) -> anyhow::Result<Option<Self>> {
        let Ok(source) = ModelSource::open(path, &ImportOptions::default()) else { return Ok(None) };
        let mut bits = Bits::default();
        let mut rest = 0;
        for shard in &source.shards {
            rest += count_shard(shard, &mut bits)?;
        }
        let bytes = |bits: f64| (bits / 8.0).ceil() as u64 + rest;
        Ok(Some(Self { exponent_bytes: bytes(bits.exponents), all_fields_bytes: bytes(bits.all_fields) }))
    }
}

/// Costs in bits.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Bits {
    exponents: f64,
    all_fields: f64,
}

/// Adds a file's floats to `bits`; returns the bytes of the others, and of what is between tensors.
fn count_shard(shard: &Shard, bits: &mut Bits) -> anyhow::Result<u64> {
    let file = shard.open()?;
    let mut tensors: Vec<&HeaderEntry> = shard.header.tensors.iter().filter(|t| t.byte_len() > 0).collect();
    tensors.sort_by_key(|t| t.begin);
    let mut seen = HashSet::new();
    tensors.retain(|t| seen.insert(t.begin));
    let (mut raw, mut between, mut at) = (0, Vec::new(), 0);
    let mut buffer = vec![0; PIECE];
    let mut rest = |begin: u64, end: u64| -> anyhow::Result<()> {
        let old = between.len();
        between.resize(old + usize::try_from(end - begin)?, 0);
        Ok(file.read_at(begin, &mut between[old..])?)
    };
    for tensor in tensors {
        let begin = shard.data_offset + tensor.begin;
        rest(at, begin)?;
        at = begin + tensor.byte_len();
        let Some(mut histogram) = Histogram::of(&tensor.dtype) else {
            raw += tensor.byte_len();
            continue;
        };
        let mut from = begin;
        while from < at {
            let n = usize::try_from(at - from)?.min(PIECE);
            file.read_at(from, &mut buffer[..n])?;
            histogram.add(&buffer[..n]);
            from += n as u64;
        }
        let cost = histogram.cost();
        bits.exponents += cost.exponents;
        bits.all_fields += cost.all_fields;
    }
    rest(at, shard.byte_len())?;
    let coded = zstd::bulk::compress(&between, REST_LEVEL).context("compressing the header")?.len() as u64;
    Ok(raw + if between.is_empty() { 0 } else { coded })
}

/// How often each value of the top bits of a tensor's numbers occurs: sign, exponent, and as much of the mantissa as is modelled.
struct Histogram {
    width: usize,
    exponent_bits: u32,
    /// Modelled bits of the mantissa.
    top_bits: u32,
    raw_bits: u32,
    counts: Vec<u64>,
}

impl Histogram {
    /// None if the dtype is no float.
    fn of(dtype: &str) -> Option<Self> {
        let (width, exponent_bits, top_bits, raw_bits) = match dtype {
            "BF16" => (2, 8, 7, 0),
            "F16" => (2, 5, 10, 0),
            "F32" => (4, 8, 3, 20),
            "F64" => (8, 11, 3, 49),
            _ => return None,
        };
        Some(Self {
            width,
            exponent_bits,
            top_bits,
            raw_bits,
            counts: vec![0; 1 << (1 + exponent_bits + top_bits)],
        })
    }

    fn add(&mut self, bytes: &[u8]) {
        for element in bytes.chunks_exact(self.width) {
            let value = element.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
            self.counts[(value >> self.raw_bits) as usize] += 1;
        }
    }

    fn cost(&self) -> Bits {
        let tops = 1usize << self.top_bits;
        let exponents = 1usize << self.exponent_bits;
        let (negative, mut by_exponent) = (self.counts.len() / 2, Vec::with_capacity(exponents));
        let signs = [&self.counts[..negative], &self.counts[negative..]].map(|half| half.iter().sum::<u64>());
        let mut mantissas = 0.0;
        let (positive, negative) = self.counts.split_at(negative);
        for (a, b) in positive.chunks_exact(tops).zip(negative.chunks_exact(tops)) {
            let joint: Vec<u64> = a.iter().zip(b).map(|(a, b)| a + b).collect();
            by_exponent.push(joint.iter().sum());
            mantissas += coded(&joint, self.top_bits);
        }
        let n = (signs[0] + signs[1]) as f64;
        let exponent = coded(&by_exponent, self.exponent_bits);
        Bits {
            exponents: exponent + n * f64::from(1 + self.top_bits + self.raw_bits),
            all_fields: exponent + coded(&signs, 1) + mantissas + n * f64::from(self.raw_bits),
        }
    }
}

/// Bits of symbols that occur so often, their model included; at most `raw_bits` each.
fn coded(counts: &[u64], raw_bits: u32) -> f64 {
    let n = counts.iter().sum::<u64>() as f64;
    if n == 0.0 {
        return 0.0;
    }
    let used = counts.iter().filter(|c| **c > 0);
    let (symbols, entropy) =
        used.fold((0.0, 0.0), |(symbols, bits), &c| (symbols + 1.0, bits - c as f64 * (c as f64 / n).log2()));
    (entropy + 0.5 * n.log2() * symbols).min(n * f64::from(raw_bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_those_of_the_definition() {
        assert_eq!(coded(&[], 8), 0.0);
        assert_eq!(coded(&[4, 4], 8), 8.0 + 0.5 * 3.0 * 2.0);
        assert_eq!(coded(&[1, 1, 1, 1], 2), 8.0, "raw is cheaper");
        let mut all = Histogram::of("BF16").unwrap();
        // 1.0 and -1.5, as often: one exponent, two signs, two mantissas.
        all.add(&[0x80, 0x3F, 0xC0, 0xBF].repeat(1 << 19));
        let cost = all.cost();
        let n = f64::from(1 << 20);
        assert_eq!(cost.exponents, 10.0 + n * 8.0);
        assert_eq!(cost.all_fields, 10.0 + n + (n + 20.0));
    }

    #[test]
    fn files_are_counted_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        let header = br#"{"a":{"dtype":"BF16","shape":[4096],"data_offsets":[0,8192]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8192,8195]}}"#;
        let mut file = [&(header.len() as u64).to_le_bytes()[..], header].concat();
        file.extend([0x80, 0x3F].repeat(4096));
        file.extend(b"abc");
        std::fs::write(&path, &file).unwrap();
        let limits = Limits::of(&path).unwrap().unwrap();
        let head = zstd::bulk::compress(&file[..8 + header.len()], REST_LEVEL).unwrap().len() as u64;
        // Exponents: one symbol, 6 bits of model; sign and mantissa raw.
        assert_eq!(limits.exponent_bytes, 4096 + 1 + 3 + head);
        assert!(limits.all_fields_bytes < 16 + 3 + head);
        std::fs::write(&path, b"no model").unwrap();
        assert_eq!(Limits::of(&path).unwrap(), None);
    }
}
