//! See [`mcodec_fuzz::targets::render`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::render::run(data));
