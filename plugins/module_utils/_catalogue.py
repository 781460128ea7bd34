# SPDX-License-Identifier: GPL-3.0-or-later
"""A database's catalogue as text: every object in use with its definition, such that equal databases give equal texts.

Left out are the system's schemas, Slipway's own, Prisma's history, and the members of extensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# An object's kind and name, to its definition.
Catalogue = dict[str, str]

_PARTS = """
WITH member AS MATERIALIZED (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
schema AS (
    SELECT oid, quote_ident(nspname) AS name, nspowner AS owner, nspacl AS acl FROM pg_namespace
     WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'slipway')
       AND NOT EXISTS (SELECT FROM member WHERE classid = 'pg_namespace'::regclass AND objid = pg_namespace.oid)),
relation AS (
    SELECT class.*, format('%s.%I', schema.name, relname) AS name
      FROM pg_class AS class JOIN schema ON schema.oid = relnamespace
     WHERE relname !~ '^_prisma_migrations(_pkey)?$'
       AND NOT EXISTS (SELECT FROM member WHERE classid = 'pg_class'::regclass AND objid = class.oid)),
routine AS (
    SELECT proc.*, proc.oid::regprocedure::text AS name FROM pg_proc AS proc JOIN schema ON schema.oid = pronamespace
     WHERE NOT EXISTS (SELECT FROM member WHERE classid = 'pg_proc'::regclass AND objid = proc.oid)),
type AS (
    SELECT pg_type.*, format('%s.%I', schema.name, typname) AS name
      FROM pg_type JOIN schema ON schema.oid = typnamespace LEFT JOIN pg_class ON pg_class.oid = typrelid
     WHERE (typtype IN ('e', 'd', 'r') OR typtype = 'c' AND relkind = 'c')
       AND NOT EXISTS (SELECT FROM member WHERE classid = 'pg_type'::regclass AND objid = pg_type.oid))
