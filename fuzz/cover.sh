#!/bin/sh
# rustc for run.sh: coverage for mcodec's own crates alone. libFuzzer goes through all counters after each input, and code that
# is not under test (other crates, the mutator) would make up nine tenths of them.
rustc=$1
shift
case " $* " in
    *" --crate-name mcodec_fuzz "*) ;;
    *" --crate-name mcodec_"*" --cfg fuzzing "*)
        set -- "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
            ${MCODEC_FUZZ_COMPARES--Cllvm-args=-sanitizer-coverage-trace-compares}
        ;;
esac
exec "$rustc" "$@"
