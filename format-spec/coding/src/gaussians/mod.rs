//! Sets of 2D Gaussians: what a page of an image is coded as (`SPEC.md` section 7.7).

pub mod integer;
mod quantiser;

pub use quantiser::{
    CHROMA_FACTOR, Constants, MAX_LEVELS, MAX_PLANES, MAX_SIGMA, PLAIN_FACTOR, Quantiser, Symbols,
};
