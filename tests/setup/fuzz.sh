#!/usr/bin/env bash
# Fuzzes every target for some seconds, starting from the stored corpus, on each core another one.
# usage: fuzz.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

# The sanitizers come with the stable toolchain; only their switch is called unstable.
export RUSTC_BOOTSTRAP=1
# cargo-fuzz asks for one, which compiles the daemon on one core.
export RUSTFLAGS=-Ccodegen-units=16

fuzz() {
    local target=$1 seconds=$2 fresh inputs
    mkdir -p "corpus/$target"
    # New findings go to a folder that is thrown away: the stored corpus is checked in by hand.
    fresh=$(mktemp -d)
    if ! cargo fuzz run --fuzz-dir . "$target" "$fresh" "corpus/$target" -- \
        -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 >"$fresh.log" 2>&1; then
        echo "== $target has found something"
        cat "$fresh.log"
        return 255
    fi
    # A run without its figures was none.
    inputs=$(grep number_of_executed_units "$fresh.log")
    echo "== $target: ${seconds}s, ${inputs##* } inputs"
    rm -rf "$fresh" "$fresh.log"
}
export -f fuzz

cargo fuzz build --fuzz-dir .
cargo fuzz list --fuzz-dir . | xargs -P "$(nproc)" -I '{}' bash -euo pipefail -c 'fuzz {} '"$1"
