#!/usr/bin/env bash
# Lays out what the package aerie carries: the tree of `make install IMAGE=1` with the cross-built programs, and the licences.
# usage: stage.sh ARCH    (aarch64 or x86_64; AERIE_BINARIES=folder takes the programs from elsewhere)
# Leaves target/buildroot/stage/ARCH/{root,LICENSE,THIRD-PARTY.txt}.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=${1:?which architecture, aarch64 or x86_64?}
binaries=$(readlink -f "${AERIE_BINARIES:-target/cross/$arch}")
for program in aerie aerie-agent; do
    if [ ! -x "$binaries/$program" ]; then
        echo "$binaries/$program is not there: make cross TARGET=$arch leaves it." >&2
        exit 1
    fi
done

stage=$PWD/target/buildroot/stage/$arch
rm -rf "$stage"
mkdir -p "$stage/root"
make --no-print-directory install IMAGE=1 PREFIX=/usr DESTDIR="$stage/root" BINARIES="$binaries"
cp LICENSE "$stage/"
buildroot/licences.sh "$arch" > "$stage/THIRD-PARTY.txt"
# What was tested is what is shipped: nothing strips or links it again.
for program in aerie aerie-agent; do
    cmp "$binaries/$program" "$stage/root/usr/bin/$program"
done
