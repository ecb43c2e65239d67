//! See [`mcodec_fuzz::targets::tokens`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::tokens::run(data));
