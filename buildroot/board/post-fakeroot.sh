#!/usr/bin/env bash
# Buildroot calls this with the root file system's folder when accounts and modes are as they will be packed.
set -euo pipefail
target=${1:?Buildroot passes the folder of the root file system}
# Nobody logs in, so nobody needs su, passwd or mount with other rights than their own.
find "$target" -xdev -type f -perm /6000 -exec chmod u-s,g-s {} +
"$(dirname "$0")/../../image/inspect.sh" "$target"
