# SPDX-License-Identifier: GPL-3.0-or-later
"""A release, another one, and back again: alone, with its migrations undone, with its database; asked all along."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time

import pytest
from support.environment import Containers
from support.orphans import descendants
from support.release import get, load

pytestmark = [pytest.mark.once, pytest.mark.container]

ROUNDS = int(os.environ.get("SLIPWAY_ROLLBACKS", "1"))
KILLED = int(os.environ.get("SLIPWAY_ROLLBACKS_KILLED", "1"))
NEW = "20260101000000_add_motto"
SQL = "ALTER TABLE teams ADD COLUMN motto text NOT NULL DEFAULT 'none';\n"


def release(shared: Containers) -> str:
    """Who answers, by the header of the application itself."""
    return get(shared.port)[1]


def page(shared: Containers) -> str:
    return shared.get("/")


def newer(shared: Containers, *, down: bool) -> str:
    """Another release, with a page of its own and a migration that the one before does not know."""
    file = shared.application / "backend/src/autotest/main.py"
    file.write_text(f"{file.read_text()}\n# another release\n")
    index = shared.application / "frontend" / "index.html"
    index.write_text(index.read_text().replace("</title>", ", another</title>"))
    written = shared.add_migration(NEW, SQL)
    if down:
        written.with_name("down.sql").write_text("ALTER TABLE teams DROP COLUMN motto;\n")
    shared.deploy().succeeded()
    return release(shared)


def has_motto(shared: Containers) -> bool:
    return bool(shared.sql("SELECT 1 FROM pg_attribute WHERE attname = 'motto' AND NOT attisdropped"))


def test_there_is_nothing_to_go_back_to(shared: Containers) -> None:
    containers = shared.containers()
    said = shared.play("playbooks/rollback.yml", "--check").failed().messages[0]
    assert said.startswith("No earlier release is kept on this host")
    assert shared.containers() == containers


def test_the_application_alone_and_forward_again(shared: Containers) -> None:
    one, first = release(shared), page(shared)
    two = newer(shared, down=True)
    assert one != two
    second, containers, history = page(shared), shared.containers(), shared.history()
    checked = shared.play("playbooks/rollback.yml", "--check").succeeded().output
    assert f"From release {two} back to {one}" in checked
    assert (release(shared), shared.containers(), page(shared)) == (two, containers, second)

    for _ in range(ROUNDS):
        with load(shared.port) as found:
            shared.play("playbooks/rollback.yml").succeeded()
        assert found.failures == []
        assert set(found.answers) == {one, two}
        assert (release(shared), page(shared)) == (one, first)
        assert (shared.history(), has_motto(shared)) == (history, True)
        record = shared.records()[-1]
        assert (record["verb"], record["release"], record["facts"]["way"]) == ("rollback", one, "application")

        with load(shared.port) as found:
            shared.play("playbooks/rollback.yml").succeeded()  # the one that served before is the newer one
        assert (found.failures, release(shared), page(shared)) == ([], two, second)
    assert shared.deploy().succeeded().recap["changed"] == 0


@pytest.mark.soak
def test_its_migrations_are_undone_as_well(shared: Containers) -> None:
    two = release(shared)
    unconfirmed = shared.play("playbooks/rollback.yml", way="undo").failed().messages[0]
    assert "run again with -e confirm=test." in " ".join(unconfirmed.split())
    assert (release(shared), has_motto(shared)) == (two, True)
    for _ in range(ROUNDS):
        with load(shared.port) as found:
            shared.play("playbooks/rollback.yml", way="undo", confirm="test").succeeded()
        assert found.failures == []
        assert release(shared) != two
        assert not has_motto(shared)
        assert NEW not in shared.history()
        assert shared.records()[-1]["facts"]["way"] == "undo"
        shared.deploy().succeeded()
        assert (release(shared), has_motto(shared), shared.history()[-1]) == (two, True, NEW)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(KILLED))
def test_one_that_is_killed_leaves_a_release_that_serves_and_the_next_run_ends_it(
    shared: Containers, number: int
) -> None:
    chance = random.Random(number)
    two, whole = release(shared), 40.0
    process = shared.start("playbooks/rollback.yml", way=("undo", "backup", "application")[number % 3], confirm="test")
    time.sleep(whole * (number + chance.random()) / KILLED)
    killed = [process.pid, *(descendants(process.pid) if number % 2 == 0 else [])]  # also what is at work there
    for pid in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert get(shared.port)[0] == 200
    shared.play("playbooks/backup.yml").succeeded()
    assert [name for name in shared.databases() if name.endswith(("_scratch", "_restoring", "_again"))] == []
    assert get(shared.port)[0] == 200
    shared.deploy().succeeded()
    assert (release(shared), has_motto(shared), shared.history()[-1]) == (two, True, NEW)


@pytest.mark.soak
def test_the_database_is_put_back_as_well(shared: Containers) -> None:
    for number in range(ROUNDS):
        if number:
            shared.deploy().succeeded()
        two, rows, slug = release(shared), shared.rows(), f"since-{number}"
        shared.sql("INSERT INTO teams (name, slug) VALUES ('Since', %s)", slug)
        done = shared.play("playbooks/rollback.yml", way="backup", confirm="test").succeeded()
        assert f"public.teams {rows['teams']} {rows['teams'] + 1}" in " ".join(done.output.split())
        assert release(shared) != two
        assert not has_motto(shared)
        assert shared.rows() == rows
        former = shared.records()[-1]["facts"]["former"]
        assert shared.sql("SELECT slug FROM teams WHERE slug = %s", slug, database=former) == [(slug,)]
        assert shared.backups()[-1]["tables"]["public.teams"] == rows["teams"] + 1
        assert shared.json("/readyz")["status"] == "ready"


@pytest.mark.soak
def test_a_release_that_does_not_fit_the_database_is_not_put_back_alone(shared: Containers) -> None:
    """Its readiness says so: the migration that it needs is gone from the history."""
    one = release(shared)
    shared.deploy().succeeded()
    two = release(shared)
    gone = sorted(path.name for path in shared.migrations.iterdir() if path.is_dir())[-2]
    shared.sql("UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name = %s", gone)
    try:
        failed = shared.play("playbooks/rollback.yml", to=one, way="application", app_start_timeout=10).failed()
        assert "did not get healthy" in " ".join(failed.output.split())
        assert release(shared) == two
    finally:
        shared.sql("UPDATE _prisma_migrations SET rolled_back_at = NULL WHERE migration_name = %s", gone)


@pytest.mark.soak
def test_a_rotation_keeps_no_container_with_the_password_of_before(shared: Containers) -> None:
    serving, password = release(shared), json.loads(shared.secrets.read_text())["database_application"]
    with load(shared.port) as found, shared.asked_all_along() as troubles:
        shared.play("playbooks/rotate.yml").succeeded()
    assert (found.failures, troubles, set(found.answers)) == ([], [], {serving})
    [backend] = [name for name in shared.containers() if "-backend-" in name]
    inspected = subprocess.run(["docker", "inspect", backend], capture_output=True, text=True, check=True).stdout
    assert "autotest_app_b:" in inspected
    assert password not in inspected
    said = shared.play("playbooks/rollback.yml", "--check").failed().messages[0]
    assert said.startswith("No earlier release is kept on this host")
