//! See [`mcodec_fuzz::targets::pickle`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::pickle::run(data));
