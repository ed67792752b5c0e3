#!/usr/bin/env bash
# Boots the rigs in target/rig and runs the tests that need a whole machine. The devices are this machine's debug build.
set -euo pipefail
cd "$(dirname "$0")/../.."

locked=()
[ -n "${CI:-}" ] && locked=(--locked)
cargo build "${locked[@]}" --package aerie-tests --bin aerie-simulator
export AERIE_BINARIES=$PWD/target/debug AERIE_RIG=target/rig
# Two machines at a time: each has as many processors as most machines that run this.
cargo test "${locked[@]}" --package aerie-tests --test boot -- --test-threads=2 --nocapture "$@"
