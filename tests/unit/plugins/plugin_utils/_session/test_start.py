# SPDX-License-Identifier: GPL-3.0-or-later
"""The beginning of a program outside of Ansible."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.plugin_utils._session.model import Session
from support.release import ROOT

START = ROOT / "plugins" / "plugin_utils" / "_session" / "start.py"


def start(home: Path, session: Session, program: str = "psql", **environ: str) -> subprocess.CompletedProcess[str]:
    file = home / "session.json"
    file.write_text(json.dumps(dataclasses.asdict(session)))
    done = subprocess.run(
        [sys.executable, str(START), program, str(file)], cwd=home, env={"PATH": os.environ["PATH"], **environ},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert not file.exists()
    return done


def test_it_finds_the_collection_beside_another_one(tmp_path: Path) -> None:
    other = tmp_path / "ansible_collections" / "__init__.py"
    other.parent.mkdir()
    other.touch()
    done = start(tmp_path, Session("a-local", "owner", Server("o", "a", "geheim")), PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "a-local, owner: psql 'host=localhost port=5432 user=o dbname=a sslmode=prefer'\n"


@pytest.mark.parametrize("program", ["psql", "studio"])
def test_an_error_is_one_sentence(tmp_path: Path, program: str) -> None:
    options = {"sql": "SELECT 1", "port": 0, "minutes": 1}
    way = {"tunnel": ("false",), "probe": ("false",), "host": "web"}
    session = Session("a-local", "owner", Server("o", "a", socket_dir="/none"), options=options, **way)
    done = start(tmp_path, session, program)
    assert done.returncode == 1
    assert done.stderr.startswith("The database can't be reached through host web: no reason given; it takes a key")
    assert len(done.stderr.splitlines()) == 1
