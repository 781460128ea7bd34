# SPDX-License-Identifier: GPL-3.0-or-later
"""Empties a database of what its application made, and of nothing else.

What the owner role owns goes, and large objects, which are data. Everything else stays: the schema ``public`` with its
owner, its grants, its comment and the default privileges in it, the database's own settings and comment, extensions of
the administrator, and Slipway's schema. Extensions that the owner role created go, since the migration that did it
would fail at one that is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access.adoption import OWNED, WORDS
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import OWN_SCHEMA, SCHEMAS, of_extension
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from ansible_collections.slipway.deploy.plugins.module_utils._schema.snapshot import forget
from ansible_collections.slipway.deploy.plugins.module_utils._text import listed

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

Address = tuple[str, int]  # of a catalogue and a row of it
_FIRST = 16384  # the first number that initdb did not give

_SYSTEM = "(space.nspname ~ '^pg_' OR space.nspname = 'information_schema')"
_OBJECTS = f"""
    SELECT identified.type, identified.identity, pg_catalog.pg_get_userbyid(found.owner), catalogue::text, object::int8,
           coalesce(space.nspname, ''), namespace IS NULL OR namespace IN (SELECT oid FROM ({SCHEMAS}) n)
    FROM ({OWNED}) found (catalogue, object, namespace, owner, privileged)
    LEFT JOIN pg_catalog.pg_namespace space ON space.oid = namespace,
    pg_catalog.pg_identify_object(catalogue, object, 0) identified
    WHERE object >= {_FIRST} AND catalogue <> 'pg_catalog.pg_namespace'::regclass AND NOT coalesce({_SYSTEM}, false)
      AND NOT {of_extension("catalogue", "object")}
    UNION ALL
    SELECT 'subscription', quote_ident(subname), pg_catalog.pg_get_userbyid(subowner), 'pg_subscription', oid::int8,
           '', true
    FROM pg_catalog.pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY 1, 2
"""
_EXTENSIONS = f"""
    SELECT 'extension', quote_ident(extname), pg_catalog.pg_get_userbyid(extowner), 'pg_extension', oid::int8, '', true
    FROM pg_catalog.pg_extension WHERE oid >= {_FIRST} ORDER BY 1, 2
"""
# A schema in which an extension lives that stays, stays with it.
_SCHEMAS = f"""
    SELECT 'schema', quote_ident(space.nspname), pg_catalog.pg_get_userbyid(nspowner), 'pg_namespace', space.oid::int8,
           '', NOT EXISTS (SELECT FROM pg_catalog.pg_extension
                        WHERE extnamespace = space.oid AND pg_catalog.pg_get_userbyid(extowner) <> %(owner)s)
    FROM ({SCHEMAS}) space WHERE space.oid >= {_FIRST} ORDER BY 1, 2
"""
_LARGE_OBJECTS = f"""
    SELECT pg_catalog.pg_get_userbyid(lomowner), array_agg(data.oid::int8 ORDER BY data.oid)
    FROM pg_catalog.pg_largeobject_metadata data
    WHERE NOT {of_extension("'pg_catalog.pg_largeobject'::regclass", "data.oid")} GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True)
class Object:
    """An object of the database. ``kind`` is the catalogue's word, ``identity`` its name in SQL.

    ``schema`` is '' where it is in none. ``own``: by its place, a schema of its own or none, it is the application's.
    """

    kind: str
    identity: str
    owner: str
    catalogue: str
    number: int
    schema: str
    own: bool

    @property
    def address(self) -> Address:
        return self.catalogue, self.number

    @property
    def drop(self) -> str:
        """What drops it with all that depends on it, if that has not gone with another."""
        word = WORDS.get(self.kind, self.kind.upper())
        return f"DROP {word} IF EXISTS {self.identity} CASCADE"


@dataclass(frozen=True)
class Contents:
    """What is in a database: what goes, what stays, and what is in the way of emptying it.

    ``large_objects`` are their numbers by the role that owns them.
    """

    goes: Sequence[Object]
    stays: Sequence[Object]
    large_objects: dict[str, list[int]]

    @property
    def foreign(self) -> list[Object]:
        """What stays among what goes: others made it there, past the migrations."""
        return [each for each in self.stays if each.own and each.kind not in ("extension", "schema")]

    def counts(self) -> str:
        """What goes, in numbers: ``9 tables, 2 types``."""
        numbers = Counter(each.kind for each in self.goes)
        numbers.update({"large object": sum(map(len, self.large_objects.values()))})
        first = sorted(numbers.items(), key=lambda pair: (pair[0] != "table", pair[0]))
        return ", ".join(f"{number:,} {kind if number == 1 else _plural(kind)}" for kind, number in first if number)


