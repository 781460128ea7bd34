# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault at each point of a deploy: somebody answers all along, the record says so, and the next run goes on.

The points, and how a fault comes there, are in support/faults.py; molecule/hosts-faults has them on several hosts.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.environment import LONGEST_RUN, ROOT, Containers
from support.faults import POINTS, copied, faulty, in_place
from support.orphans import wait_until
from support.release import get

pytestmark = pytest.mark.once
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("collection"))


def start(shared: Containers, copy: Path) -> subprocess.Popen[str]:
    """A deploy by the copy."""
    found = {"ANSIBLE_COLLECTIONS_PATH": str(copy / "collections")}
    return shared.start(str(copy / "deploy.yml"), environ=found)


@contextlib.contextmanager
def asked(port: int) -> Iterator[list[tuple[int, str]]]:
    """Ask ten times a second, by connections of their own; the status and the release of each answer, 0 for none."""
    ended, answers = threading.Event(), list[tuple[int, str]]()

    def ask() -> None:
        for path in itertools.cycle(("/readyz", "/api/v1/teams")):
            if ended.wait(0.1):
                return
            try:
                status, release, _body = get(port, path)
            except OSError as error:
                status, release = 0, repr(error)
            answers.append((status, release))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()


def next_release(shared: Containers) -> str:
    """Another release, with a migration of its own, whose name is returned."""
    name = f"2026010100{next(NUMBERS):04}_add_a_column"
    file = shared.application / "backend/src/autotest/main.py"
    file.write_text(f"{file.read_text()}\n# of {name}\n")
    shared.add_migration(name, f"ALTER TABLE teams ADD COLUMN since_{name[:14]} text NOT NULL DEFAULT 'none';\n")
    return name


def kept_releases(shared: Containers) -> set[str]:
    """The releases whose containers are there, one for each container."""
    listed = ["docker", "ps", "--all", f"--filter=label=slipway.backend={shared.name}-test-backend"]
    names = subprocess.run(
        [*listed, '--format={{.Label "slipway.release"}}'], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(names) == len(set(names))
    return set(names)


def places(shared: Containers) -> list[str]:
    """What lies in the state directory, and in that of the backups but for whole ones."""
    backups = [path for path in (shared.state / "backups").iterdir() if path.suffix not in (".dump", ".json")]
    return sorted(str(path.relative_to(shared.state)) for path in [*shared.state.iterdir(), *backups])


@pytest.mark.parametrize("name", POINTS)
def test_each_point_is_found(name: str) -> None:
    point, file = POINTS[name], ROOT / POINTS[name].file
    for held in (None, Path("/held")):
        text = in_place(point, file.read_text(), f"Injected fault at {name}.", held)
        if file.suffix == ".py":
            ast.parse(text)
        else:
            yaml.safe_load(text)


@pytest.mark.container
@pytest.mark.soak
@pytest.mark.parametrize("how", ["error", "kill"])
@pytest.mark.parametrize("name", POINTS)
def test_a_fault(shared: Containers, copy: Path, tmp_path: Path, name: str, how: str) -> None:
    point, old, held = POINTS[name], get(shared.port)[1], tmp_path / "held"
    records, databases, files, rows = shared.records(), shared.databases(), places(shared), shared.rows()
    migration = next_release(shared)
    if name == "seed":
        shared.sql(f"TRUNCATE {', '.join(shared.rows())}")

    with asked(shared.port) as answers:
        with faulty(copy, name, point, held if how == "kill" else None):
            run = start(shared, copy)
            if how == "kill":
                wait_until(lambda: held.exists() or run.poll() is not None)
                run.kill()
                assert run.wait() == -signal.SIGKILL, run.communicate()[0]
            else:
                output, _ = run.communicate(timeout=LONGEST_RUN)
        between = set(answers)
        if not point.phase:
            held.unlink(missing_ok=True)
        again = shared.deploy()  # which ends what the killed one has left at work
    held.unlink(missing_ok=True)
    assert again.code == 0, again.output
    if how == "kill":
        output, _ = run.communicate(timeout=LONGEST_RUN)
    new = get(shared.port)[1]

    # Somebody who works has answered each request.
    assert new != old
    assert between <= {(200, old), *([(200, new)] if point.switched else [])}
    assert set(answers) == {(200, old), (200, new)}

    # Both runs are told of.
    written = shared.records()[len(records) :]
    assert written[-1]["status"] == "succeeded"
    if how == "error":
        assert run.returncode > 0
        assert re.search(rf"^ *Injected fault at {name}\.$", output, re.MULTILINE), output
        told = [(each["status"], each["failed_phase"], each["error"]) for each in written[:-1] if point.phase]
        assert told == ([("failed", point.phase, f"Injected fault at {name}.")] if point.phase else []), output
    if name == "lock" or (how == "kill" and name != "preflight"):
        assert [each["status"] for each in written[:-1]] == ["interrupted"]

    # All of it was done once, and nothing is left.
    assert shared.sql("SELECT count(*), count(finished_at), count(rolled_back_at) FROM _prisma_migrations"
                      " WHERE migration_name = %s", migration) == [(1, 1, 0)]  # fmt: skip
    assert shared.rows() == rows
    assert (shared.databases(), places(shared)) == (databases, files)
    assert kept_releases(shared) == {old, new}
    assert len(shared.containers()) == 4
    if point.switched:
        checked = shared.play("playbooks/rollback.yml", "--check").succeeded()
        assert f"From release {new} back to {old}" in checked.output


@pytest.mark.container
@pytest.mark.soak
def test_after_all_of_them_there_is_nothing_to_do(shared: Containers) -> None:
    assert shared.deploy().succeeded().recap["changed"] == 0
