//! See [`mcodec_fuzz::targets::index`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::index::run(data));
