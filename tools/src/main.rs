//! The mcodec command line.
fn main() {}
