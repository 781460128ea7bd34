# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a directory of migrations on the controller: which entries count, what they hold, what is wrong with them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import (
    Migration,
    Payload,
    Script,
    Statement,
    checksums,
    excerpt,
    locate,
    sort_key,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration_destructive import Destruction
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration_lint import lint
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration_statements import (
    about,
    destructions,
    from_client,
    gives_up_locks,
    kind,
    tables,
)

try:
    import pglast
except ImportError:  # read() says so
    # read() says that it is missing; a module has no optional type.
    pglast = None  # type: ignore[assignment]

MAX_BYTES = 64 * 1024 * 1024
LOCK_FILE = "migration_lock.toml"
_UNLOCK = re.compile(r"\bpg_advisory_unlock_all\s*\(", re.IGNORECASE)
# What pg_dump writes for psql alone; nothing of it is SQL.
_PSQL_GUARD = re.compile(r"^\\(un)?restrict .*$", re.MULTILINE)


@dataclass(frozen=True)
class MigrationFiles:
    """Everything read from the directory, in the order in which it is to be applied."""

    path: str
    migrations: tuple[Migration, ...]
    scripts: dict[str, Script]

    @property
    def payload(self) -> Payload:
        """The same for the module on the host."""
        return Payload.pack(self.migrations, self.scripts)


class _NotApplicableError(Exception):
    """A script that can't be applied as it is; the text is the problem's sentence."""


def read(path: str, shown: str | None = None, beside: str = "verify", linted: bool = False) -> MigrationFiles:
    """Read the migrations below ``path``, called ``shown`` in messages, each with ``<beside>.sql`` if there is one.

    The script of that one has the name ``<migration>/<beside>``. ``linted``: with what the linter says of the former.

    Raises SlipwayError when the directory as a whole is unusable. What is wrong with one file is that migration's
    ``problem``: an applied migration may hold what could not be applied again.
    """
    shown = (shown or path).rstrip("/")
    if pglast is None:
        raise SlipwayError("Python's pglast is missing on the controller: install it there (pip install pglast).")
    _check_provider(Path(path), shown)
    names = sorted(_directories(Path(path), shown), key=sort_key)
    if not names:
        raise SlipwayError(
            f"The directory of migrations {shown!r} holds no migration: put each in a directory of its own, "
            f"such as {shown}/20250101120000_init/migration.sql."
        )
    migrations: list[Migration] = []
    scripts: dict[str, Script] = {}
    for name in names:
        file = f"{shown}/{name}/migration.sql"
        raw = _bytes(Path(path, name, "migration.sql"), file)
        if raw is None:
            problem = (
                f"The migration {name!r} has no file {file}: restore it from version control, or delete the directory."
            )
            migrations.append(Migration(name, (), problem))
            continue
        problem = ""
        try:
            scripts[name] = parse(raw, file)
            extra = f"{shown}/{name}/{beside}.sql"
            raw_extra = _bytes(Path(path, name, f"{beside}.sql"), extra)
            if raw_extra is not None:
                scripts[f"{name}/{beside}"] = _in_one_transaction(parse(raw_extra, extra))
        except _NotApplicableError as error:
            problem = str(error)
        migrations.append(Migration(name, checksums(raw.decode("utf-8", "replace")), problem))
    if linted:
        scripts = lint({name: Path(path, name, "migration.sql") for name in names}, scripts)
    return MigrationFiles(shown, tuple(migrations), scripts)


def from_task(loader: Any, path: object, beside: str = "verify", linted: bool = False) -> MigrationFiles:
    """Read the directory that a task's option ``path`` names, relative to the playbook; errors fail the task."""
    if not path or not isinstance(path, str):
        raise AnsibleActionFail("The option path is missing: name the directory of migrations on the controller.")
    try:
        return read(loader.path_dwim(path), path, beside, linted)
    except SlipwayError as error:
        raise AnsibleActionFail(str(error)) from None


