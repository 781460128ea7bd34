# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is told to stop ends when its module has ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.backup import ROOT, Site, faulty


@pytest.mark.once
def test_the_prompt_returns_when_a_stopped_run_has_left_nothing(site: Site, tmp_path: Path) -> None:
    """Ctrl-C in the proof, through Ansible: what was dumped and restored is gone before the run ends, not after it."""
    bindir = faulty(
        site.postgres.bindir,
        tmp_path / "bin",
        "pg_restore",
        f'case "$*" in *--dbname*) "$real" "$@"; echo > {tmp_path}/reached; exec sleep 60 ;; esac; exec "$real" "$@"',
    )
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("ansible")), "localhost", "--connection", "local",
            "--module-name", "slipway.deploy.backup", "--args", json.dumps({**site.common, "bindir": bindir}),
            "--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable}),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "reached").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert site.files()
    assert site.databases() == [f"{site.database}_scratch"]
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert (site.files(), site.databases()) == ([], [])
    output = process.communicate()[0]
    assert "Interrupted by SIGINT: " in output, output
