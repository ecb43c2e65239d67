//! The order of a codebook's tokens in which like ones are near each other: the leaves of a tree, from left to right.

use super::codes::MAX_VOCABULARY;
use super::dense::Decisions;
use crate::error::{Result, invalid};

/// A renumbering of tokens: rank of each, and the token of each rank. Of two halves of a node that are as large, the one with the
/// least token is the left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeOrder {
    ranks: Vec<u16>,
    tokens: Vec<u16>,
}

impl CodeOrder {
    /// Of tokens from the first leaf to the last; halves may change places.
    ///
    /// # Errors
    /// If they are not all numbers below their count, each once, or more than a codebook has.
    pub fn new(mut tokens: Vec<u16>) -> Result<Self> {
        let count = tokens.len();
        if !(2..=MAX_VOCABULARY as usize).contains(&count) {
            return Err(invalid("an order of too few or too many tokens"));
        }
        let mut half = 1;
        while half < count {
            for node in tokens.chunks_exact_mut(2 * half) {
                let (left, right) = node.split_at_mut(half);
                if right.iter().min() < left.iter().min() {
                    left.swap_with_slice(right);
                }
            }
            half *= 2;
        }
        Self::of_leaves(tokens)
    }

    fn of_leaves(tokens: Vec<u16>) -> Result<Self> {
        let mut ranks = vec![u16::MAX; tokens.len()];
        for (rank, &token) in tokens.iter().enumerate() {
            match ranks.get_mut(usize::from(token)) {
                Some(place) if *place == u16::MAX => *place = rank as u16,
                _ => return Err(invalid("an order that is no renumbering of tokens")),
            }
        }
        Ok(Self { ranks, tokens })
    }

    /// Tokens of the codebook.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.tokens.len()
    }

    /// The tokens, from the first leaf to the last.
    #[must_use]
    pub fn leaves(&self) -> &[u16] {
        &self.tokens
    }

    /// The place of a token among the leaves.
    #[inline(always)]
    pub(super) fn rank(&self, token: u16) -> u16 {
        self.ranks[usize::from(token)]
    }

    /// The token of a leaf.
    #[inline(always)]
    pub(super) fn token(&self, rank: u16) -> u16 {
        self.tokens[usize::from(rank)]
    }

    /// Codes an order: of the tokens of each node, from the root and level by level, which are in its right half.
    pub(super) fn code(
        decisions: &mut impl Decisions,
        vocabulary: usize,
        known: Option<&Self>,
    ) -> Result<Self> {
        let mut members: Vec<u16> = (0..vocabulary).map(|token| token as u16).collect();
        let mut right_half = Vec::new();
        let mut half = vocabulary.next_power_of_two() / 2;
        while half > 0 {
            for start in (0..vocabulary).step_by(2 * half) {
                let end = vocabulary.min(start + 2 * half);
                let Some(mut right) = (end - start).checked_sub(half).filter(|&right| right > 0) else {
                    continue;
                };
                let mut first_is_left = right == half;
                right_half.clear();
                let mut to = start;
                for at in start..end {
                    let token = members[at];
                    let left = end - at;
                    let wanted = known.is_some_and(|order| usize::from(order.rank(token)) >= start + half);
                    let is_right = match right {
                        0 => false,
                        _ if first_is_left => false,
                        _ if right == left => true,
                        _ => decisions.code(wanted, ((right << 16) / left) as u32),
                    };
                    first_is_left = false;
                    if is_right {
                        right -= 1;
                        right_half.push(token);
                    } else {
                        members[to] = token;
                        to += 1;
                    }
                }
                members[to..end].copy_from_slice(&right_half);
            }
            half /= 2;
        }
        Self::of_leaves(members)
    }
}
