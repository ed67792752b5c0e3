#!/usr/bin/env bash
# Boots the rigs in target/rig and runs the tests that need a whole machine. The devices are this machine's debug build.
set -euo pipefail
cd "$(dirname "$0")/../.."

locked=()
[ -n "${CI:-}" ] && locked=(--locked)
cargo build "${locked[@]}" --package aerie-tests --bin aerie-simulator
export AERIE_BINARIES=$PWD/target/debug AERIE_RIG=target/rig
# Three machines at a time: most have one processor, and they wait for their watchdogs and networks half of the time.
cargo test "${locked[@]}" --package aerie-tests --test boot -- --test-threads=3 --nocapture "$@"
