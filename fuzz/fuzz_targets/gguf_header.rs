//! See [`mcodec_fuzz::targets::gguf_header`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::gguf_header::run(data));
