# Debian packages of any architecture, without root and without a change to this machine: apt with a world of its own
# below target/rig/cache. To be sourced; wants $arch (x86_64 or aarch64) and $cache.
# shellcheck shell=bash

case ${arch:?} in
    x86_64) debian=amd64 triplet=x86_64-linux-gnu ;;
    aarch64) debian=arm64 triplet=aarch64-linux-gnu ;;
    *) echo "The rig knows the architectures x86_64 and aarch64, not '$arch': make rig ARCH=x86_64" >&2; exit 2 ;;
esac
export triplet
release=bookworm
world=${cache:?}/apt

# The mirror that this machine is set up with for a suite, or Debian's own.
mirror() {
    # shellcheck disable=SC2016 # apt fills in what looks like variables
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 2>/dev/null \
        | awk -v suite="$1" -v other="$2" '$1 == suite { uri = $2 } END { print uri ? uri : other }'
}

own() {
    local tool=$1
    shift
    "$tool" -o "Dir::Etc::sourcelist=$world/sources.list" -o Dir::Etc::sourceparts=- -o Dir::Etc::preferencesparts=- \
        -o "Dir::State=$world" -o "Dir::State::lists=$world/lists" -o "Dir::State::status=$world/status" \
        -o "Dir::Cache=$world/cache" -o APT::Architecture="$debian" -o APT::Architectures="$debian" \
        -o APT::Sandbox::User= -o APT::Install-Recommends=no -o Debug::NoLocking=yes "$@"
}

update() {
    mkdir -p "$world"/{lists/partial,cache/archives/partial}
    : > "$world/status"
    local main security key=/usr/share/keyrings/debian-archive-keyring.gpg
    main=$(mirror "$release" http://deb.debian.org/debian)
    security=$(mirror "$release-security" http://deb.debian.org/debian-security)
    for suite in "$main $release" "$main $release-updates" "$security $release-security"; do
        echo "deb [signed-by=$key] $suite main"
    done > "$world/sources.list"
    own apt-get -qq update
}

# fetch FOLDER PACKAGE...: these packages and what they depend on, as .deb files in FOLDER.
fetch() {
    local folder=$1
    shift
    rm -rf "$folder" && mkdir -p "$folder/partial"
    own apt-get -qq --yes --download-only -o "Dir::Cache::archives=$folder" install "$@"
}

# fetch_alone FOLDER PACKAGE...: these packages and nothing else.
fetch_alone() {
    local folder=$1
    shift
    rm -rf "$folder" && mkdir -p "$folder"
    (cd "$folder" && own apt-get -qq download "$@")
}

# unpack FILE.deb FOLDER [TAR OPTION...]: into a tree whose /bin, /lib and /sbin may be links.
unpack() {
    local deb=$1 folder=$2
    shift 2
    dpkg-deb --fsys-tarfile "$deb" | tar --extract --keep-directory-symlink --no-same-owner --directory "$folder" "$@"
}
