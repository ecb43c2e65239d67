//! Numbers as binary decisions under mixed contexts (`SPEC.md` section 7.7.1).

use super::mixing::{Binary, Mixer, State, Weights};
use super::model::Model;
use crate::error::{Result, corrupt};
use std::ops::Range;

/// How the numbers of a set are coded: each is given and written, or read, whatever is given; and returned.
pub(super) trait Numbers {
    /// The low `count` bits of `value` as they are.
    fn raw(&mut self, value: u32, count: u32) -> u32;
    /// A number of 0 to 15: log2 of a set's size.
    fn octave(&mut self, value: u32, class: usize) -> u32;
    /// How many of `count`, 1 to 12, lie in the first half.
    fn first(&mut self, value: u32, count: u32, depth: usize, balance: usize) -> u32;
    /// By how many units that is off the half, of more.
    fn quotient(&mut self, value: i32, depth: usize, balance: usize) -> Result<i32>;
    /// The sum of the levels of both scales.
    fn sum(&mut self, value: u32, contexts: [usize; 3]) -> Result<u32>;
    /// Half their difference.
    fn difference(&mut self, value: u32, contexts: [usize; 3]) -> Result<u32>;
    /// The top `bits` bits of an angle.
    fn angle(&mut self, value: u32, bits: u32, contexts: [usize; 3]) -> u32;
    /// What is left of a colour index of a plane of this role.
    fn colour(&mut self, value: i32, role: usize, contexts: [usize; 4]) -> Result<i32>;
    /// What prices are made from, if there are any.
    fn known(&self) -> Option<(&Model, &Mixer)> {
        None
    }
}

/// Numbers as binary decisions under mixed contexts.
pub(super) struct Mixed<'m, B> {
    pub(super) model: &'static Model,
    pub(super) mixer: &'m mut Mixer,
    pub(super) io: &'m mut B,
}

impl<B: Binary> Numbers for Mixed<'_, B> {
    fn raw(&mut self, value: u32, count: u32) -> u32 {
        self.io.code_raw(value, count)
    }

    fn octave(&mut self, value: u32, class: usize) -> u32 {
        self.model.count.code(self.mixer, self.io, value, 4, [class])
    }

    fn first(&mut self, value: u32, count: u32, depth: usize, balance: usize) -> u32 {
        self.model.counts.code_first(self.mixer, self.io, value, count, depth, balance)
    }

    fn quotient(&mut self, value: i32, depth: usize, balance: usize) -> Result<i32> {
        self.model.counts.code_quotient(self.mixer, self.io, value, depth, balance)
    }

    fn sum(&mut self, value: u32, contexts: [usize; 3]) -> Result<u32> {
        self.model.sum.code(self.mixer, self.io, value, contexts)
    }

    fn difference(&mut self, value: u32, contexts: [usize; 3]) -> Result<u32> {
        self.model.difference.code(self.mixer, self.io, value, contexts)
    }

    fn angle(&mut self, value: u32, bits: u32, contexts: [usize; 3]) -> u32 {
        self.model.angle.code(self.mixer, self.io, value, bits, contexts)
    }

    fn colour(&mut self, value: i32, role: usize, contexts: [usize; 4]) -> Result<i32> {
        self.model.colours[role].code(self.mixer, self.io, value, contexts)
    }

    fn known(&self) -> Option<(&Model, &Mixer)> {
        Some((self.model, self.mixer))
    }
}

/// Where the states of one context slot of a number lie.
#[derive(Debug, Clone, Copy)]
struct Slot {
    base: usize,
    /// Decisions of one context.
    nodes: usize,
    contexts: usize,
}

impl Slot {
    #[inline]
    fn at(self, context: usize) -> usize {
        self.base + context.min(self.contexts - 1) * self.nodes
    }
}

/// Gives out states and weights while the numbers of a model are laid out, in the order of `SPEC.md` section 7.7.6.
#[derive(Debug, Default)]
pub(super) struct Layout {
    states: usize,
    /// Number of contexts of each set of weights.
    weights: Vec<usize>,
}

impl Layout {
    fn slots<const K: usize>(&mut self, contexts: [usize; K], nodes: usize) -> [Slot; K] {
        contexts.map(|contexts| {
            let slot = Slot { base: self.states, nodes, contexts };
            self.states += contexts * nodes;
            slot
        })
    }

    fn sets(&mut self, count: usize, contexts: usize) -> usize {
        let first = self.weights.len();
        self.weights.resize(first + count, contexts);
        first
    }

