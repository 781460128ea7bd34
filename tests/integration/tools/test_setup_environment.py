# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be fetched, or is another file than the pinned one, is said in one sentence, and nothing is made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import setup_environment as setup
from support.release import ROOT

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("offered", "says"),
    [
        (False, r"Could not fetch uv \(No matching distribution found for uv==[\d.]+\): check the network .*\.\n"),
        (True, r"Could not fetch uv: what the package index gave for uv==[\d.]+ has none of the hashes .*\.\n"),
    ],
    ids=["no network", "another file than the pinned one"],
)
def test_what_cant_be_fetched_stops_before_anything_is_made(tmp_path: Path, offered: bool, says: str) -> None:
    """With the pip that Python carries, in a checkout and with a folder of wheels of the test's own."""
    checkout, wheels = tmp_path / "checkout", tmp_path / "wheels"
    (checkout / "tools").mkdir(parents=True)
    wheels.mkdir()
    for name in ("tools/setup_environment.py", "requirements.txt", "requirements-setup.txt"):
        shutil.copy(ROOT / name, checkout / name)
    if offered:
        version = setup.pinned("uv", (ROOT / "requirements-setup.txt").read_text()).split()[0].removeprefix("uv==")
        with zipfile.ZipFile(wheels / f"uv-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"uv-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: uv\nVersion: {version}\n")

    done = subprocess.run(
        [sys.executable, checkout / "tools/setup_environment.py", "requirements.txt"],
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout == "set-up: fetching uv\n"
    assert re.fullmatch(says, done.stderr)
    assert not (checkout / ".venv").exists()
