//! See [`mcodec_fuzz::targets::round_trip`]. An input is a case for `arbitrary` or, as seeds and regressions are, what
//! the target takes: a byte of options and a safetensors file.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use mcodec_encode::import::safetensors::looks_like_safetensors;
use mcodec_fuzz::targets::round_trip;
use mcodec_fuzz::typed::Case;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if data.get(1..).is_some_and(|model| looks_like_safetensors(model, Some(model.len() as u64))) {
        return round_trip::run(data);
    }
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let input = case.to_bytes();
    if let Some(path) = std::env::var_os("MCODEC_FUZZ_DUMP") {
        std::fs::write(path, &input).expect("the input as a regression");
    }
    round_trip::run(&input);
});
