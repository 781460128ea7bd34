# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by the application's own Python: prints the SQL that makes what SQLAlchemy models describe.

It gets ``module:attribute`` and a file to write to, and imports nothing of Slipway. The file holds JSON:
``statements``, and in ``kinds`` the kinds of what alembic-utils has registered; or ``error``, where there is none.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

_KINDS = {
    "PGFunction": "function",
    "PGView": "view",
    "PGMaterializedView": "view",
    "PGTrigger": "trigger",
    "PGPolicy": "policy",
    "PGExtension": "extension",
}


def statements(metadata: Any) -> list[str]:
    """The statements of ``create_all``, by a dialect that is connected to nothing."""
    from sqlalchemy.dialects.postgresql.base import PGDialect
    from sqlalchemy.engine.mock import MockConnection

    made: list[str] = []
    make: Callable[..., Any] = PGDialect
    dialect = make(paramstyle="named")  # another style doubles the per cent signs
    schemas = sorted({table.schema for table in metadata.tables.values() if table.schema})
    made += [f"CREATE SCHEMA IF NOT EXISTS {dialect.identifier_preparer.quote(schema)}" for schema in schemas]
    connection = MockConnection(dialect, lambda sql, *_, **__: made.append(str(sql.compile(dialect=dialect)).strip()))
    metadata.create_all(connection, checkfirst=False)
    return made


def entities() -> tuple[list[str], list[str]]:
    """The statements and kinds of what is registered with alembic-utils (views, functions …), if it is there."""
    found = getattr(sys.modules.get("alembic_utils.replaceable_entity"), "registry", None)
    made: list[str] = []
    kinds: set[str] = set()
    order = list(_KINDS)
    registered = [each for each in found.entities() if type(each).__name__ in _KINDS] if found else []
    for each in sorted(registered, key=lambda each: order.index(type(each).__name__)):
        sql = each.to_sql_statement_create()
        made += [str(part).rstrip("; \n") for part in (sql if isinstance(sql, (list, tuple)) else [sql])]
        kinds.add(_KINDS[type(each).__name__])
    return made, sorted(kinds)


def main(target: str, file: str) -> None:
    """Import the models and write what they describe."""
    result: dict[str, object] = {}
    module, _, attribute = target.partition(":")
    try:
        found = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
        made, kinds = entities()
        result = {"statements": statements(getattr(found, "metadata", found)) + made, "kinds": kinds}
    except BaseException as error:  # whatever the models raise, a SystemExit too, is theirs to explain
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
        where = "".join(traceback.format_list(own[1:]))
        said = "".join(traceback.format_exception_only(type(error), error))
        result = {"error": f"{where}{said}".rstrip()}
    with open(file, "w", encoding="utf-8") as opened:
        json.dump(result, opened)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
