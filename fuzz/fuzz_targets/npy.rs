//! See [`mcodec_fuzz::targets::npy`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::npy::run(data));
