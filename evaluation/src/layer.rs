//! One layer: attention, then gated halves or a mixture of them.

use crate::architecture::{Activation, Architecture, ExpertNames, LayerKind, Rotary};
use crate::error::tensor;
use crate::mixture::Mixture;
use crate::{Observer, Result, Weights};
use candle_core::{D, Device, Tensor};

/// A matrix with what is added to its products.
pub(crate) struct Linear {
    pub(crate) name: String,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// `name.weight`, of `inputs` columns, and `name.bias` if there is one.
    pub(crate) fn load(weights: &dyn Weights, name: &str, inputs: usize) -> Result<Self> {
        let of = format!("{name}.weight");
        let weight = matrix(weights, &of, inputs)?.t()?;
        let bias = format!("{name}.bias");
        let bias = match weights.shape(&bias) {
            Some(_) => Some(vector(weights, &bias, weight.dim(1)?, 0.0)?),
            None => None,
        };
        Ok(Self { name: of, weight, bias })
    }

    pub(crate) fn outputs(&self) -> Result<usize> {
        Ok(self.weight.dim(1)?)
    }

    /// Of `[n, inputs]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&self.weight)?;
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }
}

/// A matrix of `columns` columns.
fn matrix(weights: &dyn Weights, name: &str, columns: usize) -> Result<Tensor> {
    let shape = weights.shape(name).ok_or_else(|| tensor(name, "is not in the model"))?;
    let &[rows, found] = &shape[..] else {
        return Err(tensor(name, format!("has shape {shape:?}, where a matrix is needed")));
    };
    if found != columns {
        return Err(tensor(name, format!("has {found} columns where {columns} are needed")));
    }
    Ok(Tensor::from_vec(weights.rows(name, 0..rows)?, (rows, columns), &Device::Cpu)?)
}

/// A vector of `len` numbers, with `offset` added to each.
pub(crate) fn vector(weights: &dyn Weights, name: &str, len: usize, offset: f64) -> Result<Tensor> {
    let shape = weights.shape(name).ok_or_else(|| tensor(name, "is not in the model"))?;
    if shape != [len] {
        return Err(tensor(name, format!("has shape {shape:?} where {len} numbers are needed")));
    }
    let mut values = weights.rows(name, 0..len)?;
    values.iter_mut().for_each(|v| *v += offset as f32);
    Ok(Tensor::from_vec(values, len, &Device::Cpu)?)
}

/// Division by the root of the mean square.
pub(crate) struct Norm {
    weight: Tensor,
    epsilon: f32,
}

impl Norm {
    pub(crate) fn load(weights: &dyn Weights, name: &str, len: usize, of: &Architecture) -> Result<Self> {
        Ok(Self { weight: vector(weights, name, len, of.norm_offset)?, epsilon: of.epsilon as f32 })
    }

    fn load_if_any(weights: &dyn Weights, name: &str, len: usize, of: &Architecture) -> Result<Option<Self>> {
        weights.shape(name).map(|_| Self::load(weights, name, len, of)).transpose()
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(candle_nn::ops::rms_norm(&x.contiguous()?, &self.weight, self.epsilon)?)
    }
}

/// A gate that bends, what it multiplies, and what takes both back.
pub(crate) struct Gated {
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Gated {
    pub(crate) fn load(
        weights: &dyn Weights,
        name: &str,
        names: [&str; 3],
        of: &Architecture,
    ) -> Result<Self> {
        let [gate, up, down] = names.map(|n| format!("{name}.{n}"));
        let gate = Linear::load(weights, &gate, of.hidden)?;
        let down = Linear::load(weights, &down, gate.outputs()?)?;
        Ok(Self { up: Linear::load(weights, &up, of.hidden)?, gate, down, activation: of.activation })
    }

    pub(crate) fn forward(&self, x: &Tensor, observer: &mut dyn Observer) -> Result<Tensor> {
        observer.input(&[&self.gate.name, &self.up.name], x)?;
        let gate = self.gate.forward(x)?;
        let gate = match self.activation {
            Activation::Silu => gate.silu()?,
            Activation::GeluTanh => gate.gelu()?,
            Activation::Gelu => gate.gelu_erf()?,
        };
        let bent = (gate * self.up.forward(x)?)?;
        observer.input(&[&self.down.name], &bent)?;
        self.down.forward(&bent)
    }
}

/// What stands after attention.
enum Second {
    Dense(Gated),
    Mixture(Mixture),
}

/// Attention over the positions of a window.
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    query_norm: Option<Norm>,
    key_norm: Option<Norm>,
}

