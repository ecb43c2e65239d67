//! Small models of each family predict as they do in Transformers (`compare/transformers_reference.py --write-vectors` made the figures).
#![cfg(feature = "forward")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use mcodec_evaluation::weights::Identity;
use mcodec_evaluation::{Against, Judge, Protocol, Result, Tokens, Weights};
use std::collections::BTreeMap;
use std::ops::Range;

/// A model whose weights only their names tell.
#[derive(serde::Deserialize)]
struct Model {
    name: String,
    config: serde_json::Value,
    tensors: BTreeMap<String, Vec<usize>>,
    nats: f64,
    nats_strided: f64,
}

/// Number `i` that a name tells, from -1 to 1.
fn noise(name: &str, i: usize) -> f32 {
    let fnv = |state: u64, byte: &u8| (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let state = name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fnv);
    let mut z = state.wrapping_add((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 40) as f32 / (1 << 23) as f32 - 1.0
}

impl Weights for Model {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).cloned()
    }

    fn rows(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        let shape = &self.tensors[name];
        let per: usize = shape[1..].iter().product();
        let is_gemma = self.config["model_type"].as_str().unwrap().starts_with("gemma");
        let scale = if shape.len() > 1 { 0.25 } else { 0.5 };
        let offset = if name.ends_with("norm.weight") && !is_gemma { 1.0 } else { 0.0 };
        Ok((rows.start * per..rows.end * per).map(|i| noise(name, i) * scale + offset).collect())
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok((name == "config.json").then(|| self.config.to_string().into_bytes()))
    }

    fn identity(&self) -> Identity {
        Identity { name: self.name.clone(), ..Identity::default() }
    }
}

#[test]
fn all_predict_as_in_transformers() {
    let models: Vec<Model> = serde_json::from_str(include_str!("families.json")).unwrap();
    assert_eq!(models.len(), 14);
    let text: Vec<u8> = (0..97 * 3).map(|i| ((noise("text", i) + 1.0) * 128.0) as u8).collect();
    for model in &models {
        let tokens = Tokens::of(model, 256).unwrap();
        let texts = [("text".to_owned(), tokens.text(&text).unwrap())];
        for (stride, wanted) in [(None, model.nats), (Some(32), model.nats_strided)] {
            let protocol = Protocol::new(96, stride, None, tokens.name()).unwrap();
            let judge = Judge::new(protocol, &texts).unwrap();
            let found = judge.judge(model, Some(Against::Model(model)), &|_, _| Ok(())).unwrap().all;
            let off = (found.nats_per_token - wanted).abs();
            assert!(off < 1e-4, "{}: {} is not {wanted}", model.name, found.nats_per_token);
            assert!(found.against.unwrap().kl < 1e-9, "{}", model.name);
        }
    }
}
