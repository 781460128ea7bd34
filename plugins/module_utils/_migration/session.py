# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the statements of scripts in a session that they can't spoil, and explains their failures."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import ROW_LOST
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import Watch
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script, excerpt, locate
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import roll_back

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_DISCARD = "DISCARD TEMP; DISCARD SEQUENCES; DEALLOCATE ALL; CLOSE ALL; UNLISTEN *"
# Whatever it is at the moment, by the file's own word too; 0 is none.
_SHORTEN = """
    SELECT set_config('lock_timeout', greatest(setting::int - {milliseconds}, 1)::text, true)
      FROM pg_settings WHERE name = 'lock_timeout' AND setting::int > 0
"""


# The classes of SQLSTATE whose messages are about rows: cardinality, data, integrity, triggers' and checks' own.
_OF_ROWS = {"21", "22", "23", "44", "P0"}
_VALUE = re.compile(r'(?<=: )".*"$|(?<=^value )".*"(?= is )', re.DOTALL)


def _without_values(detail: str) -> str:
    """A message's detail up to the values in it: which columns, but not what is in them."""
    key, found, _ = detail.partition("=(")
    return f"{key}=(…)" if found and key.startswith("Key (") else "left out"


class StatementError(Exception):
    """PostgreSQL refused a statement of a script, or the end of its transaction when ``number`` is None.

    ``lost``: the connection is gone, and whether a transaction was committed at its end is unknown. ``shift``: how many
    characters were sent before the statement.
    """

    def __init__(self, script: Script, number: int | None, error: psycopg2.Error, lost: bool, shift: int = 0) -> None:
        super().__init__(str(error))
        self.script = script
        self.number = number
        self.error = error
        self.code = error.pgcode
        self.lost = lost
        self._shift = shift

    @property
    def busy(self) -> bool:
        """Whether others held its locks: it did not get them in time, or there was a deadlock."""
        return self.code in ("55P03", "40P01")

    def explain(self, subject: str, advice: str, more: Iterable[tuple[str, str]] = (), rows: bool = True) -> str:
        """The failure for a person: of what, where, what PostgreSQL said, and the advice given.

        Without ``rows``, what PostgreSQL may have quoted of rows is left out.
        """
        script, said = self.script, self.error.diag
        place, shown = f"{script.path}, at its end", ""
        statement = script.statements[self.number] if self.number is not None else None
        if statement:
            offset = statement.start
            if said.statement_position:
                offset += int(said.statement_position) - 1 - self._shift
            if offset < statement.end:
                line, column = locate(script.text, offset)
                place, shown = f"{script.path}:{line}:{column}", f"\n{excerpt(script.text, offset)}"
        message = said.message_primary or " ".join(str(self.error).split())
        code = f" (SQLSTATE {self.code})" if self.code else ""
        detail, context = said.message_detail, said.context
        if not rows and (self.code or "")[:2] in _OF_ROWS and ROW_LOST not in message:
            message = _VALUE.sub("(value not shown)", message)
            detail = f"{_without_values(detail)} (values of rows are shown with row_values=true)" if detail else None
            context = None
        said_too = [("DETAIL", detail), ("HINT", said.message_hint), ("CONTEXT", context), *more]
        facts = "".join(f"\n{label}: {text}" for label, text in said_too if text)
        return f"{subject} failed at {place}: {message}{code}{shown}{facts}\n{advice}"


def _doing(script: Script, number: int | None) -> str:
    """What a session is at, in words."""
    named = Path(script.path).parent.name or script.path
    return named if number is None else f"{named}, statement {number + 1} of {len(script.statements)}"


class Observer:
    """Who is told of a session's work, where that matters. This one takes no notice."""

    looks = False

    def began(self, script: Script) -> None:
        """A transaction begins, for statements of a script."""

    def ran(self) -> None:
        """A statement has run in it."""

    def ends(self) -> None:
        """It is about to end."""

    def ended(self) -> None:
        """It has ended."""

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """A statement runs outside of any transaction, for a ``with`` block."""
        return contextlib.nullcontext()


