//! Where the tensors of a Hugging Face folder go in a GGUF file.

use super::metadata::Model;
use crate::outcome::usage;

/// The order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    AsTheyAre,
    /// Rotary pairs lie beside each other in each of so many heads, where in the folder they are half a head apart.
    Pairs(usize),
}

impl Order {
    /// Rows that are put in order together, of a tensor of `rows`.
    pub(super) fn rows_of_a_head(self, rows: usize) -> anyhow::Result<usize> {
        match self {
            Self::AsTheyAre => Ok(1),
            Self::Pairs(heads) if heads > 0 && rows.is_multiple_of(2 * heads) => Ok(rows / heads),
            Self::Pairs(heads) => Err(usage(format!("{rows} rows are not those of {heads} heads"))),
        }
    }

    /// Puts whole heads, of `rows` rows of `columns`, in order.
    pub(super) fn apply(self, numbers: &mut [f32], rows: usize, columns: usize) {
        if self == Self::AsTheyAre {
            return;
        }
        for head in numbers.chunks_exact_mut(rows * columns) {
            let old = head.to_vec();
            for (row, to) in head.chunks_exact_mut(columns).enumerate() {
                let from = row / 2 + row % 2 * (rows / 2);
                to.copy_from_slice(&old[from * columns..(from + 1) * columns]);
            }
        }
    }
}

/// A place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) name: String,
    pub(super) layer: Option<usize>,
    pub(super) expert: Option<usize>,
    pub(super) order: Order,
    /// Added to each number: norms of some families are stored less one.
    pub(super) offset: f32,
    /// Stays F32.
    pub(super) exact: bool,
}

/// Parts of a layer's names.
const IN_LAYER: [(&str, &str); 26] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    ("block_sparse_moe.gate", "ffn_gate_inp"),
    ("block_sparse_moe.experts.*.w1", "ffn_gate_exps"),
    ("block_sparse_moe.experts.*.w2", "ffn_down_exps"),
    ("block_sparse_moe.experts.*.w3", "ffn_up_exps"),
    ("mlp.gate", "ffn_gate_inp"),
    ("mlp.experts.*.gate_proj", "ffn_gate_exps"),
    ("mlp.experts.*.down_proj", "ffn_down_exps"),
    ("mlp.experts.*.up_proj", "ffn_up_exps"),
    ("mlp.shared_expert_gate", "ffn_gate_inp_shexp"),
    ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
    ("mlp.shared_expert.up_proj", "ffn_up_shexp"),
    ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
    // Of families with four norms a layer the first, else the second.
    ("post_attention_layernorm", "post_attention_norm"),
    ("post_attention_layernorm", "ffn_norm"),
];

/// The place of a tensor; `None` if it has none.
pub(super) fn place(model: &Model, name: &str) -> Option<Placed> {
    let (stem, kind) = name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
    let offset = if model.is_gemma() && stem.ends_with("norm") { 1.0 } else { 0.0 };
    let found = |name: String| Placed {
        name,
        layer: None,
        expert: None,
        order: Order::AsTheyAre,
        offset,
        exact: false,
    };
    let top = match stem {
        "model.embed_tokens" => Some("token_embd"),
        "model.norm" => Some("output_norm"),
        "lm_head" => Some("output"),
        _ => None,
    };
    if let Some(top) = top {
        return Some(found(format!("{top}.{kind}")));
    }
    let (layer, part) = stem.strip_prefix("model.layers.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    // The number of an expert stands between points.
    let mut expert = None;
    let part: Vec<&str> = part
        .split('.')
        .map(|word| match word.parse::<usize>() {
            Ok(number) => {
                expert = Some(number);
                "*"
            }
            Err(_) => word,
        })
        .collect();
    let part = part.join(".");
    let (_, to) = *IN_LAYER
        .iter()
        .find(|(from, to)| *from == part && (*to != "post_attention_norm" || model.has_four_norms()))?;
    let order = match part.as_str() {
        "self_attn.q_proj" if model.architecture() == "llama" => Order::Pairs(model.heads()),
        "self_attn.k_proj" if model.architecture() == "llama" => Order::Pairs(model.key_heads()),
        _ => Order::AsTheyAre,
    };
    Some(Placed {
        layer: Some(layer),
        expert,
        order,
        exact: to.starts_with("ffn_gate_inp"),
        ..found(format!("blk.{layer}.{to}.{kind}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_together() {
        let mut numbers: Vec<f32> = (0..16).map(|v| v as f32).collect();
        Order::Pairs(2).apply(&mut numbers, 4, 2);
        assert_eq!(numbers[..8], [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0]);
        assert_eq!(Order::Pairs(2).rows_of_a_head(8).unwrap(), 4);
        assert!(Order::Pairs(3).rows_of_a_head(8).is_err());
    }
}
