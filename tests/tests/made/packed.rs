//! Weights as other quantisers pack them: the tensors that their tools write, by the same names, in the same order of bits.

use super::variants::{Quantised, Weights, entropy_bits, f16_bits};
use mcodec_tests::inputs::{Tensor, safetensors, tensor};

/// Weights that share a scale.
const GROUP: usize = 64;

/// Who packs.
#[derive(Clone, Copy)]
pub enum Packer {
    /// Zero points, words down the inputs of a column.
    Gptq,
    /// Zero points, words along outputs.
    Awq,
    /// No zero points, words along inputs.
    CompressedTensors,
    /// Offsets, a run of codes along inputs.
    Mlx,
}

/// Codes of a matrix of outputs by inputs, scales and zero points of outputs by groups.
struct Codes {
    outputs: usize,
    inputs: usize,
    codes: Vec<u8>,
    scales: Vec<f32>,
    lows: Vec<f32>,
    zeros: Vec<u8>,
}

impl Codes {
    /// Round to nearest, over the range of each group, or evenly about 0.
    fn of(w: &Weights, bits: u32, even: bool) -> Self {
        let inputs = w.columns();
        let most = ((1 << bits) - 1) as f32;
        let mut all = Self {
            outputs: w.values.len() / inputs,
            inputs,
            codes: Vec::with_capacity(w.values.len()),
            scales: Vec::new(),
            lows: Vec::new(),
            zeros: Vec::new(),
        };
        for group in w.values.chunks(GROUP) {
            let (low, high) = group.iter().fold((0f32, 0f32), |(l, h), &v| (l.min(v), h.max(v)));
            let half = ((1u32 << bits) / 2) as f32;
            let scale = if even { low.abs().max(high) / (half - 1.0) } else { (high - low) / most };
            let scale = if scale > 0.0 { scale } else { 1.0 };
            let zero = if even { half } else { (-low / scale).round_ties_even().clamp(0.0, most) };
            all.codes
                .extend(group.iter().map(|v| ((v / scale).round_ties_even() + zero).clamp(0.0, most) as u8));
            all.scales.push(scale);
            all.lows.push(-zero * scale);
            all.zeros.push(zero as u8);
        }
        all
    }

    fn groups(&self) -> usize {
        self.inputs / GROUP
    }

    /// Columns of outputs by something as rows.
    fn turned<T: Copy>(&self, list: &[T]) -> Vec<T> {
        let columns = list.len() / self.outputs;
        (0..columns).flat_map(|c| (0..self.outputs).map(move |o| list[o * columns + c])).collect()
    }
}

/// Codes one after another, the first in the lowest bits.
fn run_on(codes: &[u8], bits: u32) -> Vec<u8> {
    let (mut out, mut waiting, mut held) = (Vec::new(), 0u32, 0);
    for &code in codes {
        waiting |= u32::from(code) << held;
        held += bits;
        while held >= 8 {
            out.push(waiting as u8);
            waiting >>= 8;
            held -= 8;
        }
    }
    assert_eq!(held, 0, "codes fill bytes");
    out
}

fn halves(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| f16_bits(*v).to_le_bytes()).collect()
}

