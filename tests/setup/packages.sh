#!/usr/bin/env bash
# Installs the named Debian packages that are missing. Says what it does, asks sudo only when there is something to do.
# usage: packages.sh PACKAGE...
set -euo pipefail

# Is there already what the package brings? Asked of the machine, not of dpkg, so that other systems work too.
present() {
    case "$1" in
        gcc) command -v cc >/dev/null ;;
        libc6-dev) printf '#include <stdlib.h>\n' | cc -E -x c - >/dev/null 2>&1 ;;
        ca-certificates) [ -s /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki/tls/certs ] ;;
        python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        libsystemd-dev) pkg-config --exists libsystemd 2>/dev/null ;;
        iproute2) command -v ip >/dev/null ;;
        bsdextrautils) command -v hexdump >/dev/null ;;
        systemd) command -v systemd-analyze >/dev/null ;;
        systemd-container) command -v systemd-nspawn >/dev/null ;;
        procps) command -v ps >/dev/null ;;
        bind9-dnsutils) command -v dig >/dev/null ;;
        qemu-system-x86) command -v qemu-system-x86_64 >/dev/null ;;
        qemu-system-arm) command -v qemu-system-aarch64 >/dev/null ;;
        qemu-utils) command -v qemu-img >/dev/null ;;
        ovmf) [ -e /usr/share/OVMF/OVMF_CODE.fd ] ;;
        qemu-efi-aarch64) [ -e /usr/share/qemu-efi-aarch64/QEMU_EFI.fd ] ;;
        mtools) command -v mcopy >/dev/null ;;
        squashfs-tools) command -v mksquashfs >/dev/null ;;
        grub-common) command -v grub-mkimage >/dev/null ;;
        dosfstools) [ -x /usr/sbin/mkfs.vfat ] ;;
        e2fsprogs) [ -x /usr/sbin/mkfs.ext4 ] ;;
        kmod) [ -x /usr/sbin/depmod ] ;;
        gdisk) [ -x /usr/sbin/sgdisk ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

if ! command -v cargo >/dev/null; then
    echo "cargo is not here. Install the Rust toolchain (rustup, or Debian's rustup package) and run this again." >&2
    exit 1
fi

missing=()
for package in "$@"; do
    present "$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "Missing on this machine: ${missing[*]} (Debian's names). Install them with your package manager." >&2
    exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "Run this as root, then try again: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
    if [ ! -t 0 ]; then as_root=(sudo -n); fi
fi

echo "Installing Debian packages: ${missing[*]}${as_root[*]:+ (with sudo)}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
