# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job in `local`: a first deploy, a second one, a ninth migration, a wrong one, a look ahead."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from e2e.conftest import Deployed
from support.environment import DATABASE

EIGHT = [
    "20250728210351_init",
    "20250729072120_add_workflow_run_id_unique",
    "20250729080947_add_created_at_to_github_token",
    "20250729082955_change_workflow_run_id_to_bigint",
    "20250730170846_add_releases",
    "20250806013247_add_framework_field",
    "20250807033511_add_scheduled_tests",
    "20250807044828_add_workflow_run_id_to_scheduled_tests",
]
NINTH = "20260101000000_add_note_to_teams"
NINTH_SQL = "ALTER TABLE teams ADD COLUMN note text;\n"
TENTH = "20260102000000_add_budget"
TENTH_WRONG = """\
ALTER TABLE teams ADD COLUMN budget integer;
UPDATE teams SET budgte = 3;
"""
PHASES = ["PREFLIGHT", "DATABASE", "BACKUP", "MIGRATE", "SEED", "VERIFY", "RELEASE", "REPORT"]
TABLES = {
    "builds", "github_tokens", "releases", "scheduled_tests", "team_members", "team_settings", "teams", "test_runs",
    "users",
}  # fmt: skip

# Each command of a hook writes its moment, and what it must not show.
HOOKED = ["sh", "-c", 'echo "$SLIPWAY_HOOK $SLIPWAY_FAILED_PHASE" | tee -a "$NOTED"; echo "${DATABASE_URL:?}"']


def hooks(file: Path, *names: str, **more: object) -> tuple[str, str]:
    """The option that has these hooks write to a file."""
    noted = ["env", f"NOTED={file}", *HOOKED]
    return "-e", json.dumps({"app_hooks": {**dict.fromkeys(names, noted), **more}})


def another_host(directory: Path, deployed: Deployed) -> tuple[str, ...]:
    """The options by which the copy is made on another host, which is this one by another name."""
    inventory = directory / "proving.yml"
    inventory.write_text("all: {hosts: {proving: {ansible_host: 127.0.0.1}}}\n")
    told = {"backup_proof_host": "proving", "backup_proof_bindir": deployed.state / "postgres" / "bin"}
    return (
        "-i",
        "local",
        "-i",
        str(inventory),
        *(word for name, value in told.items() for word in ("-e", f"{name}={value}")),
    )


# Every program of a run that is written in Python notes each migration that it opens.
NOTING = """\
import os, sys

def note(event, arguments):
    if event == "open" and str(arguments[0]).endswith("migration.sql"):
        file = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{arguments[0]}\\n".encode())
        os.close(file)

sys.addaudithook(note)
"""


def test_the_first_deploy_leaves_a_running_application(deployed: Deployed) -> None:
    output = deployed.first.succeeded().output

    assert f"address     {deployed.url}\n" in output
    assert f"record      {deployed.state}/deployments.jsonl\n" in output
    assert f"in {deployed.state}/secrets.json\n" in output
    told = [line for line in output.splitlines() if " so far: " not in line]  # which a slow machine has more of
    assert len(told) <= 25, output
    assert re.findall(r"^\(\d/8\) ([A-Z]+) +\S.* \d+\.\d s$", "\n".join(told), re.MULTILINE) == PHASES, output
    assert "<title>autotest</title>" in deployed.get("/")
    assert deployed.json("/readyz")["migration"] == EIGHT[-1]
    teams = deployed.json("/api/v1/teams")
    assert teams["total"] == len(teams["items"]) == deployed.rows()["teams"] > 0
    assert deployed.history()[:8] == EIGHT
    assert set(deployed.rows()) == TABLES
    assert {email for (email,) in deployed.sql("SELECT email FROM users")} >= {
        "admin@autotest.example",
        "ci@autotest.example",
    }
    [(hashed,)] = deployed.sql("SELECT password_hash FROM users WHERE is_admin")
    assert hashed.startswith("$argon2")


def test_secrets_are_the_owners_alone_and_nowhere_in_sight(deployed: Deployed) -> None:
    file = deployed.state / "secrets.json"
    secrets = json.loads(file.read_text()).values()

    assert file.stat().st_mode & 0o777 == 0o600
    assert deployed.state.stat().st_mode & 0o777 == 0o700
    files = [deployed.state / "deployments.jsonl", *(deployed.state / "runs").iterdir()]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert {file.suffix for file in files} == {".jsonl", ".json", ".html"}
    seen = [deployed.first.output, *deployed.processes().values(), *(file.read_text() for file in files)]
    assert not [secret for secret in secrets if any(secret in text for text in seen)]


