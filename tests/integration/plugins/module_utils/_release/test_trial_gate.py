# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that is tried has no way out, finds other files, and writes none."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._release import trial_gate
from support.missing import missing
from support.release import ROOT, free_port

pytestmark = pytest.mark.once
PORT = 8000
# Says what it sees, and answers one connection with it.
SEES = """
import json, os, socket, sys
def reaches(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        return True
    except OSError:
        return False
open("written", "w").write("x")
seen = {"out": reaches(int(sys.argv[1])), "database": reaches(5432), "uid": os.geteuid(), "cwd": os.getcwd(),
        "files": sorted(os.listdir(".")), "kept": open("kept").read(), "mounted": os.listdir(sys.argv[2])}
with socket.create_server(("127.0.0.1", int(sys.argv[3]))) as server:
    client, _ = server.accept()
    client.sendall(json.dumps(seen).encode())
    client.close()
"""


def seen(home: Path, prefix: list[str], port: int) -> dict[str, Any]:
    """What a command in the gate sees; ``port`` is one of the host on which somebody listens."""
    python = "/usr/bin/python3" if prefix else sys.executable  # root's own may be where nobody else can look
    for name in ("run", "scratch", "place", "old", "tree"):
        (home / name).mkdir()
    (home / "run" / "instead").touch()
    (home / "place" / "own").touch()
    (home / "old" / "kept").write_text("old")
    (home / "tree" / "kept").write_text("new")
    (home / "tree" / "other").touch()
    database = socket.socket(socket.AF_UNIX)
    database.bind(str(home / "database"))
    database.listen()
    spec = {
        "argv": [python, "-c", SEES, str(port), str(home / "place"), str(PORT)],
        "directory": str(home / "tree"), "http": str(home / "http"), "port": PORT,
        "ports": [["127.0.0.1", 5432, str(home / "database")]], "mounts": [[str(home / "run"), str(home / "place")]],
        "trees": [{"layers": [str(home / "old"), str(home / "tree")], "place": str(home / "tree"),
                   "scratch": str(home / "scratch")}],
    }  # fmt: skip
    for path in (home, *home.rglob("*")):
        if prefix:
            os.chown(path, 1000, 1000)
    found = b""
    with (
        database,
        subprocess.Popen([*prefix, python, trial_gate.__file__, json.dumps(spec)], cwd=home / "tree") as process,
    ):

        def answered() -> bool:
            nonlocal found
            with socket.socket(socket.AF_UNIX) as client:
                try:
                    client.connect(str(home / "http"))
                    found = client.recv(65536)
                except OSError:
                    return False
            return bool(found)

        assert wait_until(answered, 10)
        assert process.wait(10) == 0
    return dict(json.loads(found))


@pytest.mark.parametrize(
    "prefix", [[], ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]], ids=["root", "user"]
)
def test_what_it_sees(tmp_path: Path, prefix: list[str]) -> None:
    if prefix and os.geteuid():
        missing("Only root becomes another user: run it as root.")
    home = Path(f"/tmp/slipway-gate-{os.getpid()}-{len(prefix)}")
    home.mkdir()
    try:
        with socket.create_server(("127.0.0.1", free_port())) as outside:
            found = seen(home, prefix, outside.getsockname()[1])
        assert found == {
            "out": False, "database": True, "uid": 1000 if prefix else os.geteuid(), "cwd": str(home / "tree"),
            "files": ["kept", "other", "written"], "kept": "old", "mounted": ["instead"],
        }  # fmt: skip
        assert sorted(os.listdir(home / "tree")) == ["kept", "other"]
    finally:
        subprocess.run(["rm", "-rf", home], check=True)


def test_who_may_not_have_namespaces_is_told(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'collections')!r})\nfrom ansible_collections.slipway.deploy."
        "plugins.module_utils._release import trial_gate\n"
        "def refused():\n    raise PermissionError(1, 'Operation not permitted')\n"
        "trial_gate.leave = refused\ntrial_gate.main({})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "This user can't run a process apart from the host (Operation not permitted).\n"
