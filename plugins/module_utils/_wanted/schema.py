# SPDX-License-Identifier: GPL-3.0-or-later
"""A schema such that it can be made again: each object with its text, the parts it is made of, and what it needs.

The texts are the catalogue's (``_schema/catalogue.py``), by which two schemas are compared; an object's parts say how
to make it. A column's default is an object of its own here, since it can go and come back without its column; the
expression of a generated column is the column itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._drift.exclusions import without_environment
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import Objects, objects, over_parts

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

Key = tuple[str, str]  # kind and name, as in the catalogue
Parts = Mapping[str, Any]


def _address(class_: str, oid: str, sub: str = "0") -> str:
    return f"jsonb_build_object('class', '{class_}'::regclass::oid::bigint, 'oid', {oid}::bigint, 'sub', {sub})"


_RELATION = "'pg_class'::regclass::oid, relation.oid"
_QUALIFIED = "format('%s.%I', relation.name, {})"
# For each kind, what it is made of: its name, its address in pg_depend, and its parts as one JSON object.
_QUERIES = {
    "schema": "SELECT name, 'pg_namespace'::regclass::oid, oid, 0, '{}'::jsonb FROM schema",
    "table": f"""
        SELECT name, {_RELATION}, 0, jsonb_build_object(
               'persistence', relpersistence, 'foreign', relkind = 'f', 'partition_by', pg_get_partkeydef(oid),
               'bound', pg_get_expr(relpartbound, oid), 'of', format_type(nullif(reloftype, 0), NULL),
               'parents', (SELECT json_agg(inhparent::regclass::text ORDER BY inhseqno)
                             FROM pg_inherits WHERE inhrelid = relation.oid),
               'rls', relrowsecurity, 'forced', relforcerowsecurity, 'identity', relreplident,
               'options', to_jsonb(reloptions))
          FROM relation WHERE relkind IN ('r', 'p', 'f')""",
    "column": """
        SELECT format('%s.%I', relation.name, attname), 'pg_class'::regclass::oid, relation.oid, attnum,
               jsonb_build_object(
               'table', relation.name, 'column', quote_ident(attname), 'number', attnum,
               'type', format_type(atttypid, atttypmod), 'base', format_type(atttypid, NULL),
               'element', format_type(nullif(typelem, 0), NULL),
               'collation', CASE WHEN attcollation <> typcollation THEN attcollation::regcollation::text END,
               'notnull', attnotnull, 'default', CASE WHEN attgenerated = '' THEN pg_get_expr(adbin, adrelid) END,
               'generated', attgenerated,
               'expression', CASE WHEN attgenerated <> '' THEN pg_get_expr(adbin, adrelid) END,
               'identity', attidentity, 'inherited', NOT attislocal,
               'storage', CASE WHEN attstorage <> typstorage THEN attstorage END,
               'own_storage', typstorage, 'statistics', nullif(attstattarget, -1),
               'compression', nullif(to_jsonb(pg_attribute) ->> 'attcompression', ''), 'options', to_jsonb(attoptions))
          FROM relation JOIN pg_attribute ON attrelid = relation.oid JOIN pg_type ON pg_type.oid = atttypid
          LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
         WHERE relkind IN ('r', 'p', 'f') AND attnum > 0 AND NOT attisdropped""",
    "default": """
        SELECT format('%s.%I', relation.name, attname), 'pg_attrdef'::regclass::oid, pg_attrdef.oid, 0,
               jsonb_build_object('column', format('%s.%I', relation.name, attname),
                                  'default', pg_get_expr(adbin, adrelid))
          FROM relation JOIN pg_attrdef ON adrelid = relation.oid
          JOIN pg_attribute ON attrelid = relation.oid AND attnum = adnum
         WHERE relkind IN ('r', 'p', 'f') AND attgenerated = ''""",
    "constraint": """
        SELECT format('%s.%I', relation.name, conname), 'pg_constraint'::regclass::oid, con.oid, 0, jsonb_build_object(
               'table', relation.name, 'constraint', quote_ident(conname), 'type', contype,
               'definition', pg_get_constraintdef(con.oid), 'inherited', NOT conislocal OR conparentid <> 0,
               'index', conindid::regclass, 'validated', convalidated,
               'columns', (SELECT json_agg(quote_ident(attname) ORDER BY attnum) FROM pg_attribute
                            WHERE attrelid = con.conrelid AND attnum = ANY (conkey)),
               'target', nullif(confrelid, 0)::regclass)
          FROM relation JOIN pg_constraint AS con ON conrelid = relation.oid
         WHERE contype NOT IN ('n', 't') AND (contype <> 'f' OR conparentid = 0)""",
    "index": f"""
        SELECT relation.name, {_RELATION}, 0, jsonb_build_object(
               'table', indrelid::regclass, 'definition', pg_get_indexdef(indexrelid), 'unique', indisunique,
               'constraint', (SELECT conname FROM pg_constraint
                               WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x')),
               'inherited', EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid),
               'partial', indpred IS NOT NULL, 'expression', indexprs IS NOT NULL, 'clustered', indisclustered,
               'identity', indisreplident)
          FROM relation JOIN pg_index ON indexrelid = relation.oid""",
    "view": f"""
        SELECT relation.name, {_RELATION}, 0, jsonb_build_object(
               'materialized', relkind = 'm', 'definition', pg_get_viewdef(relation.oid),
               'options', to_jsonb(reloptions),
               'columns', (SELECT json_agg(json_build_array(attname, format_type(atttypid, atttypmod)) ORDER BY attnum)
                             FROM pg_attribute
                            WHERE attrelid = relation.oid AND attnum > 0 AND NOT attisdropped))
          FROM relation WHERE relkind IN ('v', 'm')""",
    "sequence": f"""
        SELECT relation.name, {_RELATION}, 0, jsonb_build_object(
               'type', seqtypid::regtype, 'start', seqstart, 'increment', seqincrement, 'minimum', seqmin,
               'maximum', seqmax, 'cache', seqcache, 'cycle', seqcycle, 'persistence', relation.relpersistence,
               'internal', coalesce(deptype = 'i', false),
               'column', owner.oid::regclass || '.' || quote_ident(attname))
          FROM relation JOIN pg_sequence ON seqrelid = relation.oid
          LEFT JOIN pg_depend ON classid = 'pg_class'::regclass AND objid = seqrelid AND objsubid = 0
                             AND refclassid = 'pg_class'::regclass AND refobjsubid > 0 AND deptype IN ('a', 'i')
          LEFT JOIN pg_class AS owner ON owner.oid = refobjid
          LEFT JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid""",
    "function": """
        SELECT name, 'pg_proc'::regclass::oid, oid, 0, jsonb_build_object(
               'definition', CASE WHEN prokind <> 'a' THEN pg_get_functiondef(oid) END,
               'face', jsonb_build_array(prokind, pg_get_function_result(oid), proargnames, proargmodes),
               'defaults', pronargdefaults, 'kind', prokind)
          FROM routine""",
    "trigger": f"""
        SELECT {_QUALIFIED.format("tgname")}, 'pg_trigger'::regclass::oid, tr.oid, 0, jsonb_build_object(
               'table', relation.name, 'trigger', quote_ident(tgname), 'definition', pg_get_triggerdef(tr.oid),
               'enabled', tgenabled, 'inherited', tgparentid <> 0)
          FROM relation JOIN pg_trigger AS tr ON tgrelid = relation.oid WHERE NOT tgisinternal""",
    "rule": f"""
        SELECT {_QUALIFIED.format("rulename")}, 'pg_rewrite'::regclass::oid, ru.oid, 0, jsonb_build_object(
               'table', relation.name, 'rule', quote_ident(rulename), 'definition', pg_get_ruledef(ru.oid),
               'enabled', ev_enabled)
          FROM relation JOIN pg_rewrite AS ru ON ev_class = relation.oid WHERE rulename <> '_RETURN'""",
    "policy": f"""
        SELECT {_QUALIFIED.format("polname")}, 'pg_policy'::regclass::oid, pg_policy.oid, 0, jsonb_build_object(
               'table', relation.name, 'policy', quote_ident(polname), 'permissive', polpermissive, 'command', polcmd,
               'roles', (SELECT json_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END)
                           FROM unnest(polroles) AS role),
               'using', pg_get_expr(polqual, polrelid), 'check', pg_get_expr(polwithcheck, polrelid))
          FROM relation JOIN pg_policy ON polrelid = relation.oid""",
    "type": """
        SELECT found.identity, 'pg_type'::regclass::oid, each.oid, 0, jsonb_build_object(
               'type', typtype, 'base', format_type(nullif(typbasetype, 0), typtypmod),
               'collation', CASE WHEN typtype = 'd' AND typcollation <> 0 AND typcollation <>
                   (SELECT typcollation FROM pg_type AS own WHERE own.oid = each.typbasetype)
                   THEN typcollation::regcollation::text END,
               'notnull', typnotnull, 'default', pg_get_expr(typdefaultbin, 0),
               'labels', (SELECT json_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = each.oid),
               'checks', (SELECT json_object_agg(quote_ident(conname), pg_get_constraintdef(oid) ORDER BY conname)
                            FROM pg_constraint WHERE contypid = each.oid AND contype <> 'n'),
               'subtype', (SELECT format_type(rngsubtype, NULL) FROM pg_range WHERE rngtypid = each.oid),
               'attributes', (SELECT json_agg(json_build_array(quote_ident(attname), format_type(atttypid, atttypmod),
                                     CASE WHEN attcollation <> own.typcollation THEN attcollation::regcollation::text
                                     END) ORDER BY attnum)
                                FROM pg_attribute JOIN pg_type AS own ON own.oid = atttypid
                               WHERE attrelid = each.typrelid AND attnum > 0 AND NOT attisdropped))
          FROM pg_type AS each, pg_identify_object('pg_type'::regclass, each.oid, 0) AS found
         WHERE each.oid >= 16384 AND (typtype IN ('e', 'd', 'r') OR typtype = 'c' AND
               (SELECT relkind = 'c' FROM pg_class WHERE pg_class.oid = typrelid))
           AND ('type', found.identity) IN (SELECT kind, name FROM named)""",
    "extension": """
        SELECT quote_ident(extname), 'pg_extension'::regclass::oid, oid, 0,
               jsonb_build_object('schema', extnamespace::regnamespace)
          FROM pg_extension WHERE oid >= 16384""",
    "statistics object": """
        SELECT found.identity, 'pg_statistic_ext'::regclass::oid, each.oid, 0, jsonb_build_object(
               'table', stxrelid::regclass, 'definition', pg_get_statisticsobjdef(each.oid),
               'target', nullif(to_jsonb(each) ->> 'stxstattarget', '-1'))
          FROM pg_statistic_ext AS each, pg_identify_object('pg_statistic_ext'::regclass, each.oid, 0) AS found
         WHERE ('statistics object', found.identity) IN (SELECT kind, name FROM named)""",
    # Of what it is said, and the words by which COMMENT ON knows that.
    "comment": """
        SELECT concat_ws(' ', found.type, found.identity), classoid, objoid, objsubid,
               jsonb_build_object('type', found.type, 'identity', found.identity, 'text', description)
          FROM pg_description, pg_identify_object(classoid, objoid, objsubid) AS found
         WHERE objoid >= 16384 OR objoid = to_regnamespace('public')""",
    # Further addresses of what is above: a view's rule and columns, the types that come with a relation or a type.
    "": f"""
        SELECT '', 'pg_rewrite'::regclass::oid, oid, 0,
               {_address("pg_class", "ev_class", "0")}
          FROM pg_rewrite WHERE rulename = '_RETURN' AND oid >= 16384
         UNION ALL
        SELECT '', 'pg_type'::regclass::oid, typ.oid, 0, CASE WHEN typ.typrelid <> 0 AND
                   (SELECT relkind <> 'c' FROM pg_class WHERE pg_class.oid = typ.typrelid)
               THEN {_address("pg_class", "typ.typrelid", "0")}
               ELSE {_address("pg_type", "typ.typelem", "0")} END
          FROM pg_type AS typ WHERE typ.oid >= 16384 AND (typ.typrelid <> 0 OR typ.typelem <> 0)
           AND typ.typtype IN ('b', 'c')
         UNION ALL
        SELECT '', 'pg_attrdef'::regclass::oid, pg_attrdef.oid, 0,
               {_address("pg_class", "adrelid", "adnum")}
          FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum AND attgenerated <> ''
         UNION ALL
        SELECT '', 'pg_trigger'::regclass::oid, oid, 0,
               {_address("pg_constraint", "tgconstraint", "0")}
          FROM pg_trigger WHERE tgisinternal AND tgconstraint <> 0""",
}
_DEPENDENCIES = """
    SELECT classid, objid, objsubid, refclassid, refobjid, refobjsubid FROM pg_depend
     WHERE (objid >= 16384 OR refobjid >= 16384) AND deptype IN ('n', 'a', 'i', 'P', 'S')
