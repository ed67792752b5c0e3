#!/usr/bin/env bash
# Lays what a machine needs to run Aerie below DESTDIR: programs, units, users, folders. What an owner changed stays.
# Enables nothing; on a running machine the last lines say what to do.
# usage: install.sh   (from the environment: DESTDIR, PREFIX=/usr, BINARIES=target/release, IMAGE=1 for what only an
# appliance's image has)
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=${PREFIX:-/usr}
root=${DESTDIR:-}$prefix
etc=${DESTDIR:-}/etc
binaries=${BINARIES:-target/release}
units=$root/lib/systemd

for program in aerie aerie-agent; do
    if [ ! -x "$binaries/$program" ]; then
        echo "$binaries/$program is not there: \`make build\` makes it, or BINARIES names another folder." >&2
        exit 1
    fi
    install -D -m 755 "$binaries/$program" "$root/bin/$program"
done

# A unit names the program by its whole path.
unit() {
    mkdir -p "$units/system"
    sed "s|/usr/bin/aerie|$prefix/bin/aerie|; s|/usr/lib/aerie|$prefix/lib/aerie|; s|/usr/share/doc|$prefix/share/doc|" \
        "$1" > "$units/system/$(basename "$1")"
    chmod 644 "$units/system/$(basename "$1")"
}

for file in systemd/*.service; do unit "$file"; done
install -D -m 644 systemd/aerie.sysusers "$root/lib/sysusers.d/aerie.conf"
install -D -m 644 systemd/aerie.tmpfiles "$root/lib/tmpfiles.d/aerie.conf"
install -D -m 644 systemd/persistent.list "$root/lib/aerie/persistent.list"
install -D -m 755 systemd/lower-hashers "$root/lib/aerie/lower-hashers"
install -D -m 644 docs/runbook.md "$root/share/doc/aerie/runbook.md"
install -D -m 644 docs/security.md "$root/share/doc/aerie/security.md"
if [ ! -e "$etc/aerie/aerie.toml" ]; then
    install -D -m 644 systemd/aerie.toml "$etc/aerie/aerie.toml"
fi

if [ -n "${IMAGE:-}" ]; then
    for file in systemd/image/*.{service,path}; do unit "$file"; done
    for script in grow-data welcome; do
        install -D -m 755 "systemd/image/$script" "$root/lib/aerie/$script"
    done
    # These speak for the whole machine, so that only an image may have them.
    install -D -m 644 systemd/system.conf.d/aerie-watchdog.conf "$units/system.conf.d/aerie-watchdog.conf"
    install -D -m 644 systemd/journald.conf.d/aerie.conf "$units/journald.conf.d/aerie.conf"
    online=systemd-networkd-wait-online.service.d/aerie.conf
    install -D -m 644 "systemd/image/$online" "$units/system/$online"
    # An image is not asked: what is installed is enabled.
    for file in systemd/*.service systemd/image/*.{service,path}; do
        target=$(sed -n 's/^WantedBy=//p' "$file")
        mkdir -p "$units/system/$target.wants"
        ln -sf "../$(basename "$file")" "$units/system/$target.wants/$(basename "$file")"
    done
elif [ -z "${DESTDIR:-}" ]; then
    cat <<'TEXT'
Installed. To start Aerie now and with every start of the machine:
    systemd-sysusers && systemd-tmpfiles --create
    systemctl daemon-reload && systemctl enable --now aerie-firstboot aerie-vault aerie
TEXT
fi
