#!/usr/bin/env bash
# Starts the release build on this machine and says where it is. Ends with Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/../.." || exit 1

mkdir -p var
chmod 700 var
if [ ! -e var/aerie.toml ]; then
    cat > var/aerie.toml <<'TOML'
# Made by `make run`; yours to change.
data_dir = "var"

[http]
listen = ["0.0.0.0:8080"]

[https]
listen = ["0.0.0.0:8443"]
TOML
fi

target/release/aerie serve --config var/aerie.toml &
daemon=$!
trap 'kill -TERM "$daemon" 2>/dev/null || true; wait "$daemon" || true; exit 130' INT TERM

# The daemon ends by itself when it cannot start (a port taken, a bad file), so this ends too.
until curl --silent --insecure --fail --output /dev/null https://localhost:8443/healthz; do
    if ! kill -0 "$daemon" 2>/dev/null; then
        wait "$daemon" && status=0 || status=$?
        echo "Aerie did not start (exit status $status). The reason stands above." >&2
        exit "$status"
    fi
    sleep 0.2
done

echo
echo "  Aerie is running:  https://localhost:8443"
echo "  Your browser will warn once: the certificate is the appliance's own."
if [ -s var/setup-code ]; then
    echo "  Set-up code:       $(cat var/setup-code)"
else
    echo "  It is set up already: log in with your account."
fi
echo "  Data:              ./var     Stop with Ctrl-C"
echo
wait "$daemon" && status=0 || status=$?
exit "$status"