def parse(raw: bytes, file: str) -> Script:
    """Split a script into statements with PostgreSQL's own parser."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _NotApplicableError(
            f"{file}:{line}: not UTF-8 (byte 0x{raw[error.start]:02x}): save it as UTF-8."
        ) from error
    if text.startswith("\ufeff"):
        raise _NotApplicableError(
            f"{file} begins with a byte order mark, which PostgreSQL rejects: save it as UTF-8 without one."
        )
    if "\0" in text:
        line, column = locate(text, text.index("\0"))
        raise _NotApplicableError(
            f"{file}:{line}:{column}: a NUL byte: the file is not SQL text, replace it by one that is."
        )
    sql = _PSQL_GUARD.sub(lambda match: " " * len(match.group()), text)
    try:
        parsed = pglast.parse_sql(sql)
    except pglast.parser.ParseError as error:
        message, offset = error.args[0], error.args[1]
        raise _NotApplicableError(_at(sql, file, len(sql.rstrip()) if offset is None else offset, message)) from error
    statements: list[Statement] = []
    destructive: list[Destruction] = []
    for found in parsed:
        start = found.stmt_location or 0
        end = start + found.stmt_len if found.stmt_len else len(sql)
        if gives_up_locks(found.stmt) or _UNLOCK.search(sql, start, end):
            message = "this gives up the locks that keep other runs away, delete it"
            raise _NotApplicableError(_at(sql, file, start, message))
        if from_client(found.stmt):
            raise _NotApplicableError(
                _at(sql, file, start, "COPY from or to the client works only in psql, write INSERT instead")
            )
        statements.append(Statement(start, end, kind(found.stmt), about(found.stmt), tables(found.stmt)))
        line, column = locate(sql, start)
        destructive += destructions(found.stmt, f"{file}:{line}:{column}")
    _check_transactions(sql, file, statements)
    return Script(file, sql, tuple(statements), tuple(destructive))


def _in_one_transaction(script: Script) -> Script:
    """Refuse what can't run in a transaction that is not the script's own."""
    for statement in script.statements:
        if statement.kind:
            message = "this can't be part of the transaction that the file runs in"
            raise _NotApplicableError(_at(script.text, script.path, statement.start, message))
    return script


def _check_transactions(text: str, file: str, statements: list[Statement]) -> None:
    """A file with transactions of its own must end with them committed."""
    opened: Statement | None = None
    ended: Statement | None = None
    for statement in statements:
        if statement.kind == "prepare":
            raise _NotApplicableError(
                _at(text, file, statement.start, "PREPARE TRANSACTION is left to be finished by hand")
            )
        if statement.kind == "begin" and opened is None:
            opened = statement
        if statement.kind in ("commit", "rollback"):
            opened, ended = None, statement
    if opened:
        raise _NotApplicableError(
            _at(text, file, opened.start, "this transaction is never committed, add COMMIT or delete BEGIN")
        )
    if ended and ended.kind == "rollback" and ended is statements[-1]:
        raise _NotApplicableError(
            _at(text, file, ended.start, "the file ends by undoing its own transaction, write COMMIT or delete it")
        )


def _at(text: str, file: str, offset: int, message: str) -> str:
    line, column = locate(text, offset)
    hint = ""
    if text.split("\n")[line - 1].startswith("\\"):
        hint = " (a line that begins with a backslash is a command of psql, not SQL)"
    return f"{file}:{line}:{column}: {message}{hint}\n{excerpt(text, offset)}"


def _bytes(file: Path, shown: str) -> bytes | None:
    """The content of a file, or None when there is no such file."""
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise SlipwayError(
                f"{shown} has {size // 2**20} MiB, more than the {MAX_BYTES // 2**20} MiB that a migration may have: "
                "load bulk data as seed data instead."
            )
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SlipwayError(f"Can't read {shown}: {error.strerror}; make it a file that you can read.") from error


def _directories(path: Path, shown: str) -> list[str]:
    """The names of the directories that count as migrations."""
    try:
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError as error:
        raise SlipwayError(
            f"There is no directory of migrations {shown!r} on the controller: correct the path or create it."
        ) from error
    except NotADirectoryError as error:
        raise SlipwayError(f"{shown!r} is not a directory: name the directory that holds the migrations.") from error
    except OSError as error:
        raise SlipwayError(f"Can't read the directory of migrations {shown!r}: {error.strerror}; allow it.") from error
    for name in names:
        if len(name) > 255 or "\udc80" <= max(name) <= "\udcff":
            raise SlipwayError(
                f"The migration's name {name!r} can't be recorded: "
                "rename the directory to at most 255 characters of valid UTF-8."
            )
    return names


def _check_provider(path: Path, shown: str) -> None:
    """Refuse migrations written for another database. A missing lock file is fine."""
    raw = _bytes(path / LOCK_FILE, f"{shown}/{LOCK_FILE}") if path.is_dir() else None
    for line in (raw or b"").decode("utf-8", "replace").splitlines():
        if line.startswith("provider"):
            if line != 'provider = "postgresql"':
                raise SlipwayError(
                    f"{shown}/{LOCK_FILE} says {line.strip()!r}: these migrations are for another database, "
                    'Slipway applies those with provider = "postgresql".'
                )
            return