    fn alone(&mut self, count: usize) -> usize {
        let base = self.states;
        self.states += count;
        base
    }

    /// A mixer that knows nothing.
    pub(super) fn mixer(&self) -> Mixer {
        let weights = |&contexts: &usize| -> Weights {
            [super::mixing::FIRST_WEIGHT[contexts]; super::mixing::MAX_CONTEXTS]
        };
        Mixer::new(vec![State::NEW; self.states], self.weights.iter().map(weights).collect())
    }
}

/// Bits of an escape's length at most.
const ESCAPE_BITS: u32 = 24;

/// A number from 0: ones as long as it is greater, up to `ones` of them, then an escape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsigned<const K: usize> {
    slots: [Slot; K],
    first_node: usize,
    ones: u32,
    weights: usize,
    escape: usize,
}

impl<const K: usize> Unsigned<K> {
    pub(super) fn new(layout: &mut Layout, contexts: [usize; K], ones: u32) -> Self {
        let slots = layout.slots(contexts, ones as usize);
        Self {
            slots,
            first_node: 0,
            ones,
            weights: layout.sets(4, K),
            escape: layout.alone(ESCAPE_BITS as usize + 1),
        }
    }

    /// Codes `value`; a value of 2^24 or more is refused by the reader.
    pub(super) fn code(
        &self,
        mixer: &mut Mixer,
        io: &mut impl Binary,
        value: u32,
        contexts: [usize; K],
    ) -> Result<u32> {
        let mut states =
            core::array::from_fn::<usize, K, _>(|j| self.slots[j].at(contexts[j]) + self.first_node);
        for i in 0..self.ones {
            if !mixer.decide(io, value > i, states, self.weights + i.min(3) as usize) {
                return Ok(i);
            }
            for state in &mut states {
                *state += 1;
            }
        }
        // value = ones - 1 + rest, rest at least 1.
        let rest = value.wrapping_sub(self.ones - 1).max(1);
        let length = rest.ilog2();
        let mut bits = 0;
        while mixer.decide_alone(io, length > bits, self.escape + bits as usize) {
            bits += 1;
            if bits == ESCAPE_BITS {
                return Err(corrupt("number of a Gaussian too large"));
            }
        }
        let rest = io.code_raw(rest, bits) & ((1 << bits) - 1) | 1 << bits;
        Ok(self.ones - 1 + rest)
    }
}

/// Bits that an escape's raw part is thought to take for each octave beyond.
const ESCAPE_PRICE: f32 = 2.0;
/// Products of chances are turned into bits below this.
const LEAST_CHANCE: f32 = 1e-24;

impl<const K: usize> Unsigned<K> {
    /// What each value from `first` on costs as things stand, in bits, roughly so if it escapes.
    pub(super) fn bits(&self, mixer: &Mixer, first: u32, contexts: [usize; K], out: &mut [f32]) {
        let values = first..first + out.len() as u32;
        self.each_bits(mixer, contexts, values, |i, bits| out[(i - first) as usize] = bits);
    }

    /// What each of these values costs.
    fn each_bits(
        &self,
        mixer: &Mixer,
        contexts: [usize; K],
        values: Range<u32>,
        mut give: impl FnMut(u32, f32),
    ) {
        let first = core::array::from_fn::<usize, K, _>(|j| self.slots[j].at(contexts[j]) + self.first_node);
        // The probability that it is not less, as two factors: a power of two, and one that is not small.
        let (mut bits, mut left) = (0.0, 1.0);
        for i in 0..values.end {
            if i < self.ones {
                let states = first.map(|state| state + i as usize);
                let one = mixer.chance(states, self.weights + i.min(3) as usize);
                if i >= values.start {
                    give(i, bits - (left * (1.0 - one)).log2());
                }
                left *= one;
                if left < LEAST_CHANCE {
                    bits -= left.log2();
                    left = 1.0;
                }
            } else if i >= values.start {
                give(i, bits - left.log2() + ESCAPE_PRICE * ((i - self.ones + 2) as f32).log2());
            }
        }
    }
}

/// A number of either sign: whether it is not 0, whether it is negative, then its magnitude less 1 as [`Unsigned`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<const K: usize> {
    slots: [Slot; K],
    weights: usize,
    magnitude: Unsigned<K>,
}

