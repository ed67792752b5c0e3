#!/usr/bin/env bash
# Unpacks one Debian package below .tools/, without installing it: no root, no service that starts, and newer than the
# machine's own where backports has a newer one. Uses the mirror that the machine is set up with.
# usage: unpack.sh PACKAGE
set -euo pipefail
cd "$(dirname "$0")/../.." || exit 1

package=$1
root=$PWD/.tools/apt
codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
# shellcheck disable=SC2016 # apt fills in what looks like variables
mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 2>/dev/null \
    | awk -v release="$codename" '$1 == release { print $2; exit }')
if [ -z "$mirror" ]; then
    echo "apt on this machine names no mirror of Debian ${codename:-(unknown release)}, so $package cannot be fetched." >&2
    echo "Add one to /etc/apt/sources.list and run this again." >&2
    exit 1
fi

# apt with a world of its own: what it reads and writes is below .tools/apt.
mkdir -p "$root"/{etc,lists/partial,cache/archives/partial,debs}
: > "$root/status"
for suite in "$codename" "$codename-backports"; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done > "$root/etc/sources.list"
own=(-o "Dir::Etc::sourcelist=$root/etc/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$root/lists"
    -o "Dir::Cache=$root/cache" -o "Dir::State::status=$root/status" -o APT::Sandbox::User=)

echo "Fetching Debian's $package into .tools/$package"
apt-get "${own[@]}" -qq update
wanted=$package
known=$(apt-cache "${own[@]}" madison "$package")
case $known in *"$codename-backports"*) wanted=$package/$codename-backports ;; esac
rm -f "$root/debs/${package}"_*.deb
(cd "$root/debs" && apt-get "${own[@]}" -qq download "$wanted")
rm -rf ".tools/$package"
dpkg -x "$root/debs/${package}"_*.deb ".tools/$package"
