#!/usr/bin/env bash
# What runs language models: its own stage, since the tensor library takes long to build and the codec does not need it.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo clippy -p mcodec-evaluation -p mcodec-tools --all-targets --features mcodec-evaluation/forward,mcodec-tools/eval,mcodec-tools/gpu --locked -- -D warnings
cargo test -p mcodec-evaluation --features forward --locked
cargo test -p mcodec-tools --features eval,gpu --test cli --locked evaluation::
