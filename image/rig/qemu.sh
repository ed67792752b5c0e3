#!/usr/bin/env bash
# Boots the rig in QEMU, emulated, with a disk of its own that stays in target/rig/ARCH/kept.qcow2: the appliance keeps
# what it is given. Delete that file to begin anew. With a second word, `firmware`, it starts as a real machine does, by UEFI
# and the disk's own GRUB. Its console is this terminal.
# usage: qemu.sh ARCH [firmware]
set -euo pipefail
cd "$(dirname "$0")/../.."
arch=$1 start=${2:-}
folder=target/rig/$arch
disk=$folder/kept.qcow2
# A kept disk is laid over its image: another image needs another disk.
if [ ! -e "$disk" ] || [ "$folder/disk.img" -nt "$disk" ]; then
    rm -f "$disk"
    qemu-img create -q -f qcow2 -F raw -b disk.img "$disk" 8G
fi
case $arch in
    x86_64)
        machine=(qemu-system-x86_64 -M q35 -cpu max) console=ttyS0
        # shellcheck disable=SC2054 # the commas are QEMU's
        firmware=(-drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd
            -drive "if=pflash,format=raw,file=$folder/firmware.fd")
        [ -e "$folder/firmware.fd" ] || cp /usr/share/OVMF/OVMF_VARS.fd "$folder/firmware.fd" ;;
    aarch64)
        machine=(qemu-system-aarch64 -M virt -cpu cortex-a57) console=ttyAMA0
        firmware=(-bios /usr/share/qemu-efi-aarch64/QEMU_EFI.fd) ;;
esac
echo
echo "  Aerie starts in a machine of its own, emulated: half a minute or more. It then shows its set-up code here."
echo "  GUI:   https://localhost:8443 (plain HTTP: http://localhost:8080; devices' own port, if you open 8444: 8444)"
echo "  Stop:  Ctrl-A, then X. The disk is kept in $disk"
echo

if [ "$start" = firmware ]; then
    machine+=("${firmware[@]}")
else
    machine+=(-kernel "$folder/vmlinuz" -initrd "$folder/initrd" -append "aerie.slot=a panic=10 quiet console=$console")
fi
exec "${machine[@]}" -accel tcg,thread=multi -smp 2 -m 1024 -nographic \
    -drive "file=$disk,format=qcow2,if=virtio" -device virtio-rng-pci -device i6300esb -action watchdog=reset \
    -netdev user,id=net,hostfwd=tcp:127.0.0.1:8443-:443,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=tcp:127.0.0.1:8444-:8444 \
    -device virtio-net-pci,netdev=net,romfile=