def test_verify_passes_and_shows_the_tables(deployed: Deployed) -> None:
    output = deployed.play("playbooks/verify.yml").succeeded().output

    assert "history up to date, rights as they should be" in output
    assert all(f"public.{table} " in output for table in TABLES)
    assert all(re.search(rf"^  {name} +applied +20\d\d-\S+ \S+ +1$", output, re.MULTILINE) for name in EIGHT)

    found = json.loads(deployed.play("playbooks/verify.yml", "-e", "output=json", stdout=True).succeeded().output)
    assert {table["name"]: table["rows"] for table in found["tables"]} == deployed.rows()
    assert [(row["migration"], row["state"]) for row in found["history"]] == [(name, "applied") for name in EIGHT]
    assert (found["findings"], found["violations"], found["collations"], found["drift"]) == ([], [], "", [])


def test_status_is_zero_and_up_to_date(deployed: Deployed) -> None:
    output = deployed.play("playbooks/status.yml").succeeded().output

    assert "autotest-local: up to date" in output
    assert all(name in output for name in EIGHT)
    deployed_last = [record for record in deployed.records() if record["verb"] == "deploy"][-1]
    assert f"release   {deployed_last['release']}, deployed {deployed_last['finished']}" in output
    assert "health    ready" in output


def test_the_second_deploy_changes_nothing(deployed: Deployed) -> None:
    before = deployed.processes(), deployed.dump(), deployed.backups()
    outcome = deployed.deploy().succeeded()

    assert outcome.recap["changed"] == 0, outcome.output
    assert len(outcome.output.splitlines()) <= 25
    assert (deployed.processes(), deployed.dump(), deployed.backups()) == before
    assert len(before[0]) >= 2  # PostgreSQL and the application


def test_an_environment_that_forbids_it_is_not_seeded(deployed: Deployed) -> None:
    outcome = deployed.play("playbooks/seed.yml", seeding="false").failed()

    assert outcome.messages[0] == (
        "This environment must not be seeded (its variable seeding is false), so nothing was written: "
        "use another environment."
    )


@pytest.fixture(scope="module")
def ninth(deployed: Deployed) -> str:
    """A ninth migration, and rows of the tests' own that it must keep."""
    deployed.first.succeeded()
    deployed.sql("INSERT INTO teams (slug, name) VALUES ('harbour', 'Harbour')")
    deployed.sql(
        "INSERT INTO builds (team_id, branch, commit_sha, workflow_run_id)"
        " SELECT id, 'main', 'abcdef0', 9000000000 FROM teams WHERE slug = 'harbour'"
    )
    deployed.add_migration(NINTH, NINTH_SQL)
    return NINTH


def test_status_names_what_is_pending(deployed: Deployed, ninth: str) -> None:
    outcome = deployed.play("playbooks/status.yml").failed()

    assert outcome.messages == [f"autotest-local is not up to date: pending: {ninth}."]
    # For a script it is a failure, for a person an answer.
    assert (outcome.code, outcome.recap["failed"]) == (2, 0)
    assert not re.search(r"FAILED|STOPPED|^(failed|fatal):|\[ERROR\]", outcome.output, re.MULTILINE)


def test_a_check_shows_the_sql_and_changes_nothing(deployed: Deployed, ninth: str) -> None:
    before = deployed.dump(), deployed.files(), deployed.processes(), deployed.databases()
    output = deployed.deploy("--check", "--diff").succeeded().output

    assert f"+{NINTH_SQL}" in output
    assert f"would be applied: {ninth}" in output
    assert (deployed.dump(), deployed.files(), deployed.processes(), deployed.databases()) == before