/// One layer of a model.
pub(crate) struct Layer {
    attention: Attention,
    second: Second,
    before_attention: Norm,
    after_attention: Option<Norm>,
    before_second: Norm,
    after_second: Option<Norm>,
    kind: LayerKind,
}

/// What all layers of one kind need of positions.
pub(crate) struct Positions {
    cosines: Tensor,
    sines: Tensor,
    /// Added to products of queries and keys.
    mask: Tensor,
}

impl Positions {
    /// Of the first `count`, seen by layers of this kind.
    pub(crate) fn new(rotary: &Rotary, kind: LayerKind, count: usize) -> Result<Self> {
        let pairs = rotary.frequencies.len();
        // As the reference computes them: in f32.
        let angle = |p: usize, f: &f64| p as f32 * *f as f32;
        let angles: Vec<f32> =
            (0..count).flat_map(|p| rotary.frequencies.iter().map(move |f| angle(p, f))).collect();
        let angles = Tensor::from_vec(angles, (count, pairs), &Device::Cpu)?;
        let seen = |i: usize, j: usize| j <= i && kind.window.is_none_or(|w| i - j < w);
        let mask =
            (0..count * count).map(|n| if seen(n / count, n % count) { 0.0 } else { f32::NEG_INFINITY });
        let mask = Tensor::from_vec(mask.collect::<Vec<f32>>(), (count, count), &Device::Cpu)?;
        Ok(Self { cosines: angles.cos()?, sines: angles.sin()?, mask })
    }
}

impl Layer {
    /// Reads layer `at`.
    pub(crate) fn load(weights: &dyn Weights, of: &Architecture, at: usize) -> Result<Self> {
        let name = |name: &str| of.in_layer(at, name);
        let norm = |n: &str| Norm::load(weights, &name(n), of.hidden, of);
        let twice = matches!(of.family.as_str(), "gemma2" | "gemma3" | "gemma3_text");
        let (after_attention, before_second, after_second) = if twice {
            let after = norm("post_feedforward_layernorm.weight")?;
            (
                Some(norm("post_attention_layernorm.weight")?),
                norm("pre_feedforward_layernorm.weight")?,
                Some(after),
            )
        } else {
            (None, norm("post_attention_layernorm.weight")?, None)
        };
        let routers = [("block_sparse_moe", ExpertNames::Mixtral), ("mlp", ExpertNames::Qwen)];
        let router =
            routers.iter().find(|(n, _)| weights.shape(&name(&format!("{n}.gate.weight"))).is_some());
        let second = match router {
            Some((n, names)) => Second::Mixture(Mixture::load(weights, &name(n), *names, of)?),
            None => {
                let names = ["gate_proj", "up_proj", "down_proj"];
                Second::Dense(Gated::load(weights, &name("mlp"), names, of)?)
            }
        };
        Ok(Self {
            attention: Attention::load(weights, of, at)?,
            second,
            before_attention: norm("input_layernorm.weight")?,
            after_attention,
            before_second,
            after_second,
            kind: of.layers[at],
        })
    }

    /// States `[windows, positions, hidden]` after the layer.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        of: &Architecture,
        positions: &dyn Fn(LayerKind) -> std::rc::Rc<Positions>,
        observer: &mut dyn Observer,
    ) -> Result<Tensor> {
        let (windows, count, hidden) = x.dims3()?;
        let flat = x.reshape((windows * count, hidden))?;
        let read = self.before_attention.forward(&flat)?;
        let found = self.attention.forward(&read, [windows, count], of, &positions(self.kind), observer)?;
        let found = self.after_attention.as_ref().map_or(Ok(found.clone()), |norm| norm.forward(&found))?;
        let flat = (flat + found)?;
        let read = self.before_second.forward(&flat)?;
        let found = match &self.second {
            Second::Dense(dense) => dense.forward(&read, observer)?,
            Second::Mixture(mixture) => mixture.forward(&read, of, observer)?,
        };
        let found = self.after_second.as_ref().map_or(Ok(found.clone()), |norm| norm.forward(&found))?;
        Ok((flat + found)?.reshape((windows, count, hidden))?)
    }
}

