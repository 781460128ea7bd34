# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that outlive the module that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._release import service as services
from support.modules import ROOT

pytestmark = pytest.mark.once


def test_a_process_that_nobody_could_record_never_begins(tmp_path: Path) -> None:
    """SIGKILL, too, between its start and its record."""
    left = tmp_path / "left"
    program = f"""
import os, signal
from ansible_collections.slipway.deploy.plugins.module_utils._release import service as host
def record(process):
    print(process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
host.start(host.Spec(["touch", {str(left)!r}], {{}}, "/"), 0, {str(tmp_path / "log")!r}, record)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert wait_until(lambda: not services.started(int(done.stdout)), 10)
    assert not left.exists()
