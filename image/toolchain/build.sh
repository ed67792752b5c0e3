#!/usr/bin/env bash
# Builds the daemon and the agent for another machine: target/cross/TARGET/{aerie,aerie-agent}, stripped, and says what
# they weigh and what they ask of the system. Debian's compiler, and zig to link for an older glibc than Debian's; or
# the tool `cross` and its containers, which may be newer.
# usage: build.sh aarch64|x86_64|armv7 [debian|cross]   (from the environment: PROFILE=release, or quick for tests;
# BENCH=1 for what measures as well)
set -euo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=image/toolchain/targets.sh
source image/toolchain/targets.sh "$1"
with=${2:-debian}
profile=${PROFILE:-release}
programs=(aerie aerie-agent)
arguments=(--profile "$profile" --package aerie --package aerie-agent)
if [ -n "${BENCH:-}" ]; then
    programs+=(aerie-bench aerie-simulator)
    arguments+=(--package aerie-tests)
fi
for program in "${programs[@]}"; do arguments+=(--bin "$program"); done
[ -z "${CI:-}" ] || arguments+=(--locked)

case $with in
    debian)
        place=$PWD/.tools/cross/$1
        # rustup's compiler, which rust-toolchain.toml names, has no library for the target; so nothing of it is asked.
        unset RUSTUP_TOOLCHAIN RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
        export RUSTC=$place/rust/usr/bin/rustc CARGO=$place/rust/usr/bin/cargo
        export PATH=$place/rust/usr/bin:$PWD/.tools/python/bin:/usr/local/bin:/usr/bin:/bin
        LD_LIBRARY_PATH=$(printf '%s:' "$place"/rust/usr/lib/*-linux-gnu*)
        export LD_LIBRARY_PATH=${LD_LIBRARY_PATH%:}
        export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_SYSROOT_DIR=$place/system
        export PKG_CONFIG_LIBDIR=$place/system/usr/lib/$libraries/pkgconfig
        export CARGO_ZIGBUILD_CACHE_DIR=$PWD/.tools/cross/cache ZIG_GLOBAL_CACHE_DIR=$PWD/.tools/cross/cache/zig
        cargo-zigbuild zigbuild "${arguments[@]}" --target-dir target --target "$triple.$floor_of_glibc"
        ;;
    cross)
        export CROSS_CONFIG=cross.toml
        cross build "${arguments[@]}" --target-dir target --target "$triple"
        floor_of_glibc=2.31
        ;;
    *)
        echo "WITH=$with is not known: say WITH=debian or WITH=cross." >&2
        exit 1
        ;;
esac

mkdir -p "target/cross/$1"
for program in "${programs[@]}"; do
    install -m 755 "target/$triple/$profile/$program" "target/cross/$1/$program"
done
image/toolchain/floor.sh "$floor_of_glibc" "$floor_of_systemd" "target/cross/$1"/{aerie,aerie-agent}
size=$(stat --format %s "target/cross/$1/aerie")
if [ "$profile" = release ] && [ "$size" -gt $((megabytes_of_aerie << 20)) ]; then
    echo "target/cross/$1/aerie is $size bytes: more than $megabytes_of_aerie MiB." >&2
    exit 1
fi
