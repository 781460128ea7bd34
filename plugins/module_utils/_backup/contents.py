# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a database holds, by the same queries on a source and on its restored copy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Extension, Reading, SequenceValue
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import batches, one_row

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

# Kinds of objects of which it is enough to compare that they exist.
BY_IDENTITY = (
    "cast", "collation", "conversion", "event_trigger", "foreign_data_wrapper", "foreign_server", "language", "opclass",
    "operator", "opfamily", "publication", "publication_rel", "transform", "ts_config", "ts_dict", "ts_parser",
    "ts_template",
)  # fmt: skip


def _rights(acl: str, kind: str, owner: str) -> str:
    """SQL for an access list as text: defaults spelled out, sorted, without who granted."""
    return f"""(SELECT string_agg(DISTINCT format('%s=%s%s', CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE
        pg_get_userbyid(g.grantee)::text END, g.privilege_type, CASE WHEN g.is_grantable THEN '*' END), ',')
        FROM aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))) AS g)"""


# What belongs to an extension comes and goes with it. What an untouched public schema is, every new database has.
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

# One row an object: kind, identity, definition. Names, never oids. Inherited foreign keys and the triggers that
# PostgreSQL makes for them have names of its own choice; invalid indexes are not dumped.
OBJECTS = f"""{OWN}
SELECT 'extension', quote_ident(e.extname), e.extnamespace::regnamespace::text FROM pg_extension e
UNION ALL
SELECT 'schema', quote_ident(s.nspname), concat_ws(' ', pg_get_userbyid(s.nspowner),
    {_rights("s.nspacl", "n", "s.nspowner")})
FROM space s WHERE NOT EXISTS (SELECT FROM pg_init_privs i WHERE i.classoid = 'pg_namespace'::regclass
    AND i.objoid = s.oid AND i.initprivs = s.nspacl)
UNION ALL
SELECT CASE r.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialised view' WHEN 'S' THEN 'sequence'
    WHEN 'c' THEN 'composite type' WHEN 'f' THEN 'foreign table' ELSE 'table' END, r.id,
    concat_ws(' ', r.relkind, r.relpersistence, pg_get_userbyid(r.relowner), r.relrowsecurity, r.relforcerowsecurity,
    r.relreplident, r.relispopulated, (SELECT amname FROM pg_am a WHERE a.oid = r.relam),
    (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(r.reloptions) o), pg_get_expr(r.relpartbound, r.oid),
    CASE r.relkind WHEN 'p' THEN pg_get_partkeydef(r.oid) WHEN 'v' THEN pg_get_viewdef(r.oid)
    WHEN 'm' THEN pg_get_viewdef(r.oid) END,
    (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno) FROM pg_inherits i
        WHERE i.inhrelid = r.oid),
    (SELECT concat_ws(' ', q.seqtypid::regtype, q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle)
        FROM pg_sequence q WHERE q.seqrelid = r.oid),
    CASE WHEN r.relkind = 'S' THEN {_rights("r.relacl", "s", "r.relowner")}
    WHEN r.relkind <> 'c' THEN {_rights("r.relacl", "r", "r.relowner")} END)
FROM rel r WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S')
UNION ALL
SELECT 'column', format('%s.%I', r.id, a.attname), concat_ws(' ',
    CASE WHEN NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = r.oid) THEN
        (SELECT count(*) FROM pg_attribute b WHERE b.attrelid = r.oid AND b.attnum BETWEEN 1 AND a.attnum
         AND NOT b.attisdropped) END,
    format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attstattarget,
    (SELECT o.collname FROM pg_collation o WHERE o.oid = a.attcollation), pg_get_expr(d.adbin, d.adrelid),
    CASE WHEN a.attacl IS NOT NULL THEN {_rights("a.attacl", "c", "r.relowner")} END,
    (SELECT s.id FROM pg_depend p JOIN rel s ON s.oid = p.objid AND s.relkind = 'S' WHERE p.deptype IN ('a', 'i')
        AND p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass
        AND p.refobjid = r.oid AND p.refobjsubid = a.attnum ORDER BY 1 LIMIT 1))
FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid
LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', format('%s.%I', coalesce(r.id, t.typname), k.conname),
    concat_ws(' ', k.convalidated, pg_get_constraintdef(k.oid),
    CASE WHEN k.contype = 'f' THEN 'BY ' || k.conindid::regclass END)
FROM pg_constraint k JOIN space s ON s.oid = k.connamespace LEFT JOIN rel r ON r.oid = k.conrelid
LEFT JOIN pg_type t ON t.oid = k.contypid AND NOT EXISTS (SELECT FROM member m
    WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
WHERE (r.oid IS NOT NULL OR t.oid IS NOT NULL) AND k.contype NOT IN ('n', 't')
  AND NOT (k.contype = 'f' AND k.conparentid <> 0)
UNION ALL
SELECT 'index', r.id, concat_ws(' ', i.indisclustered, i.indisreplident, pg_get_indexdef(r.oid))
FROM rel r JOIN pg_index i ON i.indexrelid = r.oid WHERE i.indisvalid OR r.relkind = 'I'
UNION ALL
SELECT 'trigger', format('%s.%I', r.id, t.tgname), concat_ws(' ', t.tgenabled, pg_get_triggerdef(t.oid))
FROM pg_trigger t JOIN rel r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgparentid = 0
UNION ALL
SELECT 'rule', format('%s.%I', r.id, u.rulename), concat_ws(' ', u.ev_enabled, pg_get_ruledef(u.oid))
FROM pg_rewrite u JOIN rel r ON r.oid = u.ev_class WHERE u.rulename <> '_RETURN'
UNION ALL
SELECT 'policy', format('%s.%I', r.id, p.polname), concat_ws(' ', p.polcmd, p.polpermissive,
    (SELECT string_agg(CASE o WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(o)::text END, ',' ORDER BY pg_get_userbyid(o))
        FROM unnest(p.polroles) o),
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_policy p JOIN rel r ON r.oid = p.polrelid
UNION ALL
SELECT 'statistics', format('%I.%I', s.nspname, x.stxname), pg_get_statisticsobjdef(x.oid)
FROM pg_statistic_ext x JOIN space s ON s.oid = x.stxnamespace
UNION ALL
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
    format('%I.%I(%s)', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
    concat_ws(' ', pg_get_userbyid(p.proowner),
    CASE p.prokind WHEN 'a' THEN (SELECT concat_ws(' ', g.aggtransfn, g.aggfinalfn, g.aggcombinefn,
        g.aggtranstype::regtype, g.agginitval) FROM pg_aggregate g
        WHERE g.aggfnoid = p.oid) ELSE pg_get_functiondef(p.oid) END,
    {_rights("p.proacl", "f", "p.proowner")})
FROM pg_proc p JOIN space s ON s.oid = p.pronamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
UNION ALL
SELECT 'type', format('%I.%I', s.nspname, t.typname), concat_ws(' ', t.typtype, pg_get_userbyid(t.typowner),
    (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) FROM pg_enum e
        WHERE e.enumtypid = t.oid),
    CASE WHEN t.typtype = 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod), t.typnotnull,
        t.typdefault) END,
    (SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = t.oid),
    {_rights("t.typacl", "T", "t.typowner")})
FROM pg_type t JOIN space s ON s.oid = t.typnamespace
WHERE t.typtype IN ('b', 'd', 'e', 'r') AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
  AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
UNION ALL
SELECT 'default rights', i.identity, {_rights("d.defaclacl", "r", "d.defaclrole")}
FROM pg_default_acl d, pg_identify_object('pg_default_acl'::regclass, d.oid, 0) i
UNION ALL
SELECT 'large objects of', pg_get_userbyid(l.lomowner)::text, count(*)::text FROM pg_largeobject_metadata l GROUP BY 2
UNION ALL
SELECT 'comment on ' || i.type, i.identity, d.description
FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE d.objoid >= 16384 AND NOT EXISTS (SELECT FROM member m WHERE m.classid = d.classoid AND m.objid = d.objoid)
""" + "".join(
    f"""UNION ALL
SELECT i.type, i.identity, '' FROM pg_{name} o, pg_identify_object('pg_{name}'::regclass, o.oid, 0) i
WHERE o.oid >= 16384 AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_{name}'::regclass AND m.objid = o.oid)
"""
    for name in BY_IDENTITY
)

