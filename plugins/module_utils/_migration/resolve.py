# SPDX-License-Identifier: GPL-3.0-or-later
"""Corrects the history by hand, with the effects of ``prisma migrate resolve``, and re-records a checksum."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.decisions import Decision, write_down
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import STARTED, HistoryTable, Row
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import held
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Migration, Payload
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, working
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@dataclass(frozen=True)
class Change:
    """A row to write: a new one, or other values for the one with ``row_id``. ``action`` says it in the past tense."""

    action: str
    row_id: str
    values: Mapping[str, object]


def changes(name: str, state: str, rows: Sequence[Row], file: Migration | None) -> list[Change]:
    """What makes the history say that a migration is in a state. Nothing when it says so already.

    ``rows`` are those of this migration, in the order of their start. Raises SlipwayError where Prisma refuses, too.
    """
    failed = [row for row in rows if row.failed]
    finished = [row for row in rows if row.finished_at is not None and row.rolled_back_at is None]
    undo = [
        Change(f"Marked the failed attempt of {name} as rolled back.", row.id, {"rolled_back_at": STARTED})
        for row in failed
    ]
    if state == "rolled_back":
        if not rows:
            raise SlipwayError(
                f"The migration {name!r} has no row in the history that could be marked as rolled back: check its name."
            )
        if finished and not failed:
            raise SlipwayError(
                f"The migration {name!r} is applied, not failed, and can't be marked as rolled back: undo it by its "
                "down.sql, or by a new migration."
            )
        return undo
    if file is None or not file.checksums:
        raise SlipwayError(f"There is no file for the migration {name!r}: check its name, or restore it.")
    if state == "repaired":
        if not finished:
            raise SlipwayError(f"The migration {name!r} is not applied, so that it has no checksum to repair.")
        if finished[-1].checksum in file.checksums:
            return []
        action = f"Recorded the checksum of {name} anew."
        return [Change(action, finished[-1].id, {"checksum": file.checksums[0]})]
    if finished and not failed:
        return []
    row = {
        "id": str(uuid.uuid4()),
        "checksum": file.checksums[0],
        "migration_name": name,
        "started_at": STARTED,
        "finished_at": STARTED,
        "logs": "",
    }
    return [*undo, Change(f"Marked {name} as applied.", "", row)]


def resolve(
    server: Server, schema: str, payload: Payload, names: Sequence[str], state: str, decision: Decision,
    lock_wait: float, check: bool, watcher: Server | None = None,
) -> list[str]:  # fmt: skip
    """Bring the history of some migrations to a state, all or none, and return what was done in sentences.

    With ``check`` nothing is written. Raises SlipwayError when that is not possible for one of them, or another session
    holds the lock for too long, which is named as ``watcher`` sees it.
    """
    table, names = HistoryTable(schema), list(dict.fromkeys(names))
    with working(server, schema) as cursor:
        if check:
            return [each.action for each in _changes_of(cursor, table, payload, names, state)[0]]
        with held(cursor, lock_wait, watcher):
            intended, exists = _changes_of(cursor, table, payload, names, state)
            if intended:
                insist()
                cursor.execute("BEGIN")
                if not exists:
                    table.create(cursor)
                for each in intended:
                    sql, values = table.update(each.row_id, each.values) if each.row_id else table.insert(each.values)
                    cursor.execute(sql, values)
                if decision.reason:
                    for name in names:
                        write_down(cursor, name, decision)
                cursor.execute("COMMIT")
    return [each.action for each in intended]


def _changes_of(
    cursor: Cursor, table: HistoryTable, payload: Payload, names: Sequence[str], state: str
) -> tuple[list[Change], bool]:
    history = table.read(cursor)
    rows: dict[str, list[Row]] = {}
    for row in history.rows or ():
        rows.setdefault(row.name, []).append(row)
    files: dict[str, Any] = {each.name: each for each in payload.migrations}
    intended = [change for name in names for change in changes(name, state, rows.get(name, []), files.get(name))]
    return intended, history.rows is not None
