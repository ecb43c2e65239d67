//! Weights in the forms that people store them in: widened, pruned, of few bits.

use mcodec_tests::inputs::{Noise, Tensor, safetensors, tensor};

/// A matrix of weights; more dimensions are kept in the shape, the last of them is the row.
pub struct Weights {
    pub name: String,
    pub shape: Vec<u64>,
    pub values: Vec<f32>,
}

impl Weights {
    pub fn columns(&self) -> usize {
        self.shape.last().map_or(1, |&columns| columns as usize)
    }

    fn scales_shape(&self) -> Vec<u64> {
        vec![self.values.len() as u64 / self.columns() as u64, 1]
    }
}

/// The float tensors of two and more dimensions of a safetensors file.
pub fn weights(file: &[u8]) -> Vec<Weights> {
    use safetensors::tensor::Dtype;
    let mut all = Vec::new();
    for (name, view) in safetensors::SafeTensors::deserialize(file).unwrap().tensors() {
        let shape: Vec<u64> = view.shape().iter().map(|&d| d as u64).collect();
        if shape.len() < 2 || view.data().is_empty() {
            continue;
        }
        let halves = || view.data().chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let values: Vec<f32> = match view.dtype() {
            Dtype::BF16 => halves().map(|h| f32::from_bits(u32::from(h) << 16)).collect(),
            Dtype::F16 => halves().map(f16_value).collect(),
            Dtype::F32 => {
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            _ => continue,
        };
        all.push(Weights { name, shape, values });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// A file with a tensor for each matrix.
fn file(all: &[Weights], dtype: &str, bytes: impl Fn(&[f32]) -> Vec<u8>) -> Vec<u8> {
    let tensors: Vec<Tensor> =
        all.iter().map(|w| tensor(&w.name, dtype, &w.shape, bytes(&w.values))).collect();
    safetensors(None, &tensors)
}

/// The file with values rounded to bf16 (two bytes, or widened to four).
pub fn bf16_file(all: &[Weights], wide: bool) -> Vec<u8> {
    let round = |v: &f32| bf16_bits(*v);
    if wide {
        return file(all, "F32", |v| {
            v.iter().flat_map(|v| (u32::from(round(v)) << 16).to_le_bytes()).collect()
        });
    }
    file(all, "BF16", |v| v.iter().flat_map(|v| round(v).to_le_bytes()).collect())
}

/// The file with values rounded to f16 (two bytes, or widened to four).
pub fn f16_file(all: &[Weights], wide: bool) -> Vec<u8> {
    if wide {
        return file(all, "F32", |v| v.iter().flat_map(|v| f16_value(f16_bits(*v)).to_le_bytes()).collect());
    }
    file(all, "F16", |v| v.iter().flat_map(|v| f16_bits(*v).to_le_bytes()).collect())
}

/// The file with all its bits.
pub fn f32_file(all: &[Weights]) -> Vec<u8> {
    file(all, "F32", |v| v.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// Which weights a pruned model keeps.
#[derive(Clone, Copy)]
pub enum Prune {
    /// The tenth that is largest, of each tensor.
    Magnitude,
    /// A tenth at random places.
    Random,
}

/// The matrices with nine tenths of their weights set to zero; the survivors of each as a row; and the bits that say which
/// they are if all places are as likely: log2 C(n, k) summed over tensors.
pub fn pruned(all: &[Weights], how: Prune) -> (Vec<Weights>, Vec<Weights>, f64) {
    let mut noise = Noise(10);
    let (mut sparse, mut dense, mut bits) = (Vec::new(), Vec::new(), 0.0);
    for w in all {
        let n = w.values.len();
        let mut keys: Vec<(u64, usize)> = (0..n)
            .map(|i| match how {
                Prune::Magnitude => (w.values[i].abs().to_bits().into(), i),
                Prune::Random => (noise.word(), i),
            })
            .collect();
        keys.sort_unstable();
        let mut values = w.values.clone();
        keys[..n * 9 / 10].iter().for_each(|&(_, i)| values[i] = 0.0);
        let kept: Vec<f32> = values.iter().copied().filter(|v| v.to_bits() != 0).collect();
        bits += log2_choose(n, kept.len());
        dense.push(Weights { name: w.name.clone(), shape: vec![kept.len() as u64], values: kept });
        sparse.push(Weights { name: w.name.clone(), shape: w.shape.clone(), values });
    }
    (sparse, dense, bits)
}

fn log2_choose(n: usize, k: usize) -> f64 {
    let ln_factorial = |n: usize| {
        let n = n as f64;
        if n < 1.0 { 0.0 } else { n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + 1.0 / (12.0 * n) }
    };
    (ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)) / std::f64::consts::LN_2
}

/// A file of quantised weights, and the bytes of an ideal order-0 coder: codes under one table for each tensor, without the
/// table; scales that are floats raw.
pub struct Quantised {
    pub file: Vec<u8>,
    pub order0: f64,
}

/// One scale a row, `largest` for the row's largest magnitude; `code` makes an element's code. `bits` is 8 or 4.
fn per_row(all: &[Weights], dtype: &str, (bits, largest): (u32, f32), code: impl Fn(f32) -> u8) -> Quantised {
    let (mut tensors, mut order0) = (Vec::new(), 0.0);
    for w in all {
        let (mut codes, mut scales) = (Vec::with_capacity(w.values.len()), Vec::new());
        for row in w.values.chunks(w.columns()) {
            let scale = row.iter().fold(0f32, |m, v| m.max(v.abs())) / largest;
            let divisor = if scale > 0.0 { scale } else { 1.0 };
            codes.extend(row.iter().map(|v| code(v / divisor)));
            scales.extend(scale.to_le_bytes());
        }
        order0 += entropy_bits(&codes) / 8.0 + scales.len() as f64;
        let (shape, codes) = if bits == 4 {
            (vec![codes.len().div_ceil(2) as u64], nibbles(&codes))
        } else {
            (w.shape.clone(), codes)
        };
        tensors.push(tensor(&w.name, dtype, &shape, codes));
        tensors.push(tensor(&format!("{}.scale", w.name), "F32", &w.scales_shape(), scales));
    }
    Quantised { file: safetensors(None, &tensors), order0 }
}

pub fn int8(all: &[Weights]) -> Quantised {
    per_row(all, "I8", (8, 127.0), |v| v.round_ties_even().clamp(-127.0, 127.0) as i8 as u8)
}

/// Two's complement, two in a byte, the first in the low half: how tools that lack a type for it store it.
pub fn int4(all: &[Weights]) -> Quantised {
    per_row(all, "U8", (4, 7.0), |v| v.round_ties_even().clamp(-7.0, 7.0) as i8 as u8 & 15)
}

pub fn fp8_e4m3(all: &[Weights]) -> Quantised {
    let value = |code: u8| match (code >> 3, code & 7) {
        (0, m) => f32::from(m) / 512.0,
        (e, m) => (1.0 + f32::from(m) / 8.0) * 2f32.powi(i32::from(e) - 7),
    };
    let values: Vec<f32> = (0..127).map(value).collect();
    per_row(all, "F8_E4M3", (8, 448.0), |v| nearest(&values, v.abs()) | u8::from(v.is_sign_negative()) << 7)
}

/// Blocks of 32 along rows: the file; the scales alone as a file; weights in it.
pub fn mxfp4(all: &[Weights]) -> (Quantised, Vec<u8>, u64) {
    const MAGNITUDES: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let (mut tensors, mut only_scales, mut order0, mut count) = (Vec::new(), Vec::new(), 0.0, 0);
    for w in all {
        let (mut codes, mut scales) = (Vec::new(), Vec::new());
        for block in w.values.chunks(w.columns()).flat_map(|row| row.chunks(32)) {
            let largest = block.iter().fold(0f32, |m, v| m.max(v.abs()));
            let e = if largest > 0.0 { (largest.log2().floor() as i32 - 2).clamp(-127, 127) } else { -127 };
            scales.push((e + 127) as u8);
            let scale = 2f32.powi(e);
            codes.extend(
                block
                    .iter()
                    .map(|v| nearest(&MAGNITUDES, v.abs() / scale) | u8::from(v.is_sign_negative()) << 3),
            );
        }
        order0 += (entropy_bits(&codes) + entropy_bits(&scales)) / 8.0;
        count += codes.len() as u64;
        let rows = w.scales_shape()[0];
        let shape = [rows, scales.len() as u64 / rows];
        let scales = tensor(&format!("{}_scales", w.name), "F8_E8M0", &shape, scales);
        let packed = nibbles(&codes);
        tensors.push(tensor(&format!("{}_blocks", w.name), "U8", &[packed.len() as u64], packed));
        tensors.push(scales.clone());
        only_scales.push(scales);
    }
    (Quantised { file: safetensors(None, &tensors), order0 }, safetensors(None, &only_scales), count)
}

fn nibbles(codes: &[u8]) -> Vec<u8> {
    codes.chunks(2).map(|pair| pair[0] | pair.get(1).copied().unwrap_or(0) << 4).collect()
}

/// Code of the nearest of ascending magnitudes, of two as near the even one.
fn nearest(magnitudes: &[f32], v: f32) -> u8 {
    let above = magnitudes.partition_point(|m| *m < v).min(magnitudes.len() - 1);
    let below = above.saturating_sub(1);
    let (up, down) = (magnitudes[above] - v, v - magnitudes[below]);
    (if up < down || (up == down && above.is_multiple_of(2)) { above } else { below }) as u8
}

pub fn entropy_bits(symbols: &[u8]) -> f64 {
    let mut counts = [0u64; 256];
    symbols.iter().for_each(|&s| counts[usize::from(s)] += 1);
    let n = symbols.len() as f64;
    counts.iter().filter(|c| **c > 0).map(|&c| c as f64 * (n / c as f64).log2()).sum()
}

fn bf16_bits(v: f32) -> u16 {
    let bits = v.to_bits();
    ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) as u16
}

/// To nearest, of two as near the even one; too large ones become infinite.
pub fn f16_bits(v: f32) -> u16 {
    let (sign, v) = ((v.to_bits() >> 16 & 0x8000) as u16, v.abs());
    // From half an octave of steps: 2^-24 below the smallest normal number, else 2^-10 of the octave.
    let octave = ((v.to_bits() >> 23) as i32 - 127).max(-14);
    let steps = (f64::from(v) * 2f64.powi(10 - octave)).round_ties_even() as u32;
    let bits = (((octave + 14) as u32) << 10) + steps;
    sign | bits.min(0x7C00) as u16
}

fn f16_value(bits: u16) -> f32 {
    let (e, m) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match e {
        0 => m * 2f64.powi(-24),
        31 if m == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1024.0 + m) * 2f64.powi(e - 25),
    };
    magnitude as f32 * if bits >> 15 == 1 { -1.0 } else { 1.0 }
}
