# SPDX-License-Identifier: GPL-3.0-or-later
"""A database's catalogue as text: every object in use with its definition, such that equal databases give equal texts.

No text holds an OID, a column's number, or what a setting of the session or the order of creation may have made of it.
So the order of a table's columns is no part of its definition, nor are the names of NOT NULL constraints, which
PostgreSQL 18 makes up for a table that an older server knew without them.

Left out are the system's schemas and the members of extensions (but for rights on them, save those on the functions
that write large objects, which every deploy sees to), Slipway's own schema, Prisma's history, data (rows, values of
sequences, large objects), what all databases share (roles, tablespaces), subscriptions, and the options of user
mappings, which hold passwords.

Read as ``dumped``, it is what a dump keeps of the database: with Slipway's schema, Prisma's history, the order of
columns and what else pg_dump sees to; without what it leaves out: invalid indexes, whether a foreign key's own triggers
fire, the database's owner, rights and settings, the owners and versions of extensions, what every new database has, and
for all but superusers rights on what is PostgreSQL's own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import LARGE_OBJECT_WRITERS
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import literal

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# An object's kind and name, to its definition: in two words, and in one.
Objects = dict[tuple[str, str], str]
Catalogue = dict[str, str]

# The settings that show in how PostgreSQL prints a definition, and those for a single large query.
_SETTINGS = """
    SET LOCAL search_path = '';
    SET LOCAL TimeZone = 'UTC';
    SET LOCAL DateStyle = 'ISO, YMD';
    SET LOCAL IntervalStyle = 'postgres';
    SET LOCAL bytea_output = 'hex';
    SET LOCAL extra_float_digits = 1;
    SET LOCAL quote_all_identifiers = off;
    SET LOCAL standard_conforming_strings = on;
    SET LOCAL statement_timeout = 0;
    SET LOCAL jit = off
"""

# What the catalogue has only since a version, and what stands for it on an older server.
_SINCE = (
    (140000, "attcompression", "''"),
    (140000, "inhdetachpending", "false"),
    (140000, "rngmultitypid", "0"),
    (140000, "pg_get_statisticsobjdef_expressions(each.oid)", "ARRAY[]::text[]"),
    (150000, "pg_get_expr(prqual, prrelid)", "NULL"),
    (150000, "prattrs", "NULL"),
    (150000, "FROM pg_publication_namespace", "FROM (SELECT 0 AS pnpubid, 0 AS pnnspid) AS no_schema"),
)

_SECRET = "pass|secret|token|credential|private|(access|api)_?key"


def _masked(option: str) -> str:
    """SQL for a ``name=value``, without the value where the name is a secret's."""
    return f"regexp_replace({option}, '^([^=]*({_SECRET})[^=]*)=.*', '\\1=***', 'i')"


def _sorted(item: str, of: str) -> str:
    """SQL for a list of texts in an order that neither creation nor the database's locale decides."""
    return f"""(SELECT string_agg({item}, ', ' ORDER BY {item} COLLATE "C") FROM {of})"""


def _options(column: str) -> str:
    """SQL for options, without those that the server keeps for itself (pg_attver: when the column was last changed)."""
    listed = _sorted(_masked("item"), f"unnest({column}) AS item WHERE item NOT LIKE 'pg@_%' ESCAPE '@'")
    return f"CASE WHEN {column} IS NOT NULL THEN {listed} END"  # most have none


def _columns(relation: str, numbers: str) -> str:
    return _sorted("quote_ident(attname)", f"pg_attribute WHERE attrelid = {relation} AND attnum = ANY ({numbers})")


def _named(catalogue: str, prefix: str, oid: str) -> str:
    """SQL for the qualified name of an object of which there is no type that prints it, by its OID."""
    return f"""(SELECT format('%I.%I', nspname, {prefix}name) FROM {catalogue} AS named
                  JOIN pg_namespace ON pg_namespace.oid = named.{prefix}namespace WHERE named.oid = {oid})"""


def _collation(collation: str, of_type: str) -> str:
    """SQL for a collation, unless it is the type's own."""
    own = f"coalesce((SELECT own.typcollation FROM pg_type AS own WHERE own.oid = {of_type}), 0)"
    return f"CASE WHEN {collation} <> {own} THEN 'COLLATE ' || {_named('pg_collation', 'coll', collation)} END"


