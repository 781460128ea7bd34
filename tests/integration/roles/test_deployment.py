# SPDX-License-Identifier: GPL-3.0-or-later
"""One run is one record in the ledger, whichever of several hosts fails, and the lock is given back once."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.revision import revision
from support.orphans import alive, orphaned, sshd, wait_until
from support.receiver import receiving
from support.release import ansible, ansible_started, free_port, get, load

pytestmark = pytest.mark.once
KILLED = int(os.environ.get("SLIPWAY_KILLED", "1"))
HERE = Path(__file__).parent
SERVE = [sys.executable, "-m", "http.server", "--bind", "{host}", "{port}"]
CRASH = [sys.executable, "-c", "raise SystemExit('the cellar is flooded: of hunter2-secret')"]


@dataclass
class Site:
    """A database host that keeps the ledger, and two hosts with a backend; all are this machine."""

    home: Path
    ports: tuple[int, int]
    connection: dict[str, object] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.home / "state"

    def run(self, *commands: list[str], **second: object) -> subprocess.CompletedProcess[str]:
        return ansible(self.home, *self.command(*commands, **second))

    def command(self, *commands: list[str], **second: object) -> list[str]:
        """The program and its arguments; the hosts run ``commands``, and the ``second`` has variables of its own."""
        backends = {
            name: {
                "backend_state_dir": str(self.home / name),
                "backend_port": port,
                "backend_command": command,
            }
            for name, port, command in zip(("one", "two"), self.ports, commands, strict=True)
        }
        backends["two"].update(second)
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "backend_runtime": "process",
            "backend_directory": str(self.home),
            "backend_health_path": "/",
            "backend_start_timeout": 10,
            "deployment_host": "{{ groups['database'] | first }}",
            "deployment_directory": str(self.state),
            "deployment_application": "shop",
            "deployment_environment": "test",
            "deployment_source": str(HERE),
            # One that can't be read keeps no record from being written.
            "deployment_secrets": ["shop_environment", "shop_password", "shop_lost", "shop_missing"],
            "shop_environment": {"SHOP_URL": "https://me:{{ shop_password }}@shop.example.com/"},
            "shop_password": "hunter2-secret",
            "shop_lost": "{{ there_is_no_such }}",
            "deployment_facts": {"ledger": "of {{ inventory_hostname }}"},
            "deployment_records": str(self.home / "runs"),
            **self.connection,
        }
        inventory = self.home / "hosts.json"
        groups = {"database": {"hosts": {"db": {}}}, "backend": {"hosts": backends}}
        inventory.write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
        return ["ansible-playbook", "-i", str(inventory), str(HERE / "deployment.yml")]

    def service(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / name / "backend" / "state.json").read_text())
        return found

    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.state / "deployments.jsonl").read_text().splitlines()]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield Site(tmp_path, (free_port(), free_port()))
    for name in ("one", "two"):
        directory = str(tmp_path / name / "backend")
        arguments = json.dumps({"directory": directory, "state": "absent"})
        done = ansible(tmp_path, "ansible", "localhost", "-m", "slipway.deploy.process", "-a", arguments)
        assert not done.returncode, done.stdout


def statuses(record: dict[str, Any]) -> dict[str, str]:
    return {phase["host"]: phase["status"] for phase in record["phases"]}


def test_run_of_several_hosts(site: Site) -> None:
    with receiving() as (place, told):
        site.connection["deployment_receivers"] = [f"json://{place}/s3cret", "json://127.0.0.1:9/s3cret"]
        run_of_several_hosts(site)
    assert [each["title"] for each in told] == [
        "shop/test: deploy failed",
        "shop/test: deploy failed",
        "shop/test: deploy succeeded, after a run that failed",
    ]
    assert "two: The new process did not get healthy" in told[0]["message"]
    assert "hunter2" not in told[0]["message"]
    assert f"record      {site.state}/deployments.jsonl" in told[2]["message"]


@pytest.mark.parametrize("lost", [False, True], ids=["fails", "cannot_be_reached"])
def test_hosts_of_a_later_batch_stay_as_they_are(site: Site, lost: bool) -> None:
    site.connection["test_batches"] = [["two"], ["one"]]
    fault = {"ansible_connection": "{{ 'local' if phase_name is not defined else 'ssh' }}", "ansible_port": 1}
    done = site.run(SERVE, SERVE if lost else CRASH, **(fault if lost else {}))
    assert done.returncode
    assert not (site.home / "one" / "backend").exists()
    [record] = site.ledger()
    assert (record["status"], record["failed_phase"]) == ("failed", "release")
    assert record["error"].startswith("two can't be reached any more" if lost else "two: The new process did not")
    assert not site.run(SERVE, SERVE).returncode
    assert site.ledger()[-1]["status"] == "succeeded"
    first, second = sorted(site.ledger()[-1]["phases"], key=lambda phase: phase["started"])
    assert [first["host"], second["host"]] == ["two", "one"]
    begun = [datetime.datetime.fromisoformat(phase["started"]).timestamp() for phase in (first, second)]
    assert begun[0] + first["seconds"] <= begun[1] + 0.1  # which are rounded


def run_of_several_hosts(site: Site) -> None:
    done = site.run(SERVE, CRASH)
    said = " ".join((done.stdout + done.stderr).split())
    assert "Receiver 2 (json) was not told: A Connection error occurred" in said
    assert "s3cret" not in done.stdout + done.stderr
    assert done.returncode
    (record,) = site.ledger()
    assert (record["status"], record["failed_phase"]) == ("failed", "release")
    assert record["error"].startswith("two: The new process did not get healthy")
    assert "the cellar is flooded" in record["error"]
    assert "one:" not in record["error"]
    [here] = (site.home / "runs").glob("*.json")
    assert json.loads(here.read_text()) == record
    for file in (site.state / "deployments.jsonl", here, here.with_suffix(".html")):
        assert "the cellar is flooded: of ********" in file.read_text()
        assert "hunter2" not in file.read_text()
    assert record["facts"] == {"ledger": "of db"}
    assert statuses(record) == {"one": "stopped", "two": "failed"}
    assert record["revision"] == revision(str(HERE))
    assert not (site.state / "lock.json").exists()
    assert len(re.findall("^fatal: .*failed in phase release", done.stdout, re.MULTILINE)) == 1
    assert "taken from this run" not in done.stdout + done.stderr

    assert site.run(CRASH, CRASH).returncode
    error = site.ledger()[-1]["error"]
    assert error.count("the cellar is flooded") == 2
    assert "one: The new" in error
    assert "two: The new" in error

    done = site.run(SERVE, SERVE)
    assert not done.returncode, done.stdout
    assert len(site.ledger()) == 3
    assert (site.ledger()[-1]["status"], statuses(site.ledger()[-1])) == ("succeeded", {"one": "ok", "two": "ok"})
    assert site.ledger()[-1]["revision"] == record["revision"]


def test_host_that_is_lost_is_recorded(site: Site) -> None:
    assert not site.run(SERVE, SERVE).returncode
    lost = {"ansible_connection": "{{ 'local' if phase_name is not defined else 'ssh' }}", "ansible_port": 1}
    done = site.run(SERVE, SERVE, **lost, ansible_host="127.0.0.1")
    assert done.returncode
    assert "UNREACHABLE" in done.stdout
    record = site.ledger()[-1]
    assert (len(site.ledger()), record["status"], statuses(record)) == (2, "failed", {"one": "stopped"})
    assert record["error"] == "two can't be reached any more; see Ansible's own words above."
    assert not (site.state / "lock.json").exists()


def serve(site: Site, release: str) -> list[str]:
    """A release that answers with its own name."""
    directory = site.home / release
    directory.mkdir(exist_ok=True)
    (directory / "healthz").write_text(release)
    return [*SERVE[:-1], "--directory", str(directory), "{port}"]


@pytest.mark.soak
@pytest.mark.parametrize("connection", ["local", "ssh"])
def test_run_killed_in_the_drain_does_not_stop_the_next_release(site: Site, connection: str) -> None:
    """A killed controller's module lives on; the second run ends it, and exactly the newest release serves."""
    with contextlib.ExitStack() as stack:
        host = 0
        if connection == "ssh":
            server = stack.enter_context(sshd(site.home))
            site.connection, host = server.variables, server.pid
        assert not site.run(serve(site, "first"), serve(site, "first")).returncode
        first = site.service("one")["app"]
        stack.enter_context(socket.create_connection(("127.0.0.1", site.ports[0])))  # has the first release drained
        killed = ansible_started(site.home, *site.command(serve(site, "second"), serve(site, "second")))
        wait_until(lambda: site.service("one")["app"] != first and site.service("one")["spare"])
        with orphaned(killed, host) as left:
            done = site.run(serve(site, "third"), serve(site, "third"))
            assert not done.returncode, done.stdout
            served = [site.service(name) for name in ("one", "two")]
            assert not any(map(alive, left)), done.stdout
        assert [get(port)[2] for port in site.ports] == ["third", "third"]
        assert [site.service(name) for name in ("one", "two")] == served
        assert [service["spare"] for service in served] == [[], []]
        assert [record["status"] for record in site.ledger()] == ["succeeded", "interrupted", "succeeded"]


