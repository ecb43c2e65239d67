//! What `config.json` says, as GGUF metadata.

use super::values::Value;
use crate::outcome::usage;
use serde_json::Value as Json;

/// A model's configuration.
pub(super) struct Model {
    pub(super) family: String,
    config: Json,
    heads: usize,
    key_heads: usize,
}

/// Families, and what llama.cpp calls them.
const ARCHITECTURES: [(&str, &str); 10] = [
    ("llama", "llama"),
    ("mistral", "llama"),
    ("mixtral", "llama"),
    ("qwen2", "qwen2"),
    ("qwen3", "qwen3"),
    ("qwen2_moe", "qwen2moe"),
    ("qwen3_moe", "qwen3moe"),
    ("gemma", "gemma"),
    ("gemma2", "gemma2"),
    ("gemma3_text", "gemma3"),
];

impl Model {
    /// Reads a configuration.
    pub(super) fn of(text: &[u8]) -> anyhow::Result<Self> {
        let config: Json = serde_json::from_slice(text).map_err(|e| usage(format!("config.json: {e}")))?;
        let family = config.get("model_type").and_then(Json::as_str).unwrap_or_default().to_owned();
        if !ARCHITECTURES.iter().any(|(known, _)| *known == family) {
            let all = ARCHITECTURES.map(|(known, _)| known).join(", ");
            return Err(usage(format!("--to gguf is of {all}, not of {family:?}")));
        }
        let mut model = Self { family, config, heads: 0, key_heads: 0 };
        model.heads = model.needed("num_attention_heads")? as usize;
        model.key_heads = model.count("num_key_value_heads").map_or(model.heads, |n| n as usize);
        for key in ["hidden_size", "num_hidden_layers"] {
            model.needed(key)?;
        }
        let dense =
            model.config.get("mlp_only_layers").and_then(Json::as_array).is_some_and(|l| !l.is_empty());
        if dense || model.count("decoder_sparse_step").is_some_and(|step| step > 1) {
            return Err(usage(
                "config.json: layers with and without experts have no form in GGUF files here",
            ));
        }
        Ok(model)
    }

