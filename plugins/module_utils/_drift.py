# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift: how a database differs from what its migrations make, or from what it was when that was last recorded."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils import _catalogue as catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._catalogue import Catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._connection import Server, connection, one_row
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration_apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration_history import quote
from ansible_collections.slipway.deploy.plugins.module_utils._migration_policy import DEFAULTS, Policy
from ansible_collections.slipway.deploy.plugins.module_utils._migration_run import Files, migrate, survey

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

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


def by_replay(server: Server, files: Files) -> list[Difference]:
    """Compare with a scratch database in which the applied migrations are applied again.

    Raises SlipwayError where the role may not create one, or an applied migration can't be applied again.
    """
    plan, _ = survey(server, files)
    with connection(server, "slipway drift") as opened, opened.cursor() as cursor:
        found = catalogue.read(cursor)
        cursor.execute(_DEFAULTS)
        defaults = [row[0] for row in cursor.fetchall()]
    applied = [file for file in files.payload.migrations if file.name in plan.applied]
    broken = next((file for file in applied if file.name not in files.payload.scripts), None)
    if broken:
        raise SlipwayError(f"The migrations can't be replayed: {broken.problem}")
    scripts = {file.name: files.payload.scripts[file.name] for file in applied}
    allowed = Policy(dict.fromkeys(DEFAULTS, "allow"))
    again = replace(
        files, payload=Payload.pack([replace(file, problem="") for file in applied], scripts), policy=allowed
    )
    with _scratch(server) as scratch:
        with connection(scratch, "slipway drift") as opened, opened.cursor() as cursor:
            for statement in defaults:
                cursor.execute(statement)
            opened.commit()
        if applied:
            migrate(scratch, again, Patience(10, 10))
        with connection(scratch, "slipway drift") as opened, opened.cursor() as cursor:
            expected = catalogue.read(cursor)
    return compare(catalogue.without_environment(expected), catalogue.without_environment(found))


def by_snapshot(server: Server) -> list[Difference]:
    """Compare with what ``record`` has kept. Raises SlipwayError where there is nothing."""
    with connection(server, "slipway drift", default_transaction_read_only="on") as opened, opened.cursor() as cursor:
        kept = _kept(cursor)
        if kept is None:
            raise SlipwayError(
                "No snapshot of the schema was recorded yet: record one (state: recorded), then compare."
            )
        return compare(kept, catalogue.read(cursor))


def record(server: Server, check: bool) -> bool:
    """Keep the catalogue as it is now, unless that is what is kept already; return whether there is a change."""
    with connection(server, "slipway drift") as opened, opened.cursor() as cursor:
        now = catalogue.read(cursor)
        if now == _kept(cursor):
            return False
        if not check:
            cursor.execute(_TABLE)
            cursor.execute("DELETE FROM slipway.schema_snapshot")
            cursor.execute("INSERT INTO slipway.schema_snapshot (catalogue) VALUES (%s)", (json.dumps(now),))
            opened.commit()
    return True


def _kept(cursor: Cursor) -> Catalogue | None:
    cursor.execute("SELECT to_regclass('slipway.schema_snapshot') IS NOT NULL")
    if not one_row(cursor)[0]:
        return None
    cursor.execute("SELECT catalogue FROM slipway.schema_snapshot ORDER BY taken_at DESC LIMIT 1")
    row = cursor.fetchone()
    kept: Catalogue | None = row[0] if row else None
    return kept


@contextlib.contextmanager
def _scratch(server: Server) -> Iterator[Server]:
    """An empty database on the same server, with the same encoding and locale, for a ``with`` block."""
    name = f"slipway_replay_{secrets.token_hex(6)}"
    with connection(server, "slipway drift") as opened, opened.cursor() as cursor:
        opened.autocommit = True
        try:
            cursor.execute(
                "SELECT format('CREATE DATABASE %%I TEMPLATE template0 ENCODING %%L LC_COLLATE %%L LC_CTYPE %%L', %s,"
                " pg_encoding_to_char(encoding), datcollate, datctype) FROM pg_database"
                " WHERE datname = current_database()",
                (name,),
            )
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
