#!/usr/bin/env bash
# Builds the appliance's disk for a board with Buildroot: fetches the pinned release, cross-builds, lays out, builds, and
# collects licences and the list of components. Needs a network and some hours the first time.
# usage: image.sh BOARD    (BUILDROOT=folder takes Buildroot from there; AERIE_BINARIES=folder takes the programs from there)
# Leaves target/image/BOARD/{disk.img,vmlinuz,initrd,aerie.cdx.json,licences,SHA256SUMS}.
set -euo pipefail
cd "$(dirname "$0")/.."
board=${1:-}
arch=$(buildroot/boards.sh "$board")

buildroot/defconfigs.sh --check
buildroot=${BUILDROOT:-$(buildroot/fetch.sh)}
[ -n "${AERIE_BINARIES:-}" ] || make --no-print-directory cross TARGET="$arch"
buildroot/stage.sh "$arch"

# Buildroot takes no make's variables but its own, and no PATH with our tools in it.
out=$PWD/target/buildroot/$board
run() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u BOARD -u CI \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        make --no-print-directory -C "$buildroot" O="$out" BR2_EXTERNAL="$PWD/buildroot" \
        BR2_DL_DIR="${BR2_DL_DIR:-$PWD/target/buildroot/downloads}" "$@"
}
run "aerie_${board}_defconfig"
buildroot/resolved.sh "$out/.config" "buildroot/configs/aerie_${board}_defconfig"
run aerie-dirclean
run
mapfile -t fragments < <(grep -o 'kernel/[a-z0-9_-]*\.fragment' "buildroot/configs/aerie_${board}_defconfig")
kernel=$(sed -n 's/^BR2_LINUX_KERNEL_CUSTOM_VERSION_VALUE="\(.*\)"$/\1/p' "$out/.config")
buildroot/resolved.sh "$out/build/linux-$kernel/.config" "${fragments[@]/#/buildroot/}"
run legal-info

result=$PWD/target/image/$board
mkdir -p "$result"
cp --sparse=always "$out/images/disk.img" "$result/"
cp "$out"/images/{vmlinuz,initrd} "$result/"
rm -rf "$result/licences"
cp -a "$out/legal-info" "$result/licences"
run -s show-info > "$out/show-info.json"
BR2_DL_DIR="${BR2_DL_DIR:-$PWD/target/buildroot/downloads}" "$buildroot/utils/generate-cyclonedx" --project-name aerie-image \
    --in-file "$out/show-info.json" --out-file "$out/system.cdx.json"
buildroot/sbom.sh "$arch" --within "$out/system.cdx.json" > "$result/aerie.cdx.json"
(cd "$result" && sha256sum disk.img vmlinuz initrd aerie.cdx.json > SHA256SUMS)
echo "target/image/$board/disk.img is ready to be flashed."
