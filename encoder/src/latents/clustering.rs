//! The order of a codebook's tokens in which like ones are near each other: tokens are alike if the same ones come before and after
//! them. Floats are used here, and their outcome is written: no decoder repeats them.

use mcodec_coding::latents::CodeOrder;

/// Dimensions that tokens are laid out in.
const DIMENSIONS: usize = 24;
/// Rounds of the iteration that finds these.
const ROUNDS: usize = 24;

/// How often tokens meet, row after row: for each other token its number and weight.
struct Meetings {
    starts: Vec<usize>,
    others: Vec<(u16, f64)>,
}

/// Tokens of frames, each in the order row, column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frames<'a> {
    pub(super) tokens: &'a [u16],
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Meetings {
    /// Of tokens with those at their places one and two frames before; in single frames, with those left and above.
    fn of(all: &[Frames<'_>], vocabulary: usize) -> Self {
        let mut pairs: Vec<(u16, u16, u32)> = Vec::new();
        for frames in all {
            let Frames { tokens, height, width } = *frames;
            let plane = height * width;
            if tokens.len() > plane {
                for (back, weight) in [(plane, 2), (2 * plane, 1)] {
                    let later = tokens.get(back..).unwrap_or_default();
                    pairs.extend(later.iter().zip(tokens).map(|(&a, &b)| (a, b, weight)));
                }
                continue;
            }
            for (at, &token) in tokens.iter().enumerate() {
                if at % width > 0 {
                    pairs.push((token, tokens[at - 1], 1));
                }
                if at >= width {
                    pairs.push((token, tokens[at - width], 1));
                }
            }
        }
        let turned: Vec<_> = pairs.iter().map(|&(a, b, weight)| (b, a, weight)).collect();
        pairs.extend(turned);
        pairs.sort_unstable();
        let mut starts = vec![0; vocabulary + 1];
        let mut others: Vec<(u16, f64)> = Vec::new();
        let mut last = None;
        for (a, b, weight) in pairs {
            match others.last_mut() {
                Some((_, sum)) if last == Some((a, b)) => *sum += f64::from(weight),
                _ => others.push((b, f64::from(weight))),
            }
            last = Some((a, b));
            starts[usize::from(a) + 1] = others.len();
        }
        for at in 1..=vocabulary {
            starts[at] = starts[at].max(starts[at - 1]);
        }
        Self { starts, others }
    }

    /// `log(1 + how much more often than by chance)` in the place of counts.
    fn weigh(&mut self) {
        let sums: Vec<f64> =
            self.starts.windows(2).map(|w| self.others[w[0]..w[1]].iter().map(|o| o.1).sum()).collect();
        let total: f64 = sums.iter().sum();
        for (token, w) in self.starts.windows(2).enumerate() {
            for (other, weight) in &mut self.others[w[0]..w[1]] {
                *weight = (*weight * total / (sums[token] * sums[usize::from(*other)])).ln_1p();
            }
        }
    }

    /// The product with a matrix of [`DIMENSIONS`] columns.
    fn product(&self, points: &[[f64; DIMENSIONS]]) -> Vec<[f64; DIMENSIONS]> {
        let row = |w: &[usize]| {
            let mut sum = [0.0; DIMENSIONS];
            for (other, weight) in &self.others[w[0]..w[1]] {
                for (sum, x) in sum.iter_mut().zip(&points[usize::from(*other)]) {
                    *sum += weight * x;
                }
            }
            sum
        };
        self.starts.windows(2).map(row).collect()
    }
}

/// Makes columns orthonormal; those that depend on others before become zero.
fn orthonormalise(points: &mut [[f64; DIMENSIONS]]) {
    for d in 0..DIMENSIONS {
        for e in 0..d {
            let dot: f64 = points.iter().map(|p| p[d] * p[e]).sum();
            points.iter_mut().for_each(|p| p[d] -= dot * p[e]);
        }
        let norm = points.iter().map(|p| p[d] * p[d]).sum::<f64>().sqrt();
        let scale = if norm > 1e-9 { 1.0 / norm } else { 0.0 };
        points.iter_mut().for_each(|p| p[d] *= scale);
    }
}

/// The order of the tokens below `vocabulary`.
pub(super) fn order_of(all: &[Frames<'_>], vocabulary: usize) -> Option<CodeOrder> {
    let mut meetings = Meetings::of(all, vocabulary);
    meetings.weigh();
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    let mut points: Vec<[f64; DIMENSIONS]> =
        (0..vocabulary).map(|_| core::array::from_fn(|_| noise())).collect();
    for _ in 0..ROUNDS {
        orthonormalise(&mut points);
        points = meetings.product(&points);
    }
    // These are, but for a rotation, the leading eigenvectors, as long as their eigenvalues.
    let mut tokens: Vec<u16> = (0..vocabulary).map(|token| token as u16).collect();
    let mut half = vocabulary.next_power_of_two() / 2;
    while half > 0 {
        for node in tokens.chunks_mut(2 * half).filter(|node| node.len() > half) {
            divide(node, half, &points);
        }
        half /= 2;
    }
    CodeOrder::new(tokens).ok()
}

/// Sorts tokens along the axis in which their points differ most.
fn divide(node: &mut [u16], half: usize, points: &[[f64; DIMENSIONS]]) {
    let count = node.len() as f64;
    let point = |token: u16| &points[usize::from(token)];
    let mut mean = [0.0; DIMENSIONS];
    for &token in node.iter() {
        mean.iter_mut().zip(point(token)).for_each(|(mean, x)| *mean += x / count);
    }
    let mut spread = [[0.0; DIMENSIONS]; DIMENSIONS];
    for &token in node.iter() {
        let p = point(token);
        for i in 0..DIMENSIONS {
            for j in 0..DIMENSIONS {
                spread[i][j] += (p[i] - mean[i]) * (p[j] - mean[j]);
            }
        }
    }
    let mut axis: [f64; DIMENSIONS] = core::array::from_fn(|i| spread[i][i].sqrt() + 1e-9 * i as f64);
    for _ in 0..50 {
        let next: [f64; DIMENSIONS] =
            core::array::from_fn(|i| spread[i].iter().zip(&axis).map(|(a, b)| a * b).sum());
        let norm = next.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm < 1e-12 {
            break;
        }
        axis = next.map(|x| x / norm);
    }
    let along = |token: u16| point(token).iter().zip(&axis).map(|(a, b)| a * b).sum::<f64>();
    let by_axis = |a: &u16, b: &u16| along(*a).total_cmp(&along(*b)).then(a.cmp(b));
    if half < node.len() {
        node.select_nth_unstable_by(half, by_axis);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_meet_come_together() {
        // Even tokens only meet even ones, odd ones odd.
        let mut state = 1u32;
        let mut tokens = Vec::new();
        for _ in 0..4000 {
            for parity in 0..2u16 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                tokens.push((state >> 29) as u16 * 2 + parity);
            }
        }
        let frames = Frames { tokens: &tokens, height: 1, width: 2 };
        let order = order_of(&[frames], 16).unwrap();
        let of = |token: u16| order.leaves().iter().position(|&t| t == token).unwrap() / 8;
        assert!((0..16).step_by(2).all(|token| of(token) == of(0)));
        assert!((1..16).step_by(2).all(|token| of(token) == of(1)));
        assert!(order_of(&[], 5).is_some());
    }
}
