#!/usr/bin/env bash
# Runs every test and closes with one line that counts them all. Logs stay in target/test-logs.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

logs=target/test-logs
mkdir -p "$logs"
rm -f "$logs"/*.log
locked=()
[ -n "${CI:-}" ] && locked=(--locked)
worst=0

step() {
    local name=$1
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$logs/$name.log"
    local status=${PIPESTATUS[0]}
    [ "$status" -eq 0 ] || { worst=1; echo "== $name ended with status $status" >&2; }
}

# The system and browser tests start these binaries.
cargo build "${locked[@]}" --workspace --bins || exit 1
export AERIE_BINARIES=$PWD/target/debug

# testssl.sh asks one question after the other for more than a minute, so its test runs beside all the others.
cargo test "${locked[@]}" --workspace --no-run || exit 1
cargo test "${locked[@]}" --workspace --test system -- --ignored p4_testssl > "$logs/testssl.log" 2>&1 &
testssl=$!

step rust cargo test "${locked[@]}" --workspace --no-fail-fast
echo "== testssl"
wait "$testssl" || { worst=1; echo "== testssl ended with status $?" >&2; }
cat "$logs/testssl.log"
step gui npm --prefix gui run --silent test
step browser npm --prefix tests/browser run --silent test

# cargo: "test result: ok. 3 passed; 0 failed"; vitest: "Tests  1 failed | 4 passed (5)"; Playwright: "  4 passed (9s)".
count() { sed 's/\x1b\[[0-9;]*m//g' "$logs"/*.log \
    | grep -E '^test result:|^ *Tests +[0-9]|^ +[0-9]+ (passed|failed)( \(|$)' \
    | grep -oE "[0-9]+ $1" | awk '{ n += $1 } END { print n + 0 }'; }
passed=$(count passed)
failed=$(count failed)
[ "$passed" -gt 0 ] || worst=1
if [ "$worst" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
if [ "$worst" -ne 0 ]; then
    echo "== what failed, and the first lines of why"
    sed 's/\x1b\[[0-9;]*m//g' "$logs"/*.log | grep -E -A6 "^ +[0-9]+\) \[|^thread '.*panicked at|^ FAIL " \
        | grep -vE "^ +[0-9]+: |^ +at |^ *$|^--$|stack backtrace" | head -24
fi
echo "total: $passed passed, $failed failed"
exit "$worst"
