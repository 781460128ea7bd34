# SPDX-License-Identifier: GPL-3.0-or-later
"""A new migration is written through Ansible: checked, written, and not written again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.release import ROOT

pytestmark = pytest.mark.once


def run(home: Path, *flags: str, **more: object) -> dict[str, Any]:
    arguments = {"path": str(home / "migrations"), "name": "add_x", **more}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible")), "localhost", "-c", "local",
         "-m", "slipway.deploy.new_migration", "-a", json.dumps(arguments), *flags],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": str(home), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    _, _, result = done.stdout.partition(" => {")
    found: dict[str, Any] = json.loads("{" + result[: result.rindex("}") + 1])
    return {**found, "shown": done.stderr}


def test_a_new_migration(tmp_path: Path) -> None:
    derived = {"statements": ["CREATE TABLE x ()"], "down": ["DROP TABLE x"], "remarks": ["Beware."], "left": ["More."]}
    home = tmp_path / "migrations"
    seen = run(tmp_path, "--check", **derived)
    assert seen["changed"]
    assert not home.exists()
    written = run(tmp_path, **derived, source="schema.sql")
    assert [path.name for path in home.iterdir()] == [written["migration"]]
    files = {path.name: path.read_text() for path in (home / written["migration"]).iterdir()}
    assert files == {
        "migration.sql": "-- Derived from schema.sql.\n-- To be known before it is applied:\n-- - Beware.\n"
        "-- Not in here, since it can't be derived:\n-- - More.\n\nCREATE TABLE x ();\n",
        "down.sql": "DROP TABLE x;\n",
    }
    assert "Beware." in written["shown"]
    for flags in (["--check"], []):
        assert "There is a migration of that name already" in run(tmp_path, *flags, **derived)["msg"]
        assert not run(tmp_path, *flags, name="add_y")["changed"]
    broken = run(tmp_path, name="add_y", statements=["CREATE TABEL y"])["msg"]
    assert broken.startswith("What was derived is no SQL, so that nothing was written: ")
    assert len(list(home.iterdir())) == 1
    empty = run(tmp_path, name="add_y", empty=True)
    assert (home / empty["migration"] / "migration.sql").read_text().startswith("-- Write the statements")
    assert empty["migration"] > written["migration"]
