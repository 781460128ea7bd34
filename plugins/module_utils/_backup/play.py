# SPDX-License-Identifier: GPL-3.0-or-later
"""Send the statements of a plain dump to a fresh database, as the role that is to own what they make.

That role is no superuser, so that a dump from elsewhere can neither read files nor start programs on the server. What
only the administrator may do, an extension, he does, if the database had it before or everyone may create it.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._backup.script import Script, Statement
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote

with contextlib.suppress(ImportError):  # connect() has said so before anything here is called
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# SQLSTATE: undefined_table, _object, _function, _column, invalid_schema_name.
_UNDEFINED = ("42P01", "42704", "42883", "42703", "3F000")
_UNKNOWN_SETTING = "settings that this version does not know"


def play(script: Script, owner: Cursor, admin: Cursor, known_extensions: Collection[str]) -> Counter[str]:
    """Run the script; how many statements were left out, by what they are about.

    Both cursors are on autocommit in the fresh database. Raises SlipwayError, with the line, at the first that fails.
    """
    left_out: Counter[str] = Counter()
    for statement in script:
        if statement.left_out:
            left_out[statement.left_out] += 1
        elif statement.extension:
            _create_extension(script.name, statement, admin, known_extensions)
        else:
            try:
                send(statement, owner)
            except psycopg2.Error as error:
                if statement.drops and error.pgcode in _UNDEFINED:
                    left_out["what is not there to be dropped"] += 1
                elif statement.sets and error.pgcode == "42704":
                    left_out[_UNKNOWN_SETTING] += 1
                elif statement.comments_on_public and error.pgcode == "42501":  # insufficient_privilege
                    left_out["the comment on schema public"] += 1
                else:
                    raise failed(script.name, statement, error) from error
    return left_out


def send(statement: Statement, cursor: Cursor) -> None:
    """Send a statement, with its rows where it has any."""
    if statement.rows is None:
        cursor.execute(statement.text)
    else:
        cursor.copy_expert(statement.text, statement.rows)


def failed(name: str, statement: Statement, error: psycopg2.Error) -> SlipwayError:
    """What PostgreSQL said against a statement, without the values of rows."""
    said = " ".join((error.diag.message_primary or str(error)).split())
    row = re.match(r"COPY \S+, line (\d+)", error.diag.context or "")
    line = statement.line + int(row[1]) if row else statement.line
    return SlipwayError(
        f"{name} can't be restored: {said} (line {line}, {statement.shown}); correct the file, or what it needs on the "
        "server, and run again; nothing was changed."
    )


def _create_extension(name: str, statement: Statement, admin: Cursor, known: Collection[str]) -> None:
    assert statement.extension
    extension, schema = statement.extension
    admin.execute(
        "SELECT coalesce(to_jsonb(v) ->> 'trusted', 'false') = 'true' FROM pg_available_extension_versions v "
        "WHERE v.name = %s ORDER BY 1 DESC LIMIT 1",
        [extension],
    )
    found = admin.fetchone()
    if extension == "plpgsql":
        return
    if not found:
        raise SlipwayError(
            f"{name} needs the extension {extension!r}, which the server does not have: install it there and run "
            "again; nothing was changed."
        )
    if not found[0] and extension not in known:
        raise SlipwayError(
            f"{name} needs the extension {extension!r}, which the administrator has not created in the database: add "
            "it to app_extensions, deploy, and run again; nothing was changed."
        )
    where = f" SCHEMA {quote(schema)}" if schema else ""
    try:
        admin.execute(f"CREATE EXTENSION IF NOT EXISTS {quote(extension)}{where} CASCADE")
    except psycopg2.Error as error:
        raise failed(name, statement, error) from error
