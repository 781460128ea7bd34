# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules that take a backup, or have it taken."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  directory:
    description: Directory of backups on the host. Created with mode 0700 where it is missing; its files have mode 0600.
    type: path
    required: true
  application:
    description: Name of the application, kept in the manifest.
    type: str
    required: true
  environment_name:
    description: Name of the environment, kept in the manifest.
    type: str
    required: true
  scratch_db:
    description:
      - Database to restore into, created and then dropped. The default is O(login_db) with C(_scratch) appended.
      - A database of that name that does not carry Slipway's mark is never touched; the module fails.
      - Only the database's owner and superusers can connect to it.
    type: str
  keep:
    description:
      - How many proved backups of the same application, environment and database to keep; older ones are removed.
      - Of backups that hold the same (retries of a failed deploy, of an unchanged database) only the newest counts and
        is kept, unless their releases differ. One that is damaged does not count and stays.
      - V(0) keeps all.
    type: int
    default: 14
  keep_days:
    description: Keep what is younger than so many days too, however many there are.
    type: int
    default: 0
  keep_hourly:
    description: Keep the last one of so many hours that have one, too.
    type: int
    default: 0
  keep_daily:
    description: Keep the last one of so many days that have one, too.
    type: int
    default: 0
  keep_weekly:
    description: Keep the last one of so many weeks (ISO 8601) that have one, too.
    type: int
    default: 0
  keep_monthly:
    description: Keep the last one of so many months that have one, too.
    type: int
    default: 0
  keep_releases:
    description: Keep the last one of so many releases too, so that the database can go back with each of them.
    type: int
    default: 0
  keep_size:
    description:
      - Bytes that all dumps together may have; beyond that the oldest go, whatever the other rules say, but never the
        last three. V(0) is no limit.
    type: int
    default: 0
  proof_server:
    description:
      - Where the scratch database is. V(same) is the server of O(login_db).
      - V(own) is a throw-away server that is started for it and removed with it, so that the database's server, and its
        replicas, have nothing but the dump to do. It is of the server's own programs (O(bindir), or where they are
        looked for, which need C(initdb) and C(postgres) then) with its data in O(directory); or of the image of
        O(container), in a container beside it on no network, with its data in there.
      - It has the roles of the other server, without passwords, its tablespaces, and the settings that decide what a
        statement means, how it is planned and how much write-ahead log it makes. It is reached by a socket that only
        the user of this module can reach, and lets every role in.
      - As root, where PostgreSQL does not run, it is run under another id in a user namespace.
    type: str
    choices: [same, own]
    default: same
  contents_limit:
    description:
      - Up to how many megabytes of the database a checksum over the contents of every table and large object is
        compared as well, and kept in the manifest for every restore. It takes about a tenth of a backup's time.
    type: int
    default: 20000
  compress:
    description:
      - How to compress the dump, as pg_dump's C(--compress); V(1) is several times faster than its own default and
        seldom much larger. PostgreSQL 16 and newer may know V(zstd) and V(lz4), which whoever restores has to know too.
    type: str
    default: "1"
"""
