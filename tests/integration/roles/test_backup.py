# SPDX-License-Identifier: GPL-3.0-or-later
"""The role backup, where the copy is made on a host behind SSH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Postgres
from support.backup import ROOT, Site
from support.orphans import Sshd, sshd

pytestmark = pytest.mark.once

PLAY = """
- hosts: db
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: slipway.deploy.backup}
    - ansible.builtin.copy: {content: "{{ backup_result }}", dest: "{{ result }}"}
"""


@dataclass
class Hosts:
    """The host of a database, and another one, behind SSH."""

    home: Path
    site: Site
    server: Sshd

    def play(self, there: dict[str, object] | None = None) -> tuple[str, dict[str, Any]]:
        """What was printed, and the role's result."""
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        proving = {**self.server.variables, "ansible_python_interpreter": sys.executable, **(there or {})}
        inventory = {"all": {"hosts": {"db": local, "proving": proving}}}
        variables = {
            "backup_login": self.site.postgres.login(self.site.database),
            "backup_directory": str(self.site.directory), "backup_application": "autotest",
            "backup_environment": "test", "backup_bindir": str(self.site.postgres.bindir),
            "backup_proof_host": "proving", "backup_proof_bindir": str(self.site.postgres.bindir),
            "result": str(self.home / "result"),
        }  # fmt: skip
        for name, content in (("hosts.json", inventory), ("variables.json", variables)):
            (self.home / name).write_text(json.dumps(content))
        (self.home / "play.yml").write_text(PLAY)
        (self.home / "result").write_text("{}")
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts.json", "-e", "@variables.json",
             "play.yml"],
            cwd=self.home, env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr, json.loads((self.home / "result").read_text())


@pytest.fixture
def hosts(postgres: Postgres, tmp_path: Path) -> Iterator[Hosts]:
    site = Site(postgres, postgres.database(), tmp_path / "state" / "backups")
    with sshd(tmp_path) as server:
        yield Hosts(tmp_path, site, server)


def test_a_backup_is_proved_on_the_other_host(hosts: Hosts) -> None:
    hosts.site.execute("CREATE TABLE t AS SELECT generate_series(1, 10) AS x")
    said, found = hosts.play()
    assert found.get("backup", {}).get("proved"), said
    assert " on a server of its own at proving and compared 1 table, 10 rows" in " ".join(found["actions"])
    places = [hosts.site.directory / "throwaway", hosts.home / "state" / "proof" / "throwaway"]
    assert [place for place in places if place.exists()] == []
    assert (hosts.home / "state" / "proof").is_dir()  # it was there


def test_a_host_that_can_t_be_reached(hosts: Hosts) -> None:
    said, found = hosts.play(there={"ansible_port": 1})
    assert "No backup was taken, since its copy can't be made on proving: it can't be reached (" in " ".join(
        said.split()
    )
    assert (found, hosts.site.files(), hosts.site.databases()) == ({}, [], [])