/// The matrices that can be packed, as a file of a packer's.
pub fn packed(all: &[Weights], packer: Packer, bits: u32) -> Quantised {
    let (mut tensors, mut order0) = (Vec::new(), 0.0);
    let fits =
        |w: &&Weights| w.columns().is_multiple_of(GROUP) && (w.values.len() / w.columns()).is_multiple_of(32);
    for w in all.iter().filter(fits) {
        let even = matches!(packer, Packer::CompressedTensors);
        let codes = Codes::of(w, bits, even);
        order0 += entropy_bits(&codes.codes) / 8.0 + 2.0 * codes.scales.len() as f64;
        let name = w.name.strip_suffix(".weight").unwrap_or(&w.name);
        let (outputs, inputs, groups) = (codes.outputs as u64, codes.inputs as u64, codes.groups() as u64);
        let mut add = |end: &str, dtype: &str, shape: &[u64], bytes: Vec<u8>| {
            tensors.push(tensor(&format!("{name}.{end}"), dtype, shape, bytes));
        };
        let words = u64::from(bits);
        match packer {
            Packer::Gptq => {
                let columns: Vec<[u8; 4]> = codes
                    .codes
                    .chunks(codes.inputs)
                    .flat_map(|row| run_on(row, bits).as_chunks::<4>().0.to_vec())
                    .collect();
                add("qweight", "I32", &[inputs * words / 32, outputs], codes.turned(&columns).concat());
                let zeros = run_on(&codes.turned(&codes.zeros), bits);
                add("qzeros", "I32", &[groups, outputs * words / 32], zeros);
                add("scales", "F16", &[groups, outputs], halves(&codes.turned(&codes.scales)));
                let group_of = (0..codes.inputs).flat_map(|i| ((i / GROUP) as u32).to_le_bytes()).collect();
                add("g_idx", "I32", &[inputs], group_of);
            }
            Packer::Awq => {
                let order = |rows: &[u8]| -> Vec<u8> {
                    rows.as_chunks::<8>()
                        .0
                        .iter()
                        .flat_map(|c| [0, 2, 4, 6, 1, 3, 5, 7].map(|i: usize| c[i]))
                        .collect()
                };
                let weights = run_on(&order(&codes.turned(&codes.codes)), bits);
                add("qweight", "I32", &[inputs, outputs * words / 32], weights);
                let zeros = run_on(&order(&codes.turned(&codes.zeros)), bits);
                add("qzeros", "I32", &[groups, outputs * words / 32], zeros);
                add("scales", "F16", &[groups, outputs], halves(&codes.turned(&codes.scales)));
            }
            Packer::CompressedTensors => {
                add("weight_packed", "I32", &[outputs, inputs * words / 32], run_on(&codes.codes, bits));
                add("weight_scale", "F16", &[outputs, groups], halves(&codes.scales));
                add("weight_shape", "I64", &[2], [outputs, inputs].map(u64::to_le_bytes).concat());
            }
            Packer::Mlx => {
                order0 += 2.0 * codes.lows.len() as f64;
                add("weight", "U32", &[outputs, inputs * words / 32], run_on(&codes.codes, bits));
                add("scales", "F16", &[outputs, groups], halves(&codes.scales));
                add("biases", "F16", &[outputs, groups], halves(&codes.lows));
            }
        }
        if matches!(packer, Packer::Gptq | Packer::Awq) {
            order0 += entropy_bits(&codes.zeros) / 8.0;
        }
    }
    Quantised { file: safetensors(None, &tensors), order0 }
}

/// The levels of NF4, as bitsandbytes has them.
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// NF4 with its largest magnitudes quantised again, to bytes.
pub fn nf4(all: &[Weights]) -> Quantised {
    let (mut tensors, mut order0): (Vec<Tensor>, f64) = (Vec::new(), 0.0);
    for w in all.iter().filter(|w| w.values.len().is_multiple_of(GROUP)) {
        let most: Vec<f32> =
            w.values.chunks(GROUP).map(|b| b.iter().fold(0f32, |m, v| m.max(v.abs()))).collect();
        let nearest = |v: f32| {
            (0..16u8).min_by(|a, b| {
                let away = |i: &u8| (NF4[usize::from(*i)] - v).abs();
                away(a).total_cmp(&away(b))
            })
        };
        let codes: Vec<u8> = w
            .values
            .chunks(GROUP)
            .zip(&most)
            .flat_map(|(block, &most)| block.iter().map(move |v| nearest(v / most.max(1e-12)).unwrap_or(7)))
            .collect();
        let largest = most.iter().fold(0f32, |a, b| a.max(*b)).max(1e-12);
        let absmax: Vec<u8> = most.iter().map(|m| (m / largest * 255.0).round() as u8).collect();
        order0 += (entropy_bits(&codes) + entropy_bits(&absmax)) / 8.0;
        let bytes: Vec<u8> = codes.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        let floats = |list: &[f32]| list.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let mut add = |end: &str, dtype: &str, shape: &[u64], bytes: Vec<u8>| {
            tensors.push(tensor(&format!("{}{end}", w.name), dtype, shape, bytes));
        };
        add("", "U8", &[bytes.len() as u64, 1], bytes.clone());
        add(".absmax", "U8", &[absmax.len() as u64], absmax);
        add(".nested_absmax", "F32", &[1], floats(&[largest]));
        add(".quant_map", "F32", &[16], floats(&NF4));
    }
    Quantised { file: safetensors(None, &tensors), order0 }
}
