#!/usr/bin/env bash
# Looks a slot's root file system through before it is packed: nobody can log in, nothing secret is inside, and what has to
# be there is there. Says each fault in a sentence and ends with 1.
# usage: inspect.sh ROOT
set -euo pipefail
root=${1:?usage: inspect.sh ROOT}
cd "$root"
faults=0
fault() { echo "$root: $*" >&2; faults=$((faults + 1)); }

# ---- nobody logs in ----
grep -qs '^root:' etc/shadow || fault "etc/shadow has no line for root, so nothing locks it."
while IFS=: read -r name hash _; do
    case $hash in
        '!'* | '*'*) ;;
        *) fault "the account $name in etc/shadow has a password, or needs none: every account is locked." ;;
    esac
done < <(cat etc/shadow 2>/dev/null || true)
while IFS=: read -r name hash _; do
    [ "$hash" = x ] || fault "the account $name in etc/passwd has its password there, or none: it has to be x."
done < etc/passwd
for unit in getty@.service serial-getty@.service console-getty.service container-getty@.service; do
    [ -e "usr/lib/systemd/system/$unit" ] || continue
    [ "$(readlink "etc/systemd/system/$unit" || true)" = /dev/null ] || fault "$unit asks for a login: mask it."
done
while read -r program; do
    fault "$program lets people in from the network."
done < <(find usr/bin usr/sbin usr/lib usr/libexec -xdev \( -name sshd -o -name 'sshd-*' -o -name dropbear -o -name telnetd \
    -o -name in.telnetd -o -name rlogind -o -name rshd -o -name ftpd -o -name tftpd -o -name httpd -o -name inetd \) 2>/dev/null)
while read -r file; do
    fault "$file is there: no key opens an appliance."
done < <(find . -xdev -name 'authorized_keys*' -o -xdev -name 'ssh_host_*')

# ---- nothing secret, nothing that two appliances would share ----
[ "$(stat -c %s etc/machine-id 2>/dev/null)" = 0 ] || fault "etc/machine-id has to be there and empty."
while read -r file; do
    fault "$file is a secret: each appliance makes its own at its first start."
done < <(find . -xdev \( -name machine-key -o -name setup-code -o -name random-seed -o -name '*.redb' \) -size +0
    grep -rlsI -e '-----BEGIN .*PRIVATE KEY-----' etc root var home 2>/dev/null || true)
for folder in var/lib/aerie var/lib/aerie-vault var/lib/aerie-machine; do
    [ -z "$(ls -A "$folder" 2>/dev/null)" ] || fault "$folder is not empty: the data partition will hide what is in it."
done

# ---- nobody becomes root by a program's mode ----
while read -r file; do
    fault "$file runs with other rights than those of who starts it."
done < <(find . -xdev -type f -perm /6000)

# ---- complete ----
for file in boot/vmlinuz boot/initrd etc/aerie/aerie.toml usr/bin/aerie usr/bin/aerie-agent usr/lib/systemd/systemd \
    usr/lib/systemd/system/aerie.service usr/lib/systemd/system/aerie-vault.service usr/sbin/e2fsck; do
    [ -s "$file" ] || fault "$file is missing."
done
for folder in dev efi mnt proc root run sys tmp var; do
    [ -d "$folder" ] || fault "the folder $folder is missing: something is mounted there."
done
for user in aerie aerie-vault; do
    grep -q "^$user:" etc/passwd || fault "there is no account $user in etc/passwd: its unit cannot start."
done
for unit in aerie.service aerie-vault.service; do
    [ -L "etc/systemd/system/multi-user.target.wants/$unit" ] || [ -L "usr/lib/systemd/system/multi-user.target.wants/$unit" ] \
        || fault "$unit is not enabled."
done
[ "$faults" -eq 0 ]
