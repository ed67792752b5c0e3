#!/usr/bin/env bash
# Packs the initramfs: image/initramfs/init, and busybox out of the root file system with the libraries that it needs. All
# drivers that a start needs are in the kernel, so there are no modules.
# usage: initrd.sh TARGET_DIR OUTPUT
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
initramfs=$here/../../image/initramfs
target=$1 output=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/root/{bin,dev,lib,proc,root,run,sys}
ln -s lib "$work/root/lib64"
: > "$work/root/modules"
install -m 755 "$initramfs/init" "$work/root/init"
install -m 755 "$target/usr/bin/busybox" "$work/root/bin/busybox"
while read -r applet; do
    ln -s busybox "$work/root/bin/$applet"
done < <(grep -v '^#' "$initramfs/applets")

# The loader that a program names, and the libraries that it and they ask for.
needs() {
    readelf -lW "$1" | sed -n 's|.*program interpreter: .*/\([^]]*\)]|\1|p'
    readelf -dW "$1" | sed -n 's|.*(NEEDED).*\[\(.*\)]|\1|p'
}
waiting=("$work/root/bin/busybox")
while [ ${#waiting[@]} -gt 0 ]; do
    file=${waiting[0]}
    waiting=("${waiting[@]:1}")
    for name in $(needs "$file"); do
        [ ! -e "$work/root/lib/$name" ] || continue
        found=$(find -L "$target"/{lib,lib64,usr/lib,usr/lib64} -maxdepth 2 -name "$name" -type f -print -quit 2>/dev/null || true)
        if [ -z "$found" ]; then
            echo "$name, which $(basename "$file") needs, is nowhere below $target" >&2
            exit 1
        fi
        install -m 755 "$found" "$work/root/lib/$name"
        waiting+=("$work/root/lib/$name")
    done
done

find "$work/root" -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH:-0}" {} +
(cd "$work/root" && find . -print0 | LC_ALL=C sort -z \
    | cpio --quiet --null --create --format=newc --owner=+0:+0 --reproducible) | gzip -9n > "$output"
