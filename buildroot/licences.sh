#!/usr/bin/env bash
# Prints the licences of everything that sbom.sh lists, with their full texts: what has to go along with the programs.
# usage: licences.sh ARCH    (the crates must have been fetched; the GUI's packages installed)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=image/toolchain/targets.sh
source image/toolchain/targets.sh "${1:-}"
target=$triple

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
buildroot/sbom.sh "$1" > "$work/sbom"
cargo metadata --quiet --locked --format-version 1 \
    | jq -r '.packages[] | "pkg:cargo/\(.name)@\(.version)\t\(.manifest_path | rtrimstr("/Cargo.toml"))"' > "$work/folders"
jq -r '.components[] | select((.purl // "") | startswith("pkg:npm/")) | "\(.purl)\tgui/node_modules/\(.name)"' \
    "$work/sbom" >> "$work/folders"

# One text is printed once, below the names of all that came with it.
mkdir "$work/texts" "$work/names"
while IFS=$'\t' read -r purl title; do
    folder=$(awk -F '\t' -v purl="$purl" '$1 == purl { print $2; exit }' "$work/folders")
    echo "$title" >> "$work/index"
    [ -n "$folder" ] || continue
    # Workspace members carry the one in the root.
    case $folder in "$PWD"/*) folder=$PWD ;; esac
    found=$(find "$folder" -maxdepth 1 -type f \
        \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'unlicense*' \) | LC_ALL=C sort)
    [ -n "$found" ] || echo "$title" >> "$work/without"
    while read -r file; do
        [ -n "$file" ] || continue
        sum=$(tr -d '\r' < "$file" | sed 's/[[:space:]]*$//' | tee "$work/text" | sha256sum | cut -c 1-64)
        cp "$work/text" "$work/texts/$sum"
        echo "$title" >> "$work/names/$sum"
    done <<< "$found"
done < <(jq -r '.components[] | select(.purl) | "\(.purl)\t\(.name) \(.version): \(.licenses[0].expression)"' "$work/sbom")

rule=$(printf '=%.0s' {1..78})
printf 'What is inside aerie and aerie-agent, built for %s, and its licences.\n\n' "$target"
cat "$work/index"
if [ -s "$work/without" ]; then
    printf '\nThese come without a licence text of their own; the standard text of what they name applies:\n\n'
    cat "$work/without"
fi
for names in "$work"/names/*; do
    printf '\n%s\n' "$rule"
    LC_ALL=C sort -u "$names"
    printf '%s\n\n' "$rule"
    cat "$work/texts/$(basename "$names")"
done
