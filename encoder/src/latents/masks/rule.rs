//! Which blocks of keys each block of queries attends to, by the rule of Video-BLADE (arXiv 2508.10774; github.com/xiaolong-li1/VIDEO-BLADE,
//! `wanx_blocksparseattn.py`): tokens in the order of a curve are cut into blocks, of some tokens of each the attention is worked out, its
//! greatest share in each pair of blocks is the pair's score, and of each row of scores those are kept that hold most of its sum.

use super::gilbert::curve;
use super::settings::{Curve, MaskSettings};
use rayon::prelude::*;

/// Numbers of a vector that are multiplied at once.
const LANES: usize = 8;

/// Vectors of tokens, one after another, of one step, layer and head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vectors<'a> {
    pub(super) numbers: &'a [f32],
    /// Numbers of a vector.
    pub(super) dim: usize,
}

impl MaskSettings {
    /// How many blocks so many tokens make.
    pub(super) fn blocks(&self, tokens: usize) -> usize {
        tokens.saturating_sub(self.text).div_ceil(self.block)
    }

    /// The tokens in the order in which they are cut into blocks; the last is repeated until blocks are whole.
    pub(super) fn order(&self, tokens: usize) -> Result<Vec<usize>, String> {
        let video = tokens.checked_sub(self.text).filter(|n| *n > 0);
        let video = video.ok_or_else(|| format!("{tokens} tokens are no more than {} of text", self.text))?;
        let mut order: Vec<usize> = match (self.curve, self.grid) {
            (_, Some(grid)) if grid.iter().product::<usize>() != video => {
                let [t, h, w] = grid;
                return Err(format!(
                    "a grid of {t} x {h} x {w} has not the {video} positions that there are"
                ));
            }
            (Curve::Gilbert, Some([t, h, w])) => curve([w, h, t]),
            (Curve::Gilbert, None) => return Err("a curve goes through a grid: --grid T,H,W".into()),
            (Curve::Raster, _) => (0..video).collect(),
        };
        order.iter_mut().for_each(|at| *at += self.text);
        let last = order.last().copied().unwrap_or(0);
        order.resize(order.len().next_multiple_of(self.block), last);
        Ok(order)
    }

    /// The scores of blocks: rows of queries' blocks. `order` is that of queries, and of keys; `plane` is the number of the step, layer and
    /// head, which other places are drawn for.
    pub(super) fn scores(&self, [q, k]: [Vectors<'_>; 2], order: [&[usize]; 2], plane: u64) -> Vec<f32> {
        let places = |of: u64| self.sampled(2 * plane + of);
        let gather = |vectors: Vectors<'_>, order: &[usize], places: &[usize]| -> Vec<f32> {
            let padded = vectors.dim.next_multiple_of(LANES);
            let mut out = Vec::with_capacity(order.len() / self.block * places.len() * padded);
            for block in order.chunks_exact(self.block) {
                for &place in places {
                    out.extend_from_slice(&vectors.numbers[block[place] * vectors.dim..][..vectors.dim]);
                    out.resize(out.len().next_multiple_of(padded), 0.0);
                }
            }
            out
        };
        let dim = q.dim.next_multiple_of(LANES);
        let (queries, keys) = (gather(q, order[0], &places(0)), gather(k, order[1], &places(1)));
        let scale = 1.0 / (q.dim as f32).sqrt();
        let columns = order[1].len() / self.block;
        let of_block = |queries: &[f32]| {
            let mut scores = vec![0f32; columns];
            let mut greatest = vec![0f32; columns];
            for query in queries.chunks_exact(dim) {
                for (most, keys) in greatest.iter_mut().zip(keys.chunks_exact(dim * self.sample)) {
                    let all = keys.chunks_exact(dim).map(|key| dot(query, key));
                    *most = scale * all.fold(f32::NEG_INFINITY, f32::max);
                }
                let row = greatest.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                for (score, most) in scores.iter_mut().zip(&greatest) {
                    *score = score.max((most - row).exp());
                }
            }
            scores
        };
        queries.par_chunks(dim * self.sample).flat_map_iter(of_block).collect()
    }

    /// Places in a block that are looked at: the same in all blocks of a plane, other ones for each `stream`.
    fn sampled(&self, stream: u64) -> Vec<usize> {
        let mut state = self.seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = || {
            // SplitMix64.
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ mixed >> 31
        };
        let mut places: Vec<usize> = (0..self.block).collect();
        for at in 0..self.sample {
            let other = at + ((u128::from(next()) * (self.block - at) as u128) >> 64) as usize;
            places.swap(at, other);
        }
        places.truncate(self.sample);
        places
    }

