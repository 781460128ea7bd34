# SPDX-License-Identifier: GPL-3.0-or-later
"""A session on a real database as an operator opens it: with a terminal, with a statement, through a real sshd."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Postgres
from support.orphans import Sshd, descendants, sshd, wait_until
from support.playbook import Terminal, play, stays

pytestmark = pytest.mark.once
PLAYBOOK = """\
- name: "PSQL: a session"
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Open it
      slipway.deploy.session:
        program: "{{ program | default('psql') }}"
        label: shop-test
        access: "{{ access | default('read-only') }}"
        login: "{{ login }}"
        options: {sql: "{{ sql | default('') }}"}
"""
PROMPT = "shop-test read-only postgres=# "
SETTING = "SHOW default_transaction_read_only"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the session's file lies as long as there is one; a tunnel's directory is in /tmp."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def told(server: Postgres, **more: object) -> tuple[str, str]:
    return "-e", json.dumps({"login": server.login("postgres"), **more})


def run(home: Path, server: Postgres, code: int = 0, *flags: str, **more: object) -> str:
    temporary = {"TMPDIR": str(home / "temporary")}
    return play(home, *told(server, **more), *flags, playbook=PLAYBOOK, code=code, **temporary)


def test_a_statement_is_run_and_its_exit_status_counts(tmp_path: Path, postgres: Postgres, temporary: Path) -> None:
    assert " on\n" in run(tmp_path, postgres, sql=SETTING)
    assert " off\n" in run(tmp_path, postgres, sql=SETTING, access="owner")
    refused = run(tmp_path, postgres, 1, sql="CREATE TABLE never ()")
    assert "ERROR:  cannot execute CREATE TABLE in a read-only transaction" in refused
    assert postgres.execute("SELECT to_regclass('never')") == [(None,)]
    assert list(temporary.iterdir()) == []


def test_verbosely_it_gives_no_password_away(tmp_path: Path, postgres: Postgres, temporary: Path) -> None:
    assert postgres.password not in run(tmp_path, postgres, 0, "-vvv", sql=SETTING)


def test_check_mode_says_what_it_would_open(tmp_path: Path, postgres: Postgres, temporary: Path) -> None:
    printed = run(tmp_path, postgres, 0, "--check", sql="CREATE TABLE never ()")
    assert printed == "Would open psql on shop-test, read-only.\nlocalhost: ok=1 changed=0 failed=0\n"
    assert list(temporary.iterdir()) == []


def cancel(terminal: Terminal) -> None:
    """Do what the terminal does at Ctrl-C, and wait for what psql makes of it."""
    terminal.seen = ""
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert "canceling statement due to user request" in terminal.until(PROMPT)


def test_a_terminal_gets_a_session(tmp_path: Path, postgres: Postgres, temporary: Path) -> None:
    environ = {"NO_COLOR": "1", "TMPDIR": str(temporary), "PAGER": "cat"}
    terminal = Terminal(tmp_path, *told(postgres), playbook=PLAYBOOK, **environ)
    terminal.until(PROMPT)
    assert list(temporary.iterdir()) == []
    os.write(terminal.master, b"SELECT pg_sleep(600);\n")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600);' AND state = 'active'"
    wait_until(lambda: postgres.execute(sleeping) == [(1,)])
    seen = stays(terminal.seen)
    assert f"shop-test, read-only: psql 'host={postgres.socket_dir} port=5432 user=postgres dbname=postgres'" in seen
    cancel(terminal)
    os.write(terminal.master, b"SELECT 40 + 2;\n")
    assert "42" in terminal.until("(1 row)")
    os.write(terminal.master, b"\\q\n")
    assert terminal.end() == 0


# Through a host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def test_through_ssh_the_database_is_reached_by_a_tunnel(
    tmp_path: Path, postgres: Postgres, temporary: Path, host: Sshd
) -> None:
    where = "SELECT application_name, pid IS NOT NULL FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    printed = run(tmp_path, postgres, sql=where, **host.variables)
    assert "slipway read-only | t" in printed
    assert run(tmp_path, postgres, 1, sql="CREATE TABLE never ()", **host.variables).count("ERROR:") == 1
    wait_until(lambda: descendants(host.pid) == [])
    assert list(temporary.iterdir()) == []


def test_through_ssh_ctrl_c_is_psqls(tmp_path: Path, postgres: Postgres, temporary: Path, host: Sshd) -> None:
    environ = {"NO_COLOR": "1", "TMPDIR": str(temporary), "PAGER": "cat"}
    terminal = Terminal(tmp_path, *told(postgres, **host.variables), playbook=PLAYBOOK, **environ)
    terminal.until(PROMPT)
    os.write(terminal.master, b"SELECT pg_sleep(601);\n")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(601);' AND state = 'active'"
    wait_until(lambda: postgres.execute(sleeping) == [(1,)])
    cancel(terminal)
    os.write(terminal.master, b"SELECT 40 + 2;\n")
    assert "42" in terminal.until("(1 row)")
    os.close(terminal.master)  # the terminal is gone, and so is all that was in it
    terminal.process.wait(60)
    wait_until(lambda: descendants(host.pid) == [])


def test_through_ssh_the_studio_has_its_pages_and_ends_with_ctrl_c(
    tmp_path: Path, postgres: Postgres, temporary: Path, host: Sshd
) -> None:
    environ = {"NO_COLOR": "1", "TMPDIR": str(temporary)}
    arguments = told(postgres, program="studio", **host.variables)
    terminal = Terminal(tmp_path, *arguments, playbook=PLAYBOOK, **environ)
    found = re.search(r"http://\S+", terminal.until("Ctrl-C."))
    assert found, terminal.seen
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
    with browser.open(found[0], timeout=60) as page:
        assert "read-only, as postgres" in page.read().decode()
    assert descendants(host.pid)
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 0
    assert "The studio has ended." in stays(terminal.seen)
    wait_until(lambda: descendants(host.pid) == [])


def test_a_host_that_ssh_does_not_know_is_not_trusted(
    tmp_path: Path, postgres: Postgres, temporary: Path, host: Sshd
) -> None:
    strict = {**host.variables, "ansible_ssh_args": "-o UserKnownHostsFile=/dev/null"}
    printed = run(tmp_path, postgres, 1, sql=SETTING, **strict)
    assert "The database can't be reached through host 127.0.0.1: " in printed
    assert "Host key verification failed.; it takes a key" in printed
