#!/usr/bin/env bash
# Says which libraries of the system a binary asks for and the newest version of each that it needs, and refuses what an
# older system would not have.
# usage: floor.sh GLIBC SYSTEMD BINARY...
set -euo pipefail
export LC_ALL=C

glibc=$1 systemd=$2
shift 2
# At most as new? `GLIBC_ABI_…` is no number, and newer than any floor.
within() { [[ $1 =~ ^[0-9.]+$ ]] && [ "$(printf '%s\n' "$1" "$2" | sort -V | tail -n 1)" = "$2" ]; }

status=0
for binary in "$@"; do
    versions=$(readelf --wide --version-info "$binary" | grep -oE 'Name: (GLIBC|LIBSYSTEMD)_[A-Za-z0-9_.]+' \
        | sed 's/Name: //' | sort -Vu)
    libraries=$(readelf --wide --dynamic "$binary" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ')
    echo "$binary: $(stat --format %s "$binary") bytes, needs $(awk -F _ '
        { name = $1; newest[name] = substr($0, length(name) + 2) }
        END { for (name in newest) printf "%s %s, ", name, newest[name] }' <<<"$versions")links ${libraries% }"
    for version in $versions; do
        case $version in
            GLIBC_*) within "${version#*_}" "$glibc" ;;
            LIBSYSTEMD_*) within "${version#*_}" "$systemd" ;;
        esac || { echo "$binary needs $version, and the floor is glibc $glibc, systemd $systemd." >&2; status=1; }
    done
    for library in $libraries; do
        case $library in
            libc.so.6 | libm.so.6 | libdl.so.2 | librt.so.1 | libpthread.so.0 | libutil.so.1 | ld-linux*.so.*) ;;
            libgcc_s.so.1 | libsystemd.so.0) ;;
            *) echo "$binary links $library, which is not on every system." >&2; status=1 ;;
        esac
    done
done
exit "$status"
