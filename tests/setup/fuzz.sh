#!/usr/bin/env bash
# Fuzzes every target for some seconds, starting from the stored corpus.
# usage: fuzz.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

# The sanitizers come with the stable toolchain; only their switch is called unstable.
export RUSTC_BOOTSTRAP=1
# cargo-fuzz asks for one, which compiles the daemon on one core.
export RUSTFLAGS=-Ccodegen-units=16
for target in $(cargo fuzz list --fuzz-dir .); do
    mkdir -p "corpus/$target"
    fresh=$(mktemp -d)
    echo "== $target: ${1}s"
    # New findings go to a folder that is thrown away: the stored corpus is checked in by hand.
    if ! cargo fuzz run --fuzz-dir . "$target" "$fresh" "corpus/$target" -- \
        -max_total_time="$1" -max_len=65536 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 >"$fresh.log" 2>&1; then
        cat "$fresh.log"
        exit 1
    fi
    grep number_of_executed_units "$fresh.log"
    rm -rf "$fresh" "$fresh.log"
done
