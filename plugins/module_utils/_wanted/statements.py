# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL that makes, changes and drops one object of a schema, by its kind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import literal
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.schema import Key, Parts

# Kinds whose objects hold nothing: they can be dropped and made anew.
HOLLOW = (
    "default", "constraint", "index", "view", "function", "trigger", "rule", "policy", "statistics object", "comment",
)  # fmt: skip
_POLICY_FOR = {"*": "ALL", "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "m": "MAIN", "x": "EXTENDED"}
_COMPRESSION = {"p": "pglz", "l": "lz4"}
_ENABLED = {"O": "ENABLE", "D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}
_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
_SERIAL = {"smallint": "smallserial", "integer": "serial", "bigint": "bigserial"}
INTEGERS = frozenset(_LARGEST)
_TEXTS = frozenset(("text", "character varying"))


def options(given: Sequence[str] | None) -> str:
    """Storage parameters as ``WITH`` takes them, by what the catalogue has (``name=value``)."""
    return ", ".join(f"{name} = {literal(value)}" for name, _, value in (each.partition("=") for each in given or ()))


def column(parts: Parts, serial: str = "") -> str:
    """A column as CREATE TABLE and ADD COLUMN take it; ``serial`` stands for type, default and sequence."""
    words = [parts["column"], serial or parts["type"]]
    if parts["collation"]:
        words.append(f"COLLATE {parts['collation']}")
    if parts["expression"]:
        words.append(
            f"GENERATED ALWAYS AS ({parts['expression']}) {'VIRTUAL' if parts['generated'] == 'v' else 'STORED'}"
        )
    if parts["identity"]:
        words.append(f"GENERATED {_identity(parts)} AS IDENTITY{_sequence_options(parts.get('sequence'))}")
    if parts["default"] is not None and not serial:
        words.append(f"DEFAULT {parts['default']}")
    if parts["notnull"] and not serial and not parts["identity"]:
        words.append("NOT NULL")
    return " ".join(word for word in words if word)


def column_details(parts: Parts, before: Parts | None = None) -> list[str]:
    """What is set on a column after it was made, and differs from ``before``: actions of ALTER TABLE."""
    was: Parts = before or {}
    found = []
    if parts["storage"] != was.get("storage"):
        found.append(f"SET STORAGE {_STORAGE[parts['storage'] or parts['own_storage']]}")
    if parts["compression"] != was.get("compression"):
        found.append(f"SET COMPRESSION {_COMPRESSION.get(parts['compression'], 'default')}")
    if parts["statistics"] != was.get("statistics"):
        found.append(f"SET STATISTICS {-1 if parts['statistics'] is None else parts['statistics']}")
    found += _changed_options(parts["options"], was.get("options"))
    return [f"ALTER COLUMN {parts['column']} {each}" for each in found]


def _identity(parts: Parts) -> str:
    return "ALWAYS" if parts["identity"] == "a" else "BY DEFAULT"


def _changed_options(now: Sequence[str] | None, before: Sequence[str] | None) -> list[str]:
    wanted, was = set(now or ()), set(before or ())
    names = sorted({each.partition("=")[0] for each in was} - {each.partition("=")[0] for each in wanted})
    found = [f"SET ({options(sorted(wanted - was))})"] if wanted - was else []
    return found + ([f"RESET ({', '.join(names)})"] if names else [])


def _sequence_options(parts: Parts | None, name: str = "") -> str:
    """The options of a new sequence in parentheses, or none where all are as by default."""
    found = ([f"SEQUENCE NAME {name}"] if name else []) + (sequence_options(parts) if parts else [])
    return f" ({' '.join(found)})" if found else ""


def sequence_options(parts: Parts) -> list[str]:
    """What a sequence has otherwise than by default."""
    increment, type_ = parts["increment"], parts["type"]
    low, high = (1, _LARGEST[type_]) if increment > 0 else (-_LARGEST[type_] - 1, -1)
    first = parts["minimum"] if increment > 0 else parts["maximum"]
    by_default = {"increment": 1, "minimum": low, "maximum": high, "start": first, "cache": 1}
    words = {"increment": "INCREMENT", "minimum": "MINVALUE", "maximum": "MAXVALUE", "start": "START", "cache": "CACHE"}
    found = [f"{words[name]} {parts[name]}" for name, value in by_default.items() if parts[name] != value]
    return found + (["CYCLE"] if parts["cycle"] else [])


def is_serial(column_parts: Parts, name: str, sequence: Parts) -> str:
    """The pseudo-type that makes this column with this sequence, if one does: ``serial`` and its like."""
    table, _, column_name = name.rpartition(".")
    plain = (
        sequence["column"] == name
        and not sequence["internal"]
        and not sequence_options(sequence)
        and sequence["type"] == column_parts["type"]
        and sequence["persistence"] == "p"
        and column_parts["notnull"]
    )
    return _SERIAL[sequence["type"]] if plain and table and column_name else ""


def create(key: Key, parts: Parts) -> list[str]:
    """The statements that make an object; none where it can't be derived. Tables are made by ``create_table``."""
    kind, name = key
    maker = _CREATE.get(kind)
    return maker(name, parts) if maker else []


def create_table(name: str, parts: Parts, columns: Sequence[str], constraints: Sequence[str]) -> list[str]:
    """The statements that make a table of its columns and constraints."""
    if parts["foreign"] or parts["of"]:
        return []
    unlogged = "UNLOGGED " if parts["persistence"] == "u" else ""
    parents = parts["parents"] or []
    lines = [*columns, *constraints]
    body = " (\n" + ",\n".join(f"    {line}" for line in lines) + "\n)" if lines else " ()"
    if parts["bound"]:
        body = f" PARTITION OF {parents[0]}" + (body if lines else "") + f" {parts['bound']}"
    elif parents:
        body += f" INHERITS ({', '.join(parents)})"
    if parts["partition_by"]:
        body += f" PARTITION BY {parts['partition_by']}"
    if parts["options"]:
        body += f" WITH ({options(parts['options'])})"
    return [f"CREATE {unlogged}TABLE {name}{body}", *_table_details(name, parts, {})]


def _table_details(name: str, now: Parts, before: Parts) -> list[str]:
    found = []
    if now["rls"] != before.get("rls", False):
        found.append(f"{'ENABLE' if now['rls'] else 'DISABLE'} ROW LEVEL SECURITY")
    if now["forced"] != before.get("forced", False):
        found.append(f"{'FORCE' if now['forced'] else 'NO FORCE'} ROW LEVEL SECURITY")
    if now["identity"] != before.get("identity", "d") and now["identity"] in "dnf":
        found.append("REPLICA IDENTITY " + {"d": "DEFAULT", "n": "NOTHING", "f": "FULL"}[now["identity"]])
    return [f"ALTER TABLE {name} {each}" for each in found]


def alter_table(name: str, before: Parts, now: Parts) -> list[str]:
    """What turns a table, but for its columns and what lies on it, into another."""
    found = []
    if now["persistence"] != before["persistence"]:
        found.append(f"ALTER TABLE {name} SET {'UNLOGGED' if now['persistence'] == 'u' else 'LOGGED'}")
    if not (now["bound"] or before["bound"]):
        old, new = before["parents"] or [], now["parents"] or []
        found += [f"ALTER TABLE {name} NO INHERIT {each}" for each in old if each not in new]
        found += [f"ALTER TABLE {name} INHERIT {each}" for each in new if each not in old]
    elif before["bound"] and now["bound"] != before["bound"]:
        found.append(f"ALTER TABLE {before['parents'][0]} DETACH PARTITION {name}")
        before = {**before, "bound": None}
    if now["bound"] and not before["bound"]:
        found.append(f"ALTER TABLE {now['parents'][0]} ATTACH PARTITION {name} {now['bound']}")
    elif before["bound"] and not now["bound"]:
        found.append(f"ALTER TABLE {before['parents'][0]} DETACH PARTITION {name}")
    found += [f"ALTER TABLE {name} {each}" for each in _changed_options(now["options"], before["options"])]
    return found + _table_details(name, now, before)


def alter_column(before: Parts, now: Parts, retyped: bool = False) -> list[str]:
    """What turns a column into another. ``retyped``: its type is another one even if it has the same name."""
    head = f"ALTER TABLE {now['table']}"
    at = f"ALTER COLUMN {now['column']}"
    found = []
    default = before["default"]
    retyped = retyped or (before["type"], before["collation"]) != (now["type"], now["collation"])
    other_base = before["base"] != now["base"]
    if before["identity"] and not now["identity"]:
        found.append(f"{head} {at} DROP IDENTITY")
    if before["generated"] and not now["generated"]:
        found.append(f"{head} {at} DROP EXPRESSION")
    if default is not None and (now["default"] is None or (retyped and other_base)):
        found.append(f"{head} {at} DROP DEFAULT")
        default = None
    if retyped:
        collation = f" COLLATE {now['collation']}" if now["collation"] else ""
        found.append(f"{head} {at} TYPE {now['type']}{collation}{using(before, now)}")
    if now["default"] is not None and now["default"] != default:
        found.append(f"{head} {at} SET DEFAULT {now['default']}")
    if now["notnull"] and not before["notnull"]:
        found.append(f"{head} {at} SET NOT NULL")
    if now["identity"] and before["identity"] and now["identity"] != before["identity"]:
        found.append(f"{head} {at} SET GENERATED {_identity(now)}")
    elif now["identity"] and not before["identity"]:
        sequence = now.get("sequence")
        name = now.get("sequence_name", "")
        found.append(f"{head} {at} ADD GENERATED {_identity(now)} AS IDENTITY{_sequence_options(sequence, name)}")
    if before["notnull"] and not now["notnull"]:
        found.append(f"{head} {at} DROP NOT NULL")
    return found + [f"{head} {each}" for each in column_details(now, before)]


def using(before: Parts, now: Parts) -> str:
    """How to make a value of the new type of the old one, where it must be said."""
    if before["base"] == now["base"] and not now.get("rebuilt"):
        return ""
    if {before["base"], now["base"]} <= INTEGERS or {before["base"], now["base"]} <= _TEXTS:
        return ""
    name = now["column"]
    if now.get("rebuilt") or now.get("enum"):
        return f" USING {name}::text{'[]' if now['element'] and now['base'].endswith('[]') else ''}::{now['type']}"
    return f" USING {name}::{now['type']}"


def replaceable(kind: str, before: Parts, now: Parts) -> bool:
    """Whether CREATE OR REPLACE makes the one of the other."""
    if kind == "function":
        return bool(before["face"] == now["face"] and before["defaults"] <= now["defaults"] and now["definition"])
    if kind == "view":
        old, new = before["columns"] or [], now["columns"] or []
        return not before["materialized"] and not now["materialized"] and new[: len(old)] == old
    return kind == "rule"


def alter(key: Key, before: Parts, now: Parts) -> list[str] | None:
    """What turns an object into another of its name; None where it must be dropped and made anew."""
    kind, name = key
    if kind == "table":
        return alter_table(name, before, now)
    if kind in ("constraint", "index", "rule") and before["definition"] == now["definition"]:
        return _alter_flags(name, kind, before, now)
    if kind in ("function", "view", "rule") and replaceable(kind, before, now):
        return [re.sub("^CREATE VIEW", "CREATE OR REPLACE VIEW", each) for each in create(key, now)]
    if kind == "constraint" and now["validated"] and before["definition"] == f"{now['definition']} NOT VALID":
        return [f"ALTER TABLE {now['table']} VALIDATE CONSTRAINT {now['constraint']}"]
    if kind == "trigger" and before["definition"] == now["definition"]:
        return [f"ALTER TABLE {now['table']} {_ENABLED[now['enabled']]} TRIGGER {now['trigger']}"]
    if kind == "sequence" and before["internal"] == now["internal"]:
        return _alter_sequence(name, before, now)
    if kind == "extension":
        return [f"ALTER EXTENSION {name} SET SCHEMA {now['schema']}"]
    if kind == "comment":
        return create(key, now)
    if kind == "type" and before["type"] == now["type"]:
        return _alter_type(name, before, now)
    return None


def makeable(key: Key, parts: Parts) -> bool:
    """Whether an object can be made anew as it was by what is known of its parts."""
    return key[0] in _CREATE and parts.get("type") != "r" and bool(create(key, parts))


def _alter_flags(name: str, kind: str, before: Parts, now: Parts) -> list[str]:
    """What is told of an object beside its definition."""
    if kind == "rule" and now["enabled"] != before["enabled"]:
        return [f"ALTER TABLE {now['table']} {_ENABLED[now['enabled']]} RULE {now['rule']}"]
    if kind == "index" and now["clustered"] and not before["clustered"]:
        return [f"ALTER TABLE {now['table']} CLUSTER ON {split_column(name)[1]}"]
    if kind == "index" and before["clustered"] and not now["clustered"]:
        return [f"ALTER TABLE {now['table']} SET WITHOUT CLUSTER"]
    return []


def _alter_sequence(name: str, before: Parts, now: Parts) -> list[str]:
    found = []
    names = {"increment": "INCREMENT", "minimum": "MINVALUE", "maximum": "MAXVALUE", "start": "START", "cache": "CACHE"}
    words = [f"AS {now['type']}"] if now["type"] != before["type"] and not now["internal"] else []
    words += [f"{word} {now[each]}" for each, word in names.items() if now[each] != before[each]]
    if now["cycle"] != before["cycle"]:
        words.append("CYCLE" if now["cycle"] else "NO CYCLE")
    if words:
        found.append(f"ALTER SEQUENCE {name} {' '.join(words)}")
    if now["persistence"] != before["persistence"]:
        found.append(f"ALTER SEQUENCE {name} SET {'UNLOGGED' if now['persistence'] == 'u' else 'LOGGED'}")
    if now["column"] != before["column"]:
        found.append(owned_by(name, now))
    return found


def owned_by(name: str, parts: Parts) -> str:
    """The statement that ties a sequence to its column."""
    return f"ALTER SEQUENCE {name} OWNED BY {parts['column'] or 'NONE'}"


def new_labels(before: Sequence[str], now: Sequence[str]) -> list[str] | None:
    """How each label that an enumeration lacks is added, a phrase each; None where one must go or move."""
    if [label for label in now if label in before] != list(before):
        return None
    found, known = [], list(before)
    for at, label in enumerate(now):
        if label in before:
            continue
        later = next((each for each in now[at + 1 :] if each in before), None)
        place = f" BEFORE {literal(later)}" if later is not None else ""
        found.append(f"ADD VALUE {literal(label)}{place}")
        known.append(label)
    return found


def _alter_type(name: str, before: Parts, now: Parts) -> list[str] | None:
    if now["type"] == "e":
        added = new_labels(before["labels"] or [], now["labels"] or [])
        return None if added is None else [f"ALTER TYPE {name} {each}" for each in added]
    if now["type"] == "d" and (before["base"], before["collation"]) == (now["base"], now["collation"]):
        return _alter_domain(name, before, now)
    if now["type"] == "c":
        return _alter_composite(name, before["attributes"] or [], now["attributes"] or [])
    return None


def _alter_domain(name: str, before: Parts, now: Parts) -> list[str]:
    old, new = before["checks"] or {}, now["checks"] or {}
    found = [f"DROP CONSTRAINT {check}" for check, text in old.items() if new.get(check) != text]
    if now["default"] != before["default"]:
        found.append("DROP DEFAULT" if now["default"] is None else f"SET DEFAULT {now['default']}")
    if now["notnull"] != before["notnull"]:
        found.append("SET NOT NULL" if now["notnull"] else "DROP NOT NULL")
    found += [f"ADD CONSTRAINT {check} {text}" for check, text in new.items() if old.get(check) != text]
    return [f"ALTER DOMAIN {name} {each}" for each in found]


def _alter_composite(name: str, old: Sequence[Any], new: Sequence[Any]) -> list[str]:
    before, now = ({each[0]: each for each in attributes} for attributes in (old, new))
    found = [f"DROP ATTRIBUTE {attribute}" for attribute in before if attribute not in now]
    for attribute, each in now.items():
        if attribute not in before:
            found.append(f"ADD ATTRIBUTE {_attribute(each)}")
        elif before[attribute] != each:
            found.append(f"ALTER ATTRIBUTE {attribute} TYPE {_attribute(each)[len(attribute) + 1 :]}")
    return [f"ALTER TYPE {name} {each}" for each in found]


def _attribute(given: Sequence[Any]) -> str:
    return f"{given[0]} {given[1]}" + (f" COLLATE {given[2]}" if given[2] else "")


def drop(key: Key, parts: Parts) -> list[str]:
    """The statement that drops an object, in a list; an empty one where it can't be derived."""
    kind, name = key
    if kind in ("column", "constraint"):
        return [f"ALTER TABLE {parts['table']} DROP {kind.upper()} {parts[kind]}"]
    if kind in ("trigger", "rule", "policy"):
        return [f"DROP {kind.upper()} {parts[kind]} ON {parts['table']}"]
    if kind == "default":
        table, quoted = split_column(parts["column"])
        return [f"ALTER TABLE {table} ALTER COLUMN {quoted} DROP DEFAULT"]
    if kind == "view":
        return [f"DROP {'MATERIALIZED ' if parts['materialized'] else ''}VIEW {name}"]
    if kind == "function":
        return [f"DROP { {'p': 'PROCEDURE', 'a': 'AGGREGATE'}.get(parts['kind'], 'FUNCTION') } {name}"]
    if kind == "type":
        return [f"DROP {'DOMAIN' if parts['type'] == 'd' else 'TYPE'} {name}"]
    if kind == "comment":
        return [f"COMMENT ON {_commented(parts)} IS NULL"]
    if kind == "table":
        return [f"DROP {'FOREIGN ' if parts['foreign'] else ''}TABLE {name}"]
    words = {"schema": "SCHEMA", "extension": "EXTENSION", "sequence": "SEQUENCE", "index": "INDEX",
             "statistics object": "STATISTICS"}  # fmt: skip
    return [f"DROP {words[kind]} {name}"] if kind in words else []


_PART = re.compile(r'"(?:[^"]|"")*"|[^".]+')


def split_column(name: str) -> tuple[str, str]:
    """A column's qualified name as its table's and its own."""
    *table, own = _PART.findall(name)
    return ".".join(table), own


def _commented(parts: Parts) -> str:
    """What a comment is on, as COMMENT takes it, by PostgreSQL's words for it (pg_identify_object)."""
    type_, identity = parts["type"], parts["identity"]
    if type_.endswith(" column"):
        return f"COLUMN {identity}"
    if type_ == "table constraint":
        return f"CONSTRAINT {identity}"
    if type_ == "domain constraint":
        return "CONSTRAINT {} ON DOMAIN {}".format(*identity.split(" on ", 1))
    words = {"statistics object": "STATISTICS", "foreign-data wrapper": "FOREIGN DATA WRAPPER"}
    return f"{words.get(type_, type_.upper())} {identity}"


def _create_view(name: str, parts: Parts) -> list[str]:
    with_ = f" WITH ({options(parts['options'])})" if parts["options"] else ""
    how = "CREATE MATERIALIZED VIEW" if parts["materialized"] else "CREATE VIEW"
    return [f"{how} {name}{with_} AS\n{parts['definition'].rstrip().rstrip(';')}"]


def _create_index(name: str, parts: Parts) -> list[str]:
    found = [parts["definition"].replace(" ON ONLY ", " ON ", 1)]  # of a partitioned table: on its partitions, too
    if parts["clustered"]:
        found.append(f"ALTER TABLE {parts['table']} CLUSTER ON {split_column(name)[1]}")
    if parts["identity"]:
        found.append(f"ALTER TABLE {parts['table']} REPLICA IDENTITY USING INDEX {split_column(name)[1]}")
    return found


def _create_sequence(name: str, parts: Parts) -> list[str]:
    unlogged = "UNLOGGED " if parts["persistence"] == "u" else ""
    type_ = f" AS {parts['type']}" if parts["type"] != "bigint" else ""
    return [" ".join([f"CREATE {unlogged}SEQUENCE {name}{type_}", *sequence_options(parts)])]


def _create_type(name: str, parts: Parts) -> list[str]:
    if parts["type"] == "e":
        return [f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, parts['labels'] or []))})"]
    if parts["type"] == "c":
        return [f"CREATE TYPE {name} AS ({', '.join(map(_attribute, parts['attributes'] or []))})"]
    if parts["type"] == "r":
        return [f"CREATE TYPE {name} AS RANGE (SUBTYPE = {parts['subtype']})"]
    words = [f"CREATE DOMAIN {name} AS {parts['base']}"]
    if parts["collation"]:
        words.append(f"COLLATE {parts['collation']}")
    if parts["default"] is not None:
        words.append(f"DEFAULT {parts['default']}")
    if parts["notnull"]:
        words.append("NOT NULL")
    words += [f"CONSTRAINT {check} {text}" for check, text in (parts["checks"] or {}).items()]
    return [" ".join(words)]


