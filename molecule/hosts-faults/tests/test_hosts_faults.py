# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault at each point of a deploy to several hosts: as an error, then as the controller's sudden end, then a run.

All the while the host in front is asked, and each question is answered by the release that is supposed to.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.bed import PROJECT, host
from support.faults import POINTS, copied, faulty
from support.hosts import ENTRY, FRONT, STATE, command, sql, surroundings
from support.orphans import wait_until
from support.release import load

HELD = Path("/tmp/slipway-held")  # on the host where a run is made to wait
HOSTS = ("db", "web1", "web2", "front")
TABLES = "builds, github_tokens, releases, scheduled_tests, team_members, team_settings, teams, test_runs, users"
PATIENCE = 600  # seconds


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is deployed, of which each test makes something else."""
    directory = tmp_path_factory.mktemp("application")
    for name in ("app", "migrations"):
        shutil.copytree(PROJECT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    return directory


def next_migration(application: Path) -> str:
    """A migration more, whose name is returned."""
    name = f"{time.strftime('%Y%m%d%H%M%S')}_add_a_column"
    file = application / "migrations" / name / "migration.sql"
    file.parent.mkdir()
    file.write_text(f"ALTER TABLE teams ADD COLUMN since_{name[:14]} text NOT NULL DEFAULT 'none';\n")
    return name


def next_release(application: Path) -> dict[str, str]:
    """Another release, as a deploy is told of it."""
    name = f"r{time.time():.0f}"
    source = application / "app/backend/src/autotest/main.py"
    source.write_text(f"{source.read_text()}\n# of {name}\n")
    told = {"app_source": str(application / "app"), "app_migrations": str(application / "migrations")}
    return {**told, "app_release": name}


def deploy(collection: Path, *told: str) -> subprocess.Popen[str]:
    """Begin a deploy by this collection."""
    return subprocess.Popen(
        command(collection / "deploy.yml", *told),
        env=surroundings(ANSIBLE_COLLECTIONS_PATH=str(collection / "collections")),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def held() -> bool:
    """Whether a run waits on any of the hosts."""
    return any(inside(name, "test", "-e", str(HELD)) for name in HOSTS)


def inside(name: str, *command: str) -> bool:
    """Whether a command ends well on a host, there as root and not by SSH, which a test may hold up."""
    done = subprocess.run(["docker", "exec", f"slipway-molecule-{name}", *command], capture_output=True, check=False)
    return done.returncode == 0


def let_go() -> None:
    """Let all that waits go on."""
    for name in HOSTS:
        inside(name, "rm", "-f", str(HELD))


def records() -> list[dict[str, object]]:
    return [json.loads(line) for line in host("db").file(f"{STATE}/deployments.jsonl").content_string.splitlines()]


def left() -> tuple[list[str], list[str]]:
    """What no run may leave: scratch databases, and files in the state directory but for whole backups."""
    files = host("db").check_output(f"ls {STATE} {STATE}/backups").split()
    databases = sql("SELECT datname FROM pg_database ORDER BY 1")
    return databases, sorted(file for file in files if not file.endswith((".dump", ".json")))


def serves() -> str:
    """The release that answers."""
    site = FRONT()
    site.request("GET", "/api/v1/teams")
    answer = site.getresponse()
    answer.read()
    site.close()
    assert answer.status == 200
    return answer.headers["X-Release"]


@pytest.mark.parametrize("name", POINTS)
def test_a_fault(copy: Path, application: Path, name: str) -> None:
    point, old, before, places = POINTS[name], serves(), len(records()), left()
    release, migrations = next_release(application), [next_migration(application)]
    new, told = release["app_release"], ("-e", json.dumps(release))
    if name == "seed":
        sql(f"TRUNCATE {TABLES}")
    mine = {old, new} if point.switched else {old}

    with load(FRONT, path="/api/v1/teams", threads=2, period=0.5) as found:
        with faulty(copy, name, point, None):
            run = deploy(copy, *told)
            said, _ = run.communicate(timeout=PATIENCE)
        assert run.returncode > 0, said
        assert re.search(rf"^ *Injected fault at {name}\.$", said, re.MULTILINE), said
        failed = [each["failed_phase"] for each in records()[before:] if each["status"] == "failed"]
        assert failed == ([point.phase] if point.phase else []), said
        assert set(found.answers) <= mine

        if name == "migrate":  # the first one is applied by now
            migrations.append(next_migration(application))
        if name == "image":  # the first one is built by now
            release = next_release(application)
            new, told = release["app_release"], ("-e", json.dumps(release))
        with faulty(copy, name, point, HELD):
            run = deploy(copy, *told)
            wait_until(lambda: held() or run.poll() is not None)
            run.kill()
            assert run.wait() == -signal.SIGKILL, run.communicate()[0]
        # What the first run had started there may let a host through, and the next one wait.
        assert set(found.answers) <= ({old, new} if point.phase == "release" else mine)
        if not point.phase:
            let_go()

        again = deploy(PROJECT, *told)
        said, _ = again.communicate(timeout=PATIENCE)
        let_go()
        run.communicate(timeout=PATIENCE)
    assert again.returncode == 0, said
    assert found.failures == []
    assert set(found.answers) <= {old, new}
    assert serves() == new
    assert records()[-1]["status"] == "succeeded"
    if point.phase:
        assert records()[-2]["status"] == "interrupted"

    once = "SELECT count(*), count(finished_at), count(rolled_back_at) FROM _prisma_migrations"
    for migration in migrations:
        assert sql(f"{once} WHERE migration_name = '{migration}'") == ["1|1|0"]
    assert sql("SELECT count(*) > 0 FROM teams") == ["t"]
    assert left() == places
    assert " down" not in host("front").file(ENTRY).content_string
