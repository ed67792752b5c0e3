#!/usr/bin/env bash
# Unpacks below .tools/cross/TARGET what Debian has for building there: its Rust compiler with the target's standard
# library (rust/), and the target's libsystemd with what that needs to run (system/). The machine stays as it is: apt
# works in a world of its own, nothing is installed and no foreign architecture is added.
# usage: debian.sh aarch64|x86_64|armv7
set -euo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=image/toolchain/targets.sh
source image/toolchain/targets.sh "$@"

refuse() {
    printf '%s\n' "$@" >&2
    exit 1
}
if ! command -v dpkg >/dev/null || ! command -v apt-get >/dev/null; then
    refuse "This takes the compiler from Debian 12's packages, and there is no apt here." \
        "Build on Debian 12 (a container will do), or with Docker: make cross WITH=cross"
fi

place=$PWD/.tools/cross/$1
apt=$place/apt
host=$(dpkg --print-architecture)
codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
rm -rf "$place"
mkdir -p "$apt"/{lists/partial,cache/archives/partial,debs/rust,debs/system}

# The newer compiler is in the security suite, for every architecture of the same age.
# shellcheck disable=SC2016 # apt fills in what looks like variables
known=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI) $(COMPONENT)' | sort -u)
for suite in "$codename" "$codename-updates" "$codename-security"; do
    mirror=$(awk -v suite="$suite" '$1 == suite && $3 == "main" { print $2; exit }' <<<"$known")
    if [ -n "$mirror" ]; then
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
    elif [ "$suite" != "$codename-updates" ]; then
        refuse "apt on this machine knows no mirror of Debian's ${suite:-releases}, where the compiler comes from." \
            "Add it to /etc/apt/sources.list (on Debian 12: bookworm and bookworm-security) and run this again."
    fi
done >"$apt/sources.list"

# All that this machine has, but for a compiler that may be there already: that one's library has no other target.
awk -v RS= -v ORS='\n\n' '!/^Package: (rustc|cargo|libstd-rust)[-a-z0-9.]*\n/' /var/lib/dpkg/status >"$apt/status"

own=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
    -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User= -o "APT::Architectures::=$host" -o "APT::Architectures::=$debian")
echo "Fetching Debian's Rust compiler and libsystemd for $1 into .tools/cross/$1"
apt-get "${own[@]}" -qq update

version=$(apt-cache "${own[@]}" policy rustc-web | awk '/Candidate:/ { print $2 }')
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! dpkg --compare-versions "${version:-0}" ge "$wanted"; then
    refuse "Debian's compiler here is ${version:-missing}, and Aerie needs Rust $wanted. Take in bookworm-security on Debian 12."
fi

# What the compiler needs and this machine has not. Its C library is the machine's own.
mapfile -t rust < <(apt-get "${own[@]}" --simulate --no-install-recommends install rustc-web cargo-web \
    | awk '/^Inst / && $2 !~ /^libc(6|-)/ { print $2 }')
[ "$host" = "$debian" ] || rust+=("libstd-rust-web-dev:$debian=$version")
(cd "$apt/debs/rust" && apt-get "${own[@]}" -qq download "${rust[@]}")

system=(libc6 libgcc-s1 libsystemd-dev libsystemd0 libcap2 liblzma5 libzstd1 liblz4-1 libgcrypt20 libgpg-error0)
(cd "$apt/debs/system" && apt-get "${own[@]}" -qq download "${system[@]/%/:$debian}")

for part in rust system; do
    for package in "$apt/debs/$part"/*.deb; do dpkg -x "$package" "$place/$part"; done
done
# Some hundred megabytes of what has been unpacked.
rm -rf "$apt" "$place"/*/usr/share
touch "$place/ready"
