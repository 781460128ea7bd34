# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for migrations as Ansible runs them, action plugins and all."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import PRISMA_KEY
from conftest import Postgres

pytestmark = pytest.mark.once  # what each version does is seen in test__migration_*.py
ROOT = Path(__file__).parents[4]
SIGNED = {"reason": "because", "author": "ada"}


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
        arguments = {**login, "path": str(self.directory), **more}
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

    digest = ansible.run("migrations_info")["digest"]
    ansible.write("1_a", "CREATE TABLE a (secret_text_of_b int);\n")
    changed = ansible.run("migrations", digest=digest)["msg"]
    assert changed.startswith(f"The migrations in '{ansible.directory}' were changed during this run, so that nothing")
    ansible.write("1_a", "CREATE TABLE a (secret_text_of_a int);\n")

    applied = ansible.run("migrations", release="v1", snapshot=True, digest=digest)
    assert (applied["changed"], applied["release"]) == (True, "v1")
    assert applied["actions"][0].startswith("Applied 1_a in 0.")
    assert applied["migrations"]["status"] == "up_to_date"
    assert ansible.tables() == ["_prisma_migrations", "a"]
    assert ansible.run("schema_drift", against="snapshot")["problems"] == []

    for flags in (["--check"], []):
        again = ansible.run("migrations", *flags)
        assert (again["changed"], again["actions"], again["migrations"]["applied"]) == (False, [], ["1_a"])
        assert "secret_text" not in json.dumps(again)


def test_what_was_applied_before_a_failure_counts_as_changed(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a ();")
    ansible.write("2_b", "SELECT 1 / 0;")
    failed = ansible.run("migrations")
    assert (failed["changed"], [each["name"] for each in failed["migrations"]["applied_now"]]) == (True, ["1_a"])
    assert ansible.tables() == ["_prisma_migrations", "a"]
    assert ansible.run("migrations")["changed"] is False


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
        "To let the file differ from what was applied, set policy: {edited: warn}, or add to waivers for one "
        "migration: {migration: NAME, rule: edited, reason: WHY, author: WHO}.",
    ]
    for accepting in ({"policy": {"edited": "warn"}}, {"waivers": [{"migration": "1_a", "rule": "edited", **SIGNED}]}):
        assert ansible.run("migrations_info", **accepting)["accepted"] is False  # one is pending
    (ansible.directory / "2_b" / "migration.sql").unlink()
    (ansible.directory / "2_b").rmdir()
    for accepting in ({"policy": {"edited": "warn"}}, {"waivers": [{"migration": "1_a", "rule": "edited", **SIGNED}]}):
        found = ansible.run("migrations_info", **accepting)
        assert (found["accepted"], found["status"], found["problems"], len(found["remarks"])) == (True, "edited", [], 1)


def test_errors(ansible: Ansible) -> None:
    assert "There is no directory of migrations" in ansible.run("migrations")["msg"]
    ansible.write("1_a", "CREATE TABLE a ();\nCREATE TABLE a ();\n")
    failed = ansible.run("migrations")
    assert f'failed at {ansible.directory}/1_a/migration.sql:2:1: relation "a" already exists' in failed["msg"]
    assert failed["migrations"]["pending"] == ["1_a"]
    assert ansible.tables() == ["_prisma_migrations"]
    assert "is missing" in ansible.run("migrations", path="")["msg"]


def test_policy_and_lint(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 500000);")
    ansible.run("migrations")
    ansible.write("2_b", "DROP TABLE a;")
    ansible.write("3_c", "CREATE TABLE c (x char(3));")
    found = ansible.run("migrations_info", policy={"destructive": "deny"})
    assert (len(found["problems"]), len(found["remarks"])) == (2, 1)  # the second says how to let it pass
    assert found["migrations"]["destructive"] == ["2_b"]
    assert [each["rule"] for each in found["migrations"]["lint"]] == ["ban-char-field"]
    assert "drops the table" in ansible.run("migrations", policy={"destructive": "deny"})["msg"]
    waiver = {"migration": "2_b", "rule": "destructive", "reason": "not used since May", "author": "ada"}
    passed = ansible.run("migrations", policy={"destructive": "deny", "lint": "allow"}, waivers=[waiver])
    assert passed["migrations"]["status"] == "up_to_date"
    assert "[WARNING]" in passed["shown"]


