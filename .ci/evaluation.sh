#!/usr/bin/env bash
# What runs language models: its own stage, since the tensor library takes long to build and the codec does not need it.
set -euo pipefail
cd "$(dirname "$0")/.."
# The same packages and features each time, so that all is built once; without the GPU, so that what a build without it says is tested too.
what=(-p mcodec-evaluation -p mcodec-tools --features mcodec-evaluation/forward,mcodec-tools/eval --locked)
cargo clippy "${what[@]}" --all-targets -- -D warnings
cargo test "${what[@]}" --lib --test families
cargo test "${what[@]}" --test cli -- evaluation:: gpu::
