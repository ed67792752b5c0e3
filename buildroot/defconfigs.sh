#!/usr/bin/env bash
# Makes configs/aerie_BOARD_defconfig from configs/fragments: common.fragment, then the board's own. A later line takes the
# place of an earlier one with the same name; NAME+="more" adds to it.
# usage: defconfigs.sh          write them
#        defconfigs.sh --check  say which differ from their fragments, and exit 1
set -euo pipefail
cd "$(dirname "$0")/configs"

merged() {
    echo "# Made by buildroot/defconfigs.sh from configs/fragments: change those."
    awk '
        /^# BR2_[A-Za-z0-9_]+ is not set$/ { keep($2, $0); next }
        /^BR2_[A-Za-z0-9_]+\+="/ {
            name = $0; sub(/\+=.*/, "", name)
            more = $0; sub(/^[^"]*"/, "", more)
            if (!(name in line)) { print FILENAME ": " name " is added to, and was not set" > "/dev/stderr"; exit 1 }
            sub(/"$/, " " more, line[name])
            next
        }
        /^BR2_[A-Za-z0-9_]+=/ { name = $0; sub(/=.*/, "", name); keep(name, $0); next }
        /^(#.*)?$/ { next }
        { print FILENAME ":" FNR ": neither a setting nor a comment: " $0 > "/dev/stderr"; exit 1 }
        function keep(name, text) { if (!(name in line)) order[++count] = name; line[name] = text }
        END { for (at = 1; at <= count; at++) print line[order[at]] }
    ' fragments/common.fragment "$1"
}

worst=0
for fragment in fragments/*.fragment; do
    board=$(basename "$fragment" .fragment)
    [ "$board" != common ] || continue
    made=$(merged "$fragment")
    file=aerie_${board}_defconfig
    if [ "${1:-}" != --check ]; then
        printf '%s\n' "$made" > "$file"
    elif ! diff -u --label "$file" --label "its fragments" "$file" <(printf '%s\n' "$made") >&2; then
        echo "buildroot/configs/$file is not what its fragments give: run buildroot/defconfigs.sh" >&2
        worst=1
    fi
done
exit "$worst"
