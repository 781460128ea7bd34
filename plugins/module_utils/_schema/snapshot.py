# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema that the migrations made, as it was recorded when they were last applied: ``slipway.schema_snapshot``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access import monitor
from ansible_collections.slipway.deploy.plugins.module_utils._access.own_schema import (
    close_to_others,
    make_own_schema,
)
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._schema import catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import Catalogue

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# One without the last column was made by a Slipway that kept less: it counts as none.
_EXISTS = """
    SELECT EXISTS (SELECT FROM pg_attribute
                    WHERE attrelid = to_regclass('slipway.schema_snapshot') AND attname = 'reading')
"""
_TABLE = """
    DROP TABLE IF EXISTS slipway.schema_snapshot;
    CREATE TABLE slipway.schema_snapshot (
        taken_at   timestamptz NOT NULL DEFAULT now(),
        migrations jsonb       NOT NULL,
        catalogue  jsonb       NOT NULL,
        reading    text        NOT NULL,
        made       jsonb
    );
"""


@dataclass(frozen=True)
class Snapshot:
    """A catalogue, the names of the migrations that were applied when it was read, and a digest of how it was read.

    ``made`` names the objects that are as migrations left them, or are not there because migrations removed them.
    """

    migrations: frozenset[str]
    catalogue: Catalogue
    reading: str = ""
    made: frozenset[str] = frozenset()

    def comparable(self, other: Snapshot) -> bool:
        """Whether a difference between the two catalogues is one between the schemas."""
        return self.reading == other.reading


def renewed(kept: Snapshot | None, before: Snapshot, after: Snapshot) -> Snapshot:
    """What to keep after migrations were applied: the schema they made, which is not always the one that is there.

    An object that was not as ``kept`` before them, and is the same after them, was changed by hand: it stays in the
    snapshot as it should be. Where migrations were applied unrecorded in between, this can't be told.
    """
    names = {*before.catalogue, *after.catalogue}
    made = frozenset(name for name in names if before.catalogue.get(name) != after.catalogue.get(name))
    if kept is None or kept.migrations != before.migrations or not kept.comparable(before):
        return replace(after, made=made)
    result = dict(after.catalogue)
    for name in {**kept.catalogue, **before.catalogue}:
        expected, found = kept.catalogue.get(name), before.catalogue.get(name)
        if expected != found == after.catalogue.get(name):
            result.pop(name, None)
            if expected is not None:
                result[name] = expected
    return replace(after, catalogue=result, made=kept.made | made)


def take(cursor: Cursor, migrations: Iterable[str]) -> Snapshot:
    """The database as it is, in which these migrations are applied."""
    return Snapshot(frozenset(migrations), _without_monitors(cursor, catalogue.read(cursor)), _reading(cursor))


def _without_monitors(cursor: Cursor, found: Catalogue) -> Catalogue:
    """Who reads the server's statistics comes and goes: that such a role may connect is no part of the schema."""
    theirs = {(f"rights on database for {role}", "CONNECT") for role in monitor.roles(cursor)}
    return {name: text for name, text in found.items() if (name, text) not in theirs}


def _reading(cursor: Cursor) -> str:
    return catalogue.reading(cursor.connection.server_version)


def rights(cursor: Cursor) -> dict[str, str] | None:
    """The part about rights of what is kept in the database, if it is comparable with the database as it is."""
    cursor.execute(_EXISTS)
    if not one_row(cursor)[0]:
        return None
    cursor.execute("SELECT taken_at FROM slipway.schema_snapshot WHERE reading = %s", [_reading(cursor)])
    if cursor.fetchone() is None:
        return None
    cursor.execute(
        "SELECT key, value FROM slipway.schema_snapshot, jsonb_each_text(catalogue) WHERE key LIKE 'rights on %'"
    )
    return dict(cursor.fetchall())


def load(cursor: Cursor) -> Snapshot | None:
    """What is kept in the database, if anything is."""
    cursor.execute(_EXISTS)
    if not one_row(cursor)[0]:
        return None
    # An earlier Slipway's has no column "made".
    cursor.execute(
        "SELECT migrations, catalogue, reading, to_jsonb(kept) -> 'made' FROM slipway.schema_snapshot AS kept"
        " ORDER BY taken_at DESC LIMIT 1"
    )
    row = cursor.fetchone()
    if row is None:
        return None
    return Snapshot(frozenset(row[0]), _without_monitors(cursor, row[1]), row[2], frozenset(row[3] or ()))


def prepare(cursor: Cursor) -> None:
    """Make the table, in autocommit or in the caller's transaction. Raises SlipwayError when the role may not."""
    cursor.execute(_EXISTS)
    if not one_row(cursor)[0]:
        try:
            make_own_schema(cursor)
            cursor.execute(_TABLE)
            close_to_others(cursor, "slipway.schema_snapshot")
        except psycopg2.errors.InsufficientPrivilege as error:
            raise SlipwayError(
                f"The role may not keep the schema in slipway.schema_snapshot ({error.diag.message_primary}): run as "
                "the database's owner, or grant CREATE on the database."
            ) from error


def forget(cursor: Cursor) -> None:
    """Keep no snapshot any more, in the caller's transaction: what the migrations made is gone."""
    cursor.execute("SELECT to_regclass('slipway.schema_snapshot') IS NOT NULL")
    if one_row(cursor)[0]:
        cursor.execute("DELETE FROM slipway.schema_snapshot")


def store(cursor: Cursor, snapshot: Snapshot) -> None:
    """Keep a snapshot in place of the one before, over an autocommit connection."""
    cursor.execute("BEGIN")
    prepare(cursor)
    cursor.execute(
        "DELETE FROM slipway.schema_snapshot; ALTER TABLE slipway.schema_snapshot ADD IF NOT EXISTS made jsonb"
    )
    cursor.execute(
        "INSERT INTO slipway.schema_snapshot (migrations, catalogue, reading, made) VALUES (%s, %s, %s, %s)",
        (
            json.dumps(sorted(snapshot.migrations)),
            json.dumps(snapshot.catalogue),
            snapshot.reading,
            json.dumps(sorted(snapshot.made)),
        ),
    )
    cursor.execute("COMMIT")


def reprint(cursor: Cursor, same: Callable[[str, str, str], bool]) -> None:
    """Keep definitions as a restored copy prints them, where they are the ``same`` (name, as kept, as printed now).

    They count as made by migrations, since a replay of those prints them as they were. For an autocommit connection.
    """
    kept = load(cursor)
    if kept is None:
        return
    now = take(cursor, kept.migrations)
    if not kept.comparable(now):
        return
    printed = {
        name: now.catalogue[name]
        for name, text in kept.catalogue.items()
        if text != now.catalogue.get(name, text) and same(name, text, now.catalogue[name])
    }
    if printed:
        store(cursor, replace(kept, catalogue={**kept.catalogue, **printed}, made=kept.made | printed.keys()))


@contextlib.contextmanager
def renewing(cursor: Cursor, applied: Callable[[], Iterable[str]]) -> Iterator[None]:
    """Renew what is kept by what migrations make of the schema within a ``with`` block, also when one of them fails.

    ``applied`` reads the names of those that are applied now.
    """
    prepare(cursor)
    kept, before = load(cursor), take(cursor, applied())
    try:
        yield
    except Exception:
        with contextlib.suppress(psycopg2.Error):  # what failed is worth more
            store(cursor, renewed(kept, before, take(cursor, applied())))
        raise
    store(cursor, renewed(kept, before, take(cursor, applied())))