    /// The blocks that are kept of rows of scores: as many of the largest as come before the one with which their sum reaches the share
    /// `energy` of the row's, but at least and at most the shares of the row that the ratios say.
    pub(super) fn keep(&self, scores: &[f32], columns: usize) -> Vec<u8> {
        let share = |ratio: f64| ((columns as f64 * ratio) as usize).max(1);
        let (least, most) = (share(self.min_ratio), share(self.max_ratio));
        let mut mask = vec![0u8; scores.len()];
        for (scores, mask) in scores.chunks_exact(columns).zip(mask.chunks_exact_mut(columns)) {
            let mut order: Vec<usize> = (0..columns).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
            let all: f64 = order.iter().map(|&i| f64::from(scores[i])).sum();
            let mut sum = 0.0;
            let reached = order.iter().position(|&i| {
                sum += f64::from(scores[i]);
                sum >= self.energy * all
            });
            let count = reached.unwrap_or(columns).clamp(least, most);
            order[..count].iter().for_each(|&i| mask[i] = 1);
        }
        mask
    }

    /// Scores of what a softmax has still to be taken of, over each row.
    pub(super) fn softmax(scores: &mut [f32], columns: usize) {
        for row in scores.chunks_exact_mut(columns) {
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|score| *score = (*score - most).exp());
        }
    }
}

/// Of vectors that are filled with zeros to a multiple of [`LANES`].
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> MaskSettings {
        MaskSettings { block: 4, sample: 4, min_ratio: 0.0, max_ratio: 1.0, ..MaskSettings::default() }
    }

    #[test]
    fn the_largest_are_kept_until_they_hold_enough() {
        let rule = MaskSettings { energy: 0.8, ..settings() };
        // Sums 5, 8, 9, 10: the third reaches 0.8 of 10 only with the second.
        assert_eq!(rule.keep(&[1.0, 5.0, 1.0, 3.0], 4), [0, 1, 0, 0]);
        assert_eq!(MaskSettings { energy: 0.85, ..settings() }.keep(&[1.0, 5.0, 1.0, 3.0], 4), [0, 1, 0, 1]);
        let many = MaskSettings { min_ratio: 0.75, ..rule.clone() };
        assert_eq!(many.keep(&[1.0, 5.0, 1.0, 3.0], 4), [1, 1, 0, 1]);
        let few = MaskSettings { max_ratio: 0.25, energy: 1.0, ..settings() };
        assert_eq!(few.keep(&[1.0, 5.0, 1.0, 3.0, 0.0, 0.0, 0.0, 0.0], 4), [0, 1, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn scores_are_the_greatest_shares_of_attention() {
        let rule = MaskSettings { curve: Curve::Raster, ..settings() };
        let numbers: Vec<f32> = (0..8 * 2).map(|i| ((i * 7) % 5) as f32 - 2.0).collect();
        let vectors = Vectors { numbers: &numbers, dim: 2 };
        let order = rule.order(8).unwrap();
        let scores = rule.scores([vectors, vectors], [&order, &order], 0);
        for (i, score) in scores.iter().enumerate() {
            let mut expected = 0f32;
            for q in 4 * (i / 2)..4 * (i / 2) + 4 {
                let product = |k: usize| {
                    (numbers[2 * q] * numbers[2 * k] + numbers[2 * q + 1] * numbers[2 * k + 1]) / 2f32.sqrt()
                };
                let most = |keys: std::ops::Range<usize>| keys.map(product).fold(f32::NEG_INFINITY, f32::max);
                expected = expected.max((most(4 * (i % 2)..4 * (i % 2) + 4) - most(0..8)).exp());
            }
            assert!((score - expected).abs() < 1e-5, "{i}: {score} {expected}");
        }
    }

    #[test]
    fn places_are_drawn_once_each_and_by_the_seed() {
        let rule = MaskSettings { block: 128, sample: 32, ..MaskSettings::default() };
        let mut places = rule.sampled(5);
        assert_eq!(places, rule.sampled(5));
        assert_ne!(places, rule.sampled(6));
        places.sort_unstable();
        places.dedup();
        assert!(places.len() == 32 && places.iter().all(|&p| p < 128));
    }

    #[test]
    fn tokens_are_ordered_and_filled_up() {
        let rule = MaskSettings { grid: Some([1, 2, 3]), text: 2, ..settings() };
        let order = rule.order(8).unwrap();
        assert_eq!((order.len(), rule.blocks(8)), (8, 2));
        let mut all = order.clone();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, [2, 3, 4, 5, 6, 7]);
        assert!(rule.order(9).is_err() && rule.order(2).is_err());
        assert!(MaskSettings { grid: None, ..rule }.order(8).is_err());
    }
}
