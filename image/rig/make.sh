#!/usr/bin/env bash
# Assembles the rig: a disk to flash or to boot in QEMU, of Debian's packages, our units and our programs.
# usage: make.sh ARCH [FOLDER WITH aerie AND aerie-agent]
# Leaves target/rig/ARCH/{disk.img,vmlinuz,initrd}.
set -euo pipefail
cd "$(dirname "$0")/../.."
arch=${1:-}
case $arch in
    x86_64) binaries=${2:-target/release} ;;
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
rm -rf "$work" && mkdir -p "$work"/{parts,empty} "$out"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

# ---- a slot: Debian's part, ours, kernel and initramfs ----
root=$work/root
cp -a "$cache/root" "$root"
cp "$cache"/boot/{vmlinuz,initrd} "$root/boot/"
image/rig/install.sh "$root" "$binaries"
# GRUB reads lzo, and an emulated processor unpacks it fast.
mksquashfs "$root" "$work/parts/slot.squashfs" -quiet -no-progress -all-root -no-xattrs -comp lzo -Xalgorithm lzo1x_1 \
    -b 128K -all-time "$SOURCE_DATE_EPOCH" -mkfs-time "$SOURCE_DATE_EPOCH" >/dev/null
size=$(stat -c %s "$work/parts/slot.squashfs")
if [ "$size" -gt $((SLOT_MIB << 20)) ]; then
    echo "The root file system has $size bytes, a slot ${SLOT_MIB:?} MiB: image/layout.env says so." >&2
    exit 1
fi

# ---- ESP ----
truncate -s "${ESP_MIB:?}M" "$work/parts/esp.img"
mkfs.vfat -n AERIE-ESP -i 61657269 "$work/parts/esp.img" >/dev/null
find "$cache/esp" -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
mcopy -m -s -i "$work/parts/esp.img" "$cache"/esp/* ::

# ---- data: empty, and never formatted again ----
E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mkfs.ext4 -q -F -b 4096 -J size=16 -L aerie-data -E root_owner=0:0 \
    -E hash_seed=61657269-6500-4000-8000-000000000005 -U 61657269-6500-4000-8000-000000000006 \
    "$work/parts/data.ext4" "${DATA_MIB:?}M"

image/genimage/config.sh > "$work/disk.cfg"
genimage --loglevel 1 --config "$work/disk.cfg" --rootpath "$work/empty" --tmppath "$work/tmp" \
    --inputpath "$work/parts" --outputpath "$work/out"
cp --sparse=always "$work/out/disk.img" "$out/disk.img.new"
mv "$out/disk.img.new" "$out/disk.img"
cp "$cache"/boot/{vmlinuz,initrd} "$out/"
rm -rf "$work"
echo "target/rig/$arch/disk.img: $((size >> 20)) MiB of root file system in slots of $SLOT_MIB MiB"
