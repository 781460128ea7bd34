# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator reaches for every day, on a deployed `local`: history, logs, a command, the database anew."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.record_files import stem
from e2e.conftest import Deployed, directory
from support.environment import Environment

VAULT = {
    f"database_{role}_password": f"a-password-of-{role}" for role in ("superuser", "owner", "application", "readonly")
}


def test_the_history_of_runs(deployed: Deployed) -> None:
    before = deployed.files()
    shown = deployed.play("playbooks/history.yml", "--check").succeeded()
    [first] = re.findall(r"^ +1  \d{4}-\d\d-\d\d \d\d:\d\d +deploy .*$", shown.output, re.MULTILINE)
    assert re.search(r" 8 +- +\d+ +succeeded$", first)
    listed = json.loads(deployed.play("playbooks/history.yml", output="json", lines=1).output)
    last = deployed.records()[-1]
    page = deployed.state / "runs" / f"{stem(last)}.html"
    assert listed == [{"number": len(deployed.records()), **last, "page": str(page)}]
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert json.loads(page.with_suffix(".json").read_text()).items() >= last.items()
    one = deployed.play("playbooks/history.yml", run=1).succeeded().output
    assert "autotest/local: run 1\n  verb        deploy\n  outcome     succeeded\n" in one
    assert "  migrations  20250728210351_init\n              20250729072120_" in one
    unknown = deployed.play("playbooks/history.yml", run=9999).failed().messages
    number = len(deployed.records())
    assert unknown == [
        f"There is no run 9999 in {deployed.state}/deployments.jsonl: they have the numbers up to {number}."
    ]
    assert deployed.files() == before


def test_the_logs_by_time(deployed: Deployed) -> None:
    before = deployed.files()
    found = json.loads(deployed.play("playbooks/logs.yml", output="json", lines=100_000).output)
    assert [line["time"] for line in found] == sorted(line["time"] for line in found)
    assert {line["source"] for line in found} == {"backend", "database"}
    assert any("database system is ready to accept connections" in line["text"] for line in found)
    assert "Application startup complete" in deployed.play("playbooks/logs.yml", "--check", lines=100_000).output
    assert "since is 'noon' and must be" in deployed.play("playbooks/logs.yml", since="noon").failed().messages[0]
    assert deployed.files() == before