def test_down_and_resolve(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a ();")
    (ansible.directory / "1_a" / "down.sql").write_text("DROP TABLE a;")
    ansible.run("migrations")
    check = ansible.run("migration_undo", "--check", "--diff", last=1)
    assert (check["changed"], check["actions"]) == (True, ["Would undo 1_a."])
    done = ansible.run("migration_undo", "--diff", names=["1_a"])
    assert (done["changed"], done["migrations"]["rolled_back"]) == (True, ["1_a"])
    assert ansible.tables() == ["_prisma_migrations"]
    assert not ansible.run("migration_undo", names=["1_a"])["changed"]
    changed = ansible.run("migration_undo", names=["1_a"], digest="of other files")["msg"]
    assert "were changed during this run, so that nothing was done" in changed
    assert (check["digest"], len(check["digest"])) == (done["digest"], 64)
    assert "one of the following is required" in ansible.run("migration_undo")["msg"]

    baseline = {"names": ["1_a"], "state": "applied"}
    for flags, changed in ((["--check"], True), ([], True), (["--check"], False), ([], False)):
        assert ansible.run("migration_resolve", "--diff", *flags, **baseline)["changed"] is changed
    assert ansible.run("migrations_info")["status"] == "up_to_date"
    missing = ansible.run("migration_resolve", names=["1_a"], state="repaired")["msg"]
    assert missing == "state is repaired but all of the following are missing: reason, author"


def test_drift(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a (id int);")
    ansible.run("migrations")
    for flags, changed in ((["--check"], True), ([], True), (["--check"], False), ([], False)):
        assert ansible.run("schema_drift", *flags, state="recorded")["changed"] is changed
    assert ansible.run("schema_drift", "--check")["against"] == "snapshot"
    clean = ansible.run("schema_drift")
    assert (clean["changed"], clean["against"], clean["problems"]) == (False, "replay", [])
    ansible.postgres.execute("CREATE INDEX i ON a (id)", ansible.database)
    for against in ("replay", "snapshot"):
        drifted = ansible.run("schema_drift", "--diff", against=against)
        problem = "index public.i was added by hand: CREATE INDEX i ON public.a USING btree (id)"
        assert drifted["problems"] == [problem]
        assert "+index public.i: CREATE INDEX" in drifted["shown"]
    state = ansible.run("migrations_info", drift="snapshot")
    assert (state["status"], state["problems"], state["remarks"]) == ("up_to_date", [], [problem])
    denied = ansible.run("migrations_info", drift="auto", policy={"drift": "deny"})
    assert denied["problems"] == [problem, "To go on all the same, set policy: {drift: warn}."]
    assert (denied["remarks"], denied["drift_against"]) == ([], "replay")
    ansible.postgres.execute("DROP SCHEMA slipway CASCADE", ansible.database)
    unknown = ansible.run("migrations_info", drift="snapshot")
    assert unknown["remarks"] == [
        "Whether anything was changed outside the migrations is not known: "
        "No snapshot of the schema was recorded yet: record one (state: recorded), then compare."
    ]


def test_files_alone(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a ();")
    assert ansible.run("migration_files")["names"] == ["1_a"]
    ansible.write("2_b", "SELEC 1;")
    assert "2_b/migration.sql:1:1: syntax error" in ansible.run("migration_files")["msg"]
    assert len(ansible.run("migration_files", strict=False)["problems"]) == 1
    ansible.write("2_b", "CREATE EXTENSION citext;")
    assert (
        "2_b/migration.sql:1:1 needs the extension 'citext', which"
        in ansible.run("migration_files", embedded=True)["msg"]
    )


def test_who_blocks_an_undo_or_a_correction_is_named(ansible: Ansible) -> None:
    """Also when it is a session of the application's role, by who may see that."""
    database, postgres = ansible.database, ansible.postgres
    for role in ("undoing_owner", "undoing_app"):
        postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'long-enough'")
    postgres.execute("GRANT CREATE, USAGE ON SCHEMA public TO undoing_owner", database)
    owner = {"login_user": "undoing_owner", "login_password": "long-enough", "lock_wait": 0.2}
    seen_by = {"watch_login": {"login_user": postgres.user, "login_password": postgres.password}}
    ansible.write("1_a", "CREATE TABLE a ();")
    (ansible.directory / "1_a" / "down.sql").write_text("DROP TABLE a;")
    assert ansible.run("migrations", **owner)["changed"]
    postgres.execute("GRANT SELECT ON a TO undoing_app", database)
    opened = postgres.connect(database, "undoing_app", "long-enough")
    with contextlib.closing(opened), opened.cursor() as cursor:
        cursor.execute("SET application_name = 'shop'")
        cursor.execute("BEGIN; SELECT FROM a")
        for more, told in (
            ({}, r"process \d+ \(a session of role undoing_app that this role may not look into\)"),
            (seen_by, r"process \d+ \(shop, role undoing_app, idle in transaction for \d+ s: BEGIN; SELECT FROM a\)"),
        ):
            failed = ansible.run("migration_undo", names=["1_a"], lock_timeout="700ms", **owner, **more)["msg"]
            assert re.search(f"\nBLOCKED BY: {told}\n", failed)
            assert failed.endswith(
                "\nNothing was undone of 1_a: run again when these sessions have ended, or end them, as their own role "
                "or as a superuser, with SELECT pg_terminate_backend(PROCESS)."
            )
        cursor.execute(f"ROLLBACK; SELECT pg_advisory_lock({PRISMA_KEY})")
        corrected = {"names": ["1_a"], "state": "applied", "reason": "because", "author": "ada"}
        for module, arguments in (("migration_resolve", corrected), ("migration_undo", {"names": ["1_a"]})):
            failed = ansible.run(module, **owner, **arguments, **seen_by)["msg"]
            assert re.search(r"\(shop, role undoing_app, from .*, connected for \d+ s\); wait for it to end", failed)
    assert ansible.run("migration_undo", names=["1_a"], **owner, **seen_by)["changed"]
