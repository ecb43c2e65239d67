//! Models as `arbitrary` makes them, for the round trip.

use arbitrary::{Arbitrary, Result, Unstructured};
use mcodec_format::registry::DTYPES;

/// How to encode, and a model.
#[derive(Debug, Clone, Arbitrary)]
pub struct Case {
    options: u8,
    pad: u8,
    metadata: Vec<(String, String)>,
    tensors: Vec<Tensor>,
}

/// A tensor: known or opaque dtype, any shape of few elements, any bytes.
#[derive(Debug, Clone)]
pub struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

impl<'a> Arbitrary<'a> for Tensor {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let name = String::arbitrary(u)?;
        let known = u.choose(&DTYPES)?;
        let mut shape = Vec::new();
        for _ in 0..u.int_in_range(0..=4)? {
            shape.push(u.int_in_range(0..=33)?);
        }
        let elements = shape.iter().product::<u64>();
        if u.ratio(1, 8)? {
            let bytes = Vec::<u8>::arbitrary(u)?;
            return Ok(Self { name, dtype: format!("X{}", u.arbitrary::<u8>()?), shape, bytes });
        }
        let mut len = known.byte_len(&shape).filter(|&len| len <= 16_384);
        if len.is_none() {
            // Too long, or half a byte left over.
            shape = vec![elements % 64 * 8];
            len = known.byte_len(&shape);
        }
        let bytes = values(u, len.unwrap_or(0) as usize)?;
        Ok(Self { name, dtype: known.name.into(), shape, bytes })
    }
}

/// `len` bytes: noise, a constant, a period, or few values.
fn values(u: &mut Unstructured<'_>, len: usize) -> Result<Vec<u8>> {
    let period = u.int_in_range(1..=64)?;
    let seed = u.bytes(period.min(u.len()))?.to_vec();
    let mix: u64 = u.arbitrary()?;
    let mut x = mix | 1;
    let byte = |i: usize| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let base = if seed.is_empty() { 0 } else { seed[i % seed.len()] };
        match mix % 4 {
            0 => base,
            1 => base ^ (x >> 61) as u8,
            2 => base.wrapping_add((x >> 56 & x >> 48) as u8),
            _ => (x >> 56) as u8,
        }
    };
    Ok((0..len).map(byte).collect())
}

impl Case {
    /// As an input of [`crate::targets::round_trip`]: a byte of options and a safetensors file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut members = Vec::new();
        if !self.metadata.is_empty() {
            let pairs: std::collections::BTreeMap<_, _> = self.metadata.iter().cloned().collect();
            let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{}:{}", quoted(k), quoted(v))).collect();
            members.push(format!("\"__metadata__\":{{{}}}", pairs.join(",")));
        }
        let mut at = 0;
        let mut names = std::collections::HashSet::new();
        let mut data = Vec::new();
        for t in &self.tensors {
            if t.name == "__metadata__" || !names.insert(&t.name) {
                continue;
            }
            let shape = t.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
            let end = at + t.bytes.len();
            let (name, dtype) = (quoted(&t.name), &t.dtype);
            members.push(format!(
                "{name}:{{\"dtype\":\"{dtype}\",\"shape\":[{shape}],\"data_offsets\":[{at},{end}]}}"
            ));
            at = end;
            data.extend_from_slice(&t.bytes);
        }
        let mut json = format!("{{{}}}", members.join(","));
        let spaces = json.len().next_multiple_of(usize::from(self.pad % 16) + 1) - json.len();
        json.push_str(&" ".repeat(spaces));
        [&[self.options][..], &(json.len() as u64).to_le_bytes(), json.as_bytes(), &data].concat()
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
