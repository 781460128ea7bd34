#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The official image's layout in place of Debian's sites-enabled. $1 is the image's root.
set -eu
root=$1
rm -rf "$root"/etc/nginx/sites-* "$root"/etc/nginx/modules-* "$root/etc/nginx/snippets"
chroot "$root" groupadd --system --gid 101 nginx || chroot "$root" groupadd --system nginx
chroot "$root" useradd --system --gid nginx --home-dir /nonexistent --shell /usr/sbin/nologin nginx
ln -sf /dev/stdout "$root/var/log/nginx/access.log"
ln -sf /dev/stderr "$root/var/log/nginx/error.log"