def _create_trigger(_name: str, parts: Parts) -> list[str]:
    found = [parts["definition"]]
    if parts["enabled"] != "O":
        found.append(f"ALTER TABLE {parts['table']} {_ENABLED[parts['enabled']]} TRIGGER {parts['trigger']}")
    return found


def _create_rule(_name: str, parts: Parts) -> list[str]:
    found = [re.sub("^CREATE RULE", "CREATE OR REPLACE RULE", parts["definition"]).rstrip(";")]
    if parts["enabled"] != "O":
        found.append(f"ALTER TABLE {parts['table']} {_ENABLED[parts['enabled']]} RULE {parts['rule']}")
    return found


def _create_policy(_name: str, parts: Parts) -> list[str]:
    words = [f"CREATE POLICY {parts['policy']} ON {parts['table']}"]
    words += [] if parts["permissive"] else ["AS RESTRICTIVE"]
    words += [] if parts["command"] == "*" else [f"FOR {_POLICY_FOR[parts['command']]}"]
    words += [] if parts["roles"] == ["PUBLIC"] else [f"TO {', '.join(parts['roles'])}"]
    words += [f"USING ({parts['using']})"] if parts["using"] is not None else []
    words += [f"WITH CHECK ({parts['check']})"] if parts["check"] is not None else []
    return [" ".join(words)]