"""

_RIGHTS = "string_agg(privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ', ' ORDER BY privilege_type)"
_GRANTEE = "CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END"

# For each kind of object, a query for its name and definition over the parts above.
_QUERIES = {
    "schema": "SELECT name, '' FROM schema",
    "table": """
        SELECT name, concat_ws(' ', CASE relpersistence WHEN 'u' THEN 'UNLOGGED' END,
               CASE relkind WHEN 'p' THEN 'PARTITION BY ' || pg_get_partkeydef(oid) WHEN 'f' THEN 'FOREIGN' END,
               pg_get_expr(relpartbound, oid),
               (SELECT 'INHERITS ' || string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
                  FROM pg_inherits WHERE inhrelid = relation.oid),
               CASE WHEN relrowsecurity THEN 'ROW LEVEL SECURITY' END,
               CASE WHEN relforcerowsecurity THEN 'FORCED' END,
               CASE WHEN relreplident <> 'd' THEN 'REPLICA IDENTITY ' || relreplident::text END,
               'WITH ' || reloptions::text)
          FROM relation WHERE relkind IN ('r', 'p', 'f')""",
    "column": """
        SELECT format('%s.%I', name, attname), concat_ws(' ', format_type(atttypid, atttypmod),
               CASE WHEN attcollation <> typcollation THEN 'COLLATE ' || attcollation::regcollation END,
               CASE WHEN attnotnull THEN 'NOT NULL' END,
               CASE attidentity WHEN 'a' THEN 'IDENTITY ALWAYS' WHEN 'd' THEN 'IDENTITY BY DEFAULT' END,
               CASE WHEN attgenerated = '' THEN 'DEFAULT ' ELSE 'GENERATED ' || attgenerated::text || ' ' END
               || pg_get_expr(adbin, adrelid),
               CASE WHEN attstorage <> typstorage THEN 'STORAGE ' || attstorage::text END,
               'WITH ' || attoptions::text)
          FROM relation JOIN pg_attribute ON attrelid = relation.oid JOIN pg_type ON pg_type.oid = atttypid
          LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
         WHERE relkind IN ('r', 'p', 'f') AND attnum > 0 AND NOT attisdropped""",
    "constraint": """
        SELECT format('%s.%I', name, conname), pg_get_constraintdef(con.oid)
          FROM relation JOIN pg_constraint AS con ON conrelid = relation.oid WHERE contype NOT IN ('n', 't')""",
    "index": """
        SELECT name, pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
               || CASE WHEN indisclustered THEN ' CLUSTERED' ELSE '' END
          FROM relation JOIN pg_index ON indexrelid = relation.oid""",
    "view": """
        SELECT name, concat_ws(' ', CASE relkind WHEN 'm' THEN 'MATERIALIZED' END, pg_get_viewdef(oid),
               CASE WHEN NOT relispopulated THEN 'WITH NO DATA' END, 'WITH ' || reloptions::text)
          FROM relation WHERE relkind IN ('v', 'm')""",
    "sequence": """
        SELECT name, format('%s START %s INCREMENT %s FROM %s TO %s CACHE %s CYCLE %s', seqtypid::regtype,
               seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle)
               || coalesce((SELECT format(' OWNED BY %s.%s', refobjid::regclass, refobjsubid) FROM pg_depend
                             WHERE classid = 'pg_class'::regclass AND objid = seqrelid AND refobjsubid > 0
                               AND deptype IN ('a', 'i')), '')
          FROM relation JOIN pg_sequence ON seqrelid = relation.oid""",
    "function": """
        SELECT name, CASE prokind WHEN 'a'
               THEN (SELECT pg_aggregate::text FROM pg_aggregate WHERE aggfnoid = routine.oid)
               ELSE pg_get_functiondef(oid) END
          FROM routine""",
    "trigger": """
        SELECT format('%s.%I', name, tgname), pg_get_triggerdef(tr.oid) || ' ENABLED ' || tgenabled::text
          FROM relation JOIN pg_trigger AS tr ON tgrelid = relation.oid WHERE NOT tgisinternal""",
    "rule": """
        SELECT format('%s.%I', name, rulename), pg_get_ruledef(ru.oid)
          FROM relation JOIN pg_rewrite AS ru ON ev_class = relation.oid WHERE rulename <> '_RETURN'""",
    "policy": """
        SELECT format('%s.%I', name, polname), concat_ws(' ', CASE WHEN polpermissive THEN 'PERMISSIVE' END,
               'FOR ' || polcmd::text,
               (SELECT 'TO ' || string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END, ', '
                                           ORDER BY role)
                  FROM unnest(polroles) AS role),
               'USING ' || pg_get_expr(polqual, polrelid), 'CHECK ' || pg_get_expr(polwithcheck, polrelid))
          FROM relation JOIN pg_policy ON polrelid = relation.oid""",
    "type": """
        SELECT name, CASE typtype
               WHEN 'e' THEN (SELECT 'ENUM ' || string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
                                FROM pg_enum WHERE enumtypid = type.oid)
               WHEN 'd' THEN concat_ws(' ', format_type(typbasetype, typtypmod),
                    CASE WHEN typnotnull THEN 'NOT NULL' END, 'DEFAULT ' || typdefault,
                    (SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ' ' ORDER BY conname)
                       FROM pg_constraint WHERE contypid = type.oid))
               WHEN 'c' THEN (SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', '
                                                ORDER BY attnum)
                                FROM pg_attribute WHERE attrelid = typrelid AND NOT attisdropped)
               ELSE (SELECT 'RANGE ' || rngsubtype::regtype FROM pg_range WHERE rngtypid = type.oid) END
          FROM type""",
    "extension": "SELECT extname, extversion FROM pg_extension WHERE extname <> 'plpgsql'",
    "statistics": """
        SELECT format('%s.%I', schema.name, stxname), pg_get_statisticsobjdef(st.oid)
          FROM pg_statistic_ext AS st JOIN schema ON schema.oid = stxnamespace""",
    "event trigger": "SELECT evtname, format('%s %s %s %s', evtevent, evtfoid::regproc, evtenabled, evttags)"
    " FROM pg_event_trigger",
    "publication": """
        SELECT pubname, concat_ws(' ', CASE WHEN puballtables THEN 'ALL' END,
               (SELECT string_agg(prrelid::regclass::text, ', ' ORDER BY prrelid::regclass::text)
                  FROM pg_publication_rel WHERE prpubid = pub.oid))
          FROM pg_publication AS pub""",
    "comment": """
        SELECT concat_ws(' ', found.type, found.identity), description
          FROM pg_description, pg_identify_object(classoid, objoid, objsubid) AS found
         WHERE (objoid >= 16384 OR objoid = to_regnamespace('public')) AND found.type <> 'extension'
           AND found.schema IS DISTINCT FROM 'slipway' AND description <> 'standard public schema'
           AND NOT EXISTS (SELECT FROM member WHERE member.classid = classoid AND member.objid = objoid)""",
    "owner of": """
        SELECT name, relowner::regrole::text FROM relation WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
        UNION ALL SELECT name, proowner::regrole::text FROM routine
        UNION ALL SELECT name, typowner::regrole::text FROM type""",
    "rights on": f"""
        SELECT format('%s for %s', name, {_GRANTEE}), {_RIGHTS}
          FROM relation, aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char",
                                                                relowner)))
         WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S') GROUP BY name, grantee
        UNION ALL
        SELECT format('%s.%I for %s', name, attname, {_GRANTEE}), {_RIGHTS}
          FROM relation JOIN pg_attribute ON attrelid = relation.oid, aclexplode(attacl) GROUP BY name, attname, grantee
        UNION ALL
        SELECT format('%s for %s', name, {_GRANTEE}), {_RIGHTS}
          FROM routine, aclexplode(coalesce(proacl, acldefault('f', proowner))) GROUP BY name, grantee""",
    "owner of schema": "SELECT name, owner::regrole::text FROM schema",
    "rights on schema": f"""
        SELECT format('%s for %s', name, {_GRANTEE}), {_RIGHTS}
          FROM schema, aclexplode(coalesce(acl, acldefault('n', owner))) GROUP BY name, grantee""",
    "default rights": """
        SELECT format('%s of %s in %s', defaclobjtype, defaclrole::regrole, coalesce(schema.name, 'all schemas')),
               defaclacl::text
          FROM pg_default_acl LEFT JOIN schema ON schema.oid = defaclnamespace""",
}

# What belongs to the environment rather than to the migrations, and is not there in a database that they alone made.
ENVIRONMENT = ("owner of schema", "rights on schema", "default rights")


def read(cursor: Cursor) -> Catalogue:
    """Read the catalogue of the connected database, at one moment, over an autocommit connection."""
    catalogue: Catalogue = {}
    cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = ''")
    for kind, query in _QUERIES.items():
        cursor.execute(_PARTS + query)
        catalogue.update((f"{kind} {name}", definition or "") for name, definition in cursor.fetchall())
    cursor.execute("COMMIT")
    return catalogue


def without_environment(catalogue: Catalogue) -> Catalogue:
    """The same without what belongs to the environment."""
    return {name: text for name, text in catalogue.items() if not name.startswith(ENVIRONMENT)}
