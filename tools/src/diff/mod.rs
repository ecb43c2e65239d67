//! Comparison of two inputs: structure first, then content.

mod compare;
mod number;
mod report;
mod side;

pub(crate) use compare::compare;
pub(crate) use report::{Report, text};
pub(crate) use side::pairs;
