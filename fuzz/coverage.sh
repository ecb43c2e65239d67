#!/bin/sh
# Line and region coverage of the format, coding and decoder by a fuzz target's corpus, seeds and regressions.
#   fuzz/coverage.sh TARGET...        needs llvm-profdata and llvm-cov of the compiler's LLVM; LLVM_SUFFIX=-22 picks Debian's
set -eu
cd "$(dirname "$0")"
triple=$(rustc -vV | sed -n 's/^host: //p')
for target in "$@"; do
    RUSTFLAGS="--cfg fuzzing -Cinstrument-coverage -Ccodegen-units=1" \
        cargo build --release --quiet --target "$triple" --target-dir target/coverage --bin "$target"
    set -- ; for folder in "corpus/$target" "seeds/$target" "regressions/$target"; do [ -d "$folder" ] && set -- "$@" "$folder"; done
    LLVM_PROFILE_FILE="target/coverage/$target-%p.profraw" "target/coverage/$triple/release/$target" -runs=0 "$@" 2>/dev/null
    "llvm-profdata${LLVM_SUFFIX-}" merge -sparse "target/coverage/$target"-*.profraw -o "target/coverage/$target.profdata"
    rm -f "target/coverage/$target"-*.profraw
    echo "== $target"
    "llvm-cov${LLVM_SUFFIX-}" report "target/coverage/$triple/release/$target" -instr-profile="target/coverage/$target.profdata" \
        -ignore-filename-regex='\.cargo|/rustc/|fuzz/|encoder/'
done
