//! Probabilities of decisions: what experts say is mixed in the logistic domain, then corrected by what happened before.

use super::tables::{STRETCH_LIMIT, Tables};

/// Weights are in units of 2^-16.
const ONE: i32 = 1 << 16;

/// Sets of weights, of which a context picks one.
#[derive(Clone)]
pub(super) struct Mixer<const N: usize> {
    weights: Vec<[i32; N]>,
    rate: i32,
}

impl<const N: usize> Mixer<N> {
    pub(super) fn new(contexts: usize, start: [i32; N], rate: i32) -> Self {
        Self { weights: vec![start; contexts], rate }
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&self.weights[..])
    }

    /// The stretched probability, in units of 2^-8.
    #[inline(always)]
    pub(super) fn mix(&self, context: usize, inputs: &[i32; N]) -> i32 {
        let weights = &self.weights[context];
        // Eight sums at once, so that compilers see what can be done together.
        let (eights, others) = weights.as_chunks::<8>();
        let (of_eights, of_others) = inputs.as_chunks::<8>();
        let mut sums = [0i32; 8];
        for (weights, inputs) in eights.iter().zip(of_eights) {
            for i in 0..8 {
                sums[i] = sums[i].wrapping_add((weights[i] >> 5).wrapping_mul(inputs[i]));
            }
        }
        let mut sum = sums.iter().fold(0i32, |sum, part| sum.wrapping_add(*part));
        for (weight, input) in others.iter().zip(of_others) {
            sum = sum.wrapping_add((*weight >> 5) * *input);
        }
        (sum >> 11).clamp(-STRETCH_LIMIT, STRETCH_LIMIT)
    }

    /// Learns that the decision was `one` (0 or 65536) where `probability` had been said.
    #[inline(always)]
    pub(super) fn learn(&mut self, context: usize, inputs: &[i32; N], probability: u32, one: i32) {
        let error = ((one - probability as i32) * self.rate) >> 4;
        for (weight, input) in self.weights[context].iter_mut().zip(inputs) {
            *weight = (*weight + ((*input * error + (1 << 13)) >> 14)).clamp(-8 * ONE, 8 * ONE);
        }
    }
}

/// Corrects a probability by what came of it in a context: 33 points over the stretched line.
#[derive(Clone)]
pub(super) struct Correction {
    points: Vec<[u16; 33]>,
}

impl Correction {
    pub(super) fn new(contexts: usize, tables: &Tables) -> Self {
        let start = core::array::from_fn(|i| tables.squash(i as i32 * 192 - 3072) as u16);
        Self { points: vec![start; contexts] }
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&self.points[..])
    }

    /// The corrected probability, in 65536ths, and where it is from.
    #[inline(always)]
    pub(super) fn look(&self, context: usize, stretched: i32) -> (u32, usize) {
        let place = (stretched + 3072) as u32;
        let (cell, within) = (place / 192, place % 192);
        let points = &self.points[context];
        let (low, high) = (u32::from(points[cell as usize]), u32::from(points[cell as usize + 1]));
        ((low * (192 - within) + high * within) / 192, cell as usize + usize::from(within >= 96))
    }

    #[inline(always)]
    pub(super) fn learn(&mut self, context: usize, point: usize, bit: bool) {
        let point = &mut self.points[context][point];
        let target = if bit { 65_535i32 } else { 0 };
        *point = (i32::from(*point) + ((target - i32::from(*point)) >> 6)) as u16;
    }
}
