//! Packed weights of other quantisers, told by the names and shapes that they go by: codes of one width, several in a word. They are coded as
//! codes, and come back byte for byte.
//!
//! | scheme | weights | beside them |
//! |---|---|---|
//! | GPTQ (AutoGPTQ, GPTQModel) | `*.qweight` I32 `[inputs * bits / 32, outputs]` | `*.scales`, `*.qzeros` `[groups, outputs * bits / 32]`, `*.g_idx` |
//! | AWQ (GEMM) | `*.qweight` I32 `[inputs, outputs * bits / 32]` | `*.scales`, `*.qzeros` |
//! | compressed-tensors (`pack-quantized`) | `*.weight_packed` I32 `[outputs, inputs * bits / 32]` | `*.weight_scale`, `*.weight_zero_point` |
//! | bitsandbytes (NF4, FP4) | `*` U8, two codes a byte | `*.absmax`, `*.quant_map` |
//! | MLX | `*.weight` U32 `[outputs, inputs * bits / 32]` | `*.scales`, `*.biases` |

use crate::plain::Element;
use serde_json::Value;
use std::cell::LazyCell;
use std::collections::HashMap;

/// Who packed weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// GPTQ: words go down the inputs of a column.
    Gptq,
    /// AWQ: words go along the outputs, eight codes of a word in an order of their own.
    Awq,
    /// compressed-tensors: words go along the inputs of a row.
    CompressedTensors,
    /// bitsandbytes: bytes of two codes.
    BitsAndBytes,
    /// MLX: codes go along the inputs of a row, and of 3, 5 and 6 bits across words.
    Mlx,
}

impl Scheme {
    /// As its makers write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gptq => "GPTQ",
            Self::Awq => "AWQ",
            Self::CompressedTensors => "compressed-tensors",
            Self::BitsAndBytes => "bitsandbytes",
            Self::Mlx => "MLX",
        }
    }
}

/// A tensor of packed codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Who packed it.
    pub scheme: Scheme,
    /// Bits of a code.
    pub bits: u8,
    /// Whether its codes follow each other without gaps as its bytes do.
    runs_on: bool,
}

impl Packed {
    /// What it is coded as, if that is not what its dtype says.
    pub(crate) fn element(self) -> Option<Element> {
        self.runs_on.then_some(Element::Codes { bits: self.bits })
    }
}

/// A tensor as a file describes it.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its dtype as safetensors names it.
    pub dtype: &'a str,
    /// Its dimensions.
    pub shape: &'a [u64],
}

/// Which of a model's tensors are packed codes. `config` gives the model's `config.json`, asked for where shapes leave widths open: its
/// `quantization_config` (or `quantization`) says them. Without it groups of 64 are taken for those of MLX, and 4 bits for those of
/// compressed-tensors.
#[must_use]
pub fn recognise(tensors: &[Described<'_>], config: impl FnOnce() -> Option<Value>) -> Vec<Option<Packed>> {
    let by_name: HashMap<&str, Described<'_>> = tensors.iter().map(|t| (t.name, *t)).collect();
    let model = Model { by_name, config: LazyCell::new(config) };
    tensors.iter().map(|t| model.packed(t).filter(|p| matches!(p.bits, 2..=8))).collect()
}

struct Model<'a, C> {
    by_name: HashMap<&'a str, Described<'a>>,
    /// Read when something may depend on it.
    config: LazyCell<Option<Value>, C>,
}

