# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup and restore by an operator, and the lock that keeps two runs apart."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from e2e.conftest import Deployed
from support.environment import LONGEST_RUN


def test_a_restore_brings_rows_back_and_keeps_the_former_database(deployed: Deployed) -> None:
    deployed.first.succeeded()
    deployed.play("playbooks/backup.yml").succeeded()
    rows, schema, known = deployed.rows(), deployed.schema(), deployed.databases()
    assert rows["builds"] > 0
    deployed.sql("DELETE FROM teams")
    assert deployed.rows()["builds"] == 0

    deployed.play("playbooks/restore.yml").succeeded()

    assert deployed.rows() == rows
    assert deployed.schema() == schema
    [kept] = deployed.databases() - known
    assert kept.startswith("autotest_before_restore_")
    assert deployed.sql("SELECT count(*) FROM teams", database=kept) == [(0,)]
    assert deployed.json("/api/v1/teams")["total"] == rows["teams"]
    deployed.sql(f'DROP DATABASE "{kept}"', database="postgres")
    assert deployed.deploy().succeeded().recap["changed"] == 0


def test_a_dump_from_elsewhere_takes_the_databases_place(deployed: Deployed, tmp_path: Path) -> None:
    """As the guide makes one, after which the application goes on with the rights that it has."""
    deployed.first.succeeded()
    deployed.sql("COMMENT ON SCHEMA public IS NULL")  # as in a database whose schema was made anew
    rows, schema, known, backups = deployed.rows(), deployed.schema(), deployed.databases(), len(deployed.backups())
    text = deployed.dump()
    tables = len(re.findall(r"^CREATE TABLE ", text, re.MULTILINE))  # the application's, Prisma's and Slipway's own
    dump = tmp_path / "backup.sql"
    dump.write_text(text.replace("OWNER TO autotest_owner", "OWNER TO someone_else"))
    deployed.sql("DELETE FROM teams")

    check = deployed.play("playbooks/restore.yml", "--check", file=dump).succeeded()
    assert "Would restore backup.sql as autotest_restoring" in " ".join(check.output.split())
    assert deployed.rows()["teams"] == 0
    assert deployed.databases() == known
    broken = tmp_path / "broken.sql"
    broken.write_text(text[: len(text) // 2])
    assert (
        "broken.sql was cut off: it ends in "
        in deployed.play("playbooks/restore.yml", file=broken).failed().messages[0]
    )
    assert (deployed.rows()["teams"], deployed.databases(), len(deployed.backups())) == (0, known, backups)

    outcome = deployed.play("playbooks/restore.yml", file=dump).succeeded()
    assert f"backup.sql: {tables} tables" in outcome.output, outcome.output
    assert deployed.rows() == rows
    assert set(deployed.schema().splitlines()) ^ set(schema.splitlines()) == set()
    [kept] = deployed.databases() - known
    assert deployed.sql("SELECT count(*) FROM teams", database=kept) == [(0,)]
    assert deployed.backups()[-1]["tables"]["public.teams"] == 0  # what was there before is a proved backup, too
    assert len(deployed.backups()) == backups + 1
    assert deployed.json("/api/v1/teams")["total"] == rows["teams"]
    deployed.sql(f'DROP DATABASE "{kept}"', database="postgres")
    assert deployed.deploy().succeeded().recap["changed"] == 0
    assert list((deployed.state / "backups").glob("*.partial")) == []


def test_tables_alone_come_into_a_schema_beside(deployed: Deployed) -> None:
    deployed.first.succeeded()
    deployed.play("playbooks/backup.yml").succeeded()
    before, known = deployed.rows(), deployed.databases()
    outcome = deployed.play("playbooks/restore.yml", tables="users,team_*").succeeded()
    [(schema,)] = deployed.sql("SELECT nspname FROM pg_namespace WHERE nspname ~ '^restored_'")
    try:
        assert f"INSERT INTO … SELECT … FROM {schema}.…, then DROP SCHEMA {schema} CASCADE" in " ".join(
            outcome.output.split()
        )
        assert deployed.sql(f"SELECT count(*) FROM {schema}.users") == [(before["users"],)]
        assert (deployed.rows(), deployed.databases()) == (before, known)
        refused = deployed.play("playbooks/restore.yml", file="x.sql", tables="users").failed().messages
        assert refused == [
            "file names a dump that was made elsewhere, tables are taken from a backup that Slipway took: give one of "
            "them."
        ]
    finally:
        deployed.sql(f"DROP SCHEMA {schema} CASCADE")


def test_refresh_takes_what_production_had_and_masks_it(deployed: Deployed) -> None:
    deployed.first.succeeded()
    deployed.play("playbooks/backup.yml").succeeded()
    taken = deployed.backups()[-1]
    production = deployed.directory / "prod" / "backups"
    production.mkdir(parents=True)
    for kind in ("dump", "json"):
        shutil.copy(deployed.state / "backups" / f"{taken['name']}.{kind}", production)
    manifest = production / f"{taken['name']}.json"
    manifest.write_text(json.dumps({**taken, "environment": "prod"}))
    rows, known = deployed.rows(), deployed.databases()
    [(emails,)] = deployed.sql("SELECT array_agg(email ORDER BY id) FROM users")
    text = (
        "SELECT attname FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped AND "
    )
    others = [name for (name,) in deployed.sql(f"{text} atttypid::regtype::text ~ 'char|text|json' ORDER BY 1")]
    rules = {"users": dict.fromkeys(others, "keep") | {"email": "'user' || id || '@example.com'"}}

    [refused] = deployed.play("playbooks/refresh.yml", **{"from": "prod"}).failed().messages
    assert refused.startswith("app_masking says nothing, so that every row would come as it is: ")
    assert (deployed.rows(), deployed.databases()) == (rows, known)

    deployed.sql("DELETE FROM teams")
    outcome = deployed.play(
        "playbooks/refresh.yml", "-e", json.dumps({"from": "prod", "app_masking": rules})
    ).succeeded()
    assert outcome.recap["failed"] == 0
    assert deployed.rows() == rows
    assert [email for (email,) in deployed.sql("SELECT email FROM users WHERE email !~ '^user.*@example.com$'")] == []
    [kept] = deployed.databases() - known
    assert deployed.sql("SELECT count(*) FROM teams", database=kept) == [(0,)]
    assert not set(emails) & {email for (email,) in deployed.sql("SELECT email FROM users")}
    assert deployed.records()[-1]["verb"] == "refresh"
    deployed.sql(f'DROP DATABASE "{kept}"', database="postgres")
    assert deployed.deploy().succeeded().recap["changed"] == 0


def test_an_altered_dump_fails_the_verification(deployed: Deployed) -> None:
    deployed.first.succeeded()
    deployed.play("playbooks/backup.yml").succeeded()
    deployed.play("playbooks/backups.yml", verify="true").succeeded()
    newest = sorted((deployed.state / "backups").glob("*.dump"))[-1]
    content = newest.read_bytes()
    try:
        newest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        told = deployed.play("playbooks/backups.yml", verify="true").failed().messages
        assert len(told) == 1
        assert f"{newest.stem}: The dump {newest.name} was altered: its SHA-256 is not the one in its" in told[0]
    finally:
        newest.write_bytes(content)


ELSEWHERE = {"controller": "elsewhere", "boot": "another", "machine": "another", "pid": 4711}
# A run of this very machine that lives: the process of these tests.
HERE = {"pid": os.getpid(), "started_ticks": int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])}


