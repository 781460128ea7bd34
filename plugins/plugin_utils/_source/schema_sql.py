# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema that pg_dump writes, as a person would keep it in a file."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.statements import trees

with contextlib.suppress(ImportError):
    import pglast
    import pglast.ast as node
    from pglast import enums

HEADING = "-- The schema of the database, without owners, rights, and the history of migrations. Written by Slipway.\n"
# What pg_dump writes for psql alone.
_GUARD = re.compile(r"^\\(un)?restrict .*\n", re.MULTILINE)
_COMMENTS = re.compile(r"\A(?:\s+|--.*(?:\n|\Z))+")


def tidied(dump: str) -> str:
    """The statements of a schema-only dump in its order, which depends on the schema alone, and nothing else of it.

    Left out are comments of the dump's own, the session's settings, and the comments that extensions bring. Raises
    SlipwayError where pglast is missing or does not know a statement.
    """
    try:
        text = _GUARD.sub("", dump)
        found = [_COMMENTS.sub("", text[start:end]).rstrip() for start, end, tree in trees(text) if _of_schema(tree)]
    except NameError as error:
        raise SlipwayError(
            "The Python package pglast is not installed beside Ansible: install it and run again."
        ) from error
    except pglast.parser.ParseError as error:
        raise SlipwayError(f"The schema that pg_dump wrote can't be read: {error.args[0]}.") from error
    return "\n".join([HEADING, *(f"{statement};\n" for statement in found)])


def _of_schema(tree: Any) -> bool:
    if isinstance(tree, (node.VariableSetStmt, node.SelectStmt)):
        return False
    return not (isinstance(tree, node.CommentStmt) and tree.objtype == enums.ObjectType.OBJECT_EXTENSION)