impl<C: FnOnce() -> Option<Value>> Model<'_, C> {
    fn beside(&self, base: &str, end: &str) -> Option<&Described<'_>> {
        self.by_name.get(format!("{base}{end}").as_str())
    }

    fn packed(&self, tensor: &Described<'_>) -> Option<Packed> {
        let Described { name, dtype, shape } = *tensor;
        match dtype {
            "I32" if shape.len() == 2 => {
                let of_gptq = name.strip_suffix(".qweight").or_else(|| name.strip_suffix(".qzeros"));
                if let Some(base) = of_gptq {
                    return self.of_gptq_or_awq(base, name.ends_with(".qweight"));
                }
                let ends = [".weight_packed", ".weight_zero_point"];
                let base = ends.iter().find_map(|end| name.strip_suffix(end))?;
                self.beside(base, ".weight_packed")?;
                self.beside(base, ".weight_scale")?;
                let bits = self.said(None, &["num_bits"]).unwrap_or(4);
                Some(Packed { scheme: Scheme::CompressedTensors, bits, runs_on: 32 % bits == 0 })
            }
            "U8" => {
                self.beside(name, ".absmax")?;
                self.beside(name, ".quant_map")?;
                Some(Packed { scheme: Scheme::BitsAndBytes, bits: 4, runs_on: true })
            }
            "U32" => self.of_mlx(name.strip_suffix(".weight")?, shape),
            _ => None,
        }
    }

    /// Both have tensors of the same names: the words of one are as many in a row as there are outputs, of the other as its zero points.
    fn of_gptq_or_awq(&self, base: &str, is_weight: bool) -> Option<Packed> {
        let weights = *self.beside(base, ".qweight")?.shape.last()?;
        let outputs = *self.beside(base, ".scales")?.shape.last()?;
        let words = self.beside(base, ".qzeros").and_then(|zeros| zeros.shape.last().copied());
        let bits_of = |words: u64| u8::try_from(words.checked_mul(32)?.checked_div(outputs)?).ok();
        if weights == outputs {
            let bits = words.and_then(bits_of).or_else(|| self.said(None, &["bits", "w_bit"])).unwrap_or(4);
            // Of weights, codes that do not divide words go on in the row below.
            let runs_on = 32 % bits.max(1) == 0 || !is_weight;
            return Some(Packed { scheme: Scheme::Gptq, bits, runs_on });
        }
        let bits = bits_of(weights)?;
        Some(Packed { scheme: Scheme::Awq, bits, runs_on: 32 % bits.max(1) == 0 })
    }

    fn of_mlx(&self, base: &str, shape: &[u64]) -> Option<Packed> {
        let (scales, biases) = (self.beside(base, ".scales")?, self.beside(base, ".biases")?);
        if scales.shape != biases.shape || shape.len() < 2 || scales.shape.len() != shape.len() {
            return None;
        }
        let per_group = shape.last()?.checked_mul(32)?.checked_div(*scales.shape.last()?)?;
        let of_groups = |group: u64| {
            let bits = u8::try_from(per_group / group).ok()?;
            (per_group.is_multiple_of(group) && matches!(bits, 2 | 3 | 4 | 5 | 6 | 8)).then_some(bits)
        };
        let said = self.said(Some(base), &["bits"]);
        let bits = said.or_else(|| [64, 32, 128].into_iter().find_map(of_groups))?;
        Some(Packed { scheme: Scheme::Mlx, bits, runs_on: true })
    }

    /// The width that the configuration says, of a layer or of all.
    fn said(&self, layer: Option<&str>, keys: &[&str]) -> Option<u8> {
        let config = (*self.config).as_ref()?;
        let all = config.get("quantization").or_else(|| config.get("quantization_config"))?;
        let of = |value: &Value| keys.iter().find_map(|key| value.get(key)?.as_u64());
        let of_groups =
            || all.get("config_groups")?.as_object()?.values().find_map(|g| of(g.get("weights")?));
        let bits = layer.and_then(|layer| of(all.get(layer)?)).or_else(|| of(all)).or_else(of_groups)?;
        u8::try_from(bits).ok().filter(|bits| matches!(bits, 2..=8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tensors: &[(&str, &str, &[u64])], config: Option<&Value>) -> Vec<Option<(Scheme, u8, bool)>> {
        let described = |&(name, dtype, shape)| Described { name, dtype, shape };
        let described: Vec<Described<'_>> = tensors.iter().map(described).collect();
        recognise(&described, || config.cloned())
            .iter()
            .map(|p| p.map(|p| (p.scheme, p.bits, p.runs_on)))
            .collect()
    }

    #[test]
    fn schemes_are_told_by_names_and_shapes() {
        use Scheme::{Awq, BitsAndBytes, CompressedTensors, Gptq, Mlx};
        let gptq: &[(&str, &str, &[u64])] = &[
            ("a.qweight", "I32", &[48, 512]),
            ("a.qzeros", "I32", &[3, 64]),
            ("a.scales", "F16", &[3, 512]),
            ("a.g_idx", "I32", &[384]),
        ];
        assert_eq!(found(gptq, None), [Some((Gptq, 4, true)), Some((Gptq, 4, true)), None, None]);
        let three: &[(&str, &str, &[u64])] = &[
            ("a.qweight", "I32", &[36, 512]),
            ("a.qzeros", "I32", &[3, 48]),
            ("a.scales", "F16", &[3, 512]),
        ];
        assert_eq!(found(three, None), [Some((Gptq, 3, false)), Some((Gptq, 3, true)), None]);
        let awq: &[(&str, &str, &[u64])] = &[
            ("a.qweight", "I32", &[384, 64]),
            ("a.qzeros", "I32", &[3, 64]),
            ("a.scales", "F16", &[3, 512]),
        ];
        assert_eq!(found(awq, None), [Some((Awq, 4, true)), Some((Awq, 4, true)), None]);
        let packed: &[(&str, &str, &[u64])] = &[
            ("a.weight_packed", "I32", &[512, 48]),
            ("a.weight_scale", "BF16", &[512, 3]),
            ("a.weight_shape", "I64", &[2]),
        ];
        assert_eq!(found(packed, None), [Some((CompressedTensors, 4, true)), None, None]);
        let config = serde_json::json!({"quantization_config": {"config_groups": {"group_0": {"weights": {"num_bits": 8}}}}});
        assert_eq!(found(packed, Some(&config))[0], Some((CompressedTensors, 8, true)));
        let nf4: &[(&str, &str, &[u64])] = &[
            ("a.weight", "U8", &[98_304, 1]),
            ("a.weight.absmax", "U8", &[3072]),
            ("a.weight.quant_map", "F32", &[16]),
        ];
        assert_eq!(found(nf4, None), [Some((BitsAndBytes, 4, true)), None, None]);
        let mlx: &[(&str, &str, &[u64])] = &[
            ("a.weight", "U32", &[512, 36]),
            ("a.scales", "BF16", &[512, 6]),
            ("a.biases", "BF16", &[512, 6]),
        ];
        assert_eq!(found(mlx, None)[0], Some((Mlx, 3, true)));
        let config = serde_json::json!({"quantization": {"group_size": 32, "bits": 4, "a": {"group_size": 32, "bits": 6}}});
        assert_eq!(found(mlx, Some(&config))[0], Some((Mlx, 6, true)));
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        let none: &[(&str, &str, &[u64])] = &[
            ("a.qweight", "I32", &[48, 512]),
            ("b.weight", "U32", &[48, 512]),
            ("c.weight", "U8", &[48, 512]),
            ("d.qweight", "I32", &[48, 512]),
            ("d.scales", "F16", &[0]),
            ("d.qzeros", "I32", &[3, 64]),
            ("e.weight", "U32", &[48, u64::MAX]),
            ("e.scales", "F16", &[48, 1]),
            ("e.biases", "F16", &[48, 1]),
        ];
        assert!(found(none, None).iter().all(Option::is_none));
    }
}
