# SPDX-License-Identifier: GPL-3.0-or-later
"""A program made of the core runs by itself, even beside an Ansible."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._backup import scheduled
from ansible_collections.slipway.deploy.plugins.module_utils._host.program import Files, packed


def test_it_runs_without_the_checkout(tmp_path: Path) -> None:
    made = packed(scheduled.__name__)
    assert made == packed(scheduled.__name__)
    program = tmp_path / "backup.pyz"
    program.write_bytes(made)
    (tmp_path / "settings.json").write_text(json.dumps({"state_directory": str(tmp_path)}))
    done = subprocess.run(
        [sys.executable, str(program), "--apart", "backup", str(tmp_path / "settings.json")],
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "KeyError" in done.stderr  # of an option: it came as far as the backup
    assert f"{program}/ansible_collections/slipway/deploy" in done.stderr
    assert "module_utils/_module" not in done.stderr


def test_what_was_there_is_there_again_where_a_block_fails(tmp_path: Path) -> None:
    there, new = tmp_path / "there", tmp_path / "new"
    there.write_text("before")
    files = Files(tmp_path, {there: b"after", new: b"new"})
    seen = []
    with contextlib.suppress(KeyError), files.written():
        seen = [there.read_text(), new.read_text()]
        raise KeyError
    assert seen == ["after", "new"]
    assert (there.read_text(), new.exists()) == ("before", False)
    with files.written():
        pass
    assert (there.read_text(), new.read_text()) == ("after", "new")
