# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema that migrations make: they are applied again, as the role that applies them, in a scratch database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._drift.exclusions import without_environment
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import acquire
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files, Rehearsal, migrate
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Migration, Payload, Script
from ansible_collections.slipway.deploy.plugins.module_utils._migration.plan import Plan
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, one_row, working
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.names import REPLAY, derived_name
from ansible_collections.slipway.deploy.plugins.module_utils._schema import catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import Catalogue

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_WAIT = 60  # seconds
_LONGEST = "30s"  # of one statement; more is no small thing to do beside an application

# What is there before the first migration, because the environment and not a migration made it: statements to repeat.
_EXTENSIONS = """
    SELECT CASE WHEN nspname ~ '^(pg_.*|public)$' THEN ''
                ELSE format('CREATE SCHEMA IF NOT EXISTS %1$I; GRANT USAGE ON SCHEMA %1$I TO %2$I; ',
                            nspname, current_user) END
           || format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA %I VERSION %L', extname, nspname, extversion)
      FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
     WHERE pg_get_userbyid(extowner) <> current_user AND extname <> 'plpgsql' ORDER BY pg_extension.oid
"""
# Those of all schemas replace PostgreSQL's own defaults, those of one schema add to them (GRANT's and ALTER DEFAULT
# PRIVILEGES' pages of the manual).
_DEFAULT_RIGHTS = """
    WITH found AS (
        SELECT acl.*, nspname, format('ALTER DEFAULT PRIVILEGES %s', 'IN SCHEMA ' || quote_ident(nspname)) AS altering,
               CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                                  WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS'
               END AS kind
          FROM pg_default_acl AS acl LEFT JOIN pg_namespace ON pg_namespace.oid = defaclnamespace
         WHERE pg_get_userbyid(defaclrole) = current_user AND coalesce(nspname, 'public') = 'public'
           AND defaclobjtype IN ('r', 'S', 'f', 'T', 'n', 'L'))
    SELECT format('%s REVOKE ALL ON %s FROM PUBLIC, CURRENT_USER', altering, kind) FROM found WHERE nspname IS NULL
    UNION ALL
    SELECT format('%s GRANT %s ON %s TO %s%s', altering, privilege_type, kind,
                  CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
                  CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
      FROM found, aclexplode(defaclacl)
"""
# Whose "public" is, and what others may do in it: as in any other schema of the owner's.
_PUBLIC = """
    SELECT CASE WHEN pg_get_userbyid(nspowner) <> 'pg_database_owner'
                THEN format('ALTER SCHEMA public OWNER TO %I', current_user) ELSE '' END,
           (SELECT 'REVOKE CREATE ON SCHEMA public FROM PUBLIC' || string_agg(
                       format('; GRANT %s ON SCHEMA public TO %s', privilege_type, grantee::regrole), '')
              FROM pg_default_acl, aclexplode(defaclacl)
             WHERE defaclobjtype = 'n' AND defaclrole = current_user::regrole AND grantee NOT IN (0, defaclrole))
      FROM pg_namespace WHERE nspname = 'public' AND pg_get_userbyid(nspowner) IN (current_user, 'pg_database_owner')
"""


@contextlib.contextmanager
def beside(
    cursor: Cursor, server: Server, creator: Server, schema: str, suffixes: Sequence[str] = (REPLAY,)
) -> Iterator[list[Server]]:
    """Databases in which nothing is but what the environment has made, for a ``with`` block.

    Their names have the ``suffixes``. ``cursor`` is in the database that they are like; ``server`` names that with the
    role that applies its migrations, ``creator`` a role that may create another. Raises SlipwayError where it may not.
    """
    cursor.execute(_EXTENSIONS)
    extensions = [row[0] for row in cursor.fetchall()]
    cursor.execute(_DEFAULT_RIGHTS)
    rights = [row[0] for row in cursor.fetchall()]
    cursor.execute(_PUBLIC)
    for owner, others in cursor.fetchall():
        extensions += [owner] if owner else []
        rights += [others] if others else []
    names = [derived_name(server.database, suffix) for suffix in suffixes]
    with _scratch(creator.on(server.database), names):
        for name in names:
            if extensions:
                with working(creator.on(name), schema) as there:
                    there.execute("; ".join(extensions))
            if rights:
                with working(server.on(name), schema) as there:
                    there.execute("; ".join(rights))
        yield [server.on(name) for name in names]


