# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the databases that Slipway makes beside another."""

from __future__ import annotations

# What the name of a database has appended for each of its copies that are made and dropped.
SCRATCH = "_scratch"  # a backup is proved, and migrations are rehearsed
RESTORING = "_restoring"  # a backup is restored, to be put in the database's place
REPLAY = "_replay"  # the migrations are applied to an empty one
WANTED = "_wanted"  # the schema that is wanted is made in an empty one
DRILL = "_drill"  # a backup is restored, to see that it can be
AGAIN = "_again"  # appended to the name of a copy, for the copy that is made of it
NAME_BYTES = 63  # of a PostgreSQL identifier; the server cuts what is longer


def derived_name(database: str, suffix: str) -> str:
    """Another database's name made from this one's, within the length that PostgreSQL keeps."""
    room = NAME_BYTES - len(suffix.encode())
    return database.encode()[:room].decode(errors="ignore") + suffix


def copies(database: str) -> tuple[str, ...]:
    """The names of all copies of a database that are made and dropped."""
    scratch = derived_name(database, SCRATCH)
    others = (RESTORING, REPLAY, WANTED, DRILL)
    return scratch, derived_name(scratch, AGAIN), *(derived_name(database, suffix) for suffix in others)