impl Attention {
    fn load(weights: &dyn Weights, of: &Architecture, at: usize) -> Result<Self> {
        let name = |name: &str| of.in_layer(at, &format!("self_attn.{name}"));
        let linear = |n: &str, inputs| Linear::load(weights, &name(n), inputs);
        let norm = |n: &str| Norm::load_if_any(weights, &name(n), of.head_size, of);
        let found = Self {
            query: linear("q_proj", of.hidden)?,
            key: linear("k_proj", of.hidden)?,
            value: linear("v_proj", of.hidden)?,
            output: linear("o_proj", of.heads * of.head_size)?,
            query_norm: norm("q_norm.weight")?,
            key_norm: norm("k_norm.weight")?,
        };
        let (query, keys) = (found.query.outputs()?, found.key.outputs()?);
        let heads = keys / of.head_size;
        let fits = query == of.heads * of.head_size
            && keys == heads * of.head_size
            && found.value.outputs()? == keys
            && heads > 0
            && of.heads.is_multiple_of(heads);
        if !fits {
            return Err(tensor(&found.key.name, format!("has {keys} rows beside {query} of queries")));
        }
        Ok(found)
    }

    /// Of `[windows * positions, hidden]`.
    fn forward(
        &self,
        x: &Tensor,
        [windows, count]: [usize; 2],
        of: &Architecture,
        positions: &Positions,
        observer: &mut dyn Observer,
    ) -> Result<Tensor> {
        observer.input(&[&self.query.name, &self.key.name, &self.value.name], x)?;
        let size = of.head_size;
        let heads = |y: Tensor| -> Result<Tensor> {
            let heads = y.dim(1)? / size;
            Ok(y.reshape((windows, count, heads, size))?.transpose(1, 2)?.contiguous()?)
        };
        let normed = |y: Tensor, norm: &Option<Norm>| match norm {
            Some(norm) => norm.forward(&y),
            None => Ok(y),
        };
        let turn = |y: Tensor| -> Result<Tensor> {
            Ok(candle_nn::rotary_emb::rope(&y.contiguous()?, &positions.cosines, &positions.sines)?)
        };
        let query = turn(normed(heads(self.query.forward(x)?)?, &self.query_norm)?)?;
        let key = turn(normed(heads(self.key.forward(x)?)?, &self.key_norm)?)?;
        let value = heads(self.value.forward(x)?)?;
        // Queries that share a key stand below each other.
        let shared = key.dim(1)?;
        let group = of.heads / shared;
        let query = query.reshape((windows, shared, group * count, size))?;
        let scores = (query.matmul(&key.transpose(2, 3)?.contiguous()?)? * of.attention_scale)?;
        let scores = capped(scores, of.attention_cap)?.reshape((windows, of.heads, count, count))?;
        let shares = candle_nn::ops::softmax_last_dim(&scores.broadcast_add(&positions.mask)?)?;
        let found = shares.reshape((windows, shared, group * count, count))?.matmul(&value)?;
        let found = found.reshape((windows, of.heads, count, size))?.transpose(1, 2)?;
        let found = found.reshape((windows * count, of.heads * size))?;
        observer.input(&[&self.output.name], &found)?;
        self.output.forward(&found)
    }
}

/// Numbers that approach a bound.
pub(crate) fn capped(x: Tensor, cap: Option<f64>) -> Result<Tensor> {
    match cap {
        Some(cap) => Ok(((x / cap)?.tanh()? * cap)?),
        None => Ok(x),
    }
}

/// The largest of a position's shares, as rows of plain numbers.
pub(crate) fn probabilities(logits: &Tensor) -> Result<Vec<Vec<f32>>> {
    debug_assert!(logits.dim(D::Minus1).is_ok());
    Ok(candle_nn::ops::softmax_last_dim(logits)?.to_vec2()?)
}
