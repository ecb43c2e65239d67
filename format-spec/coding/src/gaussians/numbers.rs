//! Numbers as binary decisions under mixed contexts (`SPEC.md` section 7.7.1).

use super::mixing::{Binary, Mixer, State, Weights};
use crate::error::{Result, corrupt};

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
        Mixer {
            states: vec![State::NEW; self.states],
            weights: self.weights.iter().map(weights).collect(),
            tally: None,
        }
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
