#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# After the packages. $1 is the image's root.
set -eu
root=$1
install -m 0755 "$(dirname "$0")/docker-entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
chroot "$root" localedef -i en_US -f UTF-8 en_US.UTF-8
install -d "$root/docker-entrypoint-initdb.d"
install -d -m 0700 -o 999 -g 999 "$root/var/lib/postgresql/data"
install -d -m 3775 -o 999 -g 999 "$root/var/run/postgresql"
# initdb writes each new cluster's configuration from this sample
sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" "$root"/usr/share/postgresql/*/postgresql.conf.sample
grep -q "^listen_addresses = '\*'" "$root"/usr/share/postgresql/*/postgresql.conf.sample
rm -rf "$root/usr/share/i18n" "$root"/usr/lib/postgresql/*/lib/bitcode
