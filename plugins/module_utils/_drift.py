# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift: how a database differs from what its migrations make, or from what it was when that was last recorded."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils import _catalogue as catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._catalogue import Catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._connection import Server, one_row
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration_apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration_history import quote, read_only_for_others
from ansible_collections.slipway.deploy.plugins.module_utils._migration_policy import DEFAULTS, Policy
from ansible_collections.slipway.deploy.plugins.module_utils._migration_run import Files, migrate, survey, working

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_TABLE = """
    CREATE SCHEMA IF NOT EXISTS slipway;
    CREATE TABLE IF NOT EXISTS slipway.schema_snapshot (
        taken_at  timestamptz NOT NULL DEFAULT now(),
        catalogue jsonb       NOT NULL
    );
"""
_DEFAULTS = """
    SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %I GRANT %s ON %s TO %s',
                  defaclrole::regrole, nspname, privilege_type,
                  CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                                     ELSE 'TYPES' END,
                  CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
      FROM pg_default_acl JOIN pg_namespace ON pg_namespace.oid = defaclnamespace, aclexplode(defaclacl)
     WHERE nspname = 'public' AND grantee <> defaclrole
"""
_CREATE = """
    SELECT format('CREATE DATABASE %%I TEMPLATE template0 ENCODING %%L LC_COLLATE %%L LC_CTYPE %%L', %s,
                  pg_encoding_to_char(encoding), datcollate, datctype)
      FROM pg_database WHERE datname = current_database()
"""


@dataclass(frozen=True)
class Difference:
    """An object that is not as it should be: ``expected`` or ``found`` is None where it is not there at all."""

    object: str
    expected: str | None
    found: str | None

    def __str__(self) -> str:
        if self.expected is None:
            return f"{self.object} was added by hand: {self.found}".rstrip(": ")
        if self.found is None:
            return f"{self.object} is missing: {self.expected}".rstrip(": ")
        return f"{self.object} was changed by hand: {self.found}, not {self.expected}"

    def result(self) -> dict[str, Any]:
        """The difference as a module returns it."""
        return asdict(self)


def compare(expected: Catalogue, found: Catalogue) -> list[Difference]:
    """Every object of two catalogues that is not the same in both, in the order of their names."""
    names = sorted({**expected, **found})
    return [
        Difference(name, expected.get(name), found.get(name)) for name in names if expected.get(name) != found.get(name)
    ]


def differences(server: Server, files: Files, against: str) -> tuple[str, list[Difference]]:
    """Compare with a ``replay``, a ``snapshot``, or (``auto``) with a snapshot where a replay is not possible.

    Returns which it was, and the differences.
    """
    if against == "snapshot":
        return "snapshot", by_snapshot(server, files.schema)
    try:
        return "replay", by_replay(server, files)
    except SlipwayError as refused:
        if against == "replay":
            raise
        try:
            return "snapshot", by_snapshot(server, files.schema)
        except SlipwayError as nothing:
            raise SlipwayError(f"{refused} {nothing}") from nothing


def by_replay(server: Server, files: Files) -> list[Difference]:
    """Compare with a scratch database in which the applied migrations are applied again.

    Raises SlipwayError where the role may not create one, or an applied migration can't be applied again.
    """
    plan = survey(server, files)[0]
    with working(server, files.schema) as cursor:
        found = catalogue.read(cursor)
        cursor.execute(_DEFAULTS)
        defaults = [row[0] for row in cursor.fetchall()]
        with _scratch(cursor, server) as scratch:
            with working(scratch, files.schema) as there:
                for statement in defaults:
                    there.execute(statement)
            if plan.applied:
                migrate(scratch, _only(files, plan.applied), Patience(10, 10))
            with working(scratch, files.schema) as there:
                expected = catalogue.read(there)
    return compare(catalogue.without_environment(expected), catalogue.without_environment(found))


def by_snapshot(server: Server, schema: str) -> list[Difference]:
    """Compare with what ``record`` has kept. Raises SlipwayError where there is nothing."""
    with working(server, schema, default_transaction_read_only="on") as cursor:
        kept = _kept(cursor)
        if kept is None:
            raise SlipwayError(
                "No snapshot of the schema was recorded yet: record one (state: recorded), then compare."
            )
        return compare(kept, catalogue.read(cursor))


def record(server: Server, schema: str, check: bool) -> bool:
    """Keep the catalogue as it is now, unless that is what is kept already; return whether there is a change."""
    with working(server, schema) as cursor:
        now, kept = catalogue.read(cursor), _kept(cursor)
        if now != kept and not check:
            cursor.execute("BEGIN")
            if kept is None:
                cursor.execute(_TABLE)
                read_only_for_others(cursor, "slipway.schema_snapshot")
            cursor.execute("DELETE FROM slipway.schema_snapshot")
            cursor.execute("INSERT INTO slipway.schema_snapshot (catalogue) VALUES (%s)", (json.dumps(now),))
            cursor.execute("COMMIT")
    return now != kept


def _only(files: Files, names: Sequence[str]) -> Files:
    """The files of some migrations, to be applied whatever the policy says, and without their checks of the data."""
    chosen = [file for file in files.payload.migrations if file.name in names]
    broken = next((file for file in chosen if file.name not in files.payload.scripts), None)
    if broken:
        raise SlipwayError(f"The migrations can't be replayed: {broken.problem}")
    scripts = {file.name: files.payload.scripts[file.name] for file in chosen}
    payload = Payload.pack([replace(file, problem="") for file in chosen], scripts)
    return replace(files, payload=payload, policy=Policy(dict.fromkeys(DEFAULTS, "allow")))


def _kept(cursor: Cursor) -> Catalogue | None:
    cursor.execute("SELECT to_regclass('slipway.schema_snapshot') IS NOT NULL")
    if not one_row(cursor)[0]:
        return None
    cursor.execute("SELECT catalogue FROM slipway.schema_snapshot ORDER BY taken_at DESC LIMIT 1")
    row = cursor.fetchone()
    kept: Catalogue | None = row[0] if row else None
    return kept


@contextlib.contextmanager
def _scratch(cursor: Cursor, server: Server) -> Iterator[Server]:
    """An empty database on the same server, with the same encoding and locale, for a ``with`` block."""
    name = f"slipway_replay_{secrets.token_hex(6)}"
    try:
        cursor.execute(_CREATE, (name,))
        cursor.execute(one_row(cursor)[0])
    except psycopg2.errors.InsufficientPrivilege as error:
        raise SlipwayError(
            f"The role {server.user!r} may not create the database that the migrations are replayed in: give it "
            "CREATEDB, or compare with a snapshot (against: snapshot)."
        ) from error
    try:
        yield server.on(name)
    finally:
        cursor.execute(f"DROP DATABASE {quote(name)}")
