# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that serves, as it was started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, Spec, State
from ansible_collections.slipway.deploy.plugins.module_utils._release.service import started
from ansible_collections.slipway.deploy.plugins.module_utils._release.serving import process_of

pytestmark = pytest.mark.once


def test_a_process(tmp_path: Path) -> None:
    environment = {"WORDS": "two\nlines", "SLIPWAY_FENCE": "1 /x"}
    with subprocess.Popen(["/usr/bin/sleep", "60"], env=environment, cwd=tmp_path) as child:
        assert wait_until(lambda: read(f"/proc/{child.pid}/cmdline").startswith("/usr/bin/sleep"), 5)
        process = Process(child.pid, started(child.pid) or "", 1)
        (tmp_path / "state.json").write_text(State(app=process).dump())
        spec = Spec(["/usr/bin/sleep", "60"], {"WORDS": "two\nlines"}, str(tmp_path))
        assert process_of(str(tmp_path)) == (process, spec)
        child.kill()
    assert process_of(str(tmp_path)) is None


def test_nothing_was_ever_started(tmp_path: Path) -> None:
    assert process_of(str(tmp_path)) is None
