#!/usr/bin/env bash
# Puts one slot and the files of the EFI partition together to a disk that can be flashed, with an empty data partition.
# Needs mkfs.vfat, mcopy, mkfs.ext4 and genimage in PATH. The same input gives the same disk.
# usage: disk.sh SLOT.squashfs FOLDER-OF-THE-ESP OUTPUT-FOLDER    leaves OUTPUT-FOLDER/disk.img
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
slot=$(readlink -f "$1") esp=$(readlink -f "$2") out=$(readlink -f "$3")
# shellcheck source=/dev/null
source "$here/layout.env"
epoch=${SOURCE_DATE_EPOCH:-0}

work=$(mktemp -d "$out/.disk.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work"/{parts,empty,esp}

size=$(stat -L -c %s "$slot")
if [ "$size" -gt $((SLOT_MIB << 20)) ]; then
    echo "The root file system has $size bytes, a slot ${SLOT_MIB:?} MiB: image/layout.env says so." >&2
    exit 1
fi
ln -s "$slot" "$work/parts/slot.squashfs"

# GRUB writes a trial's end into aerie/grubenv where it lies, so it has its full size from the beginning.
cp -rL "$esp/." "$work/esp/"
mkdir -p "$work/esp/aerie"
{ printf '# GRUB Environment Block\nslot=a\ntry=\n'; printf '#%.0s' {1..1024}; } | head -c 1024 > "$work/esp/aerie/grubenv"
find "$work/esp" -exec touch --date="@$epoch" {} +
truncate -s "${ESP_MIB:?}M" "$work/parts/esp.img"
mkfs.vfat -n AERIE-ESP -i 61657269 "$work/parts/esp.img" >/dev/null
mcopy -m -s -i "$work/parts/esp.img" "$work"/esp/* ::

# Empty, and never formatted again.
E2FSPROGS_FAKE_TIME=$epoch mkfs.ext4 -q -F -b 4096 -J size=16 -L aerie-data -E root_owner=0:0 \
    -E hash_seed=61657269-6500-4000-8000-000000000005 -U 61657269-6500-4000-8000-000000000006 \
    "$work/parts/data.ext4" "${DATA_MIB:?}M"

"$here/genimage/config.sh" > "$work/disk.cfg"
genimage --loglevel 0 --config "$work/disk.cfg" --rootpath "$work/empty" --tmppath "$work/tmp" \
    --inputpath "$work/parts" --outputpath "$work/out"
cp --sparse=always "$work/out/disk.img" "$out/disk.img.new"
mv "$out/disk.img.new" "$out/disk.img"
