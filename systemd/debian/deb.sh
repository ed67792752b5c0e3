#!/usr/bin/env bash
# Makes target/deb/aerie_VERSION_ARCH.deb of built binaries: for the architecture that they are built for.
# usage: deb.sh   (from the environment: BINARIES=target/release, COMPRESSION=xz)
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 022

binaries=${BINARIES:-target/release}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
stage=$(mktemp -d)
chmod 755 "$stage"
trap 'rm -rf "$stage"' EXIT

DESTDIR=$stage PREFIX=/usr BINARIES=$binaries systemd/install.sh

# The program itself says which machine it is for (ELF header, bytes 18 and 19).
case $(od -An -t x1 -j 18 -N 2 "$stage/usr/bin/aerie" | tr -d ' ') in
    3e00) arch=amd64 ;;
    b700) arch=arm64 ;;
    2800) arch=armhf ;;
    *) echo "$binaries/aerie is for a machine that Debian has no name for here." >&2; exit 1 ;;
esac
# And which C library it needs.
libc=$(cat "$stage"/usr/bin/aerie* | grep -aoE 'GLIBC_2\.[0-9]+' | sort -Vu | tail -1 | sed 's/GLIBC_//')

doc=$stage/usr/share/doc/aerie
date=$(date -u -R -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}")
install -m 644 systemd/debian/copyright "$doc/copyright"
printf 'aerie (%s-1) unstable; urgency=medium\n\n  * See CHANGELOG.md of the sources.\n\n -- Aerie <maintainers@aerie.invalid>  %s\n' \
    "$version" "$date" | gzip -9n > "$doc/changelog.Debian.gz"
gzip -9nc CHANGELOG.md > "$doc/changelog.gz"

mkdir "$stage/DEBIAN"
sed -e "s/@VERSION@/$version-1/; s/@ARCH@/$arch/; s/@LIBC@/$libc/" \
    -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$stage" | cut -f1)/" systemd/debian/control > "$stage/DEBIAN/control"
echo /etc/aerie/aerie.toml > "$stage/DEBIAN/conffiles"
install -m 755 systemd/debian/postinst systemd/debian/prerm systemd/debian/postrm "$stage/DEBIAN"
(cd "$stage" && find etc usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum > DEBIAN/md5sums)

mkdir -p target/deb
find "$stage" -exec touch --no-dereference --date "$date" {} +
out=target/deb/aerie_$version-1_$arch.deb
dpkg-deb --root-owner-group -Z"${COMPRESSION:-xz}" --build "$stage" "$out" >/dev/null
echo "$out"
