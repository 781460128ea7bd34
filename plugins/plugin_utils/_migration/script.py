# SPDX-License-Identifier: GPL-3.0-or-later
"""Splits the text of a migration into statements on the controller, and tells what of it can't be applied."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import resource
from dataclasses import replace

from ansible_collections.slipway.deploy.plugins.module_utils._migration.data_at_risk import Destruction
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import (
    Need,
    Reach,
    Script,
    Statement,
    excerpt,
    locate,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.destructive_statements import Destructions
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.outside_transaction import transaction
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.reach import Reaches
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.server_needs import needs
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.statements import (
    about,
    from_client,
    gives_up_locks,
    masked,
    tables,
    trees,
)

with contextlib.suppress(ImportError):  # the reader of the files says so
    import pglast

# What pg_dump writes for psql alone; nothing of it is SQL.
_PSQL_GUARD = re.compile(r"^\\(un)?restrict .*$", re.MULTILINE)
_COPY = "COPY from or to the client works only in psql, write INSERT instead"
_COMMAND = re.compile(r"\\(\w+|\S)")
# So many characters hold no statement that is nested too deeply for the parser; of "1+1+1..." it takes 46,000.
_NEVER_DEEP = 16 * 1024


class NotApplicableError(Exception):
    """A script that can't be applied as it is; the text is the problem's sentence."""


def parse(raw: bytes, file: str, reaches: Reaches | None = None) -> Script:
    """Split a script into statements with PostgreSQL's own parser. ``reaches`` knows the files that come before it."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise NotApplicableError(
            f"{file}:{line}: not UTF-8 (byte 0x{raw[error.start]:02x}): save it as UTF-8."
        ) from error
    if text.startswith("\ufeff"):
        raise NotApplicableError(
            f"{file} begins with a byte order mark, which PostgreSQL rejects: save it as UTF-8 without one."
        )
    if "\0" in text:
        line, column = locate(text, text.index("\0"))
        raise NotApplicableError(
            f"{file}:{line}:{column}: a NUL byte: the file is not SQL text, replace it by one that is."
        )
    sql = _PSQL_GUARD.sub(lambda match: " " * len(match.group()), text)
    try:
        _check_depth(sql, file)
        parsed = trees(sql)
    except pglast.parser.ParseError as error:
        offset = len(sql.rstrip()) if error.args[1] is None else error.args[1]
        message, offset = _of_psql(sql, offset) or (_shortened(error.args[0]), offset)
        raise NotApplicableError(_at(sql, file, offset, message)) from error
    statements: list[Statement] = []
    destructive: list[Destruction] = []
    beyond: list[Reach] = []
    needed: list[Need] = []
    destructions, reaches = Destructions(), reaches or Reaches()
    for start, end, tree in parsed:
        part = sql[start:end]
        if gives_up_locks(tree, part):
            message = "this gives up the locks that keep other runs away, delete it"
            raise NotApplicableError(_at(sql, file, start, message))
        if from_client(tree):
            raise NotApplicableError(_at(sql, file, start, _COPY))
        statements.append(Statement(start, end, transaction(tree), about(tree), tables(tree)))
        if reach := reaches.of(tree, part):
            line, column = locate(sql, start)
            what = f"{reach.what} ({file}:{line}:{column})"
            beyond.append(replace(reach, what=what, statement=len(statements) - 1))
        for what in needs(tree, part):
            line, column = locate(sql, start)
            needed.append(Need(what, f"{file}:{line}:{column}"))
        for destruction in destructions.of(tree, part, file):
            line, column = locate(sql, start)
            destructive.append(replace(destruction, place=f"{file}:{line}:{column}"))
    _check_transactions(sql, file, statements)
    return Script(file, sql, tuple(statements), tuple(destructive), tuple(beyond), needs=tuple(needed))


def _check_depth(sql: str, file: str) -> None:
    """Refuse what is nested so deeply that the parser, which has no limit of its own, would end this process.

    That is tried out in a copy of the process.
    """
    if len(sql) < _NEVER_DEEP:
        return
    quick = masked(sql)
    parts = pglast.split(quick, with_parser=False, only_slices=True)
    longest = max(parts, key=lambda part: part.stop - part.start, default=slice(0, 0))
    if longest.stop - longest.start < _NEVER_DEEP:
        return
    copy = os.fork()
    if not copy:
        try:
            faulthandler.disable()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            pglast.parse_sql(quick)
        finally:
            os._exit(0)
    if os.waitpid(copy, 0)[1]:
        message = "this is nested too deeply for PostgreSQL's parser, write it as several statements"
        raise NotApplicableError(_at(sql, file, longest.start, message))


def in_one_transaction(script: Script) -> Script:
    """Refuse what can't run in a transaction that is not the script's own."""
    for statement in script.statements:
        if statement.transaction:
            message = "this can't be part of the transaction that the file runs in"
            raise NotApplicableError(_at(script.text, script.path, statement.start, message))
    return script


def _check_transactions(text: str, file: str, statements: list[Statement]) -> None:
    """A file with transactions of its own must end with them committed."""
    opened: Statement | None = None
    ended: Statement | None = None
    for statement in statements:
        if statement.transaction == "prepare":
            raise NotApplicableError(
                _at(text, file, statement.start, "PREPARE TRANSACTION is left to be finished by hand")
            )
        if statement.transaction == "begin" and opened is None:
            opened = statement
        if statement.transaction in ("commit", "rollback"):
            opened, ended = None, statement
    if opened:
        raise NotApplicableError(
            _at(text, file, opened.start, "this transaction is never committed, add COMMIT or delete BEGIN")
        )
    if ended and ended.transaction == "rollback" and ended is statements[-1]:
        raise NotApplicableError(
            _at(text, file, ended.start, "the file ends by undoing its own transaction, write COMMIT or delete it")
        )


def _of_psql(sql: str, offset: int) -> tuple[str, int] | None:
    """What of psql's own a script holds that can't be parsed at an offset, and where it begins.

    Behind a COPY from the client come its data, of which the parser can only say that they are no SQL.
    """
    end = offset
    while (end := sql.rfind(";", 0, end)) >= 0:
        with contextlib.suppress(pglast.parser.ParseError):  # the semicolon is within a statement
            before = trees(sql[: end + 1])
            return (_COPY, before[-1][0]) if before and from_client(before[-1][2]) else _command(sql, offset)
    return _command(sql, offset)


def _command(sql: str, offset: int) -> tuple[str, int] | None:
    found = _COMMAND.match(sql, offset)
    message = f"{found.group()} is a command of psql, not SQL: write what it does as SQL" if found else ""
    return (message, offset) if found else None


def _shortened(message: str) -> str:
    """The parser's message: after a quote that is never closed it holds the rest of the file."""
    line = message.split("\n", 1)[0][:120]
    return message if line == message else f"{line}..."


def _at(text: str, file: str, offset: int, message: str) -> str:
    line, column = locate(text, offset)
    return f"{file}:{line}:{column}: {message}\n{excerpt(text, offset)}"