@pytest.fixture(params=[ELSEWHERE, HERE], ids=["elsewhere", "here"])
def colleague(deployed: Deployed, request: pytest.FixtureRequest) -> Path:
    """The lock of a run that may be at work."""
    deployed.first.succeeded()
    lock = deployed.state / "lock.json"
    lock.write_text(json.dumps({**deployed.records()[-1]["run"], "verb": "deploy", "user": "maria", **request.param}))
    return lock


def test_a_lock_is_refused_with_its_holders_name_until_it_is_broken(deployed: Deployed, colleague: Path) -> None:
    held, before = json.loads(colleague.read_text()), (deployed.dump(), deployed.files(), deployed.processes())
    outcome = deployed.deploy().failed()

    holder = f"deploy by maria@{held['controller']} (pid {held['pid']}) since {held['since']}"
    assert outcome.messages == [
        f"autotest/local is locked: {holder}; run again when that has ended, have this run wait for it by "
        "-e lock_wait=600, or, if it is dead, run slipway.deploy.unlock."
    ]
    assert (deployed.dump(), deployed.files(), deployed.processes()) == before

    waiting = deployed.start("deploy.yml", lock_wait=LONGEST_RUN)
    refused = deployed.play("playbooks/unlock.yml").failed()
    assert f"not known to be dead: {holder};" in refused.output
    output = deployed.play("playbooks/unlock.yml", force="true").succeeded().output
    assert f"Broke the lock: {holder}." in output
    told, _ = waiting.communicate(timeout=LONGEST_RUN)
    assert waiting.returncode == 0, told
    assert not colleague.exists()


