#!/usr/bin/env bash
# Boots the rig's disk by UEFI firmware and GRUB, as a real machine would, with a disk of its own that stays in
# target/rig/ARCH/kept.qcow2: the appliance keeps what it is given. Delete that file to begin anew.
# usage: qemu.sh ARCH
set -euo pipefail
cd "$(dirname "$0")/../.."
arch=$1
folder=target/rig/$arch
disk=$folder/kept.qcow2
# A kept disk is laid over its image: another image needs another disk.
if [ ! -e "$disk" ] || [ "$folder/disk.img" -nt "$disk" ]; then
    rm -f "$disk"
    qemu-img create -q -f qcow2 -F raw -b disk.img "$disk" 8G
fi
case $arch in
    x86_64)
        [ -e "$folder/firmware.fd" ] || cp /usr/share/OVMF/OVMF_VARS.fd "$folder/firmware.fd"
        # shellcheck disable=SC2054 # the commas are QEMU's
        machine=(qemu-system-x86_64 -M q35 -cpu max
            -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd
            -drive "if=pflash,format=raw,file=$folder/firmware.fd") ;;
    aarch64)
        machine=(qemu-system-aarch64 -M virt -cpu cortex-a57 -bios /usr/share/qemu-efi-aarch64/QEMU_EFI.fd) ;;
esac
echo
echo "  Aerie starts in a machine of its own, emulated: half a minute or more."
echo "  GUI:   https://localhost:8443 (plain HTTP: http://localhost:8080; devices' own port, if you open 8444: 8444)"
echo "  Stop:  Ctrl-A, then X. The disk is kept in $disk"
echo
exec "${machine[@]}" -accel tcg,thread=multi -smp 2 -m 1024 -nographic \
    -drive "file=$disk,format=qcow2,if=virtio" -device virtio-rng-pci -device i6300esb -action watchdog=reset \
    -netdev user,id=net,hostfwd=tcp:127.0.0.1:8443-:443,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=tcp:127.0.0.1:8444-:8444 \
    -device virtio-net-pci,netdev=net,romfile=
