//! Binary decisions under several contexts at once, mixed in the logistic domain (`SPEC.md` section 7.7.1).
//!
//! Encoder, decoder and price run through the same code: a [`Binary`] is told the decision it should write, or tells the one it read.

use crate::binary::{BinaryDecoder, BinaryEncoder};
use crate::logistic::{squash, stretches};

/// Where decisions go to or come from.
pub trait Binary {
    /// Writes `bit`, which was expected to be a one with probability `one` / 65536, and returns it; or reads it, whatever `bit` is.
    fn code(&mut self, bit: bool, one: u32) -> bool;

    /// `count` (at most 32) low bits of `value`, each of probability one half, most significant first.
    fn code_raw(&mut self, value: u32, count: u32) -> u32 {
        (0..count)
            .rev()
            .fold(0, |result, place| result << 1 | u32::from(self.code(value >> place & 1 == 1, 1 << 15)))
    }
}

impl Binary for BinaryEncoder {
    #[inline]
    fn code(&mut self, bit: bool, one: u32) -> bool {
        self.encode(bit, one);
        bit
    }
}

impl Binary for BinaryDecoder<'_> {
    #[inline]
    fn code(&mut self, _: bool, one: u32) -> bool {
        self.decode(one)
    }
}

/// Adds up what decisions cost.
#[derive(Debug, Default, Clone, Copy)]
pub struct Price {
    /// Bits so far.
    pub bits: f64,
}

impl Binary for Price {
    fn code(&mut self, bit: bool, one: u32) -> bool {
        let p = if bit { one } else { 65536 - one };
        self.bits += 16.0 - f64::from(p).log2();
        bit
    }
}

/// Most contexts of a decision.
pub const MAX_CONTEXTS: usize = 4;

/// What is known of decisions in a context: the probability of a one, in units of 2^-16, and how many were seen, up to [`MOST_SEEN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// 131 to 65405.
    pub one: u16,
    /// 0 to [`MOST_SEEN`].
    pub seen: u16,
}

/// Where counting stops, so that states go on learning.
pub const MOST_SEEN: u16 = 80;

impl State {
    /// Of a context never met.
    pub const NEW: Self = Self { one: 1 << 15, seen: 0 };

    /// Log-odds, less the less was seen: units of 2^-12.
    #[inline]
    fn evidence(self, stretches: &[i16; 4096]) -> i32 {
        (i32::from(stretches[usize::from(self.one >> 4)]) * CONFIDENCE[usize::from(self.seen)]) >> 10
    }

    #[inline]
    fn learn(&mut self, bit: bool) {
        let error = if bit { 65536 } else { 0 } - i32::from(self.one);
        let step = (i64::from(error) * i64::from(RATE[usize::from(self.seen)])) >> 16;
        self.one = (i32::from(self.one) + step as i32).clamp(131, 65405) as u16;
        self.seen = (self.seen + 1).min(MOST_SEEN);
    }
}

/// `1024 (10 n + 3) / (10 n + 15)`, rounded down, after n decisions.
const CONFIDENCE: [i32; MOST_SEEN as usize + 1] = {
    let mut table = [0; MOST_SEEN as usize + 1];
    let mut n = 0;
    while n <= MOST_SEEN as usize {
        table[n] = (1024 * (10 * n + 3) / (10 * n + 15)) as i32;
        n += 1;
    }
    table
};

/// `655360 / (10 n + 16)`, rounded down: the part of an error that a state takes over after n decisions, in units of 2^-16.
const RATE: [i32; MOST_SEEN as usize + 1] = {
    let mut table = [0; MOST_SEEN as usize + 1];
    let mut n = 0;
    while n <= MOST_SEEN as usize {
        table[n] = (655_360 / (10 * n + 16)) as i32;
        n += 1;
    }
    table
};

/// Weights of the contexts of a decision, in units of 2^-16.
pub type Weights = [i32; MAX_CONTEXTS];

/// `round(0.9 * 65536 / sqrt(k))` for k contexts: what a weight starts at.
pub const FIRST_WEIGHT: [i32; MAX_CONTEXTS + 1] = [0, 58982, 41707, 34053, 29491];

