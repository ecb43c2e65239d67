#!/bin/sh
# Builds a fuzz target by hand and runs it; cargo-fuzz is not needed.
#   fuzz/run.sh TARGET [SECONDS] [libFuzzer arguments…]     60 seconds unless said; 0: until stopped
#   fuzz/run.sh --build [TARGET]                            builds one target, or all
#   MCODEC_FUZZ_STATS=1 fuzz/run.sh --stats TARGET [SECONDS] also prints the share of inputs past the front door
set -eu
cd "$(dirname "$0")"
triple=$(rustc -vV | sed -n 's/^host: //p')

build() {
    # RUSTC_BOOTSTRAP lets the stable compiler take -Zsanitizer; cover.sh adds coverage.
    RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER="$PWD/cover.sh" RUSTFLAGS="--cfg fuzzing -Zsanitizer=address \
        -Ccodegen-units=1 -Copt-level=3 -Cdebug-assertions -Coverflow-checks" \
    cargo build --release --quiet --target "$triple" --target-dir target/asan "$@"
}

case "${1:-}" in
    --build)
        if [ $# -gt 1 ]; then build --bin "$2"; else build --bins; fi
        exit ;;
    --stats) shift; export MCODEC_FUZZ_STATS="${MCODEC_FUZZ_STATS:-1}" ;;
    '' | -*) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
target=$1
seconds=${2:-60}
[ $# -gt 1 ] && shift 2 || shift 1
build --bin "$target"
mkdir -p "corpus/$target" "artifacts/$target" "seeds/$target" "regressions/$target"
# Safe Rust keeps no pointers into dead frames; short traces make allocation cheap.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0:detect_stack_use_after_return=0:malloc_context_size=4:quarantine_size_mb=16}"
exec "target/asan/$triple/release/$target" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=1024 \
    -timeout=10 -dict=mcodec.dict -artifact_prefix="artifacts/$target/" -print_final_stats=1 "$@" \
    "corpus/$target" "seeds/$target" "regressions/$target"