def _role(oid: str) -> str:
    return f"CASE {oid} WHEN 0 THEN 'PUBLIC' ELSE {oid}::regrole::text END"


_RIGHT = "privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END"
_RIGHTS = f"string_agg(DISTINCT {_RIGHT}, ', ' ORDER BY {_RIGHT})"

_ENUM = "string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)"
_CHECKS = "string_agg(format('CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)), ' ' ORDER BY conname)"
_ATTRIBUTE = f"""concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod),
                           {_collation("attcollation", "atttypid")})"""
_PUBLISHED = _sorted(
    "item",
    f"""(SELECT concat_ws(' ', prrelid::regclass, '(' || {_columns("prrelid", "prattrs")} || ')',
                          'WHERE ' || pg_get_expr(prqual, prrelid)) AS item
           FROM pg_publication_rel WHERE prpubid = each.oid
          UNION ALL
         SELECT 'SCHEMA ' || pnnspid::regnamespace FROM pg_publication_namespace WHERE pnpubid = each.oid) AS part""",
)
_FAMILY = _sorted(
    "item",
    f"""(SELECT concat_ws(' ', 'OPERATOR', amopstrategy, amopopr::regoperator,
                          'ORDER BY ' || {_named("pg_opfamily", "opf", "nullif(amopsortfamily, 0)")}) AS item
           FROM pg_amop WHERE amopfamily = each.oid
          UNION ALL
         SELECT format('FUNCTION %s (%s, %s) %s', amprocnum, format_type(amproclefttype, NULL),
                       format_type(amprocrighttype, NULL), amproc::regprocedure)
           FROM pg_amproc WHERE amprocfamily = each.oid) AS part""",
)
_DICTIONARIES = _sorted(
    "item",
    """(SELECT alias || ': ' || string_agg(mapdict::regdictionary::text, ' ' ORDER BY mapseqno) AS item
          FROM pg_ts_config_map JOIN ts_token_type(cfgparser) ON tokid = maptokentype
         WHERE mapcfg = each.oid GROUP BY alias) AS mapping""",
)

