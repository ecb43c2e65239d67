//! What `config.json` and the shapes of the tensors say of a model's layers.
//!
//! The families are those of Transformers' `llama`, `mistral`, `qwen2`, `qwen3`, `gemma`, `gemma2`, `gemma3_text`, `mixtral`, `qwen2_moe` and
//! `qwen3_moe`. Where a configuration is silent, its family's default there counts. Widths, numbers of key heads and of experts are
//! taken from the tensors.

use crate::{EvaluationError, Result, Weights};
use serde_json::Value;

/// How the first of two gated halves is bent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x / (1 + e^-x)
    Silu,
    /// With the tangent's approximation.
    GeluTanh,
    /// With the error function.
    Gelu,
}

/// Rotary embedding of positions: the angle of pair i at position p is p times `frequencies[i]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// One for each pair of a head.
    pub frequencies: Vec<f64>,
}

/// A layer that differs from others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerKind {
    /// How many tokens back attention sees, itself among them; `None`: all.
    pub window: Option<usize>,
    /// Whether its positions are embedded by [`Architecture::local_rotary`].
    pub local: bool,
}

/// Names of a layer's experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpertNames {
    /// `block_sparse_moe.experts.N.w1`, `w3` and `w2`.
    Mixtral,
    /// `mlp.experts.N.gate_proj`, `up_proj` and `down_proj`.
    Qwen,
}

/// What layers do.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// `model_type`.
    pub family: String,
    /// What all names start with.
    pub prefix: String,
    /// Numbers of a position's state.
    pub hidden: usize,
    /// Tokens that there are.
    pub vocabulary: usize,
    /// Query heads.
    pub heads: usize,
    /// Numbers of a head.
    pub head_size: usize,
    /// Positions that the model was made for.
    pub positions: usize,
    /// Layers.
    pub layers: Vec<LayerKind>,
    /// Embedding of positions.
    pub rotary: Rotary,
    /// That of layers of kind `local`.
    pub local_rotary: Option<Rotary>,
    /// Added to mean squares.
    pub epsilon: f64,
    /// Added to the weights of norms.
    pub norm_offset: f64,
    /// What embeddings are multiplied by.
    pub embedding_scale: f64,
    /// What products of queries and keys are multiplied by.
    pub attention_scale: f64,
    /// What products of queries and keys approach.
    pub attention_cap: Option<f64>,
    /// What logits approach.
    pub logit_cap: Option<f64>,
    /// Of gates.
    pub activation: Activation,
    /// Experts that a token goes to.
    pub experts_per_token: usize,
    /// Whether the shares of these experts are made to sum to one.
    pub normalise_shares: bool,
    /// The name of the head's weight; the embedding's where they are one.
    pub head: String,
}

const FAMILIES: [&str; 11] = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "mixtral",
    "qwen2_moe",
    "qwen3_moe",
];

/// Reads numbers of a configuration.
struct Config<'a>(&'a Value);

impl Config<'_> {
    fn number(&self, key: &str) -> Option<f64> {
        self.0.get(key).and_then(Value::as_f64)
    }

    fn count(&self, key: &str) -> Result<Option<usize>> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().filter(|n| *n <= 1 << 24) {
                Some(n) => Ok(Some(n as usize)),
                None => Err(EvaluationError::Config(format!("{key:?} is {value}"))),
            },
        }
    }

    fn needed(&self, key: &str) -> Result<usize> {
        let found = self.count(key)?.filter(|n| *n > 0);
        found.ok_or_else(|| EvaluationError::Config(format!("{key:?} is missing")))
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.0.get(key).and_then(Value::as_bool)
    }
}