def test_a_ninth_migration_is_applied_behind_a_proved_backup(deployed: Deployed, ninth: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NOTING)
    notes = tmp_path / "notes"
    everyone = "SELECT id, slug, name FROM teams ORDER BY id"
    rows, teams, backups = deployed.rows(), deployed.sql(everyone), deployed.backups()
    with deployed.asked_all_along() as troubles:
        noting = {"PYTHONPATH": str(tmp_path), "NOTES": str(notes)}
        asked = hooks(tmp_path / "hooks", "before_migrate", "after_migrate", "before_release", "on_failure")
        with deployed.databases_all_along() as seen:
            run = deployed.play("deploy.yml", *asked, *another_host(tmp_path, deployed), environ=noting)
        output = run.succeeded().output

    assert troubles == []
    assert "autotest_scratch on a server of its own at proving" in " ".join(output.split())
    assert (DATABASE in seen, f"{DATABASE}_scratch" in seen) == (True, False)  # nor was it rehearsed on the live server
    assert list(deployed.state.glob("*/throwaway")) == []
    assert "not tried" not in output  # both releases were, on that copy
    assert (tmp_path / "hooks").read_text().split() == ["before_migrate", "after_migrate"]
    # Once for the check, the plan, the rehearsal, the application and the verification.
    assert sorted(notes.read_text().split()) == [f"{name}/migration.sql" for name in (*EIGHT, ninth)]
    assert deployed.history() == [*EIGHT, ninth]
    assert deployed.rows() == rows
    assert deployed.sql(everyone) == teams
    assert deployed.sql("SELECT workflow_run_id FROM builds WHERE commit_sha = 'abcdef0'") == [(9000000000,)]
    assert deployed.sql("SELECT count(note), count(*) FROM teams") == [(0, len(teams))]
    assert "Run the seed command" not in output

    [backup] = [each for each in deployed.backups() if each not in backups]
    assert backup["proved"] is True
    assert backup["migrations"] == EIGHT
    assert backup["tables"].items() >= {f"public.{table}": count for table, count in rows.items()}.items()
    [(started,)] = deployed.sql("SELECT started_at FROM _prisma_migrations WHERE migration_name = %s", ninth)
    assert datetime.fromisoformat(backup["finished"]) < started
    assert deployed.databases() == {"postgres", "template0", "template1", "autotest"}
    record = deployed.records()[-1]
    assert record["status"] == "succeeded"
    assert [each["hook"] for each in record["hooks"]] == ["before_migrate", "after_migrate"]
    assert record["hooks"][0]["output"].startswith("before_migrate \npostgresql://autotest_app:********@")
    assert "after_migrate: env NOTED=" in deployed.play("playbooks/history.yml", run=len(deployed.records())).output


@pytest.mark.soak
def test_what_was_approved_is_what_is_done(deployed: Deployed, ninth: str, tmp_path: Path) -> None:
    if ninth not in deployed.history():
        deployed.deploy().succeeded()
    tenth, plan = "29981231000000_add_note_to_builds", tmp_path / "plan.json"
    file = deployed.add_migration(tenth, "ALTER TABLE builds ADD COLUMN note text;")
    try:
        assert "add --check" in deployed.play("deploy.yml", plan=plan).failed().messages[0]
        done = deployed.play("deploy.yml", "--check", plan=plan).succeeded()
        assert f"plan written to {plan}" in " ".join(done.output.split())
        written = json.loads(plan.read_text())
        assert (written["pending"], written["serving"]) == ([tenth], deployed.json("/readyz")["release"])
        assert written["migrations"].keys() == {*EIGHT, ninth, tenth}
        approved = file.read_text()
        file.write_text(f"{approved}\n-- and more")
        [said, *_] = deployed.play("deploy.yml", approved=plan, app_lock_wait=61).failed().messages
        assert f"migration {tenth} differs; variable app_lock_wait is new. So this run stops here" in " ".join(
            said.split()
        )
        file.write_text(approved)
        deployed.play("deploy.yml", approved=plan).succeeded()
        assert deployed.history()[-1] == tenth
        [said, *_] = deployed.play("deploy.yml", approved=plan).failed().messages
        assert f"what is pending is nothing, not {tenth}" in " ".join(said.split())
    finally:
        shutil.rmtree(file.parent)
        deployed.sql("ALTER TABLE builds DROP COLUMN IF EXISTS note")
        deployed.sql("DELETE FROM _prisma_migrations WHERE migration_name = %s", tenth)


def test_the_policy_that_lets_an_older_release_in_holds_everywhere(deployed: Deployed, ninth: str) -> None:
    aside = (deployed.migrations / ninth).rename(deployed.directory / ninth)
    stopgap = (
        "set app_migrations_policy: {ahead: warn}, or add to app_migrations_waivers for one migration: {migration: "
    )
    for refused in (deployed.play("playbooks/verify.yml"), deployed.play("playbooks/status.yml")):
        assert f"The migration '{ninth}' was applied at " in refused.failed().output
        assert stopgap in " ".join(refused.output.split())

    warn = ("-e", '{"app_migrations_policy": {"ahead": "warn"}}')
    waived = {"migration": ninth, "rule": "ahead", "reason": "a stopgap", "author": "ada"}
    deployed.play("playbooks/verify.yml", *warn).succeeded()
    deployed.play("playbooks/status.yml", "-e", json.dumps({"app_migrations_waivers": [waived]})).succeeded()
    aside.rename(deployed.migrations / ninth)


