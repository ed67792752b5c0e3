#!/usr/bin/env bash
# Runs a command in a place where the programs of another machine start like this one's: the kernel hands them to QEMU.
# So do the programs that these start in turn. They are in /mnt/binaries there, and the libraries that QEMU finds for them
# in /mnt/system. It is a user namespace with mounts and a table of foreign programs of its own, so that nothing of
# the machine changes and root is not needed; Linux has such tables since 6.7.
# usage: emulated.sh aarch64|armv7 COMMAND [ARGUMENT...]
set -euo pipefail
here=$(realpath "$0")
root=$(dirname "$(dirname "$(dirname "$here")")")

# Called by itself, by root in a namespace where nobody is anybody yet: waits until root is root again.
if [ "$1" = --mapped ]; then
    until grep -q . /proc/self/uid_map; do sleep 0.01; done
    # Only a new start gives the rights that go with it.
    exec "$here" --inside "${@:2}"
fi

# Called by itself, inside and with all rights there.
if [ "$1" = --inside ]; then
    user=$2 group=$3 target=$4
    shift 4
    # shellcheck source=image/toolchain/targets.sh
    source "$root/image/toolchain/targets.sh" "$target"
    if ! mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc; then
        echo "This kernel ($(uname -r)) keeps no such table for a user namespace: it takes Linux 6.7 or newer." >&2
        exit 1
    fi
    # A place that every account may walk to, wherever the sources lie.
    mount -t tmpfs -o mode=755 emulated /mnt
    mkdir /mnt/system /mnt/binaries
    mount --bind "$root/.tools/cross/$target/system" /mnt/system
    mount --bind "$root/target/cross/$target" /mnt/binaries
    cp "$root/.tools/qemu-user/usr/bin/qemu-$qemu" /mnt/qemu
    # As an argument, since programs are started without their parent's environment.
    printf '#!/bin/sh\nexec /mnt/qemu -L /mnt/system "$@"\n' >/mnt/emulator
    chmod 755 /mnt/emulator
    # An ELF file's first twenty bytes, and which of their bits count: not the system's name, and both kinds of program.
    case $target in
        aarch64) class=2 machine=b7 ;;
        armv7) class=1 machine=28 ;;
    esac
    zeros='\x00\x00\x00\x00\x00\x00\x00\x00\x00' ones='\xff\xff\xff\xff\xff\xff\xff'
    printf '%s' ":aerie-$target:M::\\x7fELF\\x0$class\\x01\\x01$zeros\\x02\\x00\\x$machine\\x00" \
        ":$ones\\x00$ones\\xff\\xfe\\xff\\xff\\xff:/mnt/emulator:" >/proc/sys/fs/binfmt_misc/register
    [ "$user" -ne 0 ] || exec "$@"
    exec unshare --user --map-user "$user" --map-group "$group" -- "$@"
fi

if [ "$(id -u)" -ne 0 ]; then
    exec unshare --user --map-root-user --mount -- "$here" --inside "$(id -u)" "$(id -g)" "$@"
fi
# Root stays root and everybody else who they are: the agent gives up root's rights, and that is to be seen here too.
outside=$(readlink /proc/self/ns/user)
(
    until [ "$(readlink "/proc/$$/ns/user")" != "$outside" ]; do sleep 0.01; done
    for map in uid_map gid_map; do echo 0 0 4294967295 >"/proc/$$/$map"; done
) &
exec unshare --user --mount -- "$here" --mapped 0 0 "$@"
