#!/usr/bin/env bash
# Prints what is inside the programs as a CycloneDX list of components: every crate that is linked into aerie and
# aerie-agent for a target, and every npm package that the web GUI is built from. The same sources give the same list.
# usage: sbom.sh ARCH                        aarch64, x86_64 or armv7
#        sbom.sh ARCH --within SYSTEM.json   the same, put into Buildroot's list of the system
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=image/toolchain/targets.sh
source image/toolchain/targets.sh "${1:-}"
target=$triple

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# depth|name version|licence; a package that was shown before ends with (*) and has its own dependencies there.
cargo tree --quiet --locked --edges normal,no-proc-macro --target "$target" --prefix depth --format '|{p}|{l}' \
    --package aerie --package aerie-agent > "$work/tree"
awk -F '"' '/^name = / { name = $2 } /^version = / { version = $2 } /^checksum = / { print name "@" version, $2 }' \
    Cargo.lock > "$work/checksums"
# What the GUI's sources import. All of it is a development dependency, since the build puts it into one bundle.
find gui/src -type f \( -name '*.svelte' -o -name '*.ts' -o -name '*.css' \) -not -name '*.test.ts' -print0 | sort -z \
    | xargs -0 grep -hoE "(from|import|import\(|url\() ?['\"][^.'\"\$/][^'\"]*['\"]" \
    | sed -E "s/.*['\"]((@[^/'\"]+\/)?[^/'\"]+).*/\1/" | sort -u > "$work/imports"

jq -n --rawfile tree "$work/tree" --rawfile checksums "$work/checksums" --rawfile imports "$work/imports" \
    --slurpfile npm gui/package-lock.json --arg target "$target" \
    --arg time "$(git log -1 --format=%cI 2>/dev/null | sed 's/+00:00$/Z/')" '
    def lines: split("\n") | map(select(. != ""));

    # ---- Rust ----
    ($checksums | lines | map(split(" ") | {key: .[0], value: .[1]}) | from_entries) as $sums
    | ($tree | lines | map(
        split("|") as [$depth, $package, $licence] | ($package | split(" ")) as $words
        | ($words[1] | ltrimstr("v")) as $version
        | {depth: ($depth | tonumber), name: $words[0], $version, ours: ($package | contains("(/")),
           licence: ($licence | sub(" \\(\\*\\)$"; "") | gsub("/"; " OR ") | gsub(" +"; " ")),
           ref: "pkg:cargo/\($words[0])@\($version)"})) as $seen
    | (reduce $seen[] as $one ({path: [], edges: []};
        .path = .path[:$one.depth] + [$one.ref]
        | if $one.depth > 0 then .edges += [[.path[$one.depth - 1], $one.ref]] else . end) | .edges) as $rust
    | ($seen | unique_by(.ref) | map({
        type: (if .name == "aerie" or .name == "aerie-agent" then "application" else "library" end),
        "bom-ref": .ref, name, version, licenses: [{expression: .licence}], purl: .ref
      } + ($sums["\(.name)@\(.version)"] as $sum
           | if $sum then {hashes: [{alg: "SHA-256", content: $sum}]} else {} end))) as $crates

    # ---- the GUI ----
    | $npm[0].packages as $lock
    | def reference: "pkg:npm/\(. | gsub("@"; "%40"))@\($lock["node_modules/" + .].version)";
      def needs: ($lock["node_modules/" + .] | (.dependencies // {}) + (.peerDependencies // {}) | keys)
        | map(select($lock["node_modules/" + .] and (startswith("@types/") | not)));
      def closure: . as $known | (map(needs) | add + $known | unique) as $more
        | if $more == $known then $known else $more | closure end;
      ($imports | lines | map(select($lock["node_modules/" + .])) | unique) as $direct
    | ($direct | closure) as $packages
    # Named in a LICENSE file only.
    | {"svelte-toolbelt": "MIT"} as $unsaid
    | ($packages | map($lock["node_modules/" + .] as $entry | {
        type: "library", "bom-ref": reference, name: ., version: $entry.version,
        licenses: [{expression: ($entry.license // $unsaid[.])}], purl: reference})) as $modules

    # ---- together ----
    | ($crates[] | select(.name == "aerie")) as $product
    | {key: "aerie-gui@\($product.version)"} as $gui
    | ($rust
       + [[$product["bom-ref"], $gui.key]] + ($direct | map([$gui.key, reference]))
       + ($packages | map(reference as $from | needs[] | [$from, reference])) | unique) as $edges
    | ([{type: "library", "bom-ref": $gui.key, name: "aerie-gui", version: $product.version,
         licenses: [{expression: "Apache-2.0"}]}] + $crates + $modules) as $components
    | {
        bomFormat: "CycloneDX", specVersion: "1.6", version: 1,
        metadata: {
          timestamp: $time,
          component: {type: "application", "bom-ref": "aerie", name: "aerie", version: $product.version,
                      properties: [{name: "aerie:target", value: $target}]}
        },
        components: ($components | sort_by(."bom-ref")),
        dependencies: ([{ref: "aerie", dependsOn: ($crates | map(select(.type == "application")."bom-ref") | sort)}]
          + ($components | map(."bom-ref") | sort
             | map(. as $ref | {ref: $ref, dependsOn: ($edges | map(select(.[0] == $ref)[1]))})))
      }' > "$work/ours"

if [ "${2:-}" = --within ]; then
    # Buildroot knows the package aerie as one thing: ours takes its place, with all that is inside.
    jq --slurpfile ours "$work/ours" '
        .metadata.component."bom-ref" as $root
        | .metadata.timestamp = $ours[0].metadata.timestamp
        | (.dependencies[] | select(.ref == "buildroot").ref) = $root
        | .components |= map(select(."bom-ref" != "aerie")) + [$ours[0].metadata.component + {licenses: [{expression: "Apache-2.0"}]}]
            + $ours[0].components
        | (.dependencies[] | select(.ref == "aerie").dependsOn) += $ours[0].dependencies[0].dependsOn
        | .dependencies += $ours[0].dependencies[1:]
    ' "${3:?which list of the system?}"
else
    cat "$work/ours"
fi
