#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# After the packages. $1 is the image's root.
set -eu
root=$1
chroot "$root" localedef -i en_US -f UTF-8 en_US.UTF-8
install -d "$root/docker-entrypoint-initdb.d"
install -d -m 0700 -o 999 -g 999 "$root/var/lib/postgresql/data"
# initdb writes each new cluster's configuration from this sample
sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" "$root"/usr/share/postgresql/*/postgresql.conf.sample
grep -q "^listen_addresses = '\*'" "$root"/usr/share/postgresql/*/postgresql.conf.sample
rm -rf "$root/usr/share/i18n"
# The just-in-time compiler is 140 MB that no test needs; without its provider the server does not look for it.
rm -rf "$root"/usr/lib/postgresql/*/lib/llvmjit* "$root"/usr/lib/postgresql/*/lib/bitcode \
    "$root"/usr/lib/*/libLLVM*.so* "$root"/usr/lib/*/libz3.so*