# Catalogues of which PostgreSQL itself tells an object's kind and name: the owner, the rights, the letter for the
# rights that one has by default, and the definition. What has none comes with something else, as a table's type does.
_NAMED = {
    "pg_type": f"""typowner, typacl, 'T', CASE
        WHEN typtype = 'e' THEN (SELECT concat_ws(' ', 'ENUM', {_ENUM}) FROM pg_enum WHERE enumtypid = each.oid)
        WHEN typtype = 'd' THEN concat_ws(' ', format_type(typbasetype, typtypmod),
             {_collation("typcollation", "each.typbasetype")}, CASE WHEN typnotnull THEN 'NOT NULL' END,
             'DEFAULT ' || pg_get_expr(typdefaultbin, 0),
             (SELECT {_CHECKS} FROM pg_constraint WHERE contypid = each.oid AND contype <> 'n'))
        WHEN typtype = 'c' AND (SELECT relkind = 'c' FROM pg_class WHERE pg_class.oid = typrelid) THEN
             (SELECT format('(%s)', string_agg({_ATTRIBUTE}, ', ' ORDER BY attnum)) FROM pg_attribute
               WHERE attrelid = typrelid AND attnum > 0 AND NOT attisdropped)
        WHEN typtype = 'r' THEN
             (SELECT concat_ws(' ', 'RANGE OF', format_type(rngsubtype, NULL),
                               'OPERATOR CLASS ' || {_named("pg_opclass", "opc", "rngsubopc")},
                               {_collation("rngcollation", "rngsubtype")},
                               'CANONICAL ' || nullif(rngcanonical::oid, 0)::regproc,
                               'DIFFERENCE ' || nullif(rngsubdiff::oid, 0)::regproc,
                               'MULTIRANGE ' || format_type(nullif(rngmultitypid, 0), NULL))
                FROM pg_range WHERE rngtypid = each.oid)
        WHEN NOT typisdefined THEN 'NOT YET DEFINED'
        WHEN typtype = 'b' AND NOT EXISTS (SELECT FROM pg_type AS element WHERE element.oid = each.typelem
                                              AND element.typarray = each.oid) THEN
             concat_ws(' ', 'BASE', to_jsonb(each) - ARRAY['oid', 'typname', 'typnamespace', 'typowner', 'typacl',
                            'typrelid', 'typarray', 'typelem', 'typcollation', 'typdefaultbin'],
                       'ELEMENT ' || format_type(nullif(typelem, 0), NULL), {_collation("typcollation", "0")})
        END""",
    "pg_language": """lanowner, lanacl, 'l', concat_ws(' ', CASE WHEN lanpltrusted THEN 'TRUSTED' END,
        'HANDLER ' || nullif(lanplcallfoid, 0)::regproc, 'INLINE ' || nullif(laninline, 0)::regproc,
        'VALIDATOR ' || nullif(lanvalidator, 0)::regproc)""",
    "pg_foreign_data_wrapper": f"""fdwowner, fdwacl, 'F', concat_ws(' ',
        'HANDLER ' || nullif(fdwhandler, 0)::regproc, 'VALIDATOR ' || nullif(fdwvalidator, 0)::regproc,
        'OPTIONS ' || {_options("fdwoptions")})""",
    "pg_foreign_server": f"""srvowner, srvacl, 'S', concat_ws(' ', 'WRAPPER',
        (SELECT quote_ident(fdwname) FROM pg_foreign_data_wrapper AS wrapper WHERE wrapper.oid = srvfdw),
        'TYPE ' || srvtype, 'VERSION ' || srvversion, 'OPTIONS ' || {_options("srvoptions")})""",
    "pg_extension": "extowner, NULL, NULL, 'SCHEMA ' || extnamespace::regnamespace",
    "pg_event_trigger": f"""evtowner, NULL, NULL, concat_ws(' ', evtevent, evtfoid::regproc,
        'TAGS ' || {_sorted("item", "unnest(evttags) AS item")}, 'ENABLED', evtenabled)""",
    "pg_publication": f"""pubowner, NULL, NULL,
        concat_ws(' ', to_jsonb(each) - ARRAY['oid', 'pubname', 'pubowner'], {_PUBLISHED})""",
    "pg_statistic_ext": f"""stxowner, NULL, NULL, concat_ws(' ', {_sorted("item", "unnest(stxkind::text[]) AS item")},
        'ON', {_columns("stxrelid", "stxkeys")},
        {_sorted("item", "unnest(pg_get_statisticsobjdef_expressions(each.oid)) AS item")}, 'FROM', stxrelid::regclass,
        'STATISTICS ' || nullif(to_jsonb(each) ->> 'stxstattarget', '-1'))""",
    "pg_cast": """NULL, NULL, NULL, concat_ws(' ',
        CASE castmethod WHEN 'i' THEN 'INOUT' WHEN 'b' THEN 'BINARY' ELSE castfunc::regprocedure::text END,
        CASE castcontext WHEN 'a' THEN 'ASSIGNMENT' WHEN 'i' THEN 'IMPLICIT' END)""",
    "pg_transform": """NULL, NULL, NULL, concat_ws(' ', 'FROM SQL ' || nullif(trffromsql::oid, 0)::regproc,
        'TO SQL ' || nullif(trftosql::oid, 0)::regproc)""",
    "pg_conversion": """conowner, NULL, NULL, concat_ws(' ', CASE WHEN condefault THEN 'DEFAULT' END,
        pg_encoding_to_char(conforencoding), 'TO', pg_encoding_to_char(contoencoding), conproc)""",
    "pg_collation": """collowner, NULL, NULL, (jsonb_strip_nulls(to_jsonb(each))
        - ARRAY['oid', 'collname', 'collnamespace', 'collowner', 'collversion', 'collencoding'])::text""",
    "pg_am": "NULL, NULL, NULL, concat_ws(' ', amtype, amhandler)",
    # One that has no function is there only as the commutator or negator of another, whoever made it so.
    "pg_operator": """CASE WHEN oprcode <> 0 OR NOT :dumped THEN oprowner END, NULL, NULL, concat_ws(' ', oprcode,
        'COMMUTATOR ' || nullif(oprcom, 0)::regoperator, 'NEGATOR ' || nullif(oprnegate, 0)::regoperator,
        'RESTRICT ' || nullif(oprrest::oid, 0)::regproc, 'JOIN ' || nullif(oprjoin::oid, 0)::regproc,
        CASE WHEN oprcanhash THEN 'HASHES' END, CASE WHEN oprcanmerge THEN 'MERGES' END)""",
    "pg_opclass": f"""opcowner, NULL, NULL, concat_ws(' ', CASE WHEN opcdefault THEN 'DEFAULT' END,
        'FOR ' || format_type(opcintype, NULL), 'FAMILY ' || {_named("pg_opfamily", "opf", "opcfamily")},
        'STORAGE ' || format_type(nullif(opckeytype, 0), NULL))""",
    "pg_opfamily": f"opfowner, NULL, NULL, coalesce({_FAMILY}, '')",
    "pg_ts_parser": "NULL, NULL, NULL, concat_ws(' ', prsstart, prstoken, prsend, prsheadline, prslextype)",
    "pg_ts_template": "NULL, NULL, NULL, concat_ws(' ', tmplinit, tmpllexize)",
    "pg_ts_dict": f"""dictowner, NULL, NULL,
        concat_ws(' ', {_named("pg_ts_template", "tmpl", "dicttemplate")}, dictinitoption)""",
    "pg_ts_config": f"""cfgowner, NULL, NULL,
        concat_ws(' ', {_named("pg_ts_parser", "prs", "cfgparser")}, {_DICTIONARIES})""",
}
_EACH_NAMED = " UNION ALL ".join(
    f"SELECT '{catalogue}'::regclass AS class, oid, {columns} FROM {catalogue} AS each WHERE oid >= 16384"
    for catalogue, columns in _NAMED.items()
)

