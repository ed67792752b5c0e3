#!/usr/bin/env bash
# Buildroot calls this with the folder of its images: makes the disk out of the slot and the boot loader.
set -euo pipefail
images=${1:?Buildroot passes the folder of its images}
image=$(cd "$(dirname "$0")/../../image" && pwd)
export PATH=${HOST_DIR:?}/bin:${HOST_DIR:?}/sbin:$PATH

esp=$images/esp
rm -rf "$esp"
mkdir -p "$esp/EFI/BOOT"
consoles='console=tty0 console=ttyS0,115200'
for loader in "$images"/efi-part/EFI/BOOT/*.efi; do
    # Without a boot loader (QEMU's board) the partition is there and empty.
    [ -e "$loader" ] || continue
    case $loader in *aa64.efi) consoles='console=tty0 console=ttyAMA0' ;; esac
    cp "$loader" "$esp/EFI/BOOT/"
    sed "s/@CONSOLES@/$consoles/" "$image/grub/grub.cfg.in" > "$esp/EFI/BOOT/grub.cfg"
done
"$image/disk.sh" "$images/rootfs.squashfs" "$esp" "$images"

# For who boots without firmware, and for the next update.
cp "${TARGET_DIR:?}"/boot/{vmlinuz,initrd} "$images/"
