//! See [`mcodec_fuzz::targets::decode`].
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| mcodec_fuzz::targets::decode::run(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mcodec_fuzz::mutate::container(data, size, max_size, seed, true, &mut fuzzer_mutate)
});
