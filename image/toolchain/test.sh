#!/usr/bin/env bash
# Runs the binaries of target/cross/TARGET, under emulation where this machine is another: what they say of themselves,
# and system tests in which daemon, vault and agent do their work. Every step has a limit.
# usage: test.sh aarch64|x86_64|armv7
set -euo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=image/toolchain/targets.sh
source image/toolchain/targets.sh "$1"

here=() binaries=$PWD/target/cross/$1
if [ "$(uname -m)" != "$qemu" ]; then
    here=(image/toolchain/emulated.sh "$1") binaries=/mnt/binaries
fi
limited() {
    local seconds=$1
    shift
    timeout --kill-after 10 "$seconds" "${here[@]}" "$@"
}

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
for program in aerie aerie-agent; do
    said=$(limited 60 "$binaries/$program" --version)
    echo "$1: $said"
    [ "$said" = "$program $version" ] || { echo "It should say: $program $version" >&2; exit 1; }
done

# The system tests know these names. They start the daemon, whose child is the vault, and the agent, on ports of the
# kernel's choice. What looks at a process from outside would find QEMU's, and cuts are in debug builds alone.
tests=(
    lifecycle::a_bad_config_file_ends_with_78_and_names_file_key_and_fix
    lifecycle::a_good_config_file_is_said_to_be_good
    lifecycle::the_set_up_code_is_private
    lifecycle::what_was_acknowledged_survives_a_kill
    lifecycle::sigterm_ends_it_within_ten_seconds_with_live_sockets
    d1_connect::d1_an_enrolled_device_comes_back_after_a_restart_of_either_side
    d3_terminal::d3_a_terminal_echoes_resizes_and_tells_how_it_ended
    v1_vault_process::v1_a_child_works_and_its_end_seals
    v3_sealed::v3_while_the_vault_is_sealed_everything_goes_on_but_showing_passwords
)
locked=()
[ -z "${CI:-}" ] || locked=(--locked)
cargo test "${locked[@]}" --quiet --package aerie-tests --test system --no-run
mkdir -p target/test-logs
AERIE_BINARIES=$binaries limited 300 cargo test "${locked[@]}" --package aerie-tests --test system -- \
    --exact "${tests[@]}" | tee "target/test-logs/cross-$1.log"
grep -q "^test result: ok. ${#tests[@]} passed" "target/test-logs/cross-$1.log" \
    || { echo "Not each of the ${#tests[@]} tests has run: is one called otherwise now?" >&2; exit 1; }
