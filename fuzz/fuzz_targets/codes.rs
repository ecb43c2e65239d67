//! See [`mcodec_fuzz::targets::codes`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::codes::run(data));