_LARGE_OBJECT_WRITERS = ", ".join(map(literal, LARGE_OBJECT_WRITERS))

_PARTS = f"""
WITH member AS MATERIALIZED (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e' OR deptype = 'i' AND classid = 'pg_proc'::regclass),
schema AS MATERIALIZED (
    SELECT oid, quote_ident(nspname) AS name, nspowner AS owner, nspacl AS acl,
           :dumped AND EXISTS (SELECT FROM pg_init_privs WHERE classoid = 'pg_namespace'::regclass AND objoid = oid
                                  AND initprivs @> nspacl AND initprivs <@ nspacl) AS in_every_database
      FROM pg_namespace
     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND (:dumped OR nspname <> 'slipway')
       AND NOT EXISTS (SELECT FROM member WHERE classid = 'pg_namespace'::regclass AND objid = pg_namespace.oid)),
relation AS MATERIALIZED (
    SELECT class.*, format('%s.%I', schema.name, relname) AS name
      FROM pg_class AS class JOIN schema ON schema.oid = relnamespace
     WHERE CASE WHEN :dumped THEN NOT EXISTS (SELECT FROM pg_index WHERE indexrelid = class.oid AND NOT indisvalid
                                                 AND relkind = 'i')
                ELSE relname !~ '^_prisma_migrations(_pkey)?$' END
       AND NOT EXISTS (SELECT FROM member WHERE classid = 'pg_class'::regclass AND objid = class.oid)),
routine AS MATERIALIZED (
    SELECT proc.*, proc.oid::regprocedure::text AS name FROM pg_proc AS proc JOIN schema ON schema.oid = pronamespace
     WHERE NOT EXISTS (SELECT FROM member WHERE classid = 'pg_proc'::regclass AND objid = proc.oid)),
named AS MATERIALIZED (
    SELECT found.type AS kind, found.identity AS name, owner, acl, letter, definition
      FROM ({_EACH_NAMED}) AS each (class, oid, owner, acl, letter, definition),
           pg_identify_object(class, oid, 0) AS found
     WHERE definition IS NOT NULL AND found.identity IS NOT NULL
       AND (found.schema IS NULL OR found.schema IN (SELECT name FROM schema))
       AND NOT EXISTS (SELECT FROM member WHERE classid = class AND objid = each.oid)),
owned AS MATERIALIZED (
    SELECT name, relowner AS owner, relacl AS acl, CASE relkind WHEN 'S' THEN 's' ELSE 'r' END AS letter
      FROM relation WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
     UNION ALL SELECT 'function ' || name, proowner, proacl, 'f' FROM routine
     UNION ALL SELECT 'schema ' || name, owner, acl, 'n' FROM schema WHERE NOT in_every_database
     UNION ALL SELECT 'database', datdba, datacl, 'd' FROM pg_database
                WHERE datname = current_database() AND NOT :dumped
     UNION ALL SELECT kind || ' ' || name, owner, acl, letter FROM named
                WHERE owner IS NOT NULL AND NOT (:dumped AND kind = 'extension')),
-- What is not ours, with its rights now and at first.
foreign_right AS (
    SELECT 'pg_class'::regclass AS class, oid, relacl AS acl,
           acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner) AS plain
      FROM pg_class WHERE relnamespace <> 'information_schema'::regnamespace
     UNION ALL SELECT 'pg_proc'::regclass, oid, proacl, acldefault('f', proowner) FROM pg_proc
                WHERE pronamespace <> 'pg_catalog'::regnamespace OR proname NOT IN ({_LARGE_OBJECT_WRITERS})
     UNION ALL SELECT 'pg_type'::regclass, oid, typacl, acldefault('T', typowner) FROM pg_type
     UNION ALL SELECT 'pg_language'::regclass, oid, lanacl, acldefault('l', lanowner) FROM pg_language
     UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, fdwacl, acldefault('F', fdwowner)
                 FROM pg_foreign_data_wrapper
     UNION ALL SELECT 'pg_namespace'::regclass, oid, nspacl, acldefault('n', nspowner)
                 FROM pg_namespace WHERE nspname <> 'information_schema' AND oid NOT IN (SELECT oid FROM schema)),
granted AS MATERIALIZED (
    SELECT CASE WHEN oid < 16384 THEN 'system ' ELSE '' END AS whose, found.type, found.identity, acl
      FROM foreign_right LEFT JOIN pg_init_privs ON classoid = class AND objoid = oid AND objsubid = 0,
           pg_identify_object(class, oid, 0) AS found
     WHERE acl IS NOT NULL AND CASE WHEN oid < 16384 THEN NOT :dumped OR current_setting('is_superuser')::boolean
                                    ELSE EXISTS (SELECT FROM member WHERE classid = class AND objid = oid) END
       AND NOT (acl @> coalesce(initprivs, plain) AND acl <@ coalesce(initprivs, plain)))
"""

