//! How a model tells far positions from near ones: what `config.json` says of rotary angles, in the form that llama.cpp takes.

use super::metadata::Model;
use super::values::Value;
use crate::outcome::usage;
use serde_json::Value as Json;

/// Rotary angles beside their base.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Positions {
    /// Metadata, after the architecture's name.
    pub(super) pairs: Vec<(&'static str, Value)>,
    /// What each angle is divided by, one of a pair of a head's numbers; empty: nothing.
    pub(super) divisors: Vec<f32>,
}

impl Positions {
    /// Those of a model whose heads have `head` numbers.
    pub(super) fn of(model: &Model, head: u32) -> anyhow::Result<Self> {
        let Some(said) = model.rotary() else { return Ok(Self::default()) };
        let text = |key: &str| said.get(key).and_then(Json::as_str);
        let number = |key: &str| said.get(key).and_then(Json::as_f64).filter(|v| v.is_finite() && *v > 0.0);
        let needed = |key: &str| {
            number(key).ok_or_else(|| usage(format!("config.json: {key:?} of scaled positions is missing")))
        };
        if number("partial_rotary_factor").is_some_and(|share| share != 1.0) {
            return Err(usage("config.json: heads that turn in part have no form in GGUF files here"));
        }
        let before = |needed: anyhow::Result<f64>| {
            let own =
                model.count("original_max_position_embeddings").or(model.count("max_position_embeddings"));
            needed.or_else(|missing| own.map(f64::from).ok_or(missing))
        };
        let original = "original_max_position_embeddings";
        match text("rope_type").or(text("type")).unwrap_or("default") {
            "default" => Ok(Self::default()),
            "linear" => {
                let factor = Value::F32(needed("factor")? as f32);
                let pairs = vec![
                    ("rope.scaling.type", Value::Text("linear".into())),
                    ("rope.scaling.factor", factor),
                ];
                Ok(Self { pairs, divisors: Vec::new() })
            }
            "yarn" => {
                let length = before(needed(original))?;
                let pairs = vec![
                    ("rope.scaling.type", Value::Text("yarn".into())),
                    ("rope.scaling.factor", Value::F32(needed("factor")? as f32)),
                    ("rope.scaling.original_context_length", Value::U32(length as u32)),
                ];
                let others = ["beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim"];
                if let Some(key) = others.into_iter().find(|key| said.get(key).is_some_and(|v| !v.is_null()))
                {
                    return Err(usage(format!(
                        "config.json: {key:?} of yarn has no form in GGUF files here"
                    )));
                }
                Ok(Self { pairs, divisors: Vec::new() })
            }
            "llama3" => {
                let [factor, low, high] =
                    [needed("factor")?, needed("low_freq_factor")?, needed("high_freq_factor")?];
                let length = before(needed(original))?;
                let theta = f64::from(model.theta());
                let divisor = |pair: u32| {
                    let wave = std::f64::consts::TAU * theta.powf(f64::from(2 * pair) / f64::from(head));
                    // How many waves fit: above `high` they stay, below `low` they are as long as the factor says.
                    let share = ((length / wave - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 / ((1.0 - share) / factor + share)) as f32
                };
                Ok(Self { pairs: Vec::new(), divisors: (0..head / 2).map(divisor).collect() })
            }
            other => Err(usage(format!(
                "config.json: positions scaled as {other:?} have no form in GGUF files here"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &str) -> anyhow::Result<Positions> {
        let config = format!(
            r#"{{"model_type":"llama","num_attention_heads":2,"hidden_size":16,"num_hidden_layers":1,"rope_theta":10000.0,{said}}}"#
        );
        Positions::of(&Model::of(config.as_bytes())?, 8)
    }

    #[test]
    fn scaled_positions_have_their_form() {
        assert_eq!(of(r#""rope_scaling":null"#).unwrap(), Positions::default());
        let linear = of(r#""rope_scaling":{"type":"linear","factor":4.0}"#).unwrap();
        assert_eq!(linear.pairs[1], ("rope.scaling.factor", Value::F32(4.0)));
        let scaled = r#""rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0"#;
        let length = r#""original_max_position_embeddings":256"#;
        let found = of(&format!(r#""rope_parameters":{{"rope_theta":10000.0,{scaled},{length}}}"#)).unwrap();
        // Waves of 2 pi times 1, 10, 100 and 1000: 40.7 of the first fit, 4.07, 0.41 and 0.04.
        assert_eq!(found.divisors, [1.0, 1.0, 8.0, 8.0]);
        let between =
            of(&format!(r#""rope_scaling":{{{scaled},"original_max_position_embeddings":157}}"#)).unwrap();
        // 2.4987 waves of the second: half-way.
        assert!((between.divisors[1] - 1.0 / (0.49957 + 0.50043 / 8.0)).abs() < 1e-3, "{between:?}");
        for refused in [
            r#""rope_scaling":{"type":"dynamic","factor":2.0}"#,
            r#""rope_scaling":{"type":"linear"}"#,
            r#""rope_scaling":{"type":"llama3","factor":8.0,"low_freq_factor":1.0}"#,
            r#""rope_parameters":{"rope_type":"default","partial_rotary_factor":0.5}"#,
        ] {
            assert!(of(refused).is_err(), "{refused}");
        }
    }
}
