//! What each fuzz target does with its input, as plain functions. They panic where a rule is broken.
//!
//! The ordinary tests compile this module too (`tests/tests/fuzz_regressions.rs`), so it depends on the mcodec crates and `tempfile` alone.

pub mod archive;
pub mod built;
pub mod codes;
pub mod container;
pub mod decode;
pub mod difference;
pub mod forward;
pub mod front_door;
pub mod gaussians;
pub mod gguf_header;
pub mod grids;
pub mod index;
pub mod labelled;
pub mod no_limits;
pub mod npy;
pub mod pickle;
pub mod render;
pub mod round_trip;
pub mod safetensors_header;
pub mod tables;
pub mod tokens;

/// A target's function.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its folders of seeds and regressions.
pub const ALL: [(&str, Target); 18] = [
    ("container", container::run),
    ("index", index::run),
    ("tables", tables::run),
    ("decode", decode::run),
    ("forward", forward::run),
    ("safetensors_header", safetensors_header::run),
    ("gguf_header", gguf_header::run),
    ("round_trip", round_trip::run),
    ("no_limits", no_limits::run),
    ("archive", archive::run),
    ("pickle", pickle::run),
    ("npy", npy::run),
    ("gaussians", gaussians::run),
    ("render", render::run),
    ("grids", grids::run),
    ("codes", codes::run),
    ("tokens", tokens::run),
    ("built", built::run),
];