_ACCESS_METHOD = "(SELECT 'USING ' || quote_ident(amname) FROM pg_am WHERE pg_am.oid = relam AND amname <> 'heap')"
_TOAST = f"""(SELECT 'TOAST ' || {_options("toast.reloptions")}
                FROM pg_class AS toast WHERE toast.oid = relation.reltoastrelid)"""
_PARENTS = _sorted(
    "item",
    """(SELECT concat_ws(' ', inhparent::regclass, CASE WHEN inhdetachpending THEN 'DETACH PENDING' END) AS item
          FROM pg_inherits WHERE inhrelid = relation.oid) AS parent""",
)
# PostgreSQL prints an index's options in the order in which they were set.
_INDEX = f"""CASE WHEN cardinality(reloptions) > 1
    THEN regexp_replace(pg_get_indexdef(indexrelid), ' WITH \\([^()]*\\)(?= WHERE |$)', '')
         || ' WITH ' || {_options("reloptions")}
    ELSE pg_get_indexdef(indexrelid) END"""


def _said(kind: str, text: str, catalogue: str) -> str:
    """SQL for what is said about objects: comments and security labels."""
    return f"""
        SELECT concat_ws(' ', {kind} found.type, found.identity), said.{text}
          FROM {catalogue} AS said, pg_identify_object(classoid, objoid, objsubid) AS found
         WHERE (objoid >= 16384 OR objoid = to_regnamespace('public')) AND said.{text} <> 'standard public schema'
           AND (classoid <> 'pg_class'::regclass OR objoid IN (SELECT oid FROM relation))
           AND found.type <> ALL (
                   CASE WHEN :dumped THEN '{{subscription}}' ELSE '{{extension,large object}}' END::text[])
           AND (found.schema IS NULL OR found.schema IN (SELECT name FROM schema))
           AND (:dumped OR found.identity !~ '(^| on )(slipway($|\\.)|\\S+\\._prisma_migrations$)')
           AND NOT EXISTS (SELECT FROM member WHERE member.classid = classoid AND member.objid = objoid)"""


