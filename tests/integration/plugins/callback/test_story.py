# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failing run prints, word for word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[4]
PLAYBOOK = """\
- name: Fail in every way
  hosts: localhost
  gather_facts: false
  tasks:
    - name: A sentence of two lines
      ansible.builtin.fail:
        msg: "{{ 'The first line:' ~ line }}  2 | the second, with its blanks"
      vars:
        line: "\\n"
      ignore_errors: true # each task here fails, for the way in which that is told to be seen
    - name: An assertion
      ansible.builtin.assert:
        that: false
        fail_msg: It does not hold.
      ignore_errors: true
    - name: A module
      slipway.deploy.host_check:
        address: 127.0.0.1
        port: 0
        directory: /
      ignore_errors: true
    - name: A loop
      ansible.builtin.fail:
        msg: "No {{ item }}."
      loop: [one, two]
      ignore_errors: true
    - name: A secret
      ansible.builtin.fail:
        msg: password
      no_log: true
      ignore_errors: true
    - name: A command
      ansible.builtin.command: sh -c 'echo words >&2; exit 3'
      changed_when: true
"""
EXPECTED = """\
failed: [localhost] => A sentence of two lines
    The first line:
      2 | the second, with its blanks
...ignoring
failed: [localhost] => An assertion
    It does not hold.
...ignoring
failed: [localhost] => A module
    Port 0 does not exist: set a port from 1 to 65535.
...ignoring
failed: [localhost] => A loop (item=one)
    No one.
failed: [localhost] => A loop (item=two)
    No two.
failed: [localhost] => A secret
    What it said is hidden, since it may hold secrets.
...ignoring
failed: [localhost] => A command
    non-zero return code
    words
"""


ASKING = """\
- name: Ask
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Say whether it holds
      ansible.builtin.assert:
        that: holds | bool
        fail_msg: "It does not hold:{{ line }}since nothing does."
        success_msg: It holds.
      vars:
        line: "\\n"
        slipway_answer: true
    - name: What comes after an answer that is yes
      ansible.builtin.debug:
"""


def play(home: Path, *flags: str, playbook: str = PLAYBOOK, code: int = 2) -> str:
    (home / "play.yml").write_text(playbook)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local",
         "-e", f"ansible_python_interpreter={sys.executable}", *flags, str(home / "play.yml")],
        cwd=ROOT, env={"PATH": os.environ["PATH"], "HOME": str(home), "ANSIBLE_NOCOLOR": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


def test_a_failure_is_its_sentence(tmp_path: Path) -> None:
    output = play(tmp_path)
    told = "".join(
        f"{line}\n" for line in output.splitlines() if line.startswith(("failed", "    ", "...", "fatal", "[ERROR]"))
    )
    assert told == EXPECTED, output


def test_verbose_output_is_ansibles_own(tmp_path: Path) -> None:
    output = play(tmp_path, "-v")
    assert "fatal: [localhost]: FAILED! =>" in output
    assert "failed: [localhost] => A" not in output


def test_an_answer_that_is_no_is_no_failure_to_look_at(tmp_path: Path) -> None:
    """A script sees it by the exit status."""
    no = play(tmp_path, "-e", "holds=false", playbook=ASKING)
    told = "answer: [localhost] => Say whether it holds\n    It does not hold:\n    since nothing does.\n"
    assert told in no
    assert "failed: " not in no
    assert "[ERROR]" not in no
    assert "ok=1 " in no
    assert "failed=0 " in no
    assert "What comes after" not in no

    verbose = play(tmp_path, "-v", "-e", "holds=false", playbook=ASKING)
    assert "fatal: [localhost]: FAILED! =>" in verbose
    assert "failed=1 " in verbose

    yes = play(tmp_path, "-e", "holds=true", playbook=ASKING, code=0)
    assert "msg: It holds." in yes
    assert "ok=2 " in yes
    assert "failed=0 " in yes
