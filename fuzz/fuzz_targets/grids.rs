//! See [`mcodec_fuzz::targets::grids`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::grids::run(data));