def replayed(cursor: Cursor, server: Server, creator: Server, files: Files, plan: Plan) -> Catalogue:
    """The catalogue that the applied migrations of a ``plan`` make, without what belongs to the environment.

    ``cursor``, ``server`` and ``creator`` as in ``beside``. Raises SlipwayError where that is not possible, or a
    migration can't be repeated.
    """
    again = _only_applied(files, plan)
    cursor.execute("SELECT current_user::regrole::text")
    role = one_row(cursor)[0]
    with beside(cursor, server, creator, files.schema) as (there,):
        found: list[Catalogue] = []
        if plan.applied:
            replay(there, again, lambda within: found.append(catalogue.read_within(within)))
        if found:
            return without_environment(found[0], role)
        with working(there, files.schema) as reading:
            return without_environment(catalogue.read(reading), role)


def replay(there: Server, files: Files, rolled_back: Callable[[Cursor], None]) -> None:
    """Apply migrations in a database that is made for it. Raises SlipwayError where one can't be.

    ``rolled_back`` is called before the end of a transaction that is rolled back, where they can only be applied so.
    """
    try:
        outcome = migrate(there, files, Patience(10, 10), rehearsal=Rehearsal(rolled_back), statement_timeout=_LONGEST)
    except SlipwayError as error:
        raise SlipwayError(f"The migrations can't be replayed: {error}") from error
    if outcome.stopped:
        raise SlipwayError(f"The migrations can't be replayed: {outcome.stopped}")


def _only_applied(files: Files, plan: Plan) -> Files:
    """The files of what is applied, to be repeated whatever the policy says, and without their checks of the data."""
    unfinished = [row.name for row in plan.failed] + list(plan.half_applied)
    if unfinished:
        raise SlipwayError(f"The migrations can't be replayed: {unfinished[0]!r} is half-applied, finish it first.")
    if plan.missing:
        raise SlipwayError(f"The migrations can't be replayed: {plan.missing[0].name!r} is applied but has no file.")
    return repeatable(files, [file for file in files.payload.migrations if file.name in plan.applied])


def repeatable(files: Files, chosen: Sequence[Migration]) -> Files:
    """Some of the files, to be applied elsewhere whatever the policy says, and without their checks of the data."""
    broken = next((file for file in chosen if file.name not in files.payload.scripts), None)
    if broken:
        raise SlipwayError(f"The migrations can't be replayed: {broken.problem}")
    scripts = {file.name: for_the_database(files.payload.scripts[file.name]) for file in chosen}
    payload = Payload.pack([replace(file, problem="") for file in chosen], scripts)
    return replace(files, payload=payload, policy=Policy(dict.fromkeys(DEFAULTS, "allow")))


def for_the_database(script: Script) -> Script:
    """A script without the statements that change nothing in its database: the server has what they made."""
    elsewhere = {reach.statement for reach in script.effects_outside_database if reach.only}
    kept = [number for number in range(len(script.statements)) if number not in elsewhere]
    effects = [
        replace(each, statement=kept.index(each.statement)) for each in script.effects_outside_database if not each.only
    ]
    return replace(
        script, statements=tuple(script.statements[number] for number in kept), effects_outside_database=tuple(effects)
    )


@contextlib.contextmanager
def _scratch(creator: Server, names: Sequence[str]) -> Iterator[None]:
    """Empty databases with the owner, encoding and locale of the creator's, for a ``with`` block."""
    with working(creator, "public", statement_timeout="0") as cursor:
        # One replay at a time, so that what an interrupted one has left is known as such.
        acquire(cursor, databases.REPLAY_LOCK, _WAIT)
        try:
            for name in names:
                databases.drop(cursor, name)
                _create(cursor, creator, name)
            yield
        finally:
            for name in names:
                databases.drop(cursor, name)


def _create(cursor: Cursor, creator: Server, name: str) -> None:
    try:
        databases.create(cursor, name, databases.describe(cursor, creator.database))
        databases.copy_settings(cursor, creator.database, name)
    except psycopg2.errors.InsufficientPrivilege as error:
        raise SlipwayError(
            f"The role {creator.user!r} may not create the database that the migrations are replayed in "
            f"({error.diag.message_primary}): give it CREATEDB, or compare with a snapshot (against: snapshot)."
        ) from error
