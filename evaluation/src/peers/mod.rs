//! What others make of matrices: simple quantisers with groups of one scale, for tables beside this codec's.
//!
//! Each is as its authors describe it. What a matrix takes is counted with all that a reader needs: 16 bits for a scale, and for a zero
//! point as many as a code has, unless said otherwise. The last group of a row may be shorter.

mod gptq;
mod half;

use gptq::Feedback;
use half::round_to_half;
use rayon::prelude::*;

/// A quantiser of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Round to nearest, with a scale and a zero point for each group.
    Nearest {
        /// Of a code.
        bits: u32,
        /// Weights of a group.
        group: usize,
    },
    /// bitsandbytes' NF4: 16 levels between minus and plus the largest of a block.
    Nf4 {
        /// Weights of a block.
        block: usize,
    },
    /// GPTQ (arXiv 2210.17323): round to nearest in the order of columns, the error of each made up for in those after it. The Gram matrix is
    /// damped by a hundredth of its mean diagonal, groups get their scales when they are reached.
    Gptq {
        /// Of a code.
        bits: u32,
        /// Weights of a group.
        group: usize,
    },
    /// HQQ: zero points, of 16 bits, by half-quadratic splitting of an error of norm 0.7.
    Hqq {
        /// Of a code.
        bits: u32,
        /// Weights of a group.
        group: usize,
    },
}

/// The peers of a comparison, by name.
pub const PEERS: [(&str, Peer); 12] = [
    ("rtn 4 bit g64", Peer::Nearest { bits: 4, group: 64 }),
    ("rtn 4 bit g128", Peer::Nearest { bits: 4, group: 128 }),
    ("rtn 3 bit g64", Peer::Nearest { bits: 3, group: 64 }),
    ("rtn 3 bit g128", Peer::Nearest { bits: 3, group: 128 }),
    ("nf4 g64", Peer::Nf4 { block: 64 }),
    ("gptq 4 bit g128", Peer::Gptq { bits: 4, group: 128 }),
    ("gptq 3 bit g128", Peer::Gptq { bits: 3, group: 128 }),
    ("gptq 4 bit g32", Peer::Gptq { bits: 4, group: 32 }),
    ("hqq 4 bit g64", Peer::Hqq { bits: 4, group: 64 }),
    ("hqq 3 bit g64", Peer::Hqq { bits: 3, group: 64 }),
    ("hqq 4 bit g128", Peer::Hqq { bits: 4, group: 128 }),
    ("hqq 2 bit g64", Peer::Hqq { bits: 2, group: 64 }),
];

impl Peer {
    /// Whether it needs the Gram matrix of what the layer reads.
    #[must_use]
    pub fn needs_gram(&self) -> bool {
        matches!(self, Self::Gptq { .. })
    }

    /// Bits that a matrix of `rows` rows of `columns` takes.
    #[must_use]
    pub fn bits(&self, rows: usize, columns: usize) -> u64 {
        let (code, group, each) = match *self {
            Self::Nearest { bits, group } | Self::Gptq { bits, group } => (bits, group, 16 + bits),
            Self::Nf4 { block } => (4, block, 16),
            Self::Hqq { bits, group } => (bits, group, 32),
        };
        (rows * columns) as u64 * u64::from(code) + (rows * columns.div_ceil(group)) as u64 * u64::from(each)
    }

    /// What a matrix, of rows of `columns`, comes back as; `gram` is of what the layer reads, `[columns, columns]`, if it is known.
    #[must_use]
    pub fn quantised(&self, weights: &[f32], columns: usize, gram: Option<&[f32]>) -> Vec<f32> {
        let mut out = weights.to_vec();
        match *self {
            Self::Nearest { bits, group } => each_group(&mut out, columns, group, |g| {
                let grid = Grid::of(g, bits);
                g.iter_mut().for_each(|v| *v = grid.nearest(*v));
            }),
            Self::Nf4 { block } => each_group(&mut out, columns, block, nf4),
            Self::Hqq { bits, group } => each_group(&mut out, columns, group, |g| hqq(g, bits)),
            Self::Gptq { bits, group } => match gram.and_then(|gram| Feedback::new(gram, columns)) {
                Some(feedback) => feedback.quantise(&mut out, bits, group),
                None => return Self::Nearest { bits, group }.quantised(weights, columns, None),
            },
        }
        out
    }
}

fn each_group(values: &mut [f32], columns: usize, group: usize, f: impl Fn(&mut [f32]) + Sync) {
    values.par_chunks_mut(columns).for_each(|row| row.chunks_mut(group).for_each(&f));
}

/// Evenly spaced values, zero among them.
#[derive(Debug, Clone, Copy)]
struct Grid {
    step: f32,
    zero: f32,
    most: f32,
}

impl Grid {
    /// Over the range of the values.
    fn of(values: &[f32], bits: u32) -> Self {
        let (low, high) = values.iter().fold((0f32, 0f32), |(l, h), &v| (l.min(v), h.max(v)));
        let most = ((1u32 << bits) - 1) as f32;
        let step = round_to_half((high - low) / most);
        if step <= 0.0 {
            return Self { step: 0.0, zero: 0.0, most };
        }
        Self { step, zero: (-low / step).round_ties_even().clamp(0.0, most), most }
    }

