//! See [`mcodec_fuzz::targets::tables`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::tables::run(data));