impl Architecture {
    /// Reads `config.json` and looks at the tensors.
    ///
    /// # Errors
    /// If the family is none of those that are known, or something is missing.
    pub fn of(weights: &dyn Weights) -> Result<Self> {
        let text = weights.file("config.json")?;
        let text = text.ok_or_else(|| EvaluationError::Config("the model has none".into()))?;
        let whole: Value =
            serde_json::from_slice(&text).map_err(|e| EvaluationError::Config(e.to_string()))?;
        let text = whole.get("text_config").filter(|v| v.is_object()).unwrap_or(&whole);
        let config = Config(text);
        let name = |v: &Value| v.get("model_type").and_then(Value::as_str).map(str::to_owned);
        let family = name(text).or_else(|| name(&whole)).unwrap_or_default();
        if !FAMILIES.contains(&family.as_str()) {
            let what = format!(
                "models of type {family:?} have no forward pass here: it is known of {}",
                FAMILIES.join(", ")
            );
            return Err(EvaluationError::Unsupported { what });
        }
        let is_gemma = family.starts_with("gemma");
        let prefix = prefix_of(weights)?;
        let shape = |name: &str| {
            let found = weights.shape(name).filter(|s| s.len() == 2);
            found.ok_or_else(|| crate::error::tensor(name, "is missing or no matrix"))
        };
        let embedding = format!("{prefix}embed_tokens.weight");
        let [vocabulary, hidden] = shape(&embedding)?[..] else { unreachable!("of two dimensions") };
        let heads = config.needed("num_attention_heads")?;
        let query = shape(&format!("{prefix}layers.0.self_attn.q_proj.weight"))?[0];
        let head_size = query / heads;
        if head_size * heads != query || !head_size.is_multiple_of(2) {
            return Err(EvaluationError::Config(format!("{query} rows of queries are not {heads} heads")));
        }
        let head = ["lm_head.weight", "language_model.lm_head.weight"].into_iter();
        let head = head.map(str::to_owned).find(|name| weights.shape(name).is_some()).unwrap_or(embedding);
        let layers = layer_kinds(&config, &family)?;
        let local = layers.iter().any(|l| l.local);
        let scalar = config.number("query_pre_attn_scalar").unwrap_or(256.0);
        let has_scalar = matches!(family.as_str(), "gemma2" | "gemma3" | "gemma3_text");
        let cap = |key: &str, default: f64| match config.0.get(key) {
            Some(value) => value.as_f64(),
            None => (family == "gemma2").then_some(default),
        };
        Ok(Self {
            hidden,
            vocabulary,
            heads,
            head_size,
            positions: config.count("max_position_embeddings")?.unwrap_or(2048).max(2),
            rotary: rotary(&config, &family, head_size, false)?,
            local_rotary: if local { Some(rotary(&config, &family, head_size, true)?) } else { None },
            layers,
            epsilon: config.number("rms_norm_eps").unwrap_or(if family == "mixtral" { 1e-5 } else { 1e-6 }),
            norm_offset: if is_gemma { 1.0 } else { 0.0 },
            embedding_scale: if is_gemma { f64::from((hidden as f32).sqrt()) } else { 1.0 },
            attention_scale: if has_scalar { scalar } else { head_size as f64 }.powf(-0.5),
            attention_cap: cap("attn_logit_softcapping", 50.0),
            logit_cap: cap("final_logit_softcapping", 30.0),
            activation: activation(text, is_gemma)?,
            experts_per_token: experts_per_token(&config, &family)?,
            normalise_shares: family == "mixtral" || config.flag("norm_topk_prob").unwrap_or(false),
            head,
            prefix,
            family,
        })
    }

    /// The name of a tensor of layer `layer`.
    #[must_use]
    pub fn in_layer(&self, layer: usize, name: &str) -> String {
        format!("{}layers.{layer}.{name}", self.prefix)
    }

    /// How the experts of mixtures are called.
    #[must_use]
    pub fn expert_names(&self) -> ExpertNames {
        if self.family == "mixtral" { ExpertNames::Mixtral } else { ExpertNames::Qwen }
    }
}

fn prefix_of(weights: &dyn Weights) -> Result<String> {
    let tried = ["model.", "model.language_model.", "language_model.model.", ""];
    let found = tried.into_iter().find(|p| weights.shape(&format!("{p}embed_tokens.weight")).is_some());
    found
        .map(str::to_owned)
        .ok_or_else(|| crate::error::tensor("model.embed_tokens.weight", "is not in the model"))
}

fn experts_per_token(config: &Config<'_>, family: &str) -> Result<usize> {
    let default = match family {
        "mixtral" => 2,
        "qwen2_moe" => 4,
        _ => 8,
    };
    Ok(config.count("num_experts_per_tok")?.unwrap_or(default).max(1))
}

