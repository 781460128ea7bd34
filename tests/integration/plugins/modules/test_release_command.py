# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``release_command``: what it shows of a command that fails, and what is left when nobody waits for it."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.modules import MODULES, ROOT, run_module
from support.release import docker, images

pytestmark = pytest.mark.once

PASSWORD = "hunter2/secret"
ENVIRONMENT = {
    "DATABASE_URL": "postgresql://app:hunter2%2Fsecret@db/app",
    "ADMIN_PASSWORD": "hunter3-secret",
    "KEY": "-----BEGIN\nMIIEvQIBADANBgkqhkiG9w0B\n-----END",
    "RELEASE": "one",
    "RETRIES": "1",
}
FAIL = """
import base64, json, os, sys, urllib.parse
print("row 1")
print(os.environ["DATABASE_URL"], urllib.parse.urlsplit(os.environ["DATABASE_URL"]).netloc)
print(json.dumps(dict(os.environ)), base64.b64encode(b"admin:" + os.environ["ADMIN_PASSWORD"].encode()).decode())
print("hunter2/secret", os.environ["KEY"])
sys.exit("too many rows")
"""
ENCODED = base64.b64encode(b"admin:hunter3-secret").decode()[8:-4]
LABEL = "slipway-test-command"


def shows_no_secret(found: dict[str, Any]) -> bool:
    text = json.dumps(found)
    return not any(part in text for part in ("hunter", "MIIEvQ", ENCODED))


def why_it_failed(found: dict[str, Any]) -> str:
    assert found["failed"]
    assert shows_no_secret(found)
    return str(found["msg"])


def test_a_process_that_fails() -> None:
    said = why_it_failed(run_module("release_command", {"argv": [sys.executable, "-c", FAIL], "env": ENVIRONMENT}))
    assert "ended with 1; correct" in said
    assert "row 1" in said
    assert "too many rows" in said
    assert "postgresql://app:********@db/app" in said


def test_a_secret_among_the_arguments() -> None:
    argv = [sys.executable, "-c", "exit(3)", "postgresql://me:hunter9-secret@db/app"]
    assert "postgresql://me:********@db/app ended with 3" in why_it_failed(
        run_module("release_command", {"argv": argv})
    )


def started(arguments: dict[str, Any]) -> subprocess.Popen[str]:
    module = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.release_command"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
    )  # fmt: skip
    assert module.stdin
    module.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    module.stdin.close()
    return module


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_ends_with_a_module_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    command = ["sh", "-c", f"echo $$ > {note}.new; mv {note}.new {note}; exec sleep 120"]
    module = started({"argv": command})
    wait(note.exists)
    module.kill()
    module.wait()
    wait(lambda: not Path(f"/proc/{note.read_text().strip()}/cmdline").exists())


@pytest.fixture(scope="module")
def arguments() -> Iterator[dict[str, Any]]:
    yield {"env": ENVIRONMENT, "image": images()["SLIPWAY_PYTHON_IMAGE"], "label": LABEL, "pids": 60}
    for container in containers():
        docker("rm", "--force", container)


def containers(label: str = LABEL) -> list[str]:
    return docker("ps", "--all", f"--filter=label=slipway.command={label}", "--format={{.Names}}").split()


@pytest.mark.container
def test_a_container_gets_its_environment_and_leaves_nothing(arguments: dict[str, Any]) -> None:
    see = (
        "import json, os; e = dict(os.environ); [print(e[n]) for n in sorted(e) if n in 'KEY RELEASE RETRIES']; exit(9)"
    )
    plain = {"KEY": "one\ntwo 2 =", "RELEASE": " x ", "RETRIES": "#1"}
    found = run_module("release_command", {**arguments, "env": plain, "argv": ["python", "-c", see]})
    assert found["msg"].split(":\n")[1].splitlines() == ["********", " x ", "#1"]
    done = run_module("release_command", {**arguments, "argv": ["python", "-c", "print(1)"]})
    assert (done["changed"], done["actions"]) == (True, ["Ran the command."])
    assert (done["ran"]["command"], done["ran"]["output"]) == ("python -c print(1)", "1")
    assert containers() == []


