//! Labelled floats (coding 2): the encoder's choice of row and column labels, tables, shifts and coded signs, by measured cost.
//!
//! [`Matrix`] is a run of a tensor's rows. [`label`] fits scales to its rows and columns and picks the mode that codes it shortest;
//! [`share_classes`] makes the tables of all matrices of a segment, of its own for each that repays them; [`Coder`] codes chunks.
//! Formulas: Rows and columns have scales s, t with |w| about s t; a label is a scale in quarter octaves.

mod coder;
mod fit;
mod histogram;
mod log2;
mod matrix;
mod model;
mod refine;
mod sets;
mod signs;
mod sums;

use crate::SymbolCodes;

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
    mode_sample: usize,
    /// Elements of a tensor looked at when tables are made.
    sample: usize,
    /// Rows looked at while columns are fitted.
    fitted_rows: usize,
    /// Whether a tensor's own tables are made to see what they would save.
    weighs_models: bool,
    /// Rounds of fitting labels to each other's rounded scales.
    refits: usize,
    /// Rounds of label refinement.
    refinements: usize,
    /// The share of its bytes that coding signs must save.
    least_sign_gain: f64,
}

impl Settings {
    pub(crate) fn of(effort: u8) -> Self {
        let (tables, precision, refinements) = match effort {
            0..=2 => (1, 12, 0),
            3..=4 => (4, 11, 0),
            5 => (8, 12, 0),
            6..=8 => (8, 12, 1),
            _ => (16, 12, 2),
        };
        let (mode_sample, sample, fitted_rows, refits) = match effort {
            0..=4 => (1 << 15, 1 << 18, 1024, 0),
            5 => (1 << 15, 1 << 19, 1024, 0),
            6 => (1 << 17, 1 << 20, 4096, 0),
            7 => (1 << 18, 1 << 20, 4096, 1),
            _ => (usize::MAX, usize::MAX, usize::MAX, 1),
        };
        // A coded sign takes a decoder nearly as long as a symbol: up to the default effort it must be worth it.
        let least_sign_gain = match effort {
            0..=2 => f64::INFINITY,
            3..=4 => 0.002,
            5 => 0.001,
            6 => 0.0005,
            _ => 0.0,
        };
        let weighs_models = effort >= 7;
        Self {
            tables,
            precision,
            mode_sample,
            sample,
            fitted_rows,
            weighs_models,
            refits,
            refinements,
            least_sign_gain,
        }
    }

    /// The same, for symbols that are coded so.
    fn with(self, codes: SymbolCodes) -> Self {
        match codes {
            // Signs have no prefix codes; longer ones than 11 bits would only make tables larger.
            SymbolCodes::Prefix => Self { least_sign_gain: f64::INFINITY, precision: 11, ..self },
            SymbolCodes::Rans => self,
        }
    }
}