def test_the_lock_of_a_dead_run_of_this_machine_is_taken_over(deployed: Deployed) -> None:
    deployed.first.succeeded()
    lock = deployed.state / "lock.json"
    lock.write_text(json.dumps(deployed.records()[-1]["run"]))  # its process has ended

    deployed.play("playbooks/verify.yml").succeeded()
    assert lock.exists()  # who only looks needs no lock
    refused = deployed.play("playbooks/seed.yml").failed()
    assert refused.messages[0].startswith("Nothing was seeded, since these tables hold rows: public.builds (")
    assert not lock.exists()


VOUCHERS, REPAIR = "29990201000000_vouchers", "29990202000000_vouchers_may_run_out"


@pytest.mark.soak
def test_what_can_not_be_proved_is_let_in_for_a_reason_until_it_is_repaired(deployed: Deployed) -> None:
    """A check that a row violates by now: no backup of it can be restored as it is, and its repair needs a backup."""
    deployed.first.succeeded()
    deployed.add_migration(
        VOUCHERS,
        "CREATE TABLE voucher (code text PRIMARY KEY, expires timestamptz NOT NULL CHECK (expires > now()));\n",
    )
    try:
        deployed.play("playbooks/migrate.yml").succeeded()
        deployed.sql("INSERT INTO voucher VALUES ('SPRING', now() + interval '10 ms')")
        deployed.sql("SELECT pg_sleep(0.1)")
        deployed.add_migration(REPAIR, "ALTER TABLE voucher DROP CONSTRAINT voucher_expires_check;\n")
        backups = deployed.backups()

        [refused, *_] = deployed.play("playbooks/migrate.yml").failed().messages
        assert (
            "A restored copy of database 'autotest' has all of its rows, but is not otherwise as it was: "
            "'voucher_expires_check' of table public.voucher: check constraint \"voucher_expires_check\" of relation "
            '"voucher" is violated by some row'
        ) in refused
        assert "with an empty search_path and later than the rows were written" in refused
        assert "Correct that by a migration, and deploy it with unprovable set to the reason: " in refused
        assert deployed.backups() == backups
        assert REPAIR not in deployed.history()

        deployed.play("playbooks/migrate.yml", "-e", '{"unprovable": "vouchers run out"}').succeeded()
        assert deployed.history()[-1] == REPAIR
        taken = deployed.backups()[-1]
        assert (taken["proved"], taken["unprovable"]) == (True, "vouchers run out")
        assert taken["unproved"][0].startswith("'voucher_expires_check' of table public.voucher")
        reported = deployed.records()[-1]["facts"]["backup"]
        assert reported.startswith(f"{taken['name']} (not proved: 'voucher_expires_check' of table public.voucher")
        assert reported.endswith("; reason: vouchers run out)")

        deployed.play("playbooks/backup.yml").succeeded()
        proved = deployed.backups()[-1]
        assert (proved["proved"], proved["unproved"], proved["unprovable"]) == (True, [], "")
        assert proved["tables"]["public.voucher"] == 1
    finally:
        deployed.sql("DROP TABLE IF EXISTS voucher")
        deployed.sql("DELETE FROM _prisma_migrations WHERE migration_name IN (%s, %s)", VOUCHERS, REPAIR)
        for name in (VOUCHERS, REPAIR):
            shutil.rmtree(deployed.migrations / name, ignore_errors=True)