@pytest.mark.container
def test_a_container_sees_what_is_mounted(arguments: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("an authority")
    mounted = {**arguments, "volumes": [f"{tmp_path}/ca.pem:/etc/slipway/database-ca.crt:ro"]}
    see = "f = '/etc/slipway/database-ca.crt'; print(open(f).read()); open(f, 'w')"
    said = why_it_failed(run_module("release_command", {**mounted, "argv": ["python", "-c", see]}))
    assert "an authority" in said
    assert "Read-only file system" in said
    write = "open('/tmp/a', 'w'); open('/a', 'w')"
    said = why_it_failed(run_module("release_command", {**arguments, "argv": ["python", "-c", write]}))
    assert "Read-only file system: '/a'" in said


@pytest.mark.container
def test_a_container_that_fails(arguments: dict[str, Any]) -> None:
    said = why_it_failed(run_module("release_command", {**arguments, "argv": ["python", "-c", FAIL]}))
    assert "ended with 1; correct" in said
    assert "too many rows" in said
    assert containers() == []


@pytest.mark.container
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"argv": ["/no/such/program"]}, "exec /no/such/program failed: No such file"),
        ({"argv": ["true"], "network": "slipway-no-such"}, "network slipway-no-such not found"),
    ],
)
def test_a_container_that_can_not_be_started(arguments: dict[str, Any], wrong: dict[str, Any], said: str) -> None:
    assert said in why_it_failed(run_module("release_command", {**arguments, **wrong}))
    assert containers() == []


@pytest.mark.container
def test_a_container_is_bounded_and_what_a_killed_run_leaves_is_removed(arguments: dict[str, Any]) -> None:
    sleep = {**arguments, "argv": ["python", "-c", "import time; time.sleep(120)"]}
    neighbour = {**sleep, "label": f"{LABEL}-other"}
    modules = [started(sleep), started(neighbour)]
    wait(lambda: bool(containers() and containers(f"{LABEL}-other")))
    try:
        lines = [path.read_text() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        mine = [line for line in lines if f"slipway.command={LABEL}" in line]
        assert mine
        assert not [line for line in mine if "hunter" in line]
        found = json.loads(docker("container", "inspect", f"{LABEL}"))[0]["HostConfig"]
        assert found["AutoRemove"]
        assert found["CapDrop"] == ["ALL"]
        assert found["SecurityOpt"] == ["no-new-privileges"]
        assert (found["ReadonlyRootfs"], found["Tmpfs"]) == (True, {"/tmp": ""})
        assert (found["Memory"], found["PidsLimit"], found["LogConfig"]["Type"]) == (512 * 2**20, 60, "none")
        for module in modules:
            module.kill()
            module.wait()
        absent = {"state": "absent", "label": LABEL}
        sentence = f"Removed container {LABEL}, which an earlier run left."
        checked = run_module("release_command", absent, check=True)
        assert (checked["changed"], checked["actions"]) == (True, [sentence])
        assert containers() == [f"{LABEL}"]
        done = run_module("release_command", {**arguments, "argv": ["true"]})
        assert done["actions"] == [sentence, "Ran the command."]
        assert containers() == []
        assert not run_module("release_command", absent)["changed"]
        assert containers(f"{LABEL}-other") == [f"{LABEL}-other"]
    finally:
        for module in modules:
            module.kill()
        docker("rm", "--force", f"{LABEL}-other")


@pytest.mark.container
def test_a_container_is_removed_when_the_run_is_interrupted(arguments: dict[str, Any]) -> None:
    module = started({**arguments, "argv": ["python", "-c", "import time; time.sleep(120)"]})
    wait(lambda: bool(containers()))
    module.send_signal(signal.SIGINT)
    module.wait(timeout=150)
    wait(lambda: not containers())
