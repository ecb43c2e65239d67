//! End-to-end tests of the `mcodec` binary: what a person types, and what then is on the screen, in the exit code and on the disk.
//!
//! `MCODEC_BLESS=1` rewrites the texts in `golden/`. `MCODEC_STREAM_GIB` sets the size of the generated stream.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_inputs;
mod bad_outputs;
mod big_stream;
mod commands;
mod concurrency;
mod evaluation;
mod exit_codes;
mod flags;
mod folders;
mod foreign;
mod gguf;
mod golden;
mod gpu;
#[cfg(feature = "images")]
mod images;
mod interrupts;
mod kills;
mod masks;
mod names;
mod packed;
mod pipes;
mod recipes;
mod records;
mod selection;
mod small_models;
mod terminal;
mod tracks;
mod workplace;

/// Containers made by hand from the wire types.
#[path = "../tests/conformance/hand.rs"]
#[allow(dead_code, unreachable_pub, reason = "the conformance vectors use the rest")]
mod hand;