@pytest.fixture
def with_cron(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A process that is called as cron is, which starts nothing, and a crontab(1); where the user's entries are."""
    programs, crontab = deployed.directory / "programs", deployed.directory / "crontab"
    programs.mkdir()
    shutil.copy("/bin/sleep", programs / "cron")
    (programs / "crontab").write_text(f'#!/bin/sh\n[ "$1" = - ] && exec cat >{crontab}\ncat {crontab}\n')
    (programs / "crontab").chmod(0o755)
    crontab.touch()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    cron = subprocess.Popen([programs / "cron", "600"])
    # As root its entries are files of their own.
    place = Path("/etc/cron.d/autotest-local-command-cleanup")
    yield place if os.geteuid() == 0 and place.parent.is_dir() else crontab
    cron.kill()
    cron.wait()


@pytest.mark.soak
def test_a_command_on_a_schedule(deployed: Deployed, with_cron: Path) -> None:
    command = {"command": ["sh", "-c", "echo cleaned; exit 3"], "schedule": "yearly"}
    told = ["-e", json.dumps({"app_processes": {"cleanup": command}})]
    deployed.deploy(*told).succeeded()
    [entry] = [line for line in with_cron.read_text().splitlines() if "cleanup" in line and not line.startswith("#")]
    assert entry.startswith("0 0 1 1 * ")
    started = entry[entry.index("LC_ALL") :].replace(r"\%", "%")
    ended = [subprocess.run(["sh", "-c", started], env={"PATH": os.defpath}, check=False).returncode for _ in range(2)]
    assert ended == [3, 0], "the second finds that it was run for this time"
    [run] = json.loads(deployed.play("playbooks/status.yml", *told, output="json").output)["commands"]
    assert (run["command"], run["exit_status"], run["release"]) == ("cleanup", 3, deployed.records()[-1]["release"])
    assert deployed.sql("SELECT command, exit_status FROM slipway.command_runs") == [("cleanup", 3)]
    logs = json.loads(deployed.play("playbooks/logs.yml", *told, output="json", lines=2000).output)
    assert [line["text"] for line in logs if line["source"] == "cleanup"] == ["cleaned"]
    deployed.deploy().succeeded()
    assert "cleanup" not in (with_cron.read_text() if with_cron.exists() else "")
    assert not (deployed.state / "commands").exists()


def test_a_command_in_the_release(deployed: Deployed) -> None:
    before = deployed.files()
    checked = deployed.play("playbooks/run.yml", "--check", command="ls -l").succeeded().output
    assert f"Would run ls -l in {deployed.application}, with the environment of process" in " ".join(checked.split())
    missing = deployed.play("playbooks/run.yml", command="nothing-like-it").failed().messages
    assert missing[0].startswith("There is no command 'nothing-like-it' for the release")
    assert deployed.files() == before
    text = """sh -c 'echo "$DATABASE_URL"; pwd; exit 42'"""
    done = deployed.play("playbooks/run.yml", output="raw", command=text)
    url, place = done.output.splitlines()
    assert (done.code, place) == (42, str(deployed.application))
    assert url.startswith("postgresql://autotest_app:")
    record = deployed.records()[-1]
    assert (record["verb"], record["facts"]["command"]) == ("run", text)


def test_the_database_anew(deployed: Deployed) -> None:
    deployed.sql("COMMENT ON SCHEMA public IS 'ours'")
    deployed.sql("GRANT USAGE ON SCHEMA public TO pg_monitor")
    deployed.sql("INSERT INTO teams (name, slug) VALUES ('By hand', 'by-hand')")
    rights = (
        "SELECT nspowner::regrole::text, nspacl::text, obj_description(oid) FROM pg_namespace WHERE nspname = 'public'"
    )
    defaults = (
        "SELECT defaclrole::regrole::text, defaclobjtype::text, defaclacl::text FROM pg_default_acl ORDER BY 1, 2"
    )
    mark = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'autotest'"
    kept = [deployed.sql(query) for query in (rights, defaults, mark)]
    schema, rows, history = deployed.schema(), deployed.rows(), deployed.history()
    backups, files = len(deployed.backups()), deployed.files()

    checked = deployed.play("playbooks/reset_db.yml", "--check").succeeded().output
    assert re.search(rf"^  public +teams +{rows['teams']}$", checked, re.MULTILINE)
    assert (deployed.rows(), deployed.files()) == (rows, files)
    deployed.play("playbooks/reset_db.yml").succeeded()
    assert deployed.rows() == deployed.seeded
    assert (deployed.schema(), deployed.history()) == (schema, history)
    assert [deployed.sql(query) for query in (rights, defaults, mark)] == kept
    assert deployed.sql("SELECT count(*) FROM teams WHERE slug = 'by-hand'") == [(0,)]
    assert deployed.json("/readyz")["status"] == "ready"
    assert len(deployed.backups()) == backups + 1
    assert not {name for name in deployed.databases() if name.startswith("autotest_")}
    deployed.sql("COMMENT ON SCHEMA public IS NULL; REVOKE USAGE ON SCHEMA public FROM pg_monitor")


def test_a_migration_that_fails_leaves_the_database_that_was_there(deployed: Deployed) -> None:
    rows, history = deployed.rows(), deployed.history()
    first = sorted(deployed.migrations.iterdir())[0] / "migration.sql"
    text = first.read_text()
    first.write_text(f"{text}\nSELECT 1 / 0;\n")
    try:
        failed = deployed.play("playbooks/reset_db.yml", backup_proof_server="own").failed()
        assert "division by zero" in failed.output
        assert "This was a rehearsal on a copy" in " ".join(failed.output.split())
    finally:
        first.write_text(text)
    assert not (deployed.state / "backups" / "throwaway").exists()
    assert (deployed.rows(), deployed.history()) == (rows, history)
    assert deployed.json("/readyz")["status"] == "ready"


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("reset_db", "reset_db deletes all data of database autotest, which is never done in prod: to put an earlier"),
        ("refresh", "refresh fills an environment with rows of another one, which is never done in prod: to put an"),
        ("init_db", "init_db is for environments whose database may be seeded: in prod the first deploy makes the"),
    ],
)
def test_prod_refuses(deployed: Deployed, verb: str, said: str) -> None:
    before = deployed.files()
    refused = deployed.play(f"playbooks/{verb}.yml", environment_name="prod", confirm="prod", **VAULT).failed()
    assert " ".join(refused.messages[0].split()).startswith(said)
    assert deployed.files() == before


def test_another_environment_wants_its_name_typed(deployed: Deployed) -> None:
    """As the shared test host: what is not confirmed is refused before anything is written, the backup too."""
    rows, backups = deployed.rows(), len(deployed.backups())
    deployed.sql("COMMENT ON DATABASE autotest IS 'slipway.environment=staging'")
    identity = deployed.state / "database.json"
    text = identity.read_text()
    identity.write_text(text.replace('"local"', '"staging"'))
    (deployed.state / "deployments.jsonl").rename(deployed.state / "kept")
    try:
        refused = deployed.play("playbooks/reset_db.yml", environment_name="staging", confirm="local").failed()
        assert "It was not confirmed, so nothing was changed: run again with -e confirm=staging." in " ".join(
            refused.messages[0].split()
        )
    finally:
        identity.write_text(text)
        (deployed.state / "kept").rename(deployed.state / "deployments.jsonl")
        deployed.sql("COMMENT ON DATABASE autotest IS 'slipway.environment=local'")
    assert (deployed.rows(), len(deployed.backups())) == (rows, backups)


@pytest.fixture
def empty() -> Iterator[Environment]:
    environment = Environment(directory())
    yield environment
    environment.play("playbooks/teardown.yml").succeeded()


def test_a_database_without_a_release(empty: Environment) -> None:
    empty.play("playbooks/init_db.yml", "--check").succeeded()
    assert not (empty.state / "postgres").exists()
    empty.play("playbooks/init_db.yml").succeeded()
    assert len(empty.history()) == 8
    assert empty.rows()["teams"] > 0
    assert not any("uvicorn" in command for command in empty.processes().values())
    again = empty.play("playbooks/init_db.yml").succeeded()
    assert again.recap["changed"] == 0
