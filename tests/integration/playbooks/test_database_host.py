# SPDX-License-Identifier: GPL-3.0-or-later
"""The database's container and the backend's on hosts of their own: two inventory hosts, which share this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.environment import ROOT, Containers, free_port
from support.release import images

pytestmark = pytest.mark.container


class TwoHosts(Containers):
    """``state`` is the database host's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.state = self.directory / "database"
        inspect = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
        address = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.strip()
        inventory = self.directory / "inventory"
        shutil.copytree(ROOT / "test" / "group_vars", inventory / "group_vars")
        main = inventory / "group_vars" / "all" / "main.yml"
        main.write_text("".join(line for line in main.open() if not line.startswith("state_dir:")))
        common = {
            "ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "database_address": address, "database_port": free_port(),
        }  # fmt: skip
        web = {"state_dir": str(self.directory / "web"), "ansible_host": "192.0.2.7"}
        hosts = {
            "database": {"hosts": {"database": {"state_dir": str(self.state)}}}, "backend": {"hosts": {"web": web}},
        }  # fmt: skip
        (inventory / "hosts.yml").write_text(json.dumps({"all": {"vars": common, "children": hosts}}))
        self.inventory = str(inventory)

    @property
    def told(self) -> list[str]:
        words = super().told
        at = words.index(f"state_dir={self.state}")
        return [*words[: at - 1], *words[at + 1 :], "-e", f"project_dir={ROOT}"]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoHosts]:
    for name, image in images().items():
        monkeypatch.setenv(name, image)
    found = TwoHosts(Path(tempfile.mkdtemp(prefix="slipway-e2e-", dir="/tmp")))
    yield found
    found.play("playbooks/teardown.yml", delete_data=True, confirm="test", last_backup=False).succeeded()
    assert found.containers() == []
    shutil.rmtree(found.directory)


@pytest.mark.soak
def test_deployed_and_again(hosts: TwoHosts) -> None:
    first = hosts.deploy().succeeded()
    assert "Made the authority of the server's certificate" in first.output
    with urllib.request.urlopen(f"{hosts.url}/api/v1/teams", timeout=10) as answer:
        assert json.load(answer)["total"] == hosts.rows()["teams"] > 0
    sessions = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'autotest_app'"
    assert hosts.sql(sessions) == [(True,)]
    assert not (hosts.directory / "web" / "postgres").exists()
    assert "PRIVATE" not in (hosts.directory / "web" / "database" / "authority.pem").read_text()
    assert hosts.deploy().succeeded().recap["changed"] == 0
