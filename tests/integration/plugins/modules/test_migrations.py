# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules ``migrations`` and ``migrations_info`` as Ansible runs them, action plugin and all."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Postgres

ROOT = Path(__file__).parents[4]


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
        arguments = {**self.postgres.login(self.database), "path": str(self.directory), **more}
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
        return {**found, "shown": diff}

    def tables(self) -> list[object]:
        found = self.postgres.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
            self.database,
        )
        return [row[0] for row in found]


@pytest.fixture
def ansible(postgres: Postgres, tmp_path: Path) -> Ansible:
    return Ansible(postgres, postgres.database(), tmp_path)


def test_four_runs(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a (secret_text_of_a int);\n")

    check = ansible.run("migrations", "--check", "--diff")
    assert (check["changed"], check["actions"]) == (True, ["Would apply 1_a."])
    assert check["migrations"]["pending"] == ["1_a"]
    assert "+CREATE TABLE a (secret_text_of_a int);" in check["shown"]
    assert ansible.tables() == []

    applied = ansible.run("migrations", release="v1")
    assert (applied["changed"], applied["release"]) == (True, "v1")
    assert applied["actions"][0].startswith("Applied 1_a in 0.")
    assert applied["migrations"]["status"] == "up_to_date"
    assert ansible.tables() == ["_prisma_migrations", "a"]

    for flags in (["--check"], []):
        again = ansible.run("migrations", *flags)
        assert (again["changed"], again["actions"], again["migrations"]["applied"]) == (False, [], ["1_a"])
        assert "secret_text" not in json.dumps(again)


def test_info_succeeds_in_any_state(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a ();")
    fresh = ansible.run("migrations_info")
    assert (fresh["changed"], fresh["status"], fresh["problems"]) == (False, "pending", [])
    ansible.run("migrations")
    ansible.write("1_a", "CREATE TABLE b ();")
    ansible.write("2_b", "no SQL")
    edited = ansible.run("migrations_info")
    assert (edited["status"], edited["migrations"]["edited"]) == ("edited", ["1_a"])
    assert [problem.split(" (")[0] for problem in edited["problems"]] == [
        "The migration '1_a' was edited after it was applied",
        f'{ansible.directory}/2_b/migration.sql:1:1: syntax error at or near "no"\n1 | no SQL\n  | ^',
    ]


def test_errors(ansible: Ansible) -> None:
    assert "There is no directory of migrations" in ansible.run("migrations")["msg"]
    ansible.write("1_a", "CREATE TABLE a ();\nCREATE TABLE a ();\n")
    failed = ansible.run("migrations")
    assert f'failed at {ansible.directory}/1_a/migration.sql:2:1: relation "a" already exists' in failed["msg"]
    assert failed["migrations"]["pending"] == ["1_a"]
    assert ansible.tables() == ["_prisma_migrations"]
    assert "is missing" in ansible.run("migrations", path="")["msg"]
