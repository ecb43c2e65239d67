//! Which predictors and experts the dense coder has.

use super::dense::{BLEND, LOCAL_GUESS, OWN_GUESS};

/// Which predictors and experts there are.
pub(super) trait Profile {
    /// Whether there are predictors of least squares.
    const LEAST_SQUARES: bool;
    /// Of each expert: whose error its scale is from.
    const SOURCE: &'static [usize];
    /// Whether what came of the same surroundings is counted.
    const COUNTERS: bool;
    /// Whether places that are still to come are looked at: something is known of them.
    const AHEAD: bool;
}

/// All of them.
#[derive(Clone)]
pub(super) struct Whole;

impl Profile for Whole {
    const LEAST_SQUARES: bool = true;
    const SOURCE: &'static [usize] = &[BLEND, BLEND, OWN_GUESS, LOCAL_GUESS, 0, 2, BLEND, BLEND];
    const COUNTERS: bool = false;
    const AHEAD: bool = false;
}

/// All of them, and what is known of places ahead: for grids that refine others.
#[derive(Clone)]
pub(super) struct Refined;

impl Profile for Refined {
    const LEAST_SQUARES: bool = true;
    const SOURCE: &'static [usize] = Whole::SOURCE;
    const COUNTERS: bool = false;
    const AHEAD: bool = true;
}

/// All of them, and counters: for digits.
#[derive(Clone)]
pub(super) struct Counted;

impl Profile for Counted {
    const LEAST_SQUARES: bool = true;
    const SOURCE: &'static [usize] = Whole::SOURCE;
    const COUNTERS: bool = true;
    const AHEAD: bool = false;
}

/// Few, and quick.
#[derive(Clone)]
pub(super) struct Light;

impl Profile for Light {
    const LEAST_SQUARES: bool = false;
    const SOURCE: &'static [usize] = &[BLEND];
    const COUNTERS: bool = false;
    const AHEAD: bool = false;
}
