# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the migration engine share: a fresh database with a directory of migrations of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration.decisions import Decision
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import Limits
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import (
    Files,
    Outcome,
    Rehearsal,
    migrate,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration.plan import Plan
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy, Waiver
from ansible_collections.slipway.deploy.plugins.module_utils._migration.preview import survey
from ansible_collections.slipway.deploy.plugins.module_utils._migration.resolve import resolve
from ansible_collections.slipway.deploy.plugins.module_utils._migration.undo import undo
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import read
from conftest import Postgres

ROOT = Path(__file__).parents[2]
ROWS = """
    SELECT migration_name, checksum, finished_at IS NOT NULL, rolled_back_at IS NOT NULL, applied_steps_count,
           logs IS NOT NULL
      FROM {schema}._prisma_migrations ORDER BY started_at
"""


@dataclass
class Bed:
    """A fresh database and an empty directory of migrations."""

    postgres: Postgres
    database: str
    directory: Path
    schema: str = "public"
    user: str = "postgres"
    patience: Patience = field(default_factory=lambda: Patience(5, 5))
    lock_timeout: str = "2s"
    row_values: bool = False
    policy: Policy = field(default_factory=lambda: Policy(DEFAULTS))

    @property
    def server(self) -> Server:
        return Server(
            self.user,
            self.database,
            self.postgres.password,
            port=self.postgres.port,
            socket_dir=str(self.postgres.socket_dir),
        )

    def write(self, name: str, sql: str | bytes) -> Path:
        file = self.directory / name / "migration.sql"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(sql.encode() if isinstance(sql, str) else sql)
        return file

    def payload(self, companion: str = "verify") -> Payload:
        files = read(str(self.directory), "migrations", companion)
        return Payload.load((files.lint() if companion == "verify" else files).payload.dump())

    def files(self) -> Files:
        return Files("migrations", self.schema, self.payload(), self.policy)

    def migrate(self) -> dict[str, Any]:
        return self.outcome(self.files()).migrations

    def outcome(self, files: Files) -> Outcome:
        return migrate(self.server, files, self.patience, lock_timeout=self.lock_timeout, row_values=self.row_values)

    def rehearse(self, limits: Limits | None = None, live: str = "") -> Outcome:
        """Rehearse on this database, which is the live one too unless another is named."""
        rehearsal = Rehearsal(limits=limits or Limits(), live=self.server.on(live or self.database))
        return migrate(self.server, self.files(), self.patience, rehearsal=rehearsal)

    def survey(self) -> Plan:
        return survey(self.server, self.files())[0]

    def sql(self, text: str) -> list[tuple[object, ...]]:
        return self.postgres.execute(text, self.database)

    def rows(self) -> list[tuple[object, ...]]:
        return self.sql(ROWS.format(schema=self.schema))

    def tables(self) -> list[object]:
        found = self.sql(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname <> '_prisma_migrations' "
            f"AND relnamespace = '{self.schema}'::regnamespace ORDER BY 1"
        )
        return [row[0] for row in found]

    def fails(self) -> str:
        with pytest.raises(SlipwayError) as caught:
            self.migrate()
        return str(caught.value)

    def undo(self, *names: str, last: int = 0, check: bool = False, rehearsal: bool = False) -> list[str]:
        files = Files("migrations", self.schema, self.payload("down"), self.policy)
        outcome = undo(self.server, files, names, last, 5, check, rehearsal=rehearsal, lock_timeout="2s")[1]
        return outcome.actions + outcome.warnings

    def resolve(self, state: str, *names: str, reason: str = "", check: bool = False) -> list[str]:
        decision = Decision(state, reason, "tester")
        return resolve(self.server, self.schema, self.payload(), names, state, decision, 5, check)


@dataclass
class Ansible:
    """Runs one task on the local host against one database, with its directory of migrations."""

    postgres: Postgres
    database: str
    home: Path

    @property
    def directory(self) -> Path:
        return self.home / "migrations"

    def write(self, name: str, sql: str) -> None:
        file = self.directory / name / "migration.sql"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(sql)

    def run(self, module: str, *flags: str, **more: object) -> dict[str, Any]:
        login = {} if module == "migration_files" else self.postgres.login(self.database)
        arguments = {**login, **({} if module == "schema_push" else {"path": str(self.directory)}), **more}
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible")), "localhost", "--connection", "local",
                "--module-name", f"slipway.deploy.{module}", "--args", json.dumps(arguments),
                "--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable}), *flags,
            ],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert " => {" in done.stdout, done.stdout + done.stderr
        diff, _, result = done.stdout.partition(" => {")
        found: dict[str, Any] = json.loads("{" + result[: result.rindex("}") + 1])
        return {**found, "shown": diff + done.stderr}

    def tables(self) -> list[object]:
        found = self.postgres.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
            self.database,
        )
        return [row[0] for row in found]


def report(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """What was seen of each migration, by its name."""
    return {each["migration"]: each for each in outcome.rehearsal}


def denied(bed: Bed, rule: str, *waivers: Waiver, choice: str = "deny") -> None:
    """Have a rule of the policy say ``choice``."""
    bed.policy = Policy({**DEFAULTS, rule: choice}, waivers)


@contextlib.contextmanager
def session(bed: Bed, *statements: str) -> Iterator[None]:
    """Another session, in a transaction that has run some statements."""
    with contextlib.closing(bed.postgres.connect(bed.database)) as other, other.cursor() as cursor:
        other.autocommit = False
        for statement in statements:
            cursor.execute(statement)
        yield


def invalid(bed: Bed, name: str, column: str = "n") -> None:
    """Make an invalid index, as a unique build that meets duplicates does."""
    bed.sql(f"CREATE INDEX {name} ON t ({column}); UPDATE pg_index SET indisvalid = false "
            f"WHERE indexrelid = '{name}'::regclass")  # fmt: skip


def indexes(bed: Bed) -> list[tuple[object, ...]]:
    """Name, validity and uniqueness of each index of ``t``."""
    return bed.sql(
        "SELECT relname, indisvalid, indisunique FROM pg_index JOIN pg_class ON oid = indexrelid "
        "WHERE indrelid = 't'::regclass ORDER BY 1"
    )
