#!/usr/bin/env bash
# Makes what does not change with our programs: Debian's part of the root file system, kernel, initramfs and GRUB. Kept
# below target/rig/cache and made again when these scripts or their lists change.
# usage: base.sh ARCH
set -euo pipefail
cd "$(dirname "$0")/../.."
arch=$1
cache=$PWD/target/rig/cache/$arch
# shellcheck source=/dev/null
source image/rig/apt.sh

stamp=$(cat image/rig/{base.sh,apt.sh,packages.list,modules.list} image/rig/etc/* image/initramfs/{init,applets} image/grub/grub.cfg.in | sha256sum)
[ "$(cat "$cache/stamp" 2>/dev/null)" = "$stamp" ] && exit 0
echo "Making the rig's base for $arch from Debian's packages"
rm -rf "${cache:?}"/{stamp,root,kernel,initramfs,boot,grub,esp}
mkdir -p "$cache"/{root,kernel,initramfs,boot,grub,esp}
words() { sed 's/#.*//' "$1"; }

# ---- packages: fetched once, until their list changes ----
packages=$(words image/rig/packages.list | tr '\n' ' ')
names="$packages kernel busybox grub"
if [ "$(cat "$cache/fetched" 2>/dev/null)" != "$names" ]; then
    rm -f "$cache/fetched"
    update
    # shellcheck disable=SC2086 # one word each
    fetch "$cache/debs" $packages
    kernel=$(own apt-cache depends "linux-image-${debian:?}" | awk '/Depends: linux-image-/ { print $2; exit }')
    fetch_alone "$cache/debs-boot" "$kernel" busybox-static "grub-efi-${debian:?}-bin"
    echo "$names" > "$cache/fetched"
fi

# ---- root file system ----
root=$cache/root
mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{boot,dev,efi,etc,mnt,proc,root,run,srv,sys,tmp,var}
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
for deb in "$cache"/debs/*.deb; do
    name=$(basename "$deb")
    # What only maintainer scripts, people at a shell and D-Bus need.
    case ${name%%_*} in
        perl* | lib*-perl | libperl* | usrmerge | debconf | libdebconfclient0 | dpkg | adduser | init-system-helpers \
            | passwd | dbus* | libdbus* | openssl | mawk | gcc-*-base | libsemanage* | libsepol*) continue ;;
    esac
    unpack "$deb" "$root" --exclude=./usr/share/{doc,man,info,locale,lintian,bug,bash-completion,zsh,perl5,polkit-1} \
        --exclude='./usr/share/zoneinfo/right' --exclude='./usr/share/i18n' --exclude='./lib/udev/hwdb.d' \
        --exclude='./usr/lib/locale' --exclude='./etc/cron*' --exclude='./etc/init.d'
done
# Nobody becomes root by a program's file mode.
chmod -R u-s,g-s "$root"/usr/{bin,sbin,lib}
cp "$root"/usr/share/base-passwd/passwd.master "$root/etc/passwd"
cp "$root"/usr/share/base-passwd/group.master "$root/etc/group"
sed -i 's/:[^:]*:/:x:/; /^root:/!s/:[^:]*$/:\/usr\/sbin\/nologin/' "$root/etc/passwd"
# Every account is locked: nobody logs in to an appliance, not even at its console.
awk -F: '{ print $1 ":!*:19000::::::" }' "$root/etc/passwd" > "$root/etc/shadow"
chmod 600 "$root/etc/shadow"
: > "$root/etc/machine-id"
cp image/rig/etc/nsswitch.conf "$root/etc/nsswitch.conf"
cp image/rig/etc/e2fsck.conf "$root/etc/e2fsck.conf"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
ln -sf ../proc/self/mounts "$root/etc/mtab"
rm -rf "${root:?}"/var/* "$root"/etc/systemd/system/*
# The wired network by DHCP, until the first boot's own file says otherwise.
cp image/rig/etc/80-aerie.network "$root/usr/lib/systemd/network/80-aerie.network"
# Groups that udev's rules name and its package makes when it is installed.
cp image/rig/etc/groups.conf "$root/usr/lib/sysusers.d/udev.conf"
systemd-sysusers --root="$root"
# Who is not root has to read them too, to pack them; inside they are root's.
chmod 600 "$root"/etc/*shadow*

units=$root/etc/systemd/system
ln -s /usr/share/systemd/tmp.mount "$units/tmp.mount"
enable() {
    for unit in "$@"; do systemctl --quiet --root="$root" enable "$unit"; done
}
enable systemd-networkd.service systemd-resolved.service systemd-timesyncd.service tmp.mount
# No login anywhere, no first-boot questions, nothing for a file system that can be written or for kernel developers.
for unit in getty@.service serial-getty@.service console-getty.service container-getty@.service \
    getty-static.service systemd-firstboot.service systemd-remount-fs.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-homed.service e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer ldconfig.service systemd-pcrphase-sysinit.service systemd-pcrphase.service dev-hugepages.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount modprobe@.service; do
    ln -sfn /dev/null "$units/$unit"
done
ln -sfn /usr/lib/systemd/system/multi-user.target "$units/default.target"

# ---- kernel ----
for deb in "$cache"/debs-boot/linux-image-*.deb; do unpack "$deb" "$cache/kernel"; done
version=$(ls "$cache/kernel/lib/modules")
cp "$cache/kernel/boot/vmlinuz-$version" "$cache/boot/vmlinuz"
tree=$cache/kernel/lib/modules/$version
depmod -b "$cache/kernel" "$version"

# with_dependencies MODULE: paths below the module folder, what it depends on first. Nothing where it is built in.
with_dependencies() {
    modprobe --dirname "$cache/kernel" --set-version "$version" --show-depends "$1" 2>/dev/null \
        | sed -n "s|^insmod .*/lib/modules/$version/\([^ ]*\).*|\1|p"
}
mkdir -p "$root/usr/lib/modules/$version" "$cache"/initramfs/{bin,dev,proc,sys,run,root,lib/modules,sbin}
cp "$tree"/modules.{builtin,builtin.modinfo,order} "$root/usr/lib/modules/$version/"
while read -r first second; do
    for file in $(with_dependencies "${second:-$first}"); do
        install -D -m 644 "$tree/$file" "$root/usr/lib/modules/$version/$file"
        if [ "$first" = '*' ] && [ ! -e "$cache/initramfs/lib/modules/$(basename "$file")" ]; then
            cp "$tree/$file" "$cache/initramfs/lib/modules/"
            basename "$file" >> "$cache/initramfs/modules"
        fi
    done
