# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run prints, word for word."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from ansible.plugins.callback.default import CallbackModule as Default
from ansible_collections.slipway.deploy.plugins.callback.story import CallbackModule
from support.orphans import modules, wait_until
from support.playbook import Terminal, play, stays, words

pytestmark = pytest.mark.once
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
Fail in every way  FAILED, ignored: A sentence of two lines
    The first line:
      2 | the second, with its blanks
Fail in every way  FAILED, ignored: An assertion
    It does not hold.
Fail in every way  FAILED, ignored: A module
    Port 0 does not exist: set a port from 1 to 65535.
Fail in every way  FAILED, ignored: A loop (item=one)
    No one.
Fail in every way  FAILED, ignored: A loop (item=two)
    No two.
Fail in every way  FAILED, ignored: A secret
    What it said is hidden, since it may hold secrets.
Fail in every way  FAILED: A command
    non-zero return code
    words
Once that is put right: ansible-playbook PLAY -i localhost, -e …  (-v shows all that Ansible says)
localhost: ok=5 changed=0 failed=1 ignored=5
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


WELL = """\
- name: "(1/3) LOOK: at a host"
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Look | Read something
      ansible.builtin.command: "true"
      changed_when: false
- name: "(2/3) WRITE: what is to be written"
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Write | Write something
      ansible.builtin.copy:
        content: words
        dest: "{{ playbook_dir }}/written"
        mode: "0600"
    - name: Write | Say what is to be known
      ansible.builtin.debug:
        msg: Mind it.
    - name: Write | Look whether there is room
      remark:
    - name: Write | Say nothing
      ansible.builtin.debug:
        msg: hunter2
      no_log: true
- name: "(3/3) REST: nothing is due"
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Do nothing
      ansible.builtin.command: "false"
      when: false
"""
STORY = """\
(1/3) LOOK       done
(2/3) WRITE      changed
    Write something.
    Mind it.
    warning: It is nearly full.
(3/3) REST       nothing to do
localhost: ok=5 changed=1 failed=0
"""
WAITING = """\
- name: "(1/2) WAIT: for long"
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Wait | Sleep
      ansible.builtin.command: sleep {{ seconds }}
      changed_when: false
"""
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def test_a_failure_is_its_sentence(tmp_path: Path) -> None:
    assert words(tmp_path, play(tmp_path, playbook=PLAYBOOK, code=2)) == EXPECTED


def test_a_run_is_a_line_a_phase_and_nothing_else(tmp_path: Path) -> None:
    output = play(tmp_path, playbook=WELL)
    assert words(tmp_path, output) == STORY
    assert not CONTROL.search(output)
    assert all(len(line) == 80 for line in output.splitlines() if line.startswith("("))


def test_what_was_typed_is_what_is_to_be_typed_again(tmp_path: Path) -> None:
    told = play(tmp_path, playbook=PLAYBOOK, code=2, SLIPWAY_TYPED="make run ENV=test")
    assert "Once that is put right: make run ENV=test ARGS=…  (-v shows" in told


def test_a_variable_called_name_is_no_matter(tmp_path: Path) -> None:
    assert words(tmp_path, play(tmp_path, "-e", "name=add_orders", playbook=WELL)) == STORY
    assert "reserved name 'hosts'" in play(tmp_path, "-e", "hosts=a", playbook=WELL)


def test_colours_are_shown_off_a_terminal_where_they_are_asked_for(tmp_path: Path) -> None:
    coloured = play(tmp_path, playbook=WELL, ANSIBLE_NOCOLOR="0", ANSIBLE_FORCE_COLOR="1")
    assert "\x1b[1m(1/3) LOOK" in coloured
    assert words(tmp_path, re.sub(r"\x1b\[[0-9;]*m", "", coloured)) == STORY


def test_without_rich_the_words_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich/__init__.py").write_text("raise ImportError('it is not installed')")
    assert words(tmp_path, play(tmp_path, playbook=WELL, PYTHONPATH=str(tmp_path))) == STORY


def test_a_terminal_shows_what_runs_and_keeps_what_an_ordinary_log_does(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "-e", "seconds=2", playbook=WAITING, NO_COLOR="1")
    assert "(1/2) WAIT     Sleep" in terminal.until("Sleep  1 s")
    assert terminal.end() == 0
    assert words(tmp_path, stays(terminal.seen)) == "(1/2) WAIT       done\nlocalhost: ok=1 changed=0 failed=0\n"
    assert not re.search(r"\x1b\[[0-9;]*[1-9][0-9;]*m", terminal.seen)  # no colour


def test_an_interrupted_run_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "-e", "seconds=60", playbook=WAITING)
    # Not while Ansible forks: there Python drops what its handler raises (os.register_at_fork), whatever the callback.
    terminal.until("Sleep")
    wait_until(lambda: modules(terminal.process.pid))
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 99
    assert terminal.seen.rfind("\x1b[?25h") > terminal.seen.rfind("\x1b[?25l")
    assert words(tmp_path, stays(terminal.seen)).endswith("(1/2) WAIT       interrupted\n")


def test_a_story_that_can_not_be_told_is_told_by_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a version of Ansible whose results are other than they were."""
    seen = []
    monkeypatch.setattr(Default, "v2_runner_on_ok", lambda self, result: seen.append(result))
    CallbackModule().v2_runner_on_ok("no result")
    assert seen == ["no result"]


def test_verbose_output_is_ansibles_own(tmp_path: Path) -> None:
    output = play(tmp_path, "-v", playbook=PLAYBOOK, code=2)
    assert "fatal: [localhost]: FAILED! =>" in output
    assert "PLAY RECAP" in output
    assert "FAILED: A command" not in output


def test_an_answer_that_is_no_is_no_failure_to_look_at(tmp_path: Path) -> None:
    """A script sees it by the exit status."""
    no = play(tmp_path, "-e", "holds=false", playbook=ASKING, code=2)
    assert words(tmp_path, no) == (
        "Ask              no: It does not hold:\n"
        "                 since nothing does.\n"
        "localhost: ok=1 changed=0 failed=0\n"
    )

    verbose = play(tmp_path, "-v", "-e", "holds=false", playbook=ASKING, code=2)
    assert "fatal: [localhost]: FAILED! =>" in verbose
    assert "failed=1 " in verbose

    yes = play(tmp_path, "-e", "holds=true", playbook=ASKING)
    assert words(tmp_path, yes) == "It holds.\nHello world!\nlocalhost: ok=2 changed=0 failed=0\n"


RESCUED = """\
- name: Get over it
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Try
      block:
        - name: Something that fails
          ansible.builtin.fail:
            msg: It does not work.
      rescue:
        - name: Something else
          ansible.builtin.command: "true"
          changed_when: false
"""


def test_a_failure_that_a_run_got_over_is_no_reason_to_run_again(tmp_path: Path) -> None:
    assert words(tmp_path, play(tmp_path, playbook=RESCUED)) == (
        "Get over it      FAILED: Something that fails\n"
        "    It does not work.\n"
        "localhost: ok=1 changed=0 failed=0 rescued=1\n"
    )


def test_an_attempt_that_was_to_be_seen_to_fail_is_not_told(tmp_path: Path) -> None:
    itself = RESCUED.replace("      rescue:", "          vars: {slipway_tried: true}\n      rescue:")
    around = RESCUED.replace("      rescue:", "      vars: {slipway_tried: true}\n      rescue:")
    assert itself != around != RESCUED
    for tried in (itself, around):
        assert words(tmp_path, play(tmp_path, playbook=tried)) == "localhost: ok=1 changed=0 failed=0 rescued=1\n"
