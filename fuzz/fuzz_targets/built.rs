//! See [`mcodec_fuzz::targets::built`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::built::run(data));
