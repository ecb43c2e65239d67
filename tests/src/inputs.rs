//! Inputs of tests: committed ones, larger ones where they are, and generated ones.

use std::path::{Path, PathBuf};

/// The model that is committed with the tests.
#[must_use]
pub fn moe_tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/moe-tiny")
}

/// Every safetensors file that is at hand: those committed, and those in `MCODEC_DATA` (by default `../shared/data` beside the checkout).
#[must_use]
pub fn models() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default();
    let data = std::env::var_os("MCODEC_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let mut found = vec![moe_tiny().join("model.safetensors")];
    collect(&root.join("tests/data/models"), &mut found);
    collect(&data.join("models"), &mut found);
    found
}

/// A file of shared latents, if it is at hand, in `MCODEC_DATA`.
#[must_use]
pub fn latents(name: &str) -> Option<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default();
    let data = std::env::var_os("MCODEC_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    std::fs::read(data.join("latents").join(name)).ok()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(list) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = list.flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "safetensors") {
            found.push(path);
        }
    }
}

/// A tensor for [`safetensors`].
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// Name of the dtype, known or not.
    pub dtype: String,
    /// Dimensions.
    pub shape: Vec<u64>,
    /// Bytes.
    pub bytes: Vec<u8>,
}

/// A tensor of these bytes.
#[must_use]
pub fn tensor(name: &str, dtype: &str, shape: &[u64], bytes: Vec<u8>) -> Tensor {
    Tensor { name: name.into(), dtype: dtype.into(), shape: shape.to_vec(), bytes }
}

/// A safetensors file with these tensors in this order.
#[must_use]
pub fn safetensors(metadata: Option<&str>, tensors: &[Tensor]) -> Vec<u8> {
    let mut json = String::from("{");
    if let Some(metadata) = metadata {
        json.push_str(&format!("\"__metadata__\":{metadata}"));
    }
    let mut at = 0;
    for t in tensors {
        if json.len() > 1 {
            json.push(',');
        }
        let name = serde_json::to_string(&t.name).unwrap_or_default();
        let end = at + t.bytes.len();
        json.push_str(
            &format!(
                "{name}:{{\"dtype\":\"{}\",\"shape\":{:?},\"data_offsets\":[{at},{end}]}}",
                t.dtype, t.shape
            )
            .replace(", ", ","),
        );
        at = end;
    }
    json.push('}');
    while json.len() % 8 != 0 {
        json.push(' ');
    }
    let mut out = (json.len() as u64).to_le_bytes().to_vec();
    out.extend(json.as_bytes());
    tensors.iter().for_each(|t| out.extend(&t.bytes));
    out
}

/// Repeatable noise.
#[derive(Debug, Clone)]
pub struct Noise(pub u64);

impl Noise {
    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `n` incompressible bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(n + 8);
        while out.len() < n {
            out.extend(self.word().to_le_bytes());
        }
        out.truncate(n);
        out
    }

    /// `n` bf16 weights as a trained matrix has them: roughly normal, of one scale.
    pub fn bf16(&mut self, n: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * n);
        for _ in 0..n {
            let r = self.word();
            let sum: i64 = (0..4).map(|i| (r >> (16 * i) & 0xffff) as i64 - 32768).sum();
            let bits = (sum as f32 / 65536.0 * 0.05).to_bits();
            out.extend(((bits >> 16) as u16).to_le_bytes());
        }
        out
    }
}
