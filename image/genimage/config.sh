#!/usr/bin/env bash
# Prints genimage's configuration of the disk, with the sizes of image/layout.env.
# usage: config.sh > disk.cfg
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=/dev/null
source ../layout.env
sed -e "s/@ESP_MIB@/${ESP_MIB:?}/" -e "s/@SLOT_MIB@/${SLOT_MIB:?}/" -e "s/@DATA_MIB@/${DATA_MIB:?}/" disk.cfg.in