# For each kind of object, a query for its name and definition over the parts above.
_QUERIES = {
    "schema": "SELECT name, '' FROM schema WHERE NOT in_every_database",
    "table": f"""
        SELECT name, concat_ws(' ', CASE relpersistence WHEN 'u' THEN 'UNLOGGED' END,
               CASE relkind WHEN 'p' THEN 'PARTITION BY ' || pg_get_partkeydef(oid) WHEN 'f' THEN 'FOREIGN' END,
               'OF ' || format_type(nullif(reloftype, 0), NULL), pg_get_expr(relpartbound, oid),
               'INHERITS ' || {_PARENTS}, {_ACCESS_METHOD},
               CASE WHEN relrowsecurity THEN 'ROW LEVEL SECURITY' END,
               CASE WHEN relforcerowsecurity THEN 'FORCED' END,
               CASE WHEN relreplident <> 'd' THEN 'REPLICA IDENTITY ' || relreplident::text END,
               'WITH ' || {_options("reloptions")}, {_TOAST},
               (SELECT concat_ws(' ', 'SERVER', quote_ident(srvname), 'OPTIONS ' || {_options("ftoptions")})
                  FROM pg_foreign_table JOIN pg_foreign_server ON pg_foreign_server.oid = ftserver
                 WHERE ftrelid = relation.oid))
          FROM relation WHERE relkind IN ('r', 'p', 'f')""",
    # Of an index's or a view's column, only what was set on it.
    "column": f"""
        SELECT name, concat_ws(' ', type, detail)
          FROM (SELECT format('%s.%I', name, attname) AS name,
                       CASE WHEN relkind IN ('r', 'p', 'f') THEN
                            concat_ws(' ', format_type(atttypid, atttypmod), {_collation("attcollation", "atttypid")},
                            CASE WHEN attnotnull THEN 'NOT NULL' END, CASE WHEN NOT convalidated THEN 'NOT VALID' END,
                            CASE WHEN connoinherit THEN 'NO INHERIT' END) END AS type,
                       concat_ws(' ',
                       CASE attidentity WHEN 'a' THEN 'IDENTITY ALWAYS' WHEN 'd' THEN 'IDENTITY BY DEFAULT' END,
                       CASE WHEN attgenerated = '' THEN 'DEFAULT ' ELSE 'GENERATED ' || attgenerated::text || ' ' END
                       || pg_get_expr(adbin, adrelid),
                       CASE WHEN attstorage <> typstorage AND relkind <> 'i' THEN 'STORAGE ' || attstorage::text END,
                       'COMPRESSION ' || nullif(attcompression::text, ''), 'STATISTICS ' || nullif(attstattarget, -1),
                       'WITH ' || {_options("attoptions")}, 'OPTIONS ' || {_options("attfdwoptions")}) AS detail
                  FROM relation JOIN pg_attribute ON attrelid = relation.oid JOIN pg_type ON pg_type.oid = atttypid
                  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
                  LEFT JOIN pg_constraint ON conrelid = attrelid AND contype = 'n' AND conkey[1] = attnum
                 WHERE relkind NOT IN ('c', 'S') AND attnum > 0 AND NOT attisdropped) AS each
         WHERE type IS NOT NULL OR detail <> ''""",
    # The foreign keys of partitions are their parents', with names that depend on the order of creation.
    "constraint": """
        SELECT format('%s.%I', name, conname), concat_ws(' ', pg_get_constraintdef(con.oid),
               CASE WHEN contype = 'f' AND NOT :dumped AND EXISTS (
                    SELECT FROM pg_trigger WHERE tgconstraint = con.oid AND tgenabled <> 'O')
                    THEN 'TRIGGERS NOT AS USUAL' END)
          FROM relation JOIN pg_constraint AS con ON conrelid = relation.oid
         WHERE contype NOT IN ('n', 't') AND (contype <> 'f' OR conparentid = 0)""",
    "index": f"""
        SELECT name, concat_ws(' ', {_INDEX}, 'ATTACHED TO ' || {_PARENTS},
               CASE WHEN NOT (indisvalid OR :dumped) THEN 'INVALID' END,
               CASE WHEN indisclustered THEN 'CLUSTERED' END, CASE WHEN indisreplident THEN 'REPLICA IDENTITY' END)
          FROM relation JOIN pg_index ON indexrelid = relation.oid""",
    "view": f"""
        SELECT name, concat_ws(' ', CASE relkind WHEN 'm' THEN 'MATERIALIZED' END, {_ACCESS_METHOD},
               (SELECT format('(%s) AS', string_agg({_ATTRIBUTE}, ', ' ORDER BY attnum)) FROM pg_attribute
                 WHERE attrelid = relation.oid AND attnum > 0 AND NOT attisdropped),
               pg_get_viewdef(oid), 'WITH ' || {_options("reloptions")}, {_TOAST})
          FROM relation WHERE relkind IN ('v', 'm')""",
    "sequence": """
        SELECT name, concat_ws(' ', CASE relpersistence WHEN 'u' THEN 'UNLOGGED' END, seqtypid::regtype,
               format('START %s INCREMENT %s FROM %s TO %s CACHE %s CYCLE %s',
                      seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle),
               (SELECT format('OWNED BY %s.%I', attrelid::regclass, attname)
                  FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
                 WHERE classid = 'pg_class'::regclass AND objid = seqrelid AND objsubid = 0
                   AND refclassid = 'pg_class'::regclass AND refobjsubid > 0 AND deptype IN ('a', 'i')))
          FROM relation JOIN pg_sequence ON seqrelid = relation.oid""",
    "function": """
        SELECT name, CASE prokind WHEN 'a' THEN
               (SELECT concat_ws(' ', 'AGGREGATE', to_jsonb(aggregate) - 'aggfnoid'::text || jsonb_build_object(
                           'aggtranstype', format_type(aggtranstype, NULL), 'aggsortop', aggsortop::regoperator,
                           'aggmtranstype', format_type(nullif(aggmtranstype, 0), NULL)), 'PARALLEL', proparallel)
                  FROM pg_aggregate AS aggregate WHERE aggfnoid = routine.oid)
               ELSE pg_get_functiondef(oid) END
          FROM routine""",
    "trigger": """
        SELECT format('%s.%I', name, tgname), pg_get_triggerdef(tr.oid) || ' ENABLED ' || tgenabled::text
          FROM relation JOIN pg_trigger AS tr ON tgrelid = relation.oid WHERE NOT tgisinternal""",
    "rule": """
        SELECT format('%s.%I', name, rulename), pg_get_ruledef(ru.oid) || ' ENABLED ' || ev_enabled::text
          FROM relation JOIN pg_rewrite AS ru ON ev_class = relation.oid WHERE rulename <> '_RETURN'""",
    "policy": f"""
        SELECT format('%s.%I', name, polname), concat_ws(' ', CASE WHEN polpermissive THEN 'PERMISSIVE' END,
               'FOR ' || polcmd::text, 'TO ' || {_sorted(_role("role"), "unnest(polroles) AS role")},
               'USING ' || pg_get_expr(polqual, polrelid), 'CHECK ' || pg_get_expr(polwithcheck, polrelid))
          FROM relation JOIN pg_policy ON polrelid = relation.oid""",
    "user mapping for": "SELECT format('%I on %I', usename, srvname), '' FROM pg_user_mappings",
    "comment": _said("", "description", "pg_description"),
    "security label": _said("provider, 'on',", "label", "pg_seclabel"),
    "owner of": "SELECT name, owner::regrole::text FROM owned",
    "rights on": f"""
        SELECT format('%s for %s', name, {_role("grantee")}), {_RIGHTS}
          FROM owned, aclexplode(coalesce(acl, acldefault(letter::"char", owner)))
         WHERE letter IS NOT NULL GROUP BY name, grantee
         UNION ALL
        SELECT format('%s.%I for %s', name, attname, {_role("grantee")}), {_RIGHTS}
          FROM relation JOIN pg_attribute ON attrelid = relation.oid AND attacl IS NOT NULL, aclexplode(attacl)
         GROUP BY name, attname, grantee
         UNION ALL
        SELECT format('%s%s %s for %s', whose, type, identity, {_role("grantee")}), {_RIGHTS}
          FROM granted, aclexplode(acl) GROUP BY whose, type, identity, grantee""",
    "default rights on": f"""
        SELECT format('%s of %s in %s', defaclobjtype, defaclrole::regrole,
                      coalesce(quote_ident(nspname), 'all schemas')),
               (SELECT string_agg(item, '; ' ORDER BY item COLLATE "C")
                  FROM (SELECT {_role("grantee")} || ': ' || {_RIGHTS} AS item
                          FROM aclexplode(defaclacl) GROUP BY grantee) AS each)
          FROM pg_default_acl LEFT JOIN pg_namespace ON pg_namespace.oid = defaclnamespace
         WHERE :dumped OR nspname IS DISTINCT FROM 'slipway'""",
    "tablespace of": "SELECT name, spcname FROM relation JOIN pg_tablespace ON pg_tablespace.oid = reltablespace",
    "data of": "SELECT name, 'NOT POPULATED' FROM relation WHERE NOT relispopulated",
    "version of extension": "SELECT quote_ident(extname), extversion FROM pg_extension WHERE oid >= 16384",
    "setting": f"""
        SELECT format('%s for %s', split_part(item, '=', 1),
                      CASE setrole WHEN 0 THEN 'all roles' ELSE setrole::regrole::text END), {_masked("item")}
          FROM pg_db_role_setting, unnest(setconfig) AS item
         WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())""",
}
# What pg_dump sees to, though it is no part of what an object is, and what it does not.
_OF_A_DUMP = {
    # pg_dump writes the columns of a table that inherits others in an order of its own.
    "order of columns in": """
        SELECT name, string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM relation JOIN pg_attribute
            ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
         WHERE relkind IN ('r', 'p', 'f') AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = relation.oid)
         GROUP BY name""",
    "order of parents of": """
        SELECT name, string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
          FROM relation JOIN pg_inherits ON inhrelid = relation.oid GROUP BY name HAVING count(*) > 1""",
    "index behind constraint": """
        SELECT format('%s.%I', name, conname), conindid::regclass::text
          FROM relation JOIN pg_constraint ON conrelid = relation.oid WHERE contype = 'f' AND conparentid = 0""",
}
_OF_NO_DUMP = ("version of extension", "setting")


