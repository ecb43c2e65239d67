#!/bin/sh
# Runs every target over its seeds and regressions, under AddressSanitizer. Quick once the targets are built.
set -eu
cd "$(dirname "$0")"
./run.sh --build
triple=$(rustc -vV | sed -n 's/^host: //p')
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0:detect_stack_use_after_return=0}"
for source in fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    set --
    for folder in "seeds/$target" "regressions/$target"; do
        for input in "$folder"/*; do
            [ -f "$input" ] && set -- "$@" "$input"
        done
    done
    [ $# -gt 0 ] || continue
    "target/asan/$triple/release/$target" -rss_limit_mb=1024 -timeout=10 "$@" >target/replay.log 2>&1 || {
        cat target/replay.log
        echo "replay: $target fails" >&2
        exit 1
    }
    echo "$target: $# inputs"
done
