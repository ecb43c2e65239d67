//! How a picture is laid out and fitted, as the command line says it; and what is measured of images.

use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;

/// What is beyond its edges, and what is fitted at once.
#[derive(Debug, Args)]
pub(crate) struct Layout {
    /// What is beyond an edge: nothing, or what is at the opposite one, for textures that are laid side by side; or for each axis, as repeat,clamp
    #[arg(long, value_enum, value_name = "MODE", value_delimiter = ',', num_args = 1)]
    pub(crate) wrap: Vec<Wrap>,
    /// Side in pixels of the windows that a picture is fitted in, one after another [default: about 1600, of pictures above 6 megapixels]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(256..=16384))]
    pub(crate) window: Option<u32>,
    /// Whether few bytes matter more, or that pages are read fast
    #[arg(long, value_enum, default_value = "dense")]
    pub(crate) profile: Profile,
}

/// How an image's Gaussians are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// The fewest bytes
    Dense,
    /// Somewhat more bytes, read faster
    Fast,
}

/// What is beyond an edge of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wrap {
    /// What is at the opposite one
    Repeat,
    /// Nothing
    Clamp,
}

/// What is measured of images that are encoded.
#[derive(Debug, Args)]
pub(crate) struct BenchPages {
    /// mcodec files with images
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
}
