#!/usr/bin/env bash
# Boots the rigs in target/rig and runs the tests that need a whole machine. What they start beside it, devices and the
# integrator's hash-password, are this machine's debug builds.
set -euo pipefail
cd "$(dirname "$0")/../.."

locked=()
[ -n "${CI:-}" ] && locked=(--locked)
cargo build "${locked[@]}" --workspace --bins
export AERIE_BINARIES=$PWD/target/debug AERIE_RIG=target/rig
# Three machines at a time: most have one processor, and they wait for their watchdogs and networks half of the time.
cargo test "${locked[@]}" --package aerie-tests --test boot -- --test-threads=3 --nocapture "$@"
