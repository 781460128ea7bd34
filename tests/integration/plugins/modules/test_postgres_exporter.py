# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's exporter on a host with systemd: what it serves, when it is restarted, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible as ansible_package
import psycopg2
import pytest
from support.modules import MODULES, result
from support.release import ROOT, ansible, docker, images

pytestmark = pytest.mark.container

PLAYBOOK = ROOT / "tests" / "integration" / "roles" / "monitoring.yml"
HOST = "slipway-test-exporter"
SERVER = f"{HOST}-postgres"
IMAGE = os.environ.get("SLIPWAY_POSTGRES_IMAGE", "slipway-standin/postgres:15")
NAME = "shop-test-postgres-exporter"
PASSWORD = 'a "monitor"\'s $pass`word\\ %n'
# A host as a deploy finds it: systemd, and what the modules need of its Python.
DOCKERFILE = """\
FROM {image}
USER root
RUN apt-get update -qq && apt-get install -qq --no-install-recommends systemd systemd-sysv python3-psycopg2 python3-apt
CMD ["/lib/systemd/systemd"]
"""


@dataclass(frozen=True)
class Site:
    """A host with systemd, and the state directory that it shares with a server in a container."""

    state: Path
    home: Path

    def play(self, *flags: str, **more: object) -> tuple[str, int]:
        """Run the role; what it wrote, and the number of tasks that changed something, or would."""
        variables = {
            "ansible_connection": "community.docker.docker", "ansible_python_interpreter": "/usr/bin/python3",
            "run_state": str(self.state), "run_name": NAME, "run_password": PASSWORD, "run_port": 9187, **more,
        }  # fmt: skip
        done = ansible(
            self.home,
            "ansible-playbook",
            "-i",
            f"{HOST},",
            *flags,
            "--extra-vars",
            json.dumps(variables),
            str(PLAYBOOK),
        )
        assert "failed=0" in done.stdout, done.stdout
        assert PASSWORD not in done.stdout + done.stderr
        return done.stdout, int(re.findall(r"changed=(\d+)", done.stdout)[-1])

    def module(
        self, *, name: str = NAME, password: str = PASSWORD, check: bool = False, **more: object
    ) -> dict[str, Any]:
        """Run the module alone on the host."""
        arguments = {
            "login_unix_socket": str(self.state / "run"), "login_user": "postgres", "login_password": "the-superuser's",
            "login_db": "shop", "service": name, "directory": str(self.state / name), "role": name,
            "role_password": password, **more,
        }  # fmt: skip
        done = subprocess.run(
            ["docker", "exec", "--interactive", "--env", "PYTHONPATH=/checkout/collections:/packages", HOST,
             "python3", "-B", "-m", f"{MODULES}.postgres_exporter"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check}}),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return result(done.stdout, arguments)

    def sql(self, statement: str, user: str = "postgres", password: str = "the-superuser's") -> list[tuple[Any, ...]]:
        opened = psycopg2.connect(host=str(self.state / "run"), user=user, password=password, dbname="shop")
        opened.autocommit = True
        try:
            with opened.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            opened.close()

    def roles(self) -> list[str]:
        return [name for (name,) in self.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE '%exporter' ORDER BY 1")]


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def server_answers() -> bool:
    """Over TCP: the temporary server of the first start listens on the socket alone."""
    command = ["docker", "exec", SERVER, "pg_isready", "--quiet", "--host=127.0.0.1"]
    return not subprocess.run(command, check=False).returncode


def metrics(port: int = 9187) -> str:
    ask = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}/metrics').read().decode())"
    return docker("exec", HOST, "python3", "-c", ask)