    fn nearest(&self, value: f32) -> f32 {
        if self.step <= 0.0 {
            return 0.0;
        }
        let code = ((value / self.step).round_ties_even() + self.zero).clamp(0.0, self.most);
        (code - self.zero) * self.step
    }
}

/// The levels of NF4 (arXiv 2305.14314, as bitsandbytes has them).
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

fn nf4(values: &mut [f32]) {
    let largest = round_to_half(values.iter().fold(0f32, |m, v| m.max(v.abs())));
    if largest <= 0.0 {
        return values.fill(0.0);
    }
    for value in values {
        let wanted = *value / largest;
        let off = |level: &&f32| (*level - wanted).abs();
        let best = NF4.iter().min_by(|a, b| off(a).total_cmp(&off(b)));
        *value = best.copied().unwrap_or(0.0) * largest;
    }
}

/// As `optimize_weights_proximal` of HQQ: 20 rounds, norm 0.7, weight 10 growing by a hundredth a round.
fn hqq(values: &mut [f32], bits: u32) {
    let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    let most = ((1u32 << bits) - 1) as f32;
    let scale = if high > low { (most / (high - low)).min(2e4) } else { 1.0 };
    let mut zero = -low * scale;
    let (mut best, mut least) = (zero, f64::MAX);
    let mut weight = 10f32;
    for _ in 0..20 {
        let codes: Vec<f32> =
            values.iter().map(|v| (v * scale + zero).round_ties_even().clamp(0.0, most)).collect();
        let (mut sum, mut error) = (0f64, 0f64);
        for (v, code) in values.iter().zip(&codes) {
            let off = v - (code - zero) / scale;
            error += f64::from(off.abs());
            // What is far off is left to be so: the others are fitted.
            let size = off.abs();
            let shrunk = (size - size.max(1e-8).powf(-0.3) / weight).max(0.0) * off.signum();
            sum += f64::from(code - (v - shrunk) * scale);
        }
        if error >= least {
            break;
        }
        (best, least) = (zero, error);
        zero = (sum / values.len() as f64) as f32;
        weight *= 1.01;
    }
    let (scale, zero) = (1.0 / round_to_half(1.0 / scale), round_to_half(best));
    for v in values {
        *v = ((*v * scale + zero).round_ties_even().clamp(0.0, most) - zero) / scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(n: usize) -> Vec<f32> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..n).map(|_| next() + next() + next()).collect()
    }

    fn error(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    }

    #[test]
    fn more_bits_come_nearer() {
        let w = weights(96 * 40);
        let of = |peer: Peer| error(&w, &peer.quantised(&w, 96, None));
        let norm = error(&w, &vec![0.0; w.len()]);
        for (four, three) in [
            (Peer::Nearest { bits: 4, group: 64 }, Peer::Nearest { bits: 3, group: 64 }),
            (Peer::Hqq { bits: 4, group: 64 }, Peer::Hqq { bits: 3, group: 64 }),
        ] {
            assert!(of(four) < 0.3 * of(three) && of(three) < 0.05 * norm, "{four:?}");
        }
        assert!(of(Peer::Nf4 { block: 64 }) < 0.02 * norm);
        assert_eq!(Peer::Nearest { bits: 4, group: 64 }.bits(10, 96), 10 * (96 * 4 + 2 * 20));
    }

    #[test]
    fn feedback_makes_outputs_nearer() {
        // Inputs that go together.
        let (n, rows) = (64, 32);
        let x = weights(n * 300);
        let mut mixed = x.clone();
        for t in 0..300 {
            for j in 1..n {
                mixed[t * n + j] = 0.8 * mixed[t * n + j - 1] + x[t * n + j];
            }
        }
        let mut gram = vec![0f32; n * n];
        for t in mixed.chunks(n) {
            for (i, a) in t.iter().enumerate() {
                t.iter().enumerate().for_each(|(j, b)| gram[i * n + j] += a * b / 300.0);
            }
        }
        let w = weights(n * rows);
        let loss = |q: &[f32]| -> f64 {
            w.chunks(n)
                .zip(q.chunks(n))
                .map(|(w, q)| {
                    let e: Vec<f64> = w.iter().zip(q).map(|(w, q)| f64::from(w - q)).collect();
                    let row = |i: usize| {
                        e.iter().enumerate().map(|(j, e)| e * f64::from(gram[i * n + j])).sum::<f64>()
                    };
                    (0..n).map(|i| e[i] * row(i)).sum::<f64>()
                })
                .sum()
        };
        let plain = loss(&Peer::Nearest { bits: 3, group: 32 }.quantised(&w, n, None));
        let fed = loss(&Peer::Gptq { bits: 3, group: 32 }.quantised(&w, n, Some(&gram)));
        assert!(fed < 0.5 * plain, "{fed} {plain}");
    }
}
