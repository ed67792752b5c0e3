#!/usr/bin/env bash
# Leaves in target/quick what a rig boots where no release has to be built: debug builds, but the daemon as a release has it,
# with the GUI inside and nothing that only a test may do. Shares everything else with what `make test` builds.
set -euo pipefail
cd "$(dirname "$0")/../.."

locked=()
[ -n "${CI:-}" ] && locked=(--locked)
cargo build "${locked[@]}" --workspace --bins --config profile.dev.package.aerie.debug-assertions=false
mkdir -p target/quick
for program in aerie aerie-agent; do
    strip -o "target/quick/$program" "target/debug/$program"
done
