# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a derived change straight into a database, as one transaction, without a migration."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.effects import effects, read_rows
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import held
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import ApplyContext
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, working
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist
from ansible_collections.slipway.deploy.plugins.module_utils._text import listed

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_PAUSE = 0.5  # seconds between two attempts to get at a table


def push(
    server: Server,
    schema: str,
    statements: Sequence[str],
    accept_data_loss: bool,
    context: ApplyContext,
    lock_wait: float,
    watcher: Server | None = None,
    **settings: str,
) -> list[str]:
    """Send the statements; what they lost of the rows, a phrase each. All of them are applied, or none.

    ``context`` is entered first; ``settings`` are the server's, such as ``lock_timeout``. Raises SlipwayError where a
    statement fails, or something is lost that was not accepted.
    """
    settings = {"statement_timeout": "0", **settings}
    with working(server, schema, **settings) as cursor, held(cursor, lock_wait, watcher), context(cursor, schema):
        before = read_rows(cursor)
        deadline = time.monotonic() + lock_wait
        while True:
            insist()
            cursor.execute("BEGIN")
            try:
                _send(cursor, statements)
            except psycopg2.errors.LockNotAvailable:
                cursor.execute("ROLLBACK")
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
                continue
            lost = effects(before, read_rows(cursor))
            if lost and not accept_data_loss:
                raise SlipwayError(f"This {listed(lost)}, which was not accepted, so that nothing was changed.")
            cursor.execute("COMMIT")
            return lost


def _send(cursor: Cursor, statements: Sequence[str]) -> None:
    for statement in statements:
        try:
            cursor.execute(statement)
        except psycopg2.errors.LockNotAvailable:
            raise
        except psycopg2.Error as error:
            said = " ".join((error.diag.message_primary or str(error)).split())
            raise SlipwayError(
                f"Nothing was changed, since a statement fails here: {said}, in: {' '.join(statement.split())}; "
                "correct the rows or the wanted schema, and run again."
            ) from error