def _create_statistics(name: str, parts: Parts) -> list[str]:
    target = parts["target"]
    return [parts["definition"], *([f"ALTER STATISTICS {name} SET STATISTICS {target}"] if target else [])]


def _create_default(_name: str, parts: Parts) -> list[str]:
    table, quoted = split_column(parts["column"])
    return [f"ALTER TABLE {table} ALTER COLUMN {quoted} SET DEFAULT {parts['default']}"]


_CREATE: Mapping[str, Any] = {
    "schema": lambda name, parts: [f"CREATE SCHEMA {name}"],
    "extension": lambda name, parts: [f"CREATE EXTENSION {name} SCHEMA {parts['schema']}"],
    "type": _create_type,
    "sequence": _create_sequence,
    "default": _create_default,
    "constraint": lambda name, parts: [
        f"ALTER TABLE {parts['table']} ADD CONSTRAINT {parts['constraint']} {parts['definition']}"
    ],
    "index": _create_index,
    "view": _create_view,
    "function": lambda name, parts: [parts["definition"].strip()] if parts["definition"] else [],
    "trigger": _create_trigger,
    "rule": _create_rule,
    "policy": _create_policy,
    "statistics object": _create_statistics,
    "comment": lambda name, parts: [f"COMMENT ON {_commented(parts)} IS {literal(parts['text'])}"],
}
