//! See [`mcodec_fuzz::targets::archive`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::archive::run(data));
