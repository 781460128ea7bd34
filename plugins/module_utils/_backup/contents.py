# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a database holds, by the same queries on a source and on its restored copy.

Of the schema it is what drift sees, by the same reader (``_schema/catalogue.py``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._backup import checksums
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Extension, Reading, SequenceValue
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import batches
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress
from ansible_collections.slipway.deploy.plugins.module_utils._schema import catalogue

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

# What belongs to an extension comes and goes with it.
OWN = """
WITH member AS MATERIALIZED (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
space AS MATERIALIZED (
    SELECT n.* FROM pg_namespace n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_namespace'::regclass AND m.objid = n.oid)),
rel AS MATERIALIZED (
    SELECT c.*, format('%I.%I', s.nspname, c.relname) AS id FROM pg_class c JOIN space s ON s.oid = c.relnamespace
    WHERE c.relpersistence <> 't'
      AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid))
"""

# Large objects are data; of each its owner is compared, and what is said of it with all other comments.
LARGE_OBJECTS = """
SELECT 'large objects of', lomowner::regrole::text, count(*)::text FROM pg_largeobject_metadata GROUP BY 2
"""

STORAGE = f"""{OWN}
SELECT r.relkind, r.relname, r.id, pg_relation_size(r.oid) FROM rel r WHERE r.relkind IN ('r', 'S') ORDER BY r.id
"""


# Every role that owns something here, has a right, or is named by a policy. What the cluster's first role has is noted
# nowhere as a dependency; those called pg_... every server has.
ROLES = f"""{OWN}
SELECT pg_get_userbyid(role) FROM (
    SELECT d.refobjid FROM pg_shdepend d JOIN pg_database b ON b.datname = current_database()
    WHERE d.refclassid = 'pg_authid'::regclass AND (d.dbid = b.oid OR d.classid = 'pg_database'::regclass
        AND d.objid = b.oid)
    UNION SELECT r.relowner FROM rel r
    UNION SELECT s.nspowner FROM space s
    UNION SELECT p.proowner FROM pg_proc p JOIN space s ON s.oid = p.pronamespace WHERE NOT EXISTS (
        SELECT FROM member m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
) AS found (role) WHERE pg_get_userbyid(role) !~ '^pg_' ORDER BY 1
"""
# What would make these roles again, but for their passwords: themselves, whose members they are, and their settings.
ROLE_DEFINITIONS = """
WITH named AS (SELECT * FROM pg_roles WHERE (%(roles)s IS NULL OR rolname = ANY(%(roles)s)) AND rolname !~ '^pg_')
SELECT text FROM (
    SELECT 1 AS part, rolname, concat_ws(' ', format('CREATE ROLE %%I', rolname),
        CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
        CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN NOT rolinherit THEN 'NOINHERIT' END,
        CASE WHEN rolcanlogin THEN 'LOGIN' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
        CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,
        CASE WHEN rolconnlimit <> -1 THEN 'CONNECTION LIMIT ' || rolconnlimit END) AS text FROM named
    UNION ALL SELECT 2, m.rolname, format('GRANT %%I TO %%I', g.rolname, m.rolname)
            || CASE WHEN a.admin_option THEN ' WITH ADMIN OPTION' ELSE '' END
        FROM pg_auth_members a JOIN named m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid
    UNION ALL SELECT 3, n.rolname, format('ALTER ROLE %%I', n.rolname)
            || CASE WHEN s.setdatabase <> 0 THEN format(' IN DATABASE %%I', current_database()) ELSE '' END
            || format(' SET %%s TO ', v.name)
            || CASE WHEN v.name = ANY(%(lists)s) AND v.value <> '' THEN v.value ELSE quote_literal(v.value) END
        FROM pg_db_role_setting s JOIN named n ON n.oid = s.setrole CROSS JOIN unnest(s.setconfig) AS setting
        CROSS JOIN LATERAL (
            VALUES (split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1))) AS v (name, value)
        WHERE s.setdatabase = 0 OR %(roles)s IS NOT NULL
            AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS found ORDER BY part, rolname, text
"""
# By amcheck, whose functions lock what they look at like a reader.
TABLES_CHECKED = """
SELECT c.oid::regclass::text, v.msg FROM pg_class c CROSS JOIN LATERAL {schema}.verify_heapam(c.oid) v
WHERE c.relkind IN ('r', 'm') AND c.oid >= 16384 ORDER BY c.oid LIMIT 5
"""
INDEXES_CHECKED = """
SELECT {schema}.bt_index_check(c.oid) FROM pg_class c
JOIN pg_index i ON i.indexrelid = c.oid AND i.indisvalid AND i.indisready JOIN pg_am a ON a.oid = c.relam
WHERE c.relkind = 'i' AND a.amname = 'btree' AND c.oid >= 16384 AND c.relpersistence = 'p' ORDER BY c.oid
"""
# In the order in which they were created, since one may need another.
EXTENSIONS = """
SELECT e.extname, s.nspname, e.extversion, pg_get_userbyid(e.extowner) FROM pg_extension e
JOIN pg_namespace s ON s.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY e.oid
"""

# Checks that look at the clock or at the session: by a function, or by a value such as CURRENT_DATE.
CLOCK_CHECKS = """
SELECT format('%I of %s', k.conname, coalesce(nullif(k.conrelid, 0)::regclass::text, format_type(k.contypid, NULL)))
FROM pg_constraint k WHERE k.contype = 'c' AND k.oid >= 16384 AND (
    k.conbin::text LIKE '%{SQLVALUEFUNCTION %' OR EXISTS (
        SELECT FROM regexp_matches(k.conbin::text, ':funcid ([0-9]+) ', 'g') AS called
        JOIN pg_proc p ON p.oid = called[1]::oid AND p.pronamespace = 'pg_catalog'::regnamespace
        WHERE p.proname IN ('now', 'clock_timestamp', 'statement_timestamp', 'transaction_timestamp', 'timeofday')))
ORDER BY 1
"""


@contextlib.contextmanager
def moment(opened: Connection, snapshot: str = "") -> Iterator[Cursor]:
    """A transaction that sees what the exported ``snapshot`` does and prints every name with its schema.

    ``opened`` is at REPEATABLE READ. Locks are held until the block ends, and a server has a limited number of them: a
    transaction that reads every table of a large schema would use them up.
    """
    with opened, opened.cursor() as cursor:
        if snapshot:
            cursor.execute("SET TRANSACTION SNAPSHOT %s", [snapshot])
        cursor.execute("SET LOCAL search_path TO ''")
        yield cursor


def read(opened: Connection, snapshot: str = "", doing: str = "reading", method: str = "") -> Reading:
    """Count the rows of every table that stores any, read every sequence, and describe every object of the schema.

    By a ``method`` (see ``checksums.py``) add up what is in the rows, too.

    With a ``snapshot`` all but the sequences are of its moment; without, nobody else writes. Views are not counted:
    their rows follow from the tables', and a materialised view may be older than those. Its progress is told as what
    is being done.
    """
    with moment(opened, snapshot) as cursor:
        cursor.execute(STORAGE)
        stored = cursor.fetchall()
    tables: dict[str, int] = {}
    contents: dict[str, checksums.Checksums] = {}
    sizes = {identity: size or 0 for kind, _, identity, size in stored if kind == "r"}
    for names in batches(list(sizes)):
        progress.tell(doing, sum(map(sizes.__getitem__, tables)), sum(sizes.values()), "B")
        with moment(opened, snapshot) as cursor:
            counts, sums = checksums.read(cursor, names, method)
        tables.update(counts)
        contents.update(sums)
    if method:
        with moment(opened, snapshot) as cursor:
            contents[checksums.LARGE_OBJECTS] = (checksums.large_objects(cursor, method), "")
    migrations: list[str] = []
    for history in [identity for kind, name, identity, _ in stored if kind == "r" and name == "_prisma_migrations"]:
        with moment(opened, snapshot) as cursor:
            cursor.execute(
                f"SELECT migration_name FROM {history} WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL "
                "ORDER BY 1"
            )
            migrations += [row[0] for row in cursor.fetchall()]
    sequences = read_sequences(opened)
    with moment(opened, snapshot) as cursor:
        objects = read_objects(cursor)
    query = catalogue.reading(opened.server_version, dumped=True)
    return Reading(tables, sequences, objects, tuple(migrations), query, contents, method)


def read_objects(cursor: Cursor) -> catalogue.Objects:
    """Every object that a dump has, by kind and name, with its definition; the cursor is in a transaction."""
    found = catalogue.objects(cursor, dumped=True)
    cursor.execute(LARGE_OBJECTS)
    return {**found, **{(kind, owner): number for kind, owner, number in cursor.fetchall()}}


def read_sequences(opened: Connection) -> dict[str, SequenceValue]:
    """Where every sequence stands now, whatever a snapshot holds."""
    with moment(opened) as cursor:
        cursor.execute(STORAGE)
        sequences = [identity for kind, _, identity, _ in cursor.fetchall() if kind == "S"]
    found: dict[str, SequenceValue] = {}
    for names in batches(sequences):
        with moment(opened) as cursor:
            cursor.execute(" UNION ALL ".join(f"SELECT last_value, is_called FROM {name}" for name in names))
            found.update(zip(names, (SequenceValue(*row) for row in cursor.fetchall())))
    return found


def read_roles(opened: Connection) -> list[str]:
    """The roles that a dump of the database names."""
    with moment(opened) as cursor:
        cursor.execute(ROLES)
        return [row[0] for row in cursor.fetchall()]


def read_integrity(opened: Connection) -> list[str]:
    """What amcheck finds of the indexes and tables, a phrase each; nothing where the database does not have it.

    Of indexes it names the first one (manual section F.1).
    """
    with moment(opened) as cursor:
        cursor.execute(
            "SELECT quote_ident(n.nspname), p.oid IS NOT NULL "
            "FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
            "LEFT JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = 'verify_heapam' WHERE e.extname = 'amcheck'"
        )
        row = cursor.fetchone()
    if row is None:
        return []
    schema, checks_tables = row
    found: list[str] = []
    if checks_tables:
        with moment(opened) as cursor:
            cursor.execute(TABLES_CHECKED.format(schema=schema))
            found += [f"table {name}: {said}" for name, said in cursor.fetchall()]
    try:
        with moment(opened) as cursor:
            cursor.execute(INDEXES_CHECKED.format(schema=schema))
    except (psycopg2.errors.IndexCorrupted, psycopg2.errors.DataCorrupted) as error:
        found.append(str(error.diag.message_primary))
    return found


def read_role_definitions(opened: Connection, roles: Sequence[str] | None = None) -> list[str]:
    """The statements that make roles again, without their passwords, in an order in which they can be run.

    Those of all roles, without their settings in single databases, where none are named.
    """
    with moment(opened) as cursor:
        cursor.execute(
            ROLE_DEFINITIONS, {"roles": None if roles is None else list(roles), "lists": list(databases.NAME_LISTS)}
        )
        return [row[0] for row in cursor.fetchall()]


def read_extensions(opened: Connection) -> list[Extension]:
    """The extensions of the database."""
    with moment(opened) as cursor:
        cursor.execute(EXTENSIONS)
        return [Extension(*row) for row in cursor.fetchall()]


def read_clock_checks(opened: Connection) -> list[str]:
    """The checks that hold at one time and not at another, as ``name of table``."""
    with moment(opened) as cursor:
        cursor.execute(CLOCK_CHECKS)
        return [row[0] for row in cursor.fetchall()]