"""


@dataclass(frozen=True)
class Schema:
    """The objects of a database; ``needs`` names for each those without which it can't be."""

    texts: Objects
    parts: Mapping[Key, Parts]
    needs: Mapping[Key, frozenset[Key]]

    def differs(self, other: Schema) -> list[Key]:
        """The objects that are not the same in both, in the order of their names."""
        return sorted(key for key in {**self.texts, **other.texts} if self.texts.get(key) != other.texts.get(key))


def read(cursor: Cursor, owner: str = "") -> Schema:
    """Read the schema at one moment, over an autocommit connection; ``owner`` as in ``read_within``."""
    cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    found = read_within(cursor, owner)
    cursor.execute("COMMIT")
    return found


def read_within(cursor: Cursor, owner: str = "") -> Schema:
    """Read the schema in a transaction that is open, whose settings change until its end.

    What belongs to the environment is left out, such as schemas that are not the ``owner``'s: by default the session's
    role.
    """
    texts = objects(cursor)
    if not owner:
        cursor.execute("SELECT current_user::regrole::text")
        owner = one_row(cursor)[0]
    kept = without_environment({f"{kind} {name}": text for (kind, name), text in texts.items()}, owner)
    texts = {key: text for key, text in texts.items() if f"{key[0]} {key[1]}" in kept and key[0] != "owner of"}
    query = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, each.* FROM ({query}) AS each (name, class, oid, sub, parts)"
        for kind, query in _QUERIES.items()
    )
    cursor.execute(over_parts(cursor.connection.server_version, query))
    parts: dict[Key, Parts] = {}
    addresses: dict[tuple[int, int, int], Key] = {}
    others: dict[tuple[int, int, int], tuple[int, int, int]] = {}
    commented: dict[Key, tuple[int, int, int]] = {}
    for kind, name, class_, oid, sub, given in cursor.fetchall():
        made = given if isinstance(given, dict) else json.loads(given)
        if not kind:
            others[class_, oid, sub] = (made["class"], made["oid"], made["sub"])
        elif kind == "comment":
            commented[kind, name] = (class_, oid, sub)
            parts[kind, name] = made
        else:
            parts[kind, name] = made
            addresses[class_, oid, sub] = (kind, name)

    def found(address: tuple[int, int, int]) -> Key | None:
        for _ in range(4):  # an array of a table's rows leads to its type, and that to the table
            if address in addresses:
                return addresses[address]
            if address in others:
                address = others[address]
            elif address[2]:  # a column of a view, an index or a type
                address = (address[0], address[1], 0)
            else:
                break
        return None

    needs: dict[Key, set[Key]] = {key: set() for key in parts}
    cursor.execute(_DEPENDENCIES)
    for row in cursor.fetchall():
        one, other = found(row[:3]), found(row[3:])
        if one and other and one != other:
            needs[one].add(other)
    for key, address in commented.items():
        on = found(address)
        if on:
            needs[key].add(on)
            parts[key] = {**parts[key], "of": list(on)}
    _by_name(parts, needs)
    present = {key: made for key, made in parts.items() if key in texts or key[0] == "default"}
    return Schema(texts, present, {key: frozenset(needs[key] & present.keys()) for key in present})


def _by_name(parts: Mapping[Key, Parts], needs: Mapping[Key, set[Key]]) -> None:
    """What follows from names: a schema for what lies in it, a table for what is its part."""
    schemas = {name for kind, name in parts if kind == "schema"}
    for (kind, name), made in parts.items():
        if made.get("table") and ("table", made["table"]) in parts:
            needs[kind, name].add(("table", made["table"]))
        if kind == "default":
            needs[kind, name].add(("column", made["column"]))
        if kind in ("table", "view", "sequence", "type", "function", "statistics object"):
            schema = next((each for each in schemas if name.startswith(f"{each}.")), "")
            if schema:
                needs[kind, name].add(("schema", schema))
