# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs through Ansible: behind SSH, of containers, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.orphans import sshd
from support.playbook import play
from support.release import docker, images

pytestmark = pytest.mark.once
LABEL = "slipway-test-logs"
PLAYBOOK = """\
- name: "LOGS: of a host"
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Find them
      slipway.deploy.logs:
        sources: {localhost: [{name: backend, file: "{{ playbook_dir }}/log"}]}
        follow: "{{ follow | default(false) | bool }}"
        since: "{{ since | default('') }}"
        lines: "{{ lines | default(100) }}"
        output: "{{ output | default('table') }}"
      register: prepared
    - name: Show them
      slipway.deploy.foreground:
        argv: "{{ prepared.argv }}"
"""


def test_a_log_behind_ssh(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("2020-11-26 15:10:01 UTC it's\n2020-11-26 15:10:02 UTC there\n")
    with sshd(tmp_path) as server:
        flags = ["-e", json.dumps(server.variables)]
        assert play(tmp_path, *flags, playbook=PLAYBOOK).endswith("02 UTC there\n")
        found = json.loads(play(tmp_path, *flags, "-e", "output=json", playbook=PLAYBOOK))
        assert [line["text"][-4:] for line in found] == ["it's", "here"]
        assert play(tmp_path, *flags, "-e", "since=1h", playbook=PLAYBOOK) == "localhost: ok=2 changed=0 failed=0\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["since=yesterday"],
            "since is 'yesterday' and must be a number with s, m, h or d, such as 30m or 1h: correct it.",
        ),
        (["output=json", "follow=true"], "Logs that are followed have no end, so that they are no JSON"),
        (["output=prometheus"], "Logs are not shown as prometheus: set -e output= to one of table, json."),
    ],
)
def test_what_is_refused(tmp_path: Path, given: list[str], said: str) -> None:
    flags = [word for each in given for word in ("-e", each)]
    assert said in play(tmp_path, *flags, playbook=PLAYBOOK, code=2)


@pytest.mark.container
def test_the_logs_of_containers(tmp_path: Path) -> None:
    image = images()["SLIPWAY_PYTHON_IMAGE"]
    for number in (1, 2):
        text = f"echo of {number}; echo $TOKEN >&2"
        token = "--env=TOKEN=hunter2-secret"
        docker("run", "--name", f"{LABEL}-{number}", f"--label=slipway.test={LABEL}", token, image, "sh", "-c", text)
    try:
        source = json.dumps({"name": "backend", "filter": f"label=slipway.test={LABEL}"})
        playbook = PLAYBOOK.replace('{name: backend, file: "{{ playbook_dir }}/log"}', source)
        found = json.loads(play(tmp_path, "-e", "output=json", playbook=playbook))
        assert sorted(line["text"] for line in found) == ["********", "********", "of 1", "of 2"]
        assert [line["time"] for line in found] == sorted(line["time"] for line in found)
    finally:
        docker("rm", "--force", f"{LABEL}-1", f"{LABEL}-2")
