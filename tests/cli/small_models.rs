//! Small inputs.

use crate::workplace::Workplace;
use mcodec_tests::inputs::{Noise, Tensor, safetensors, tensor};

/// A model of two tensors; another seed makes other weights.
pub(crate) fn small(seed: u64) -> Vec<u8> {
    let mut noise = Noise(seed);
    let a = tensor("a.weight", "BF16", &[16, 16], noise.bf16(256));
    let b = tensor("b.bias", "F32", &[8], noise.bytes(32));
    safetensors(Some(r#"{"format":"pt"}"#), &[a, b])
}

/// A model whose encoding takes long enough to be interrupted: `mib` MiB.
pub(crate) fn long(mib: usize) -> Vec<u8> {
    let mut noise = Noise(5);
    let block = noise.bf16(1 << 19);
    let tensors: Vec<Tensor> = (0..mib)
        .map(|i| {
            let mut bytes = block.clone();
            // No tensor repeats another.
            bytes[..8].copy_from_slice(&noise.word().to_le_bytes());
            tensor(&format!("layers.{i}.weight"), "BF16", &[512, 1024], bytes)
        })
        .collect();
    safetensors(None, &tensors)
}

/// Files of a Hugging Face folder with two shards, by name. The last one is no part of a model.
pub(crate) fn sharded() -> Vec<(&'static str, Vec<u8>)> {
    let mut noise = Noise(77);
    let part = |noise: &mut Noise, layer: u32| {
        let name = |what: &str| format!("model.layers.{layer}.{what}.weight");
        vec![
            tensor(&name("q_proj"), "BF16", &[64, 32], noise.bf16(2048)),
            tensor(&name("norm"), "F32", &[32], noise.bytes(128)),
        ]
    };
    let (one, mut two) = (part(&mut noise, 10), part(&mut noise, 2));
    two.push(tensor("lm_head.weight", "F16", &[100, 8], noise.bytes(1600)));
    let map = |tensors: &[Tensor], file: &str| -> Vec<String> {
        tensors.iter().map(|t| format!("{:?}: {file:?}", t.name)).collect()
    };
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let weights = [map(&one, names[0]), map(&two, names[1])].concat().join(", ");
    let index = format!("{{\"metadata\": {{\"total_size\": 10000}}, \"weight_map\": {{{weights}}}}}\n");
    vec![
        (names[0], safetensors(Some(r#"{"format":"pt"}"#), &one)),
        (names[1], safetensors(Some(r#"{"format":"pt"}"#), &two)),
        ("model.safetensors.index.json", index.into_bytes()),
        ("config.json", b"{\n  \"hidden_size\": 32\n}\n".to_vec()),
        ("tokenizer.json", noise.bytes(3000)),
        ("tokenizer.model", noise.bytes(500)),
        ("chat_template.jinja", b"{{ messages }}".to_vec()),
        ("README.md", b"# A model\n".to_vec()),
    ]
}

/// Writes these files into the folder `name`.
pub(crate) fn lay_out(place: &Workplace, name: &str, files: &[(&str, Vec<u8>)]) {
    files.iter().for_each(|(file, bytes)| place.write(&format!("{name}/{file}"), bytes));
}

/// The tensors of a safetensors file: name and bytes.
pub(crate) fn tensors_of(file: &[u8]) -> Vec<(String, Vec<u64>, Vec<u8>)> {
    let len = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let head: serde_json::Value = serde_json::from_slice(&file[8..8 + len]).unwrap();
    let data = &file[8 + len..];
    let entries = head.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    let mut all: Vec<_> = entries
        .map(|(name, t)| {
            let numbers = |key: &str| -> Vec<u64> {
                t[key].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
            };
            let at = numbers("data_offsets");
            (name.clone(), numbers("shape"), data[at[0] as usize..at[1] as usize].to_vec())
        })
        .collect();
    all.sort();
    all
}
