//! Sets of 2D Gaussians: what a page of an image is coded as (`SPEC.md` section 7.7).

mod area;
mod card;
mod colours;
mod fast;
pub mod integer;
pub mod mixing;
mod model;
mod neighbours;
mod numbers;
mod positions;
mod quantiser;
mod set;
pub mod static_tables;
pub mod training;

pub use area::{Area, Grain};
pub use card::{Card, ColourCard, PRICED};
pub use colours::MAX_COLOUR;
pub use fast::{FastDecoder, FastEncoder};
pub use model::{Role, trained, untrained};
pub use quantiser::{
    CHROMA_FACTOR, Constants, MAX_LEVELS, MAX_PLANES, MAX_SIGMA, PLAIN_FACTOR, Quantiser, Symbols,
};
pub use set::{GaussianSet, Image, MAX_CELLS, MAX_GAUSSIANS, SetCoder, canonical, canonical_order};
