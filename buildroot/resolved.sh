#!/usr/bin/env bash
# Does a finished configuration (Buildroot's or the kernel's) keep what our files ask for? A name that was dropped, renamed or
# made to depend on another vanishes without a word: here it gets one.
# usage: resolved.sh CONFIG FILE...
set -euo pipefail
config=$1
shift
worst=0
while read -r line; do
    case $line in
        '# '*' is not set')
            # Not known, and not there: the same to a build.
            name=${line#\# }
            ! grep -q "^${name%% *}=" "$config" && continue
            ;;
        [A-Z]*) grep -qxF -- "$line" "$config" && continue ;;
        *) continue ;;
    esac
    echo "$config does not keep: $line" >&2
    worst=1
done < <(cat -- "$@")
exit "$worst"
