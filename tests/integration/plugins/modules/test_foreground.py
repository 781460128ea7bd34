# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that has the terminal when the playbook has ended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.playbook import Terminal, play, stays

pytestmark = pytest.mark.once
PLAYBOOK = """\
- name: "RUN: something"
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Say what is run
      slipway.deploy.foreground:
        argv: "{{ argv }}"
        environment: {WORD: hello}
        directory: "{{ playbook_dir }}"
        message: Here it is.
    - name: Do more
      ansible.builtin.assert:
        that: well | default(true) | bool
        quiet: true
"""
ASK = """{argv: [bash, -c, "read answer; tty; echo $WORD $answer; pwd; exit 7"]}"""
END = "Here it is.\nlocalhost: ok=2 changed=0 failed=0\n"


def test_it_has_the_terminal_and_its_exit_status_is_that_of_the_run(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "-e", ASK, playbook=PLAYBOOK, NO_COLOR="1")
    terminal.until("ok=2")
    os.write(terminal.master, b"there\n")
    assert terminal.end() == 7
    assert "/dev/pts/" in terminal.seen
    assert stays(terminal.seen).startswith(END)
    assert stays(terminal.seen).endswith(f"hello there\n{tmp_path}\n")


@pytest.mark.parametrize("flags", [(), ("-v",)])
def test_without_a_terminal(tmp_path: Path, flags: tuple[str, ...]) -> None:
    count = "{argv: [bash, -c, 'ls $ANSIBLE_LOCAL_TEMP | wc -l; exit 7']}"
    temporary = {"ANSIBLE_LOCAL_TEMP": str(tmp_path / "temporary")}
    printed = play(tmp_path, *flags, "-e", count, playbook=PLAYBOOK, code=7, **temporary)
    assert printed.endswith("\n0\n")  # of Ansible's temporary files none is left


def test_a_run_that_failed_does_not_go_on(tmp_path: Path) -> None:
    assert "hello" not in play(tmp_path, "-e", ASK, "-e", "well=false", playbook=PLAYBOOK, code=2)


def test_check_mode_says_what_would_run(tmp_path: Path) -> None:
    printed = play(tmp_path, "--check", "-e", "{argv: [rm, -r, 'a b']}", playbook=PLAYBOOK)
    assert printed == "Would run: rm -r 'a b'\nlocalhost: ok=2 changed=0 failed=0\n"


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    printed = play(tmp_path, "-e", "{argv: [no-such-program]}", playbook=PLAYBOOK, code=127)
    assert printed == END + "no-such-program can't be run: No such file or directory.\n"


def test_another_callback_is_told_what_is_needed(tmp_path: Path) -> None:
    printed = play(tmp_path, "-e", ASK, playbook=PLAYBOOK, code=2, ANSIBLE_STDOUT_CALLBACK="default")
    assert "ANSIBLE_STDOUT_CALLBACK=slipway.deploy.story" in printed
