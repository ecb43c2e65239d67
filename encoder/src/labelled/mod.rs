//! Labelled floats (coding 2): the encoder's choice of row and column labels, tables, shifts and coded signs, by measured cost.
//!
//! [`Matrix`] is a run of a tensor's rows. [`label`] fits scales to its rows and columns and picks the mode that codes it shortest;
//! [`share_classes`] makes the tables of all matrices of a segment, of its own for each that repays them; [`Coder`] codes chunks.
//! Formulas: Rows and columns have scales s, t with |w| about s t; a label is a scale in quarter octaves.

mod coder;
mod fit;
mod histogram;
mod matrix;
mod model;
mod refine;
mod sets;
mod signs;

pub(crate) use coder::Coder;
pub(crate) use fit::label;
pub(crate) use matrix::{Matrix, columns_of};
pub(crate) use sets::{ClassSet, Member, share_classes};

/// Labels per octave of scale.
const PHASES: i32 = 4;

/// What an effort of 1 to 9 stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// The most tables of a set.
    tables: usize,
    precision: u8,
    /// Elements looked at when modes are compared.
    sample: usize,
    /// Rounds of label refinement.
    refinements: usize,
    /// The share of its bytes that coding signs must save.
    least_sign_gain: f64,
}

impl Settings {
    pub(crate) fn of(effort: u8) -> Self {
        let (tables, precision, sample, refinements) = match effort {
            0..=2 => (1, 12, 1 << 18, 2),
            3..=4 => (4, 11, 1 << 17, 0),
            5..=6 => (4, 12, 1 << 18, 1),
            7 => (8, 12, 1 << 20, 1),
            8 => (8, 12, usize::MAX, 1),
            _ => (16, 12, usize::MAX, 2),
        };
        // A coded sign takes a decoder nearly as long as a symbol: up to the default effort it must be worth it.
        let least_sign_gain = match effort {
            0..=2 => 0.0005,
            3..=4 => 0.002,
            5..=6 => 0.0005,
            _ => 0.0,
        };
        Self { tables, precision, sample, refinements, least_sign_gain }
    }
}
