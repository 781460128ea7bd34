# SPDX-License-Identifier: GPL-3.0-or-later
"""A one-off command runs as the release does, also behind SSH, and leaves nothing but a line in the ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.action.deployment import this_run
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, State
from ansible_collections.slipway.deploy.plugins.module_utils._release.service import started
from support.deployment import LIVE
from support.modules import run_module
from support.orphans import sshd
from support.playbook import play
from support.release import docker, images

pytestmark = pytest.mark.once
SECRET = "hunter2-secret"
ENVIRONMENT = {"PASSWORD": SECRET, "WORDS": "two\nlines", "PATH": "/usr/bin:/bin"}
LABEL = "slipway-test-one-off"
PLAYBOOK = """\
- name: "RUN: a command"
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Prepare
      slipway.deploy.one_off:
        command: "{{ command | default('') }}"
        typed_as: command
        directory: "{{ playbook_dir }}"
        application: shop
        environment_name: test
      register: prepared
    - name: Run
      slipway.deploy.foreground:
        argv: "{{ prepared.argv }}"
      when: not ansible_check_mode
"""


@pytest.fixture
def release(tmp_path: Path) -> Iterator[int]:
    """A process that serves, as the state directory says."""
    (tmp_path / "backend").mkdir()
    with subprocess.Popen(["sleep", "600"], env=ENVIRONMENT, cwd=tmp_path) as serving:
        state = State(app=Process(serving.pid, started(serving.pid) or "", 1))
        (tmp_path / "backend" / "state.json").write_text(state.dump())
        yield serving.pid
        serving.kill()


def arguments(home: Path, *argv: str, **more: object) -> dict[str, object]:
    run = {"run": {**vars(this_run("shop", "test", "run")), "user": LIVE.user}}
    return {"directory": str(home), "argv": argv, "application": "shop", "environment_name": "test", **run, **more}


def ledger(home: Path) -> list[dict[str, Any]]:
    file = home / "deployments.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_it_has_the_environment_of_what_serves(tmp_path: Path, release: int) -> None:
    printed = play(
        tmp_path, "-e", "output=raw", "-e", """command=sh -c 'echo "$PASSWORD $WORDS"; pwd; exit 42'""",
        playbook=PLAYBOOK, code=42,
    )  # fmt: skip
    assert printed == f"{SECRET} two\nlines\n{tmp_path}\n"
    assert list((tmp_path / "one-off").iterdir()) == []
    [record] = ledger(tmp_path)
    assert (record["verb"], record["status"], record["run"]["user"]) == ("run", "started", LIVE.user)
    assert record["facts"]["command"].startswith("sh -c 'echo ")


def test_behind_ssh_it_is_the_same(tmp_path: Path, release: int) -> None:
    with sshd(tmp_path) as server:
        flags = ["-e", json.dumps(server.variables), "-e", "output=raw"]
        text = """command=sh -c 'echo "$PASSWORD" it\\"s; wc -c; exit 9'"""
        assert play(tmp_path, *flags, "-e", text, playbook=PLAYBOOK, code=9) == f'{SECRET} it"s\n0\n'
        printed = play(tmp_path, *flags, "-e", "command=nothing-like-it", playbook=PLAYBOOK, code=2)
        assert "There is no command 'nothing-like-it' for the release in" in printed


def test_check_mode_writes_nothing(tmp_path: Path, release: int) -> None:
    printed = play(tmp_path, "--check", "-e", f"command=echo {SECRET}", playbook=PLAYBOOK)
    assert f"Would run echo ******** in {tmp_path}, with the environment of process {release}." in printed
    assert ledger(tmp_path) == []
    assert not (tmp_path / "one-off").exists()


def test_the_file_is_its_owners_and_is_not_kept_for_ever(tmp_path: Path, release: int) -> None:
    first = run_module("one_off", arguments(tmp_path, "ls"))
    file = Path(first["argv"][1])
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert SECRET not in json.dumps(first)
    subprocess.run(["touch", "-d", "2 hours ago", file], check=True)
    second = run_module("one_off", arguments(tmp_path, "ls"))
    assert [str(left) for left in file.parent.iterdir()] == [second["argv"][1]]


def test_nothing_runs(tmp_path: Path) -> None:
    said = "No release runs here, so that there is nothing to run the command in: deploy first."
    assert run_module("one_off", arguments(tmp_path, "ls"))["msg"] == said
    assert ledger(tmp_path) == []


@pytest.fixture
def container() -> Iterator[str]:
    """A release in a container, with limits."""
    image = images()["SLIPWAY_PYTHON_IMAGE"]
    docker("network", "create", LABEL)
    docker(
        "run", "--detach", "--name", f"{LABEL}-1", f"--label=slipway.backend={LABEL}", f"--network={LABEL}",
        "--memory=64m", "--read-only", "--cap-drop=ALL", f"--env=PASSWORD={SECRET}", "--env=WORDS=two\nlines",
        image, "sleep", "600",
    )  # fmt: skip
    yield f"{LABEL}-1"
    docker("rm", "--force", f"{LABEL}-1")
    docker("network", "rm", LABEL)


@pytest.mark.container
def test_a_container_like_that_of_what_serves(tmp_path: Path, container: str) -> None:
    said = run_module("one_off", arguments(tmp_path, "nope", label=LABEL, name=LABEL))["msg"]
    assert said.startswith(f"There is no command 'nope' in the image of {container}: correct it.")
    limits = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"  # of either version
    text = f'echo "$PASSWORD $WORDS"; cat {limits}; touch /a; exit 7'
    prepared = run_module("one_off", arguments(tmp_path, "sh", "-c", text, label=LABEL, name=LABEL))
    assert prepared["argv"][0] == sys.executable
    done = subprocess.run(prepared["argv"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 7
    assert done.stdout == f"{SECRET} two\nlines\n67108864\n"
    assert "Read-only file system" in done.stderr
    assert docker("ps", "--all", "--quiet", f"--filter=label=slipway.run={LABEL}") == ""
