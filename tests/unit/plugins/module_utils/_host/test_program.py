# SPDX-License-Identifier: GPL-3.0-or-later
"""A program made of the core runs by itself, even beside an Ansible."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._backup import scheduled
from ansible_collections.slipway.deploy.plugins.module_utils._host.program import packed


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
