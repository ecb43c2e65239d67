//! See [`mcodec_fuzz::targets::gaussians`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::gaussians::run(data));
