//! Forward passes of language models, used only to measure what compression costs and to collect statistics for it.
//!
//! All is behind the feature `forward`: a build of the workspace leaves the tensor library out.
#![cfg(feature = "forward")]
#![deny(unsafe_code)]

pub mod architecture;
mod error;
mod forward;
mod layer;
mod mixture;
pub mod peers;
pub mod protocol;
pub mod score;
pub mod statistics;
pub mod text;
pub mod weights;

pub use architecture::Architecture;
pub use error::{EvaluationError, Result};
pub use forward::{Observer, Progress};
pub use protocol::Protocol;
pub use score::{Against, Evaluation, Judge, Original, Score};
pub use statistics::Statistics;
pub use text::{Text, Tokens};
pub use weights::{Replaced, Weights, open_weights};
