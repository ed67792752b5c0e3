#!/usr/bin/env bash
# Buildroot calls this with the root file system's folder when all packages are in it, before anything is packed.
# It may run more than once over the same folder.
set -euo pipefail
target=${1:?Buildroot passes the folder of the root file system}
here=$(cd "$(dirname "$0")" && pwd)
image=$here/../../image

mkdir -p "$target"/{boot,efi,mnt}
: > "$target/etc/machine-id"
echo '# What is mounted mounts image/initramfs/init, and systemd what it always does.' > "$target/etc/fstab"
# The wired network by DHCP, until the first boot's own file says otherwise.
install -D -m 644 "$image/rig/etc/80-aerie.network" "$target/usr/lib/systemd/network/80-aerie.network"
install -m 644 "$image/rig/etc/e2fsck.conf" "$target/etc/e2fsck.conf"

# Buildroot throws all documentation away; our units name these two.
for page in runbook security; do
    install -D -m 644 "$here/../../docs/$page.md" "$target/usr/share/doc/aerie/$page.md"
done

# What is on: ours, and no login anywhere. Buildroot applies presets after this.
install -d "$target/etc/systemd/system-preset" "$target/etc/systemd/system/multi-user.target.wants"
cat > "$target/etc/systemd/system-preset/00-aerie.preset" <<'PRESET'
enable aerie*.service
enable aerie*.path
disable getty@.service
PRESET
for unit in getty@.service serial-getty@.service console-getty.service container-getty@.service \
    systemd-firstboot.service systemd-remount-fs.service; do
    ln -sfn /dev/null "$target/etc/systemd/system/$unit"
done

# GRUB finds one name on every board.
for name in Image bzImage; do
    [ ! -e "$target/boot/$name" ] || mv "$target/boot/$name" "$target/boot/vmlinuz"
done
"$here/initrd.sh" "$target" "$target/boot/initrd"