fn activation(config: &Value, is_gemma: bool) -> Result<Activation> {
    // Gemma's `hidden_act` is not what its layers use.
    let key = if is_gemma { "hidden_activation" } else { "hidden_act" };
    let default = if is_gemma { "gelu_pytorch_tanh" } else { "silu" };
    match config.get(key).and_then(Value::as_str).unwrap_or(default) {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu_pytorch_tanh" | "gelu_new" => Ok(Activation::GeluTanh),
        "gelu" => Ok(Activation::Gelu),
        other => Err(EvaluationError::Unsupported { what: format!("activation {other:?} is not known") }),
    }
}

fn layer_kinds(config: &Config<'_>, family: &str) -> Result<Vec<LayerKind>> {
    let count = config.needed("num_hidden_layers")?;
    let window = match config.0.get("sliding_window") {
        Some(_) => config.count("sliding_window")?,
        None if matches!(family, "mistral" | "gemma2" | "gemma3" | "gemma3_text") => Some(4096),
        None => None,
    };
    let gemma3 = family.starts_with("gemma3");
    let pattern = config.count("sliding_window_pattern")?.unwrap_or(6).max(1);
    let from = config.count("max_window_layers")?.unwrap_or(28);
    let types = config.0.get("layer_types").and_then(Value::as_array);
    let slides = |layer: usize| match types.and_then(|t| t.get(layer)).and_then(Value::as_str) {
        Some(kind) => kind == "sliding_attention",
        None => match family {
            "mistral" | "mixtral" => true,
            "gemma2" => layer.is_multiple_of(2),
            _ if gemma3 => !(layer + 1).is_multiple_of(pattern),
            _ if family.starts_with("qwen") => {
                config.flag("use_sliding_window").unwrap_or(false) && layer >= from
            }
            _ => false,
        },
    };
    let kind = |layer| LayerKind { window: window.filter(|_| slides(layer)), local: gemma3 && slides(layer) };
    Ok((0..count).map(kind).collect())
}

/// Frequencies of positions, of layers with a local window or of the others.
fn rotary(config: &Config<'_>, family: &str, head_size: usize, local: bool) -> Result<Rotary> {
    let gemma3 = family.starts_with("gemma3");
    let parameters = config.0.get("rope_parameters").filter(|v| v.is_object());
    let kind = if local { "sliding_attention" } else { "full_attention" };
    let parameters = parameters.map(|p| p.get(kind).filter(|v| v.is_object()).unwrap_or(p));
    let default = match family {
        "mixtral" => 1e6,
        _ if gemma3 && !local => 1e6,
        _ => 1e4,
    };
    let of_old = if local { "rope_local_base_freq" } else { "rope_theta" };
    let base = parameters.and_then(|p| p.get("rope_theta")).and_then(Value::as_f64);
    let base = base.or_else(|| config.number(of_old)).unwrap_or(default);
    let pairs = head_size / 2;
    let power = |i: usize| base.powf(-(i as f64) / pairs as f64);
    let mut frequencies: Vec<f64> = (0..pairs).map(power).collect();
    let old = config.0.get("rope_scaling").filter(|v| v.is_object() && !local);
    if let Some(scaling) = parameters.or(old) {
        scale(&mut frequencies, &Config(scaling))?;
    }
    // As the reference has them.
    let frequencies = frequencies.iter().map(|f| f64::from(*f as f32)).collect();
    Ok(Rotary { frequencies })
}

fn scale(frequencies: &mut [f64], scaling: &Config<'_>) -> Result<()> {
    let kind = scaling.0.get("rope_type").or_else(|| scaling.0.get("type"));
    let needed = |key: &str| {
        let found = scaling.number(key).filter(|v| *v > 0.0);
        found.ok_or_else(|| EvaluationError::Config(format!("{key:?} of rope_scaling is missing")))
    };
    match kind.and_then(Value::as_str).unwrap_or("default") {
        "default" => {}
        "linear" => {
            let factor = needed("factor")?;
            frequencies.iter_mut().for_each(|f| *f /= factor);
        }
        "llama3" => {
            let (factor, low, high) =
                (needed("factor")?, needed("low_freq_factor")?, needed("high_freq_factor")?);
            let old = needed("original_max_position_embeddings")?;
            for f in frequencies {
                let turns = old * *f / std::f64::consts::TAU;
                let share = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                *f = (1.0 - share) * *f / factor + share * *f;
            }
        }
        other => {
            let what = format!("scaling of positions {other:?} is not known: default, linear and llama3 are");
            return Err(EvaluationError::Unsupported { what });
        }
    }
    Ok(())
}
