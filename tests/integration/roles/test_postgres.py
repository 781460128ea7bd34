# SPDX-License-Identifier: GPL-3.0-or-later
"""Role postgres: what check mode tells of a server, and that none ever takes the place of another one's data."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from support.release import ansible

HERE = Path(__file__).parent
NAME = "slipway-test-postgres"
IMAGE = os.environ.get("SLIPWAY_POSTGRES_IMAGE", "slipway-standin/postgres:15")


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Site:
    """One server and its state directory; ``arguments`` are those of a good run."""

    state: Path
    arguments: dict[str, Any]

    def run(self, *flags: str, **more: object) -> str:
        """Run the role and return what it wrote."""
        variables = {"run_name": NAME, "run_state": str(self.state), **self.arguments, **more}
        done = ansible(
            self.state, "ansible-playbook", "-i", "localhost,", "-c", "local", *flags,
            "--extra-vars", json.dumps(variables), str(HERE / "postgres.yml"),
        )  # fmt: skip
        return " ".join((done.stdout + done.stderr).split())

    def remove(self, **more: object) -> str:
        return self.run(run_verb="absent", **more)

    @property
    def identity_file(self) -> Path:
        return self.state / "database.json"


@pytest.fixture
def embedded(request: pytest.FixtureRequest) -> Iterator[Site]:
    version = request.config.getoption("--pg-version")
    state = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    site = Site(state, {"run_runtime": "embedded", "run_version": version, "run_image": ""})
    yield site
    site.remove(run_delete=True)
    shutil.rmtree(state)


def test_embedded(embedded: Site) -> None:
    assert "reachable=False known=False created=unset" in embedded.run("--check")
    assert "reachable=True known=True created=True" in embedded.run()
    found = embedded.run("--check", run_settings={"max_connections": 30})
    assert "Stopped the server" in found or "changed=1 " in found
    assert "reachable=True known=True created=False" in found

    embedded.remove()
    assert "reachable=False known=True created=unset" in embedded.run("--check")

    data = embedded.state / "postgres" / "data"
    data.rename(embedded.state / "elsewhere")
    for flags in ([], ["--check"]):
        assert f"{embedded.identity_file} remembers this environment's server but its data, {data}, is not there" in (
            embedded.run(*flags)
        )
        assert not data.exists()
    (embedded.state / "elsewhere").rename(data)
    assert "reachable=True known=True created=False" in embedded.run()

    embedded.remove(run_delete=True)
    assert not list(embedded.state.glob("[!.]*")), "nothing is left but Ansible's own"


@pytest.fixture
def container() -> Iterator[Site]:
    major = int(IMAGE.rpartition(":")[2])
    state = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    docker("network", "create", NAME)
    site = Site(state, {"run_runtime": "container", "run_version": major, "run_image": IMAGE})
    yield site
    site.remove(run_delete=True)
    docker("network", "rm", NAME)
    shutil.rmtree(state)


HOST, CLIENT, STRANGER = "198.51.100.1", "198.51.100.2", "198.51.100.3"
CONNECT = """
import sys, psycopg2
opened = psycopg2.connect(sys.argv[1], connect_timeout=10)
cursor = opened.cursor()
cursor.execute("SELECT inet_client_addr(), ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
print(*cursor.fetchone())
"""


@pytest.fixture
def other_host() -> Iterator[str]:
    """A network namespace, which reaches this host over a network of the two, and has two addresses there."""
    name = "slipway-test"
    for words in (
        ["netns", "add", name],
        ["link", "add", "slipway-test0", "type", "veth", "peer", "name", "slipway-test1", "netns", name],
        ["address", "add", f"{HOST}/24", "dev", "slipway-test0"],
        ["link", "set", "slipway-test0", "up"],
        ["-n", name, "address", "add", f"{CLIENT}/24", "dev", "slipway-test1"],
        ["-n", name, "address", "add", f"{STRANGER}/24", "dev", "slipway-test1"],
        ["-n", name, "link", "set", "slipway-test1", "up"],
    ):
        subprocess.run(["ip", *words], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)  # and with it both ends of the cable


@pytest.mark.container
def test_a_container_for_other_hosts(container: Site, other_host: str) -> None:
    given = {"run_address": HOST, "run_clients": [CLIENT]}
    authority = container.state / "authority.pem"

    def come(source: str = CLIENT, role: str = "app_app", password: str = "the-application's", **more: str) -> str:
        """What the server says of a session from the other host, or why there is none."""
        options = {"sslmode": "verify-full", "sslrootcert": str(authority), **more}
        words = [
            f"host={HOST} port=15432 dbname=app user={role}",
            *(f"{key}={value}" for key, value in options.items()),
        ]
        words.append(f"password={password}".replace("'", "\\'"))
        route = ["route", "replace", f"{HOST}/32", "dev", "slipway-test1", "src", source]
        subprocess.run(["ip", "-n", other_host, *route], check=True)
        done = subprocess.run(
            ["ip", "netns", "exec", other_host, sys.executable, "-c", CONNECT, " ".join(words)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]

    assert "created=True" in container.run(**given)
    assert come() == f"{CLIENT} True"
    assert "pg_hba.conf rejects connection" in come(sslmode="disable")
    assert "pg_hba.conf rejects connection" in come(STRANGER)
    assert "pg_hba.conf rejects connection" in come(role="app_owner", password="the-owner's")
    assert "pg_hba.conf rejects connection" in come(role="postgres", password="the-superuser's")
    assert "password authentication failed" in come(password="x")
    own = {"host": str(container.state / "run"), "user": "postgres", "password": "the-superuser's", "dbname": "app"}
    with contextlib.closing(psycopg2.connect(**own)) as opened, opened, opened.cursor() as cursor:
        cursor.execute("CREATE ROLE app_app_b LOGIN PASSWORD 'b' IN ROLE app_app")
    assert come(role="app_app_b", password="b") == f"{CLIENT} True"
    assert "PRIVATE" not in authority.read_text()
    tls = container.state / "postgres" / "tls"
    assert {path.name: path.stat().st_mode & 0o777 for path in tls.iterdir()} == dict.fromkeys(
        ("address", "authority.key", "authority.pem", "server.pem"), 0o600
    )
    assert "BEGIN PRIVATE" not in docker("logs", NAME)
    for flags in (["--check"], []):
        assert "changed=0 " in container.run(*flags, **given)

    # The certificate is renewed under way: no restart, and the same authority.
    (tls / "server.pem").unlink()
    before = (authority.read_text(), docker("container", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", NAME))
    assert "changed=1 " in container.run("--check", **given)
    assert "changed=1 " in container.run(**given)
    assert come() == f"{CLIENT} True"
    assert (
        authority.read_text(),
        docker("container", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", NAME),
    ) == before
    # Others are let in, and who was is not any more.
    assert "changed=1 " in container.run(**{**given, "run_clients": [f"{STRANGER}/32"]})
    assert come(STRANGER) == f"{STRANGER} True"
    assert "pg_hba.conf rejects connection" in come()
    authority.unlink()
    assert "failed=0" in container.remove(run_delete=True, **given)
    assert not list(container.state.glob("[!.]*"))


@pytest.mark.container
def test_container(container: Site) -> None:
    major = container.arguments["run_version"]
    assert "reachable=False known=False created=unset" in container.run("--check")
    assert "reachable=True known=True created=True" in container.run()
    # The administrator comes over the socket alone; the other roles come over the network that the backend is on.
    address = docker(
        "container", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", NAME
    )
    own = {"user": "postgres", "password": "the-superuser's", "dbname": "app"}
    with pytest.raises(psycopg2.OperationalError, match="rejects connection for host"):
        psycopg2.connect(host=address, **own)
    psycopg2.connect(host=str(container.state / "run"), **own).close()
    psycopg2.connect(host=address, user="app_app", password="the-application's", dbname="app").close()
    assert "changed=0 " in container.run()
    server = docker("container", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", NAME)
    host = json.loads(docker("container", "inspect", NAME))[0]["HostConfig"]
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    added = {capability.removeprefix("CAP_") for capability in host["CapAdd"]}
    assert added == {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
    assert (host["Memory"], host["PidsLimit"]) == (2 * 2**30, 1024)
    assert host["LogConfig"]["Config"]["max-size"] == "50m"
    assert (host["ReadonlyRootfs"], host["Tmpfs"]) == (True, {"/tmp": ""})
    assert "the-superuser's" not in docker("container", "inspect", NAME)
    secret = container.state / "postgres-secrets" / "superuser-password"
    assert (secret.stat().st_mode & 0o777, secret.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    # One that would be replaced still answers, so that a run in check mode can tell what is pending.
    found = container.run("--check", run_settings={"max_connections": 30})
    assert "changed=1 " in found
    assert "reachable=True known=True created=False" in found

    for flags in (["--check"], []):
        assert (
            f"This environment's database lives on PostgreSQL {major} but {major + 1} is wanted: nothing was "
            f"changed; go back to {major} (of a container to its image), take a backup, and restore it "
            "into a new environment."
        ) in container.run(*flags, run_version=major + 1)
    assert docker("container", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", NAME) == server
    assert docker("volume", "ls", "--quiet", "--filter", f"name={NAME}") == f"{NAME}-{major}"

    # One of a version before is replaced on the same data, and it is told why.
    docker("rm", "--force", NAME)
    docker(
        "run", "--detach", "--name", NAME, "--network", NAME, "--stop-signal", "SIGINT",
        "--env", "POSTGRES_PASSWORD=the-superuser's", "--volume", f"{NAME}-{major}:/var/lib/postgresql/data",
        "--volume", f"{container.state}/run:/var/run/postgresql", IMAGE,
    )  # fmt: skip
    secret.unlink()
    replaced = f"Saw that container {NAME} has the superuser's password in its environment: it is replaced by one that"
    for flags in (["--check"], []):
        found = container.run(*flags, "-v")
        assert replaced in found
        assert f"Wrote {secret}, from which" in found
    assert "reachable=True known=True created=False" in found
    assert "the-superuser's" not in found + docker("container", "inspect", NAME)
    psycopg2.connect(host=str(container.state / "run"), **own).close()
    assert "changed=0 " in container.run()

    docker("stop", NAME)
    assert "reachable=False known=True created=unset" in container.run("--check")

    container.remove()
    assert "reachable=False known=True created=unset" in container.run("--check")
    docker("volume", "rm", f"{NAME}-{major}")
    for flags in (["--check"], []):
        assert f"but its data, the volume {NAME}-{major}, is not there, and an empty server" in container.run(*flags)
    assert docker("volume", "ls", "--quiet", "--filter", f"name={NAME}") == ""

    # As left behind by a version before; and a neighbour's.
    docker("volume", "create", f"{NAME}-12")
    docker("volume", "create", f"{NAME}-12-mine")
    assert "failed=0" in container.remove(run_delete=True)
    assert docker("volume", "ls", "--quiet", "--filter", f"name={NAME}") == f"{NAME}-12-mine"
    docker("volume", "rm", f"{NAME}-12-mine")
    assert not list(container.state.glob("[!.]*")), "nothing is left but Ansible's own"
