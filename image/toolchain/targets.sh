# shellcheck shell=bash disable=SC2034 # read by who sources it
# What a target is called, tool by tool, and what its binaries may ask of the system that they come to.
# usage: source targets.sh aarch64|x86_64|armv7

floor_of_glibc=2.28
floor_of_systemd=239
megabytes_of_aerie=20

case ${1:-} in
    aarch64) triple=aarch64-unknown-linux-gnu debian=arm64 libraries=aarch64-linux-gnu qemu=aarch64 ;;
    x86_64) triple=x86_64-unknown-linux-gnu debian=amd64 libraries=x86_64-linux-gnu qemu=x86_64 ;;
    armv7) triple=armv7-unknown-linux-gnueabihf debian=armhf libraries=arm-linux-gnueabihf qemu=arm ;;
    *)
        echo "There is no target \"${1:-}\". Say TARGET=aarch64, TARGET=x86_64 or TARGET=armv7." >&2
        exit 1
        ;;
esac