def statement(version: int, dumped: bool = False) -> str:
    """The query for every object's kind, name and definition, on a server of a version such as 160014."""
    queries = {**_QUERIES, **_OF_A_DUMP} if dumped else _QUERIES
    query = "SELECT kind, name, definition FROM named" + "".join(
        f" UNION ALL SELECT '{kind}', name, definition FROM ({query}) AS each (name, definition)"
        for kind, query in queries.items()
        if not (dumped and kind in _OF_NO_DUMP)
    )
    return over_parts(version, query, dumped)


def over_parts(version: int, query: str, dumped: bool = False) -> str:
    """A query over what the catalogue is read from, such as ``relation``, on a server of a version."""
    query = f"{_PARTS} {query}"
    for since, there, instead in _SINCE:
        if version < since:
            query = query.replace(there, instead)
    return query.replace(":dumped", str(dumped).lower())


def reading(version: int, dumped: bool = False) -> str:
    """A digest of how a server's catalogue is read: texts can be compared when it is the same."""
    return hashlib.sha256(f"{version // 10000} {statement(version, dumped)}".encode()).hexdigest()


def objects(cursor: Cursor, dumped: bool = False) -> Objects:
    """Read the catalogue within a transaction that is open, whose settings change until its end."""
    cursor.execute(_SETTINGS)
    cursor.execute(statement(cursor.connection.server_version, dumped))
    return {(kind, name): definition or "" for kind, name, definition in cursor}


def read_within(cursor: Cursor) -> Catalogue:
    """The same, with kind and name in one."""
    return {f"{kind} {name}": definition for (kind, name), definition in objects(cursor).items()}


def read(cursor: Cursor) -> Catalogue:
    """Read the catalogue of the connected database, at one moment, over an autocommit connection."""
    cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    catalogue = read_within(cursor)
    cursor.execute("COMMIT")
    return catalogue