def show(name: str, what: str) -> str:
    return docker("exec", HOST, "systemctl", "show", "--value", f"--property={what}", name)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    tag = f"{HOST}-host"
    recipe = DOCKERFILE.format(image=images()["SLIPWAY_PYTHON_IMAGE"])
    subprocess.run(["docker", "build", "--quiet", "--tag", tag, "-"], input=recipe, text=True, check=True, timeout=600)
    # One that only root may enter, with a name that needs quoting wherever it is written.
    state, home = (Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp")) for prefix in ("slip way%-", "slipway-"))
    (state / "run").mkdir()
    docker(
        "run", "--detach", "--name", SERVER, "--network", "none", "--env", "POSTGRES_PASSWORD=the-superuser's",
        "--env", "POSTGRES_DB=shop", "--volume", f"{state}/run:/var/run/postgresql", IMAGE,
    )  # fmt: skip
    docker(
        "run", "--detach", "--name", HOST, "--tmpfs", "/run", "--tmpfs", "/run/lock",
        "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro", "--volume", f"{state}:{state}",
        "--volume", f"{ROOT}:/checkout:ro", "--volume", f"{Path(ansible_package.__file__).parent}:/packages/ansible:ro",
        "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined",
        "--security-opt", "apparmor=unconfined", tag,
    )  # fmt: skip
    made = Site(state, home)
    wait(server_answers)
    made.sql("REVOKE ALL ON DATABASE shop FROM PUBLIC")
    made.sql("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 3)")
    yield made
    docker("rm", "--force", "--volumes", HOST, SERVER)
    shutil.rmtree(state)
    shutil.rmtree(home)


def test_role(site: Site) -> None:
    said, changed = site.play("--check", run_installed=False)
    assert changed == 2
    assert "Would be installed: prometheus-postgres-exporter." in said
    assert site.roles() == []
    assert list(site.state.iterdir()) == [site.state / "run"]

    _said, changed = site.play(run_installed=False)
    assert changed > 0
    told = metrics()
    assert "\npg_up 1\n" in told
    assert re.search(r'^pg_stat_user_tables_n_live_tup\{datname="shop",relname="orders",.*\} 3$', told, re.MULTILINE)
    assert re.search(r"^pg_stat_user_tables_table_size_bytes\{.*\} 8192$", told, re.MULTILINE)
    assert "pg_exporter_last_scrape_error 0" in told
    # On the loopback interface alone, and no other service beside it.
    address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", HOST)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 9187), timeout=5)
    assert show("prometheus-postgres-exporter", "ActiveState") == "inactive"
    assert (show(NAME, "ActiveState"), show(NAME, "UnitFileState")) == ("active", "enabled")
    # The role reads no row; its password is in no file that others read and in no process list.
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        site.sql("SELECT FROM orders", NAME, PASSWORD)
    assert (site.state / NAME / "environment").stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in docker("exec", HOST, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")

    process = show(NAME, "MainPID")
    assert docker("exec", HOST, "stat", "--format=%U", f"/proc/{process}") != "root"
    assert site.play("--check")[1] == 0
    assert site.play()[1] == 0
    assert show(NAME, "MainPID") == process


def test_another_password(site: Site) -> None:
    process = show(NAME, "MainPID")
    expected = [
        f"Changed the password of role {NAME}.",
        f"Wrote {site.state / NAME / 'environment'}.",
        f"Restarted service {NAME} on port 9187.",
    ]
    assert site.module(password="another's", check=True)["actions"] == expected
    assert show(NAME, "MainPID") == process
    assert "\npg_up 1\n" in metrics()
    assert site.module(password="another's")["actions"] == expected
    assert show(NAME, "MainPID") != process
    assert "\npg_up 1\n" in metrics()
    assert site.module(password="another's")["changed"] is False


def test_what_was_cut_short_or_done_by_hand_is_put_right(site: Site) -> None:
    wanted = {"password": "another's"}
    # As when a run ended after it wrote the files.
    docker("exec", HOST, "sed", "-i", "s/^MemoryMax=.*/MemoryMax=1G/", f"/etc/systemd/system/{NAME}.service")
    assert site.module(**wanted)["actions"] == [
        f"Wrote /etc/systemd/system/{NAME}.service.",
        f"Restarted service {NAME} on port 9187.",
    ]
    docker("exec", HOST, "systemctl", "disable", "--now", "--quiet", NAME)
    site.sql(f'REVOKE CONNECT ON DATABASE shop FROM "{NAME}"')
    expected = [f"Granted {NAME} CONNECT on database shop.", f"Started service {NAME} on port 9187."]
    assert site.module(**wanted, check=True)["actions"] == expected
    assert site.module(**wanted)["actions"] == expected
    assert site.module(**wanted)["changed"] is False
    assert show(NAME, "UnitFileState") == "enabled"


def test_two_applications_on_one_host(site: Site) -> None:
    other = {"name": "store-test-postgres-exporter", "password": "the other's"}
    for check in (True, False):
        assert site.module(**other, check=check)["msg"].startswith(
            "Port 9187 on 127.0.0.1 is in use by another process"
        )
        assert site.roles() == [NAME], "nothing was changed"
    assert site.module(**other, port=9188)["exporter"] == {
        "service": "store-test-postgres-exporter", "url": "http://127.0.0.1:9188/metrics",
    }  # fmt: skip
    assert all("\npg_up 1\n" in metrics(port) for port in (9187, 9188))
    assert site.module(**other, state="absent")["changed"] is True
    assert site.roles() == [NAME]
    assert "\npg_up 1\n" in metrics()


def test_exporter_that_does_not_reach_the_database(site: Site) -> None:
    """It says what the service wrote, in which no password is."""
    other = {"name": "store-test-postgres-exporter", "password": "the other's", "port": 9188, "timeout": 2}
    docker("exec", HOST, "mv", "/usr/bin/prometheus-postgres-exporter", "/usr/bin/kept")
    docker("exec", HOST, "ln", "-s", "/bin/false", "/usr/bin/prometheus-postgres-exporter")
    said = site.module(**other)["msg"]
    assert said.startswith("Service store-test-postgres-exporter does not reach database 'shop' (")
    assert "Main process exited, code=exited, status=1/FAILURE" in said
    assert said.endswith("): see journalctl -u store-test-postgres-exporter.")
    assert "the other's" not in said
    docker("exec", HOST, "mv", "--force", "/usr/bin/kept", "/usr/bin/prometheus-postgres-exporter")
    assert site.module(**{**other, "timeout": 20})["changed"] is True
    assert "\npg_up 1\n" in metrics(9188)
    assert site.module(**other, state="absent")["changed"] is True


def test_absent(site: Site) -> None:
    """Where the server does not answer the role stays, which is told; the directory says so to a later call."""
    docker("stop", SERVER)
    for check in (True, False):
        found = site.module(state="absent", check=check)
        assert found["actions"] == [f"Stopped and removed service {NAME}."]
        [warning] = found["warnings"]
        said = warning["event"]["msg"]
        assert said.startswith(f"Role {NAME} stays for now, and the next deploy drops it: Can't connect to database")
        assert show(NAME, "LoadState") == ("loaded" if check else "not-found")
    assert (site.state / NAME).is_dir()
    docker("start", SERVER)
    wait(server_answers)
    assert site.roles() == [NAME]
    assert site.module(state="absent", check=True)["actions"] == [
        f"Took database shop from {NAME}.",
        f"Dropped role {NAME}.",
        f"Deleted {site.state / NAME}.",
    ]
    assert site.roles() == [NAME]
    assert site.play(run_verb="absent")[1] == 1
    assert site.roles() == []
    assert list(site.state.iterdir()) == [site.state / "run"]
    assert site.module(state="absent")["changed"] is False
