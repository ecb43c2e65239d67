//! A model file as the peers see it: all of it, or the numbers in it.

use anyhow::Context;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// Level at which what a peer of numbers leaves out of a file is counted.
const REST_LEVEL: i32 = 19;

/// What there is to code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes of the file.
    pub(super) file_bytes: u64,
    /// Bytes of all tensors of the commonest dtype, which is what a peer of numbers codes; of an unknown format, the file's.
    pub(super) payload_bytes: u64,
    /// What the other bytes (header, tensors of other dtypes) take after zstd -19.
    pub(super) rest_coded_bytes: u64,
    /// The commonest dtype; empty for an unknown format.
    pub(super) dtype: String,
    /// Bytes of an element; 1 if they are not whole bytes or not known.
    pub(super) width: usize,
}

impl Shape {
    /// The shape of a file.
    pub(super) fn of(path: &Path) -> anyhow::Result<Self> {
        let file = fs::read(path)?;
        let numbers = Numbers::find(&file);
        let rest_coded_bytes = match numbers.rest(&file) {
            rest if rest.is_empty() => 0,
            rest => zstd::bulk::compress(&rest, REST_LEVEL).context("compressing the header")?.len() as u64,
        };
        let payload_bytes = numbers.spans.iter().map(|s| s.len() as u64).sum();
        let (dtype, width) = (numbers.dtype, numbers.width);
        Ok(Self { file_bytes: file.len() as u64, payload_bytes, rest_coded_bytes, dtype, width })
    }
}

/// Where the numbers of a file are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Their dtype; empty for an unknown format.
    pub(super) dtype: String,
    /// Bytes of one.
    pub(super) width: usize,
    /// Their places, in file order.
    spans: Vec<Range<usize>>,
}

impl Numbers {
    /// Finds those of the commonest dtype in a safetensors file; anything else is one span of bytes.
    pub(super) fn find(file: &[u8]) -> Self {
        let all = tensors(file).unwrap_or_default();
        let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
        for (dtype, span) in &all {
            *sums.entry(dtype).or_default() += span.len();
        }
        // Of equals the first by name, as in the script.
        let Some(most) = sums.iter().rev().max_by_key(|(_, sum)| **sum).map(|(dtype, _)| (*dtype).to_owned())
        else {
            return Self { dtype: String::new(), width: 1, spans: std::iter::once(0..file.len()).collect() };
        };
        let spans = all.iter().filter(|(dtype, _)| *dtype == most).map(|(_, span)| span.clone()).collect();
        Self { width: width(&most), dtype: most, spans }
    }

    /// The numbers' bytes.
    pub(super) fn payload(&self, file: &[u8]) -> Vec<u8> {
        self.spans.iter().flat_map(|s| &file[s.clone()]).copied().collect()
    }

    /// The bytes around them.
    fn rest(&self, file: &[u8]) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut at = 0;
        for span in &self.spans {
            rest.extend_from_slice(&file[at..span.start]);
            at = span.end;
        }
        rest.extend_from_slice(&file[at..]);
        rest
    }
}

/// Dtype and place of every tensor that has bytes, in file order. `None` if it is no safetensors file.
fn tensors(file: &[u8]) -> Option<Vec<(String, Range<usize>)>> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(rest.get(..length)?).ok()?;
    let start = 8 + length;
    let mut all = Vec::new();
    for (_, tensor) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let bound = |i: usize| {
            let at = usize::try_from(tensor["data_offsets"].get(i)?.as_u64()?).ok()?.checked_add(start)?;
            (at <= file.len()).then_some(at)
        };
        let span = bound(0)?..bound(1)?;
        if !span.is_empty() {
            all.push((tensor["dtype"].as_str()?.to_owned(), span));
        }
    }
    all.sort_by_key(|(_, span)| span.start);
    // Tensors that overlap are not for the peers.
    all.windows(2).all(|pair| pair[0].1.end <= pair[1].1.start).then_some(all)
}

/// Bytes of an element.
fn width(dtype: &str) -> usize {
    match dtype {
        "F64" | "I64" | "U64" => 8,
        "F32" | "I32" | "U32" => 4,
        "F16" | "BF16" | "I16" | "U16" => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn the_commonest_dtype_is_the_payload() {
        let header = r#"{"__metadata__":{"a":"b"},
            "z":{"dtype":"F32","shape":[1],"data_offsets":[6,10]},
            "y":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},
            "x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let file = file(header, b"xxxxyyzzzz");
        let found = Numbers::find(&file);
        assert_eq!((found.dtype.as_str(), found.width), ("F32", 4));
        assert_eq!(found.payload(&file), b"xxxxzzzz");
        assert!(found.rest(&file).ends_with(b"yy") && found.rest(&file).len() == file.len() - 8);
    }

    #[test]
    fn other_files_are_bytes() {
        let bad_end = r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,99]}}"#;
        for other in
            [Vec::new(), b"GGUF and more than eight bytes".to_vec(), file(bad_end, b"1234"), file("{}", b"")]
        {
            let found = Numbers::find(&other);
            assert_eq!((found.dtype.as_str(), found.width), ("", 1));
            assert_eq!(found.payload(&other), other);
        }
    }
}
