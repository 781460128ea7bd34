# SPDX-License-Identifier: GPL-3.0-or-later
"""The seed command gets its environment; no process list and no message shows the secrets in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from support.release import ansible

HERE = Path(__file__).parent
SECRET = "hunter2-secret"
ENVIRONMENT = {"DATABASE_URL": f"postgresql://app:{SECRET}@db/app", "ADMIN_PASSWORD": "hunter3-secret"}

# Notes its own environment, and what ps shows of itself and of every process above it.
SEE = """
import json, os, pathlib
lines, pid = [], os.getpid()
while pid:
    lines.append(pathlib.Path(f"/proc/{pid}/cmdline").read_text())
    pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
pathlib.Path("seen.json").write_text(json.dumps({"environment": dict(os.environ), "processes": lines}))
"""
FAIL = """
import os, sys

pytestmark = pytest.mark.once
print("row 1")
sys.exit(f"could not log in at {os.environ['DATABASE_URL']} with hunter2-secret: too many rows")
"""


def seed(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run the role's task for a process."""
    file = home / "variables.json"  # on the command line the test itself would show them
    file.write_text(json.dumps({"seed_command": command, "seed_chdir": str(home), "seed_env": ENVIRONMENT}))
    return ansible(
        home, "ansible-playbook", "-i", "localhost,", "-c", "local", "-vvv", "-e", f"@{file}", str(HERE / "seed.yml")
    )


def test_seed_command_gets_its_environment_unseen(tmp_path: Path) -> None:
    done = seed(tmp_path, sys.executable, "-c", SEE)
    assert not done.returncode, done.stdout
    assert "changed=1" in done.stdout
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert ENVIRONMENT.items() <= seen["environment"].items()
    assert [line for line in seen["processes"] if SECRET in line] == []
    assert SECRET not in done.stdout


def test_seed_command_that_fails_says_why_without_a_secret(tmp_path: Path) -> None:
    done = seed(tmp_path, sys.executable, "-c", FAIL)
    assert done.returncode
    assert SECRET not in done.stdout
    assert "too many rows" in done.stdout
    assert "The seed command" in done.stdout
    assert "ended with 1" in done.stdout


def test_seed_command_that_is_not_there(tmp_path: Path) -> None:
    assert "The seed command /no/such/program can't be started" in seed(tmp_path, "/no/such/program").stdout