STORAGE = f"""{OWN}
SELECT r.relkind, r.relname, r.id FROM rel r WHERE r.relkind IN ('r', 'S') ORDER BY r.id
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


def read(opened: Connection, snapshot: str = "") -> Reading:
    """Count the rows of every table that stores any, read every sequence, and describe every object of the schema.

    With a ``snapshot`` all but the sequences are of its moment; without, nobody else writes. Views are not counted:
    their rows follow from the tables', and a materialised view may be older than those.
    """
    with moment(opened, snapshot) as cursor:
        cursor.execute(STORAGE)
        stored = cursor.fetchall()
    tables: dict[str, int] = {}
    for names in batches([identity for kind, _, identity in stored if kind == "r"]):
        with moment(opened, snapshot) as cursor:
            counts = (f"(SELECT count(*) FROM ONLY {name})" for name in names)
            cursor.execute("SELECT " + ", ".join(counts))
            tables.update(zip(names, one_row(cursor)))
    migrations: list[str] = []
    for history in [identity for kind, name, identity in stored if kind == "r" and name == "_prisma_migrations"]:
        with moment(opened, snapshot) as cursor:
            cursor.execute(
                f"SELECT migration_name FROM {history} WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL "
                "ORDER BY 1"
            )
            migrations += [row[0] for row in cursor.fetchall()]
    sequences = read_sequences(opened)
    with moment(opened, snapshot) as cursor:
        cursor.execute(OBJECTS)
        objects = {(kind, identity): definition or "" for kind, identity, definition in cursor.fetchall()}
    return Reading(tables, sequences, objects, tuple(migrations))


def read_sequences(opened: Connection) -> dict[str, SequenceValue]:
    """Where every sequence stands now, whatever a snapshot holds."""
    with moment(opened) as cursor:
        cursor.execute(STORAGE)
        sequences = [identity for kind, _, identity in cursor.fetchall() if kind == "S"]
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
