#!/usr/bin/env bash
# Puts our units and programs into a root file system, as `make install` does on a Debian, and switches them on.
# usage: install.sh ROOT BINARIES
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$1 binaries=$2

if [ -x systemd/install.sh ]; then
    DESTDIR=$root PREFIX=/usr BINARIES=$binaries IMAGE=1 systemd/install.sh
else
    install -d "$root/etc/aerie"
    install -m 755 "$binaries/aerie" "$binaries/aerie-agent" "$root/usr/bin/"
    install -m 644 systemd/*.service "$root/usr/lib/systemd/system/"
    install -D -m 644 systemd/aerie.sysusers "$root/usr/lib/sysusers.d/aerie.conf"
    install -d "$root/etc/systemd/system.conf.d"
    printf '[Manager]\nRuntimeWatchdogSec=30\nRebootWatchdogSec=2min\n' > "$root/etc/systemd/system.conf.d/aerie-watchdog.conf"
    cat > "$root/etc/aerie/aerie.toml" <<'TOML'
data_dir = "/var/lib/aerie"

[vault]
socket = "/run/aerie-vault/socket"
dir = "/var/lib/aerie-vault"
user = "aerie"
TOML
    systemctl --quiet --root="$root" enable aerie.service aerie-vault.service
fi
systemd-sysusers --root="$root"
