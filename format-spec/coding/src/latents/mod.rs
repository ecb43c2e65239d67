//! Grids of numbers with frames, rows and channels, coded under their neighbours in space and time: latents of image and video
//! tokenizers (`SPEC.md` sections 7.8 and 7.9). All that decides about bits is integer arithmetic.

mod ahead;
mod avx2;
mod beside;
mod cells;
mod codes;
mod counters;
mod dense;
mod digits;
mod element;
mod fast;
mod grid;
mod least_squares;
mod level;
mod masks;
mod mixing;
mod neighbours;
mod order;
mod output;
mod position;
mod profile;
mod quantiles;
mod scheme;
mod search;
mod surroundings;
mod tables;
mod tokens;
mod turn;

pub use dense::Shape;
pub use digits::{DigitCells, Digits};
pub use element::Element;
pub use grid::{
    Base, Coder, FORM, Grid, GridContent, MAX_CHANNELS, Quantiser, SharedObjects, Statistics, Told, decode,
    decode_refined, encode, encode_refined,
};
pub use level::Level;
pub use masks::{MAX_MASK_SIDE, Masks, decode_masks, encode_masks};
pub use order::CodeOrder;
pub use scheme::TokenScheme;
pub use tokens::{TokenModel, Tokens, decode_tokens, encode_tokens};