/// States and weights of all decisions of a coding.
#[derive(Debug, Clone)]
pub struct Mixer {
    /// By context.
    pub states: Vec<State>,
    /// By kind of decision.
    pub weights: Vec<Weights>,
    /// Zeros and ones of each state, if they are to be counted: for training.
    pub tally: Option<Vec<[u32; 2]>>,
    /// Of each [`BLOCK`] of states whether some may have learned.
    touched: Vec<bool>,
}

/// Of the same states, weights and tally.
impl PartialEq for Mixer {
    fn eq(&self, other: &Self) -> bool {
        self.states == other.states && self.weights == other.weights && self.tally == other.tally
    }
}

impl Eq for Mixer {}

/// States that are put back at once.
const BLOCK: usize = 64;

impl Mixer {
    /// Of these states and weights.
    #[must_use]
    pub fn new(states: Vec<State>, weights: Vec<Weights>) -> Self {
        let touched = vec![false; states.len().div_ceil(BLOCK)];
        Self { states, weights, tally: None, touched }
    }

    /// Makes this, which was a copy of `start`, one again: of the states only those that have learned are copied.
    pub(super) fn start_over(&mut self, start: &Self) {
        let blocks = self.states.chunks_mut(BLOCK).zip(start.states.chunks(BLOCK));
        for (touched, (states, start)) in self.touched.iter_mut().zip(blocks) {
            if core::mem::take(touched) {
                states.copy_from_slice(start);
            }
        }
        self.weights.copy_from_slice(&start.weights);
        self.tally = None;
    }

    /// Codes one decision under one context, without weights.
    #[inline]
    pub fn decide_alone(&mut self, io: &mut impl Binary, bit: bool, context: usize) -> bool {
        let state = &mut self.states[context];
        let bit = io.code(bit, u32::from(state.one).clamp(32, 65504));
        state.learn(bit);
        self.touched[context / BLOCK] = true;
        if let Some(tally) = &mut self.tally {
            tally[context][usize::from(bit)] += 1;
        }
        bit
    }

    /// What each context says, and the probability of a one.
    #[inline]
    fn mix<const K: usize>(&self, contexts: [usize; K], set: usize) -> ([i32; K], u32) {
        let stretches = stretches();
        let evidence = contexts.map(|context| self.states[context].evidence(stretches));
        let weights = &self.weights[set];
        let dot: i64 = evidence.iter().zip(weights).map(|(&x, &w)| i64::from(x) * i64::from(w)).sum();
        (evidence, squash((dot >> 16).clamp(-32767, 32767) as i32).clamp(32, 65504))
    }

    /// How likely a one is, as things stand.
    pub(super) fn chance<const K: usize>(&self, contexts: [usize; K], set: usize) -> f32 {
        self.mix(contexts, set).1 as f32 / 65536.0
    }

    /// Bits of a zero and of a one, as things stand.
    pub(super) fn bits<const K: usize>(&self, contexts: [usize; K], set: usize) -> [f32; 2] {
        let one = self.chance(contexts, set);
        [-(1.0 - one).log2(), -one.log2()]
    }

    /// Codes one decision under the states `contexts`, mixed by the weights `set`.
    #[inline]
    pub fn decide<const K: usize>(
        &mut self,
        io: &mut impl Binary,
        bit: bool,
        contexts: [usize; K],
        set: usize,
    ) -> bool {
        let (evidence, one) = self.mix(contexts, set);
        let bit = io.code(bit, one);
        let error = i64::from(if bit { 65536 } else { 0 } - one as i32);
        for (weight, x) in self.weights[set].iter_mut().zip(evidence) {
            let step = (error * i64::from(x) + (1 << 17)) >> 18;
            *weight = (i64::from(*weight) + step).clamp(-(1 << 20), 1 << 20) as i32;
        }
        for context in contexts {
            self.states[context].learn(bit);
            self.touched[context / BLOCK] = true;
        }
        if let Some(tally) = &mut self.tally {
            contexts.iter().for_each(|&context| tally[context][usize::from(bit)] += 1);
        }
        bit
    }
}