def test_a_migration_that_breaks_the_release_that_serves_stops_before_the_database_is_touched(
    deployed: Deployed, ninth: str
) -> None:
    if ninth not in deployed.history():
        deployed.deploy().succeeded()
    history, records = deployed.history(), len(deployed.records())
    deployed.add_migration("29990101000000_rename", "ALTER TABLE teams RENAME slug TO handle;")
    with deployed.asked_all_along() as troubles:
        [said, *_] = deployed.deploy().failed().messages
    shutil.rmtree(deployed.migrations / "29990101000000_rename")
    assert "which serves, breaks on the schema that the pending migrations make: GET /api/v1/teams" in said
    assert "since the database said: column teams.slug does not exist (42703). This was on a copy" in said
    assert "deploy it on purpose with -e maintenance=true" in said
    assert troubles == []
    assert deployed.history() == history
    [record] = deployed.records()[records:]
    assert record["probe"]["tried"]
    assert record["probe"]["requests"][1] == {
        "request": "GET /api/v1/teams", "before": 200, "steady": True, "serving": 500,
        "serving_errors": ["column teams.slug does not exist (42703)"],
    }  # fmt: skip


def test_a_wrong_migration_leaves_everything_as_it_was(deployed: Deployed, ninth: str, tmp_path: Path) -> None:
    if ninth not in deployed.history():
        deployed.deploy().succeeded()
    schema, rows, history, databases = deployed.schema(), deployed.rows(), deployed.history(), deployed.databases()
    file = deployed.add_migration(TENTH, TENTH_WRONG)
    asked = hooks(tmp_path / "hooks", "on_failure", before_migrate=["false"])
    stopped = deployed.deploy(*asked).failed()
    assert "The command of hook before_migrate false ended with 1" in stopped.messages[0]
    assert (tmp_path / "hooks").read_text() == "on_failure before_migrate\n"
    assert deployed.records()[-1]["failed_phase"] == "before_migrate"
    with deployed.asked_all_along() as troubles:
        outcome = deployed.deploy("-e", '{"app_hooks": {"on_failure": ["no-such-command"]}}').failed()

    assert f"{file}:2:18: " in outcome.messages[0]
    assert '"budgte"' in outcome.messages[0]
    assert f"2 | UPDATE teams SET budgte = 3;\n  | {'^':>18}" in outcome.messages[0]
    assert troubles == []
    assert deployed.schema() == schema
    assert (deployed.rows(), deployed.history(), deployed.databases()) == (rows, history, databases)
    assert deployed.sql("SELECT * FROM _prisma_migrations WHERE migration_name = %s", TENTH) == []
    assert deployed.sql("SELECT * FROM pg_locks WHERE locktype = 'advisory'") == []
    assert not (deployed.state / "lock.json").exists()
    record = deployed.records()[-1]
    assert (record["status"], record["failed_phase"]) == ("failed", "migrate")
    assert "budgte" in record["error"]

    file.write_text(TENTH_WRONG.replace("budgte", "budget"))
    deployed.deploy().succeeded()
    assert deployed.history() == [*history, TENTH]
    assert deployed.sql("SELECT DISTINCT budget FROM teams") == [(3,)]
    assert deployed.rows() == rows


def test_the_release_is_what_its_files_were_when_the_run_began(deployed: Deployed, tmp_path: Path) -> None:
    page = deployed.application / "frontend" / "index.html"
    text = page.read_text() + "<!-- new -->\n"
    page.write_text(text)
    later = f"lookup('ansible.builtin.pipe', 'echo later >> {page}; echo 14')"
    # Read when the backup is taken, and otherwise by the check of the variables.
    edit = f"{{{{ {later} if phase_results is defined else 14 }}}}"
    asked = hooks(tmp_path / "hooks", "before_migrate", "before_release", "after_release")
    deployed.play("deploy.yml", *asked, backup_keep=edit).succeeded()
    assert (tmp_path / "hooks").read_text().split() == ["before_release", "after_release"]
    assert "later" in page.read_text()
    page.write_text(text)
    assert deployed.deploy().succeeded().recap["changed"] == 0