def _plural(kind: str) -> str:
    """Of a word that the catalogue has for a kind of objects."""
    return kind[:-1] + "ies" if kind.endswith("y") else kind + ("es" if kind.endswith("s") else "s")


def read(cursor: Cursor, owner: str) -> Contents:
    """What is in the current database, of which the role ``owner`` owns what the migrations made."""
    cursor.execute(_OBJECTS)
    found = [Object(*row) for row in cursor.fetchall()]
    cursor.execute(_EXTENSIONS)
    found += [Object(*row) for row in cursor.fetchall()]
    goes = [each for each in found if each.owner == owner and each.kind != "subscription" and each.schema != OWN_SCHEMA]
    going = set(goes)
    stays = [each for each in found if each not in going]
    cursor.execute(_SCHEMAS, {"owner": owner})
    schemas = [Object(*row) for row in cursor.fetchall()]
    goes += [each for each in schemas if each.owner == owner and each.own]
    stays += [each for each in schemas if each.owner != owner or not each.own]
    cursor.execute(_LARGE_OBJECTS)
    return Contents(goes, stays, dict(cursor.fetchall()))


def insist_on_own(contents: Contents, database: str, owner: str) -> None:
    """Raise SlipwayError where something is among what goes that is not the owner's, and was made past migrations."""
    if contents.foreign:
        names = [f"{each.kind} {each.identity} of role {each.owner}" for each in contents.foreign]
        raise SlipwayError(
            f"Database {database!r} holds what is not its owner's, so that no migration makes it again: "
            f"{listed(names)}. Nothing was dropped: drop these by hand, or give them to {owner}, and run again."
        )


def empty(cursor: Cursor, owner: str, wait: str) -> None:
    """Drop what is the application's, in the caller's transaction, as the role ``owner``.

    The locks on all tables are waited for no longer than ``wait``, PostgreSQL's 2s or 500ms, so that nobody who reads
    is held up for longer; psycopg2's QueryCanceled or LockNotAvailable says that they were not to be had. SlipwayError
    where something is in the way, or would go that stays; the caller rolls back.
    """
    cursor.execute("SELECT current_database(), rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")
    database, superuser = one_row(cursor)
    contents = read(cursor, owner)
    insist_on_own(contents, database, owner)
    cursor.execute(f"SET LOCAL ROLE {quote(owner)}")
    tables = [each.identity for each in contents.goes if each.kind == "table"]
    if tables:
        cursor.execute(
            "SELECT set_config('statement_timeout', %(wait)s, true), set_config('lock_timeout', %(wait)s, true)",
            {"wait": wait},
        )
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SET LOCAL statement_timeout = 0")
    cursor.execute("; ".join(["SET LOCAL client_min_messages = warning", *(each.drop for each in contents.goes)]))
    for role, numbers in contents.large_objects.items():
        cursor.execute("SET LOCAL ROLE NONE" if superuser else f"SET LOCAL ROLE {quote(role)}")
        cursor.execute("SELECT count(pg_catalog.lo_unlink(number::oid)) FROM unnest(%s) AS number", [numbers])
    cursor.execute(f"SET LOCAL ROLE {quote(owner)}")
    forget(cursor)
    _insist_on_rest(contents, read(cursor, owner), database)


def _insist_on_rest(before: Contents, after: Contents, database: str) -> None:
    """Raise SlipwayError unless what is there now is what was to stay."""
    lost = _missing(before.stays, after.stays)
    if lost:
        raise SlipwayError(
            f"Emptying database {database!r} would drop what depends on the application's objects and is not the "
            f"application's: {listed(lost)}. Nothing was dropped: remove these by hand, and run again."
        )
    left = [f"{each.kind} {each.identity}" for each in after.goes]
    if left or after.large_objects:
        raise SlipwayError(
            f"Something was made in database {database!r} while it was emptied: {listed(left or ['large objects'])}. "
            "Nothing was dropped: run again."
        )


def _missing(wanted: Iterable[Object], found: Iterable[Object]) -> list[str]:
    there = {each.address for each in found}
    return [f"{each.kind} {each.identity} of role {each.owner}" for each in wanted if each.address not in there]
