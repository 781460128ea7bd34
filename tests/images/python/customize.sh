#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# As in the official image: python and python3 in /usr/local/bin, and a pip that installs into the system. $1 is the image's root.
set -eu
root=$1
ln -s /usr/bin/python3 "$root/usr/local/bin/python3"
ln -s /usr/bin/python3 "$root/usr/local/bin/python"
rm "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
find "$root/usr" -name __pycache__ -prune -exec rm -rf {} +
