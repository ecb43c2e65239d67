//! Comparison of two inputs: structure first, then content.

mod compare;
mod number;
#[cfg(feature = "images")]
pub(crate) mod pictures;
mod report;
mod side;
#[cfg(feature = "images")]
mod ssim;

pub(crate) use compare::compare;
pub(crate) use report::{Report, text};
pub(crate) use side::pairs;
