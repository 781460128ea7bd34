# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults at the points of a deploy: written into a copy of the collection, of which the product knows nothing."""

from __future__ import annotations

import contextlib
import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.release import ROOT

COLLECTION = ("plugins", "roles", "playbooks", "meta", "galaxy.yml", "deploy.yml")


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


def copied(directory: Path) -> Path:
    """A copy of the collection, which finds itself under its name."""
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
def faulty(copy: Path, name: str, point: Point, held: Path | None) -> Iterator[None]:
    """Have the copy fail or wait at a point; where that is the seed, have it seed later than with the first deploy."""
    file, wiring = copy / point.file, copy / "playbooks/group_vars/all/wiring.yml"
    with contextlib.ExitStack() as stack:
        text = in_place(point, file.read_text(), f"Injected fault at {name}.", held)
        stack.enter_context(rewritten(file, text))
        if name == "seed":
            text, found = re.subn(r"^seed_due: .*$", "seed_due: true", wiring.read_text(), flags=re.MULTILINE)
            assert found == 1
            stack.enter_context(rewritten(wiring, text))
        yield
