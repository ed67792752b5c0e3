#!/usr/bin/env bash
# What only Buildroot itself can judge, without a network: its style rules, and every board's configuration against it.
# usage: BUILDROOT=folder check.sh    says so and ends well where there is no Buildroot
set -euo pipefail
cd "$(dirname "$0")/.."
buildroot/defconfigs.sh --check
# shellcheck source=/dev/null
source buildroot/release.env
buildroot=${BUILDROOT:-target/buildroot/buildroot-${BUILDROOT_VERSION:?}}
if [ ! -e "$buildroot/Makefile" ]; then
    echo "There is no Buildroot here (BUILDROOT=folder names one): its own check of buildroot/ is left out."
    exit 0
fi
version=$(sed -n 's/^export BR2_VERSION := //p' "$buildroot/Makefile")
[ "$version" = "$BUILDROOT_VERSION" ] || echo "Buildroot in $buildroot is $version, not the pinned $BUILDROOT_VERSION."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
run() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        make --silent --no-print-directory -C "$buildroot" O="$out/$board" BR2_EXTERNAL="$PWD/buildroot" "$@"
}
mapfile -t files < <(find buildroot -type f -not -path '*/fragments/*' \
    \( -name 'Config.in' -o -name '*.mk' -o -name '*.hash' -o -name '*_defconfig' \) | sort)
"$buildroot/utils/check-package" --br2-external "${files[@]}"
for defconfig in buildroot/configs/*_defconfig; do
    board=$(basename "$defconfig" _defconfig)
    board=${board#aerie_}
    run "aerie_${board}_defconfig" > /dev/null
    buildroot/resolved.sh "$out/$board/.config" "$defconfig"
    packages=$(run show-info | jq 'length')
    echo "$board: resolved, $packages packages; aerie needs: $(run aerie-show-depends)"
done
