//! See [`mcodec_fuzz::targets::safetensors_header`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::safetensors_header::run(data));
