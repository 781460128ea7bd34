# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules that run the server's own client programs."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  bindir:
    description:
      - Directory on the host that holds C(pg_dump) and C(pg_restore) of the server's major version.
      - Without it and without O(container), they are looked for where Debian's and Red Hat's packages put that version,
        then on the C(PATH).
    type: path
  container:
    description:
      - Name of the container that the server runs in; its own programs are used, through C(docker exec).
      - The archive is streamed. Only a list of what to restore is written in the container, in C(/dev/shm), where
        pg_restore's own order would not do, and removed. O(login_port) is the port inside it.
    type: str
  container_socket_dir:
    description: Directory of the server's socket inside O(container).
    type: str
    default: /var/run/postgresql
  space_factor:
    description:
      - A run starts only when this many times the database's size is free, where the archive goes and, as far as that
        can be seen, where the server keeps its data. When both are on one file system, twice as much.
    type: float
    default: 1.2
"""
