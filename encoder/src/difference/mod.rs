//! Differences from a base (coding 4): the encoder's choice of labels, low-rank predictors and tables, by measured cost.
//!
//! A [`Member`] is a run of a tensor's rows with its base. Members that multiply the same input are stacked, so that they share the
//! columns' factors; [`plan`] fits labels and predictors to each stack and picks, under the tables that all share, what codes it
//! shortest; [`Coder`] codes chunks.
//! Formulas: the difference n - x has scales s, t of row and column, |n - x| about s t; a label is a scale in quarter octaves. What is
//! left of it after division by s t is nearly low rank: U S V', told as integers a = U S / d1, b = V S / d2.

mod candidate;
mod coder;
mod fit;
mod lowrank;
mod matrix;
mod plan;
mod stack;
mod tables;

pub(crate) use coder::Coder;
pub(crate) use matrix::Member;
pub(crate) use plan::{Plan, plan};

/// What an effort of 1 to 9 stands for.
#[derive(Debug, Clone)]
struct Settings {
    /// Ranks that are tried besides 0.
    ranks: &'static [usize],
    /// Shares of the residual's energy that rounding the factors may add.
    roundings: &'static [f32],
    /// Elements of a stack that its columns' factors are fitted to.
    sample: usize,
    /// Rounds of subspace iteration.
    rounds: usize,
}

impl Settings {
    fn of(effort: u8) -> Self {
        let (ranks, roundings, sample, rounds): (&[usize], &[f32], usize, usize) = match effort {
            0..=2 => (&[], &[], 0, 0),
            3..=4 => (&[8], &[0.25], 1 << 20, 1),
            5..=6 => (&[8, 16], &[0.25], 1 << 21, 2),
            7..=8 => (&[8, 16, 24], &[0.25], 1 << 22, 2),
            _ => (&[4, 8, 12, 16, 24, 32], &[0.1, 0.25], 1 << 24, 3),
        };
        Self { ranks, roundings, sample, rounds }
    }
}
