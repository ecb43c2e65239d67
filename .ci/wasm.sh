#!/usr/bin/env bash
# Tests of codings in WebAssembly, under node: labelled floats with simd128 beside the portable code.
# With --speed, what both decode in a second instead.
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-wasip1
missing=()
# zstd is C.
command -v clang >/dev/null || missing+=(clang)
command -v llvm-ar >/dev/null || missing+=(llvm)
command -v node >/dev/null || missing+=(nodejs)
if ((${#missing[@]})); then
    apt-get update -qq
    apt-get install -y --no-install-recommends "${missing[@]}"
fi
# 75: the toolchain cannot be had here, so nothing was tested.
rustup target add "$target" || exit 75

# Freestanding: zstd brings the headers that it needs, those of this machine are of another.
export CC_wasm32_wasip1=clang AR_wasm32_wasip1=llvm-ar CFLAGS_wasm32_wasip1=-ffreestanding
export CARGO_TARGET_WASM32_WASIP1_RUNNER="$PWD/.ci/wasi.sh"
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-D warnings -C target-feature=+simd128"
if [ "${1:-}" = --speed ]; then
    cargo run --release -p mcodec-coding --target "$target" --example levels --locked
else
    # The library's own tests have those of labelled floats among them.
    cargo test -p mcodec-coding --target "$target" --lib --test difference --test hostile --locked
fi
