# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs of scheduled commands, in a table of Slipway's schema, so that each time one host of several runs a command.

The first host to note a time runs the command, and while it does its session holds an advisory lock that is named
after the command, so that no two runs of it are at work at a time. When the session ends, however it does, the server
lets go of the lock: a run that is noted as started and whose lock nobody holds was broken off.
"""

from __future__ import annotations

import datetime
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access.own_schema import (
    close_own_tables,
    let_note_runs,
    make_own_schema,
)
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import COMMAND_RUNS
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

LOCK = 0x736C6970  # the first number of each such advisory lock; the second is the command's
KEPT = 100  # runs of a command
_TABLE = f"""
    CREATE TABLE {COMMAND_RUNS} (
        command text NOT NULL,
        due timestamptz NOT NULL,
        host text NOT NULL,
        release text NOT NULL,
        started timestamptz NOT NULL DEFAULT clock_timestamp(),
        seconds double precision,
        exit_status integer,
        PRIMARY KEY (command, due)
    )
"""
_RUNS = f"""
    SELECT command, due, host, release, started, seconds, exit_status,
           exists(SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted
                  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
                  AND (classid, objid, objsubid) = ({LOCK}, (%(numbers)s::jsonb ->> command)::int8, 2))
    FROM (SELECT *, row_number() OVER (PARTITION BY command ORDER BY due DESC) AS back FROM {COMMAND_RUNS}) kept
    WHERE command = ANY(%(commands)s) AND back <= %(most)s
    ORDER BY command, due DESC
"""


@dataclass(frozen=True)
class Run:
    """A run of a command for the time ``due``. ``seconds`` and ``exit_status`` are None until it has ended."""

    command: str
    due: datetime.datetime
    host: str
    release: str
    started: datetime.datetime
    seconds: float | None
    exit_status: int | None
    working: bool

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        if self.seconds is None:
            return "at work" if self.working else "broken off"
        return f"exit status {self.exit_status}"

    @property
    def sentence(self) -> str:
        """All of it in a line, with the time in UTC."""
        took = "" if self.seconds is None else f", {self.seconds:.0f} s"
        return f"{self.command}: {moment(self.due)} at {self.host}{took}, {self.outcome}, release {self.release or '-'}"


def moment(time: datetime.datetime) -> str:
    """A time of the database as a person reads it, in UTC."""
    return time.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")


def number(command: str) -> int:
    """The second number of a command's lock."""
    return zlib.crc32(command.encode()) & 0x7FFFFFFF


def exists(cursor: Cursor) -> bool:
    """Whether there is a table of runs."""
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [COMMAND_RUNS])
    return bool(one_row(cursor)[0])


def prepare(cursor: Cursor, application: str) -> None:
    """Make the table, as the database's owner in the caller's transaction, and let the application's role note runs."""
    make_own_schema(cursor)
    cursor.execute(_TABLE)
    close_own_tables(cursor)  # for a role that did not enter the schema they need not have been closed
    let_note_runs(cursor, application)


def begin(cursor: Cursor, command: str, due: float, host: str, release: str) -> str:
    """Note the run for the time ``due`` (in seconds since 1970), for a session that keeps the lock while it is open.

    Returns why there is none to make, in a sentence; '' where it is this session's.
    """
    cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK, number(command)])
    if not one_row(cursor)[0]:
        last = next(iter(runs(cursor, [command])), None)
        who = f"{last.host} for {moment(last.due)} UTC" if last and last.working else "another host"
        return f"Command {command} is at work, run by {who}: no other one is started."
    cursor.execute(
        f"INSERT INTO {COMMAND_RUNS} (command, due, host, release) VALUES (%s, to_timestamp(%s), %s, %s)"
        " ON CONFLICT DO NOTHING",
        [command, due, host, release],
    )
    if cursor.rowcount:
        return ""
    cursor.execute(
        f"SELECT host, due FROM {COMMAND_RUNS} WHERE command = %s AND due = to_timestamp(%s)", [command, due]
    )
    other, time = one_row(cursor)
    return f"Command {command} was run for {moment(time)} UTC already, by {other}."


def end(cursor: Cursor, command: str, due: float, seconds: float, exit_status: int) -> None:
    """Note how a run ended, and forget runs that are long past."""
    cursor.execute(
        f"UPDATE {COMMAND_RUNS} SET seconds = %s, exit_status = %s WHERE command = %s AND due = to_timestamp(%s)",
        [seconds, exit_status, command, due],
    )
    cursor.execute(
        f"DELETE FROM {COMMAND_RUNS} WHERE command = %(command)s AND due < ("
        f"  SELECT min(due) FROM (SELECT due FROM {COMMAND_RUNS} WHERE command = %(command)s"
        f"                        ORDER BY due DESC LIMIT %(kept)s) kept)",
        {"command": command, "kept": KEPT},
    )


def runs(cursor: Cursor, commands: Sequence[str], most: int = 1) -> list[Run]:
    """The last runs of each of the commands, ``most`` at most, the newest first."""
    numbers = json.dumps({command: number(command) for command in commands})
    cursor.execute(_RUNS, {"commands": list(commands), "most": most, "numbers": numbers})
    return [Run(*row) for row in cursor.fetchall()]
