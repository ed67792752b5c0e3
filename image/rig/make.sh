#!/usr/bin/env bash
# Assembles the rig: a disk to flash or to boot in QEMU, of Debian's packages, our units and our programs.
# usage: make.sh ARCH [FOLDER WITH aerie AND aerie-agent]
# Leaves target/rig/ARCH/{disk.img,vmlinuz,initrd}.
set -euo pipefail
cd "$(dirname "$0")/../.."
arch=${1:-}
case $arch in
    x86_64) binaries=${2:-target/${PROFILE:-release}} ;;
    aarch64) binaries=${2:-target/cross/aarch64} ;;
    *) echo "The rig is made for x86_64 and aarch64, not for '$arch': make rig ARCH=x86_64" >&2; exit 2 ;;
esac
for program in aerie aerie-agent; do
    [ -x "$binaries/$program" ] && continue
    echo "$binaries/$program is not there: make build (x86_64) or make cross (aarch64) leaves it." >&2
    exit 1
done
# shellcheck source=/dev/null
source image/layout.env
image/rig/base.sh "$arch"
cache=$PWD/target/rig/cache/$arch
out=$PWD/target/rig/$arch
work=$cache/work
rm -rf "$work" && mkdir -p "$work" "$out"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

# ---- a slot: Debian's part, ours, kernel and initramfs ----
root=$work/root
cp -a "$cache/root" "$root"
cp "$cache"/boot/{vmlinuz,initrd} "$root/boot/"
DESTDIR=$root PREFIX=/usr BINARIES=$binaries IMAGE=1 systemd/install.sh
systemd-sysusers --root="$root"
chmod 600 "$root"/etc/*shadow*
image/inspect.sh "$root"
# GRUB reads lzo, and an emulated processor unpacks it fast.
mksquashfs "$root" "$work/slot.squashfs" -quiet -no-progress -all-root -no-xattrs -b 128K \
    -comp lzo -Xalgorithm lzo1x_1 >/dev/null
image/disk.sh "$work/slot.squashfs" "$cache/esp" "$out"
size=$(stat -c %s "$work/slot.squashfs")
cp "$cache"/boot/{vmlinuz,initrd} "$out/"
rm -rf "$work"
echo "target/rig/$arch/disk.img: $((size >> 20)) MiB of root file system in slots of ${SLOT_MIB:?} MiB"
