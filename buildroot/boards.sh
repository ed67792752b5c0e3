#!/usr/bin/env bash
# Prints a board's architecture; for a board that there is not, the ones that there are, and ends with 2.
# usage: boards.sh BOARD
set -euo pipefail
cd "$(dirname "$0")/configs"
board=${1:-}
case $board in
    */* | '') ;;
    *)
        if [ -e "aerie_${board}_defconfig" ]; then
            sed -n 's/^BR2_\(aarch64\|x86_64\)=y$/\1/p' "aerie_${board}_defconfig"
            exit 0
        fi
        ;;
esac
{
    if [ -n "$board" ]; then echo "There is no board '$board'."; else echo "Which board? make image BOARD=…"; fi
    echo "Boards:"
    for fragment in fragments/*.fragment; do
        name=$(basename "$fragment" .fragment)
        [ "$name" = common ] || printf '  %-20s%s\n' "$name" "$(sed -n '1s/^# //p' "$fragment")"
    done
} >&2
exit 2
