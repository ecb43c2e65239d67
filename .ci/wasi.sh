#!/usr/bin/env bash
# Runs a program for wasm32-wasip1 under node: wasi.sh PROGRAM ARGUMENT...
# Compiled whole before it starts: node has been seen to die as it left with code still compiling behind it (SIGSEGV after the last test).
run() { node --no-warnings --no-liftoff "$(dirname "$0")/wasi.mjs" "$@"; }
status=0
run "$@" || status=$?
# What runs inside cannot raise a signal (a fault there is an exception, status 1): this was node itself.
if ((status > 128)); then
    echo "node died of signal $((status - 128)); once more" >&2
    status=0
    run "$@" || status=$?
fi
exit "$status"
