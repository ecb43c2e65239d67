//! Which sixteenth of what is expected a number is in, where numbers are so close together that their cells need not be looked at
//! (`SPEC.md` section 7.10.5).

use super::dense::{CLASSES, Decisions};

/// Logarithms of `k / (16 - k)`, k from 1 to 15, in units of 2^-10.
pub(super) const QUANTILES: [i64; 15] =
    [-2773, -1993, -1502, -1125, -807, -523, -257, 0, 257, 523, 807, 1125, 1502, 1993, 2773];
/// Numbers between the first and the last quantile from which on they are close together.
pub(super) const MANY: i32 = 24;

/// Probabilities of the decisions of a balanced tree of sixteenths, in 65536ths.
#[derive(Clone)]
pub(super) struct Quantiles {
    by_class: Vec<[u16; 16]>,
    by_channel: Vec<[u16; 16]>,
}

impl Quantiles {
    /// That have seen none.
    pub(super) fn new(channels: usize) -> Self {
        let new = |count: usize| vec![[1 << 15; 16]; count];
        Self { by_class: new(CLASSES), by_channel: new(channels) }
    }

    /// Bytes in memory.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&self.by_class[..]) + size_of_val(&self.by_channel[..])
    }

    /// Codes the sixteenth of a number of a channel; `is_from` tells whether it is in sixteenth `low` or a later one, if that is known.
    #[inline(always)]
    pub(super) fn code(
        &mut self,
        decisions: &mut impl Decisions,
        channel: usize,
        class: usize,
        is_from: impl Fn(usize) -> bool,
    ) -> usize {
        let (by_class, by_channel) = (&mut self.by_class[class], &mut self.by_channel[channel]);
        let (mut low, mut node) = (0, 1);
        for width in [8, 4, 2, 1] {
            let (a, b) = (&mut by_class[node & 15], &mut by_channel[node & 15]);
            let one = (u32::from(*a) + u32::from(*b)) >> 1;
            let bit = decisions.code(is_from(low + width), one.clamp(24, 65_512));
            let target = if bit { 65_535i32 } else { 0 };
            *a = (i32::from(*a) + ((target - i32::from(*a)) >> 6)) as u16;
            *b = (i32::from(*b) + ((target - i32::from(*b)) >> 6)) as u16;
            node = 2 * node + usize::from(bit);
            low += if bit { width } else { 0 };
        }
        low
    }
}
