#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Before the packages: the official image's user, with its number, and no cluster of Debian's own. $1 is the image's root.
set -eu
echo 'postgres:x:999:' >>"$1/etc/group"
echo 'postgres:!:::::::' >>"$1/etc/shadow"
echo 'postgres:x:999:999:PostgreSQL:/var/lib/postgresql:/bin/bash' >>"$1/etc/passwd"
install -d -m 0755 -o 999 -g 999 "$1/var/lib/postgresql"
install -d "$1/etc/postgresql-common"
echo 'create_main_cluster = false' >"$1/etc/postgresql-common/createcluster.conf"