@pytest.mark.parametrize("connection", ["local", "ssh"] if KILLED > 1 else ["local"])
def test_runs_killed_at_any_moment(site: Site, connection: str) -> None:
    """Somebody answers all along, and each run after a killed one serves its own release, with nothing left over."""
    chance = random.Random(connection)
    with contextlib.ExitStack() as stack:
        if connection == "ssh":
            site.connection = stack.enter_context(sshd(site.home)).variables
        site.connection = {**site.connection, "backend_drain_timeout": 2}
        begun = time.monotonic()
        assert not site.run(serve(site, "first"), serve(site, "first")).returncode
        whole = time.monotonic() - begun
        asked = [stack.enter_context(load(port, 1)) for port in site.ports]
        for number in range(KILLED):
            killed = ansible_started(site.home, *site.command(*[serve(site, f"killed-{number}")] * 2))
            with contextlib.suppress(subprocess.TimeoutExpired):
                killed.wait(chance.uniform(0.3, 1) * whole)
            killed.kill()
            killed.wait()
            release = f"next-{number}"
            done = site.run(*[serve(site, release)] * 2)
            assert not done.returncode, (number, done.stdout)
            killed.communicate()
            assert [get(port)[2] for port in site.ports] == [release, release]
            assert [site.service(name)["spare"] for name in ("one", "two")] == [[], []]
            assert [each.failures for each in asked] == [[], []], number
    assert all(each.answers.total() > 0 for each in asked)