    pub(super) fn architecture(&self) -> &'static str {
        ARCHITECTURES.iter().find(|(known, _)| *known == self.family).map_or("llama", |(_, name)| name)
    }

    pub(super) fn is_gemma(&self) -> bool {
        self.family.starts_with("gemma")
    }

    pub(super) fn has_four_norms(&self) -> bool {
        matches!(self.family.as_str(), "gemma2" | "gemma3_text")
    }

    pub(super) fn heads(&self) -> usize {
        self.heads
    }

    pub(super) fn key_heads(&self) -> usize {
        self.key_heads
    }

    /// Numbers of a head.
    pub(super) fn head(&self) -> u32 {
        let hidden = self.count("hidden_size").unwrap_or(0);
        self.count("head_dim").unwrap_or(hidden / (self.heads as u32).max(1))
    }

    /// What llama.cpp does otherwise than the model, which metadata cannot say.
    pub(super) fn cautions(&self) -> Vec<String> {
        let mut all = Vec::new();
        let slides = match self.family.as_str() {
            "mistral" | "mixtral" => true,
            "qwen2" | "qwen3" | "qwen2_moe" | "qwen3_moe" => {
                self.config.get("use_sliding_window").and_then(Json::as_bool) == Some(true)
            }
            _ => false,
        };
        if let Some(window) = self.count("sliding_window").filter(|_| slides) {
            all.push(format!("the model looks back at {window} tokens, llama.cpp at all"));
        }
        let normed = match self.family.as_str() {
            "qwen2_moe" => Some(false),
            "qwen3_moe" => Some(true),
            _ => None,
        };
        let own = self.config.get("norm_topk_prob").and_then(Json::as_bool).unwrap_or(false);
        if normed.is_some_and(|normed| normed != own) {
            all.push(format!("the model has norm_topk_prob {own}, llama.cpp the opposite"));
        }
        let taken = match self.count("num_hidden_layers") {
            Some(46) if self.family == "gemma2" => {
                self.count("hidden_size").unwrap_or(0) / (self.heads as u32).max(1)
            }
            Some(62) if self.family == "gemma3_text" => {
                self.count("hidden_size").unwrap_or(0) / (self.heads as u32).max(1)
            }
            _ => self.head(),
        };
        let scalar = self.number("query_pre_attn_scalar").filter(|_| self.has_four_norms());
        if let Some(scalar) = scalar.filter(|scalar| *scalar != taken as f32) {
            all.push(format!("the model scales by query_pre_attn_scalar {scalar}, llama.cpp by {taken}"));
        }
        all
    }

    /// A number of the configuration.
    pub(super) fn count(&self, key: &str) -> Option<u32> {
        self.config.get(key)?.as_u64().and_then(|n| u32::try_from(n).ok())
    }

    fn needed(&self, key: &str) -> anyhow::Result<u32> {
        let found = self.count(key).filter(|n| *n > 0);
        found.ok_or_else(|| usage(format!("config.json: {key:?} is missing")))
    }

    fn number(&self, key: &str) -> Option<f32> {
        Some(self.config.get(key)?.as_f64()? as f32)
    }

    /// What it says of rotary angles: of the layers that look at all, if they differ.
    pub(super) fn rotary(&self) -> Option<&Json> {
        let all = ["rope_parameters", "rope_scaling"].map(|key| self.config.get(key));
        let said = all.into_iter().flatten().find(|said| said.is_object())?;
        Some(said.get("full_attention").unwrap_or(said))
    }

    /// The base of rotary angles.
    pub(super) fn theta(&self) -> f32 {
        let new = self.rotary().and_then(|p| p.get("rope_theta")).and_then(Json::as_f64).map(|v| v as f32);
        let default = if matches!(self.family.as_str(), "mixtral" | "gemma3_text") { 1e6 } else { 1e4 };
        new.or_else(|| self.number("rope_theta")).unwrap_or(default)
    }

    /// The metadata, but that of the vocabulary.
    pub(super) fn pairs(&self, name: &str, file_type: u32) -> Vec<(String, Value)> {
        let architecture = self.architecture();
        let hidden = self.count("hidden_size").unwrap_or(0);
        let head = self.head();
        let mut all = vec![
            ("general.architecture".to_owned(), Value::Text(architecture.into())),
            ("general.name".to_owned(), Value::Text(name.into())),
            ("general.type".to_owned(), Value::Text("model".into())),
            ("general.file_type".to_owned(), Value::U32(file_type)),
            ("general.quantization_version".to_owned(), Value::U32(2)),
        ];
        let mut add = |key: &str, value: Option<Value>| {
            all.extend(value.map(|value| (format!("{architecture}.{key}"), value)));
        };
        let count = |key: &str| self.count(key).map(Value::U32);
        let experts = self.count("num_local_experts").or(self.count("num_experts"));
        add("block_count", count("num_hidden_layers"));
        add("context_length", count("max_position_embeddings"));
        add("embedding_length", Some(Value::U32(hidden)));
        add("feed_forward_length", count("intermediate_size"));
        add("attention.head_count", Some(Value::U32(self.heads as u32)));
        add("attention.head_count_kv", Some(Value::U32(self.key_heads as u32)));
        add("attention.key_length", Some(Value::U32(head)));
        add("attention.value_length", Some(Value::U32(head)));
        add(
            "attention.layer_norm_rms_epsilon",
            Some(Value::F32(self.number("rms_norm_eps").unwrap_or(1e-6))),
        );
        add("rope.freq_base", Some(Value::F32(self.theta())));
        add("rope.dimension_count", Some(Value::U32(head)).filter(|_| architecture == "llama"));
        add("vocab_size", count("vocab_size"));
        add("attention.sliding_window", count("sliding_window").filter(|_| self.is_gemma()));
        let cap = |key: &str, default: f32| {
            (self.family == "gemma2").then(|| Value::F32(self.number(key).unwrap_or(default)))
        };
        add("attn_logit_softcapping", cap("attn_logit_softcapping", 50.0));
        add("final_logit_softcapping", cap("final_logit_softcapping", 30.0));
        add("expert_count", experts.map(Value::U32));
        add("expert_used_count", experts.and(count("num_experts_per_tok")));
        add("expert_feed_forward_length", count("moe_intermediate_size"));
        add("expert_shared_feed_forward_length", count("shared_expert_intermediate_size"));
        all
    }
}
