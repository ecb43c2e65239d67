//! What the end-to-end tests share: places of inputs, generated models, and ways to break files.

pub mod break_file;
pub mod counting;
pub mod files;
pub mod gguf;
pub mod inputs;
pub mod npy;