impl<const K: usize> Signed<K> {
    pub(super) fn new(layout: &mut Layout, contexts: [usize; K], ones: u32) -> Self {
        let slots = layout.slots(contexts, ones as usize + 2);
        let weights = layout.sets(2, K);
        let magnitude = Unsigned {
            slots,
            first_node: 2,
            ones,
            weights: layout.sets(4, K),
            escape: layout.alone(ESCAPE_BITS as usize + 1),
        };
        Self { slots, weights, magnitude }
    }

    pub(super) fn code(
        &self,
        mixer: &mut Mixer,
        io: &mut impl Binary,
        value: i32,
        contexts: [usize; K],
    ) -> Result<i32> {
        let states = core::array::from_fn::<usize, K, _>(|j| self.slots[j].at(contexts[j]));
        if !mixer.decide(io, value != 0, states, self.weights) {
            return Ok(0);
        }
        let negative = mixer.decide(io, value < 0, states.map(|state| state + 1), self.weights + 1);
        let magnitude =
            self.magnitude.code(mixer, io, value.unsigned_abs().wrapping_sub(1), contexts)? as i32 + 1;
        Ok(if negative { -magnitude } else { magnitude })
    }
}

impl<const K: usize> Signed<K> {
    /// What each value costs as things stand, from the least to the greatest of as many as `out` has (an odd number), 0 in the middle.
    pub(super) fn bits(&self, mixer: &Mixer, contexts: [usize; K], out: &mut [f32]) {
        let middle = out.len() / 2;
        let states = core::array::from_fn::<usize, K, _>(|j| self.slots[j].at(contexts[j]));
        let [zero, not] = mixer.bits(states, self.weights);
        let [positive, negative] = mixer.bits(states.map(|state| state + 1), self.weights + 1);
        out[middle] = zero;
        self.magnitude.each_bits(mixer, contexts, 0..middle as u32, |i, bits| {
            out[middle + 1 + i as usize] = not + positive + bits;
            out[middle - 1 - i as usize] = not + negative + bits;
        });
    }
}

/// A number of some bits, most significant first, each under the bits before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<const K: usize> {
    slots: [Slot; K],
    depth: u32,
    weights: usize,
}

impl<const K: usize> Tree<K> {
    pub(super) fn new(layout: &mut Layout, contexts: [usize; K], depth: u32) -> Self {
        Self { slots: layout.slots(contexts, 1 << depth), depth, weights: layout.sets(depth as usize, K) }
    }

    /// Codes the low `bits` bits of `value`; `bits` is at most the depth.
    pub(super) fn code(
        &self,
        mixer: &mut Mixer,
        io: &mut impl Binary,
        value: u32,
        bits: u32,
        contexts: [usize; K],
    ) -> u32 {
        debug_assert!(bits <= self.depth);
        let states = core::array::from_fn::<usize, K, _>(|j| self.slots[j].at(contexts[j]));
        let mut node = 1usize;
        for place in 0..bits {
            let bit = value >> (bits - 1 - place) & 1 == 1;
            let bit = mixer.decide(io, bit, states.map(|state| state + node), self.weights + place as usize);
            node = node << 1 | usize::from(bit);
        }
        (node as u32) - (1 << bits)
    }

    /// What the low `bits` bits of `value` cost as things stand.
    pub(super) fn bits(&self, mixer: &Mixer, value: u32, bits: u32, contexts: [usize; K]) -> f32 {
        let states = core::array::from_fn::<usize, K, _>(|j| self.slots[j].at(contexts[j]));
        let (mut node, mut chance) = (1usize, 1.0);
        for place in 0..bits {
            let bit = (value >> (bits - 1 - place) & 1) as usize;
            let one = mixer.chance(states.map(|state| state + node), self.weights + place as usize);
            chance *= if bit == 1 { one } else { 1.0 - one };
            node = node << 1 | bit;
        }
        -chance.log2()
    }

    /// Codes a number of `0..=most` by halving: whether it is above the middle of what is left. `most` is below `2^depth`.
    pub(super) fn search(
        &self,
        mixer: &mut Mixer,
        io: &mut impl Binary,
        value: u32,
        most: u32,
        contexts: [usize; K],
        set: usize,
    ) -> u32 {
        let states = core::array::from_fn::<usize, K, _>(|j| self.slots[j].at(contexts[j]));
        let (mut low, mut high, mut node) = (0, most, 1usize);
        while low < high {
            let middle = (low + high) / 2;
            let bit = mixer.decide(io, value > middle, states.map(|state| state + node), self.weights + set);
            node = node << 1 | usize::from(bit);
            if bit {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