REHEARSED = "This was a rehearsal on a copy: the database was not touched, and what serves from it goes on serving. "


class Session:
    """An autocommit connection's cursor. Whatever a script sets, it is as at its start before anything else is sent.

    As a context, whatever ends it: a transaction that is open then is rolled back, and all before it is on the disk.
    ``rehearsal``: the database is a copy. ``row_values``: messages may quote rows. ``observer``: who is told of it all.
    """

    def __init__(
        self,
        cursor: Cursor,
        watch: Watch | None = None,
        rehearsal: bool = False,
        row_values: bool = False,
        observer: Observer | None = None,
    ) -> None:
        self.cursor = cursor
        self.observer = observer or Observer()
        self.rehearsal = rehearsal
        self.row_values = row_values
        self._watch = watch
        self.rolling_back = False
        self._restore = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL"
        if cursor.connection.server_version >= 140000:  # so that a statement ends with the process that sent it
            self._restore += "; SET client_connection_check_interval = '1s'"
        self.restore()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.lost:
            with contextlib.suppress(*[psycopg2.Error] if kind else []):  # what ended it is worth more
                roll_back(self.cursor)
                self.flush()

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return bool(self.cursor.connection.closed)

    def execute(self, sql: str, values: Mapping[str, Any] | None = None) -> None:
        """Send SQL of our own."""
        self.cursor.execute(sql, values)

    @contextlib.contextmanager
    def rolled_back(self) -> Iterator[None]:
        """A transaction for a ``with`` block, of which nothing is kept. In it, those of scripts are savepoints."""
        self.execute("BEGIN")
        self.rolling_back = True
        try:
            yield
        finally:
            self.rolling_back = False
            if not self.lost:
                roll_back(self.cursor)
                self.restore()

    @property
    def _begin(self) -> str:
        return "SAVEPOINT slipway" if self.rolling_back else "BEGIN"

    @property
    def _commit(self) -> str:
        # What was checked early may be late again: it is the same transaction for the next script.
        return "SET CONSTRAINTS ALL DEFERRED; RELEASE SAVEPOINT slipway" if self.rolling_back else "COMMIT"

    def restore(self) -> None:
        """Undo what a script set."""
        self.execute(self._restore)

    def renew(self, script: Script, number: int) -> None:
        """Set again what the statements of a script before ``number`` have set for the session."""
        for earlier, part in enumerate(script.statements[:number]):
            if part.about[:1] == ("set",):
                self.send(script, earlier, script.sql(part))

    def flush(self) -> None:
        """Wait until all that was committed is on the disk, and on the standbys that have to have it."""
        self.execute("BEGIN; SET LOCAL synchronous_commit = on; SELECT txid_current(); COMMIT")

    @contextlib.contextmanager
    def failing(self, script: Script, number: int | None, shift: int = 0) -> Iterator[None]:
        """Make an error of the server within a ``with`` block one of the script, of which nothing uncommitted is kept.

        What is sent begins with ``shift`` characters that are not the script's.
        """
        if self._watch:
            self._watch.doing = _doing(script, number)
        try:
            yield
        except psycopg2.Error as error:
            if not self.lost:
                if self.rolling_back:
                    self.execute("ROLLBACK TO SAVEPOINT slipway")
                else:
                    roll_back(self.cursor)
                self.execute(f"{self._restore}; {_DISCARD}")
            raise StatementError(script, number, error, self.lost, shift) from error

    def send(self, script: Script, number: int | None, sql: str, shift: int = 0) -> None:
        """Send SQL as statement ``number`` of a script, or as its end."""
        with self.failing(script, number, shift):
            self.cursor.execute(sql)

    def send_alone(self, script: Script, number: int) -> None:
        """Run a statement of a script outside of any transaction, under the settings of those before it."""
        self.renew(script, number)
        with self.observer.alone():
            self.send(script, number, script.sql(script.statements[number]))

    def begin(self, script: Script, first: int, last: int) -> None:
        """Open a transaction and run the statements ``first`` to ``last`` (exclusive) of a script in it."""
        parts = script.statements[first:last]
        own = parts and parts[0].transaction == "begin" and not self.rolling_back
        opening = f"{script.sql(parts[0]) if own else self._begin}; "
        self.renew(script, first)
        self.observer.began(script)
        if self._watch:
            self._watch.take_waited()  # that was for another attempt
        for number, part in enumerate(parts, first):
            if part.transaction not in ("begin", "commit"):
                undone = part.transaction == "rollback"
                self._shorten_lock_timeout(script, number)
                if undone:
                    self.observer.ends()
                self.send(script, number, opening + ("ROLLBACK; BEGIN" if undone else script.sql(part)), len(opening))
                opening = ""  # it went with the first statement, which saves a round trip
                if undone:
                    self.observer.ended()
                    self.observer.began(script)
                else:
                    self.observer.ran()
        if opening:
            self.send(script, None, opening)

    def verify(self, script: Script) -> None:
        """Run a script of checks in the open transaction: each statement must succeed and give no row that is false."""
        self.send(script, None, self._restore)
        for number, part in enumerate(script.statements):
            self.send(script, number, script.sql(part))
            if self.cursor.description and any(row[0] is False for row in self.cursor.fetchall()):
                self.send(script, number, "DO $$ BEGIN RAISE EXCEPTION 'the check says false'; END $$")

    def commit(self, script: Script, sql: str, values: Mapping[str, Any], last: bool = True) -> None:
        """Write a row of ours and commit, as the end of a script's transaction, the ``last`` or one before it."""
        with self.failing(script, None):
            if self.cursor.connection.get_parameter_status("client_encoding") != "UTF8":
                self.cursor.execute("RESET client_encoding")  # what follows would be taken for text in the script's
            if self.observer.looks:
                self.cursor.execute(self._closing(sql, last), values)
                self.observer.ends()
                self.cursor.execute(self._commit)
                self.observer.ended()
            else:
                self.cursor.execute(f"{self._closing(sql, last)}; {self._commit}", values)

    def transact(self, script: Script, number: int, sql: str, values: Mapping[str, Any], last: bool = True) -> None:
        """Begin, run one statement of a script, write a row of ours and commit, in a single round trip."""
        self.renew(script, number)
        opening = f"{self._begin}; "
        closing = self.cursor.mogrify(f"{self._closing(sql, last)}; {self._commit}", values).decode()
        # On a line of its own, because the statement may end with a comment.
        whole = f"{opening}{script.sql(script.statements[number])}\n; {closing}"
        self.send(script, number, whole, shift=len(opening))

    def together(self, parts: Sequence[tuple[Script, str, Mapping[str, Any]]]) -> bool:
        """Run the only statement of each script, which leaves the session clean, with a row of ours, in one round trip.

        Each is a transaction of its own. At an error, those before it are committed, and the result is false.
        """
        transactions = [
            f"BEGIN; {script.sql(script.statements[0])}\n; {self.cursor.mogrify(sql, values).decode()}; COMMIT"
            for script, sql, values in parts
        ]
        try:
            self.send(parts[0][0], None, "; ".join(transactions))
        except StatementError as failed:
            if failed.lost:
                raise
            return False
        return True

    def _closing(self, sql: str, last: bool) -> str:
        """All that comes between a script's statements and the commit.

        What is deferred to the end still runs under the script's settings. Temporary tables and the like go with the
        last transaction, so that they are there for all statements.
        """
        return f"SET CONSTRAINTS ALL IMMEDIATE; {self._restore}; {sql}{'; ' + _DISCARD if last else ''}"

    def _shorten_lock_timeout(self, script: Script, number: int) -> None:
        """Shorten ``lock_timeout`` by what was waited: others wait for the locks that the transaction has by now."""
        waited = self._watch.take_waited() if self._watch else 0.0
        if waited:
            self.send(script, number, _SHORTEN.format(milliseconds=int(waited * 1000)))