done < <(words image/rig/modules.list | sed '/^ *$/d')
depmod -b "$root" "$version"

# ---- initramfs ----
for deb in "$cache"/debs-boot/busybox-static_*.deb; do unpack "$deb" "$cache/initramfs" --wildcards './bin/busybox'; done
for applet in $(words image/initramfs/applets); do ln -s busybox "$cache/initramfs/bin/$applet"; done
install -m 755 image/initramfs/init "$cache/initramfs/init"
find "$cache/initramfs" -exec touch --no-dereference --date=@0 {} +
(cd "$cache/initramfs" && find . | LC_ALL=C sort | cpio --quiet --reproducible --create --format=newc --owner=0:0) \
    | zstd --quiet -10 > "$cache/boot/initrd"

# ---- GRUB ----
for deb in "$cache"/debs-boot/grub-efi-*.deb; do unpack "$deb" "$cache/grub"; done
case $arch in
    x86_64) format=x86_64-efi file=BOOTX64.EFI consoles='console=tty0 console=ttyS0,115200' ;;
    aarch64) format=arm64-efi file=BOOTAA64.EFI consoles='console=tty0 console=ttyAMA0' ;;
esac
mkdir -p "$cache"/grub/memdisk/boot/grub "$cache/esp/EFI/BOOT"
sed "s/@CONSOLES@/$consoles/" image/grub/grub.cfg.in > "$cache/grub/memdisk/boot/grub/grub.cfg"
tar --create --file "$cache/grub/memdisk.tar" --directory "$cache/grub/memdisk" --owner=0 --group=0 --mtime=@0 boot
grub-mkimage --directory "$cache/grub/usr/lib/grub/$format" --format "$format" --output "$cache/esp/EFI/BOOT/$file" \
    --prefix '(memdisk)/boot/grub' --memdisk "$cache/grub/memdisk.tar" \
    memdisk tar normal part_gpt fat squash4 linux loadenv regexp test echo sleep reboot boot
echo "$stamp" > "$cache/stamp"
