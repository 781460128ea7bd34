# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault at each point of a deploy: somebody answers all along, the record says so, and the next run goes on.

Nothing in the product knows of it: the runs with a fault are of a copy of the collection into which it is written.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import re
import shutil
import signal
import subprocess
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support.environment import LONGEST_RUN, ROOT, Containers
from support.orphans import wait_until
from support.release import get

pytestmark = pytest.mark.once
COLLECTION = ("plugins", "roles", "playbooks", "meta", "galaxy.yml", "deploy.yml")
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Point:
    """A place in a file of the collection: before the text ``anchor``, which it holds once; ``only`` is a condition.

    ``phase`` is the one that the record of a failure names, '' where the run fails before it has the lock for good.
    """

    file: str
    anchor: str
    phase: str
    only: str = "True"
    switched: bool = False  # whether the new release may answer already


SWITCH = "plugins/module_utils/_release/switch.py"
MIGRATE = (
    "plugins/module_utils/_migration/migrate.py",
    "self._look(applied[-1])\n            if self.course.rolled_back",
)
POINTS = {
    "lock": Point("plugins/module_utils/_run/ledger.py", "return taken\n\n    def acquire_within", ""),
    "preflight": Point("roles/preflight/tasks/main.yml", "- name: Look at the host", ""),
    "image": Point("plugins/modules/image.py", "if status:", "build"),
    "database start": Point("roles/postgres/tasks/container.yml", "- name: Container | Note whether there", "database"),
    "backup": Point("plugins/module_utils/_backup/take.py", "schema_only = () if", "backup"),
    "proof": Point("plugins/module_utils/_backup/take.py", 'with self.timed("compare"):', "backup"),
    "rehearsal": Point(*MIGRATE, "migrate", "self.session.rehearsal"),
    "probe": Point("plugins/modules/release_probe.py", "stop, waivable = verdict(", "migrate"),
    "migrate": Point(*MIGRATE, "migrate", "not self.session.rehearsal"),
    "seed": Point("roles/seed/tasks/main.yml", "- name: Note that it is seeded", "seed"),
    "verify": Point("roles/verify/tasks/main.yml", "- name: Insist on what was found", "verify"),
    "start": Point("roles/backend/tasks/container.yml", "- name: Container | Wait until it is healthy", "release"),
    "health": Point("plugins/modules/container_health.py", "if health.healthy or module.check_mode:", "release"),
    "switch": Point(SWITCH, "wrong = self.endpoint.verdict(", "switch", switched=True),
    "drain": Point(SWITCH, 'self.took("switch")', "switch", switched=True),
    "prune": Point(SWITCH, "if pruning.remove:", "switch", switched=True),
}


def in_place(point: Point, text: str, error: str, held: Path | None) -> str:
    """The text of a point's file with a fault: an ``error``, or a wait for as long as the file ``held`` is there."""
    assert text.count(point.anchor) == 1, f"{point.file} does not hold once: {point.anchor}"
    if point.file.endswith(".py"):
        path = f"__import__('pathlib').Path({str(held)!r})"
        wait = f"{path}.touch()\n    while {path}.exists():\n        __import__('time').sleep(0.02)"
        fault = f"if {point.only}:\n    {wait if held else f'raise SlipwayError({error!r})'}\n"
    else:
        wait = f"ansible.builtin.shell: touch {held}; while test -e {held}; do sleep 0.02; done"
        fault = f"- name: Fail here\n  {wait if held else f'ansible.builtin.fail: {{msg: {error}}}'}\n\n"
    before, anchor, after = text.partition(point.anchor)
    indent = before[before.rindex("\n") + 1 :]
    return before + textwrap.indent(fault, indent)[len(indent) :] + indent + anchor + after


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the collection, which finds itself under its name."""
    directory = tmp_path_factory.mktemp("collection")
    for name in COLLECTION:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, directory / name)
    itself = directory / "collections/ansible_collections/slipway/deploy"
    itself.parent.mkdir(parents=True)
    itself.symlink_to(directory)
    return directory


@contextlib.contextmanager
def rewritten(file: Path, text: str) -> Iterator[None]:
    former = file.read_text()
    file.write_text(text)
    try:
        yield
    finally:
        file.write_text(former)


@contextlib.contextmanager
def faulty(copy: Path, name: str, held: Path | None) -> Iterator[None]:
    """Have the copy fail or wait at a point; where that is the seed, have it seed later than with the first deploy."""
    file, wiring = copy / POINTS[name].file, copy / "playbooks/group_vars/all/wiring.yml"
    with contextlib.ExitStack() as stack:
        text = in_place(POINTS[name], file.read_text(), f"Injected fault at {name}.", held)
        stack.enter_context(rewritten(file, text))
        if name == "seed":
            text, found = re.subn(r"^seed_due: .*$", "seed_due: true", wiring.read_text(), flags=re.MULTILINE)
            assert found == 1
            stack.enter_context(rewritten(wiring, text))
        yield


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
        with faulty(copy, name, held if how == "kill" else None):
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
