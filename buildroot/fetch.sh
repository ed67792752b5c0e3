#!/usr/bin/env bash
# Fetches the pinned Buildroot release and checks it; prints the folder that it is in. What stands in release.env counts: a
# release with another checksum is refused.
# usage: fetch.sh
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=/dev/null
source buildroot/release.env
folder=$PWD/target/buildroot/buildroot-${BUILDROOT_VERSION:?}
downloads=$PWD/target/buildroot/downloads
archive=$downloads/buildroot-$BUILDROOT_VERSION.tar.xz

if [ -e "$folder/.complete" ]; then
    echo "$folder"
    exit 0
fi
mkdir -p "$downloads"
if [ ! -e "$archive" ]; then
    echo "Fetching Buildroot $BUILDROOT_VERSION" >&2
    if ! curl --fail --silent --show-error --location --retry 3 --output "$archive.part" "${BUILDROOT_URL:?}"; then
        echo "Buildroot $BUILDROOT_VERSION could not be fetched. With a copy of it: make image BOARD=… BUILDROOT=folder," >&2
        echo "or lay buildroot-$BUILDROOT_VERSION.tar.xz into target/buildroot/downloads." >&2
        exit 1
    fi
    mv "$archive.part" "$archive"
fi
found=$(sha256sum < "$archive" | cut -c 1-64)
if [ "$found" != "${BUILDROOT_SHA256:?}" ]; then
    echo "$archive is not the release that buildroot/release.env pins: its SHA-256 is $found." >&2
    exit 1
fi

# The release's own list of checksums is signed. Whoever has the signer's key learns that it says the same.
if ! command -v gpg >/dev/null || ! gpg --batch --list-keys "${BUILDROOT_SIGNED_BY:?}" >/dev/null 2>&1; then
    echo "The checksum is the pinned one. Its signature was not checked: gpg has no key $BUILDROOT_SIGNED_BY." >&2
else
    [ -e "$archive.sign" ] || curl --fail --silent --show-error --location --output "$archive.sign" "$BUILDROOT_URL.sign"
    signed=$(gpg --batch --status-fd 3 --decrypt "$archive.sign" 3>"$downloads/status" 2>/dev/null || true)
    if ! grep -q "^\[GNUPG:\] VALIDSIG .*$BUILDROOT_SIGNED_BY" "$downloads/status" || ! grep -q "$BUILDROOT_SHA256" <<< "$signed"; then
        echo "$archive.sign is no valid signature of $BUILDROOT_SIGNED_BY over the pinned checksum." >&2
        exit 1
    fi
    echo "The checksum is the pinned one, and signed by $BUILDROOT_SIGNED_BY." >&2
fi

rm -rf "$folder"
mkdir -p "$folder"
tar --extract --file "$archive" --directory "$folder" --strip-components 1
touch "$folder/.complete"
echo "$folder"
