//! Fuzzing of mcodec: what the targets do ([`targets`]), and how inputs are made ([`mutate`], [`handmade`]).
//!
//! Nothing here needs libFuzzer: the binaries in `fuzz_targets/` join it on.

pub mod handmade;
pub mod mutate;
pub mod targets;
pub mod typed;
