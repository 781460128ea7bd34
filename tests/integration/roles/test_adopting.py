# SPDX-License-Identifier: GPL-3.0-or-later
"""A team on Prisma with docker compose goes over to Slipway and back: its volume, rows and history stay as they are.

Compose itself is not needed: its containers, network and volume have the names that it gives them.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.release import APP, ROOT, docker, free_port, get, images

pytestmark = [pytest.mark.once, pytest.mark.container]

# Of this project: shop-postgres-1 on the network shop_default, with the volume shop_pgdata.
PROJECT = "slipway-test-shop"
SERVER, CLIENT = f"{PROJECT}-postgres-1", f"{PROJECT}-backend-1"
NETWORK, VOLUME = f"{PROJECT}_default", f"{PROJECT}_pgdata"
PASSWORD = "the-password-of-compose"
OURS = f"{PROJECT}-test-postgres"
MIGRATIONS = {
    "20260101000000_init": "CREATE TABLE orders (id serial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());\n",
    "20260102000000_note": "ALTER TABLE orders ADD COLUMN note text;\n",
}
HISTORY = """
    CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz,
      migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz,
      started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count int NOT NULL DEFAULT 0);
"""
# The old backend: it writes all along, logging in as the only role that compose made, by the name that compose gave.
WRITES = """
    while :; do
      PGCONNECT_TIMEOUT=10 psql -qAt -h postgres -U shop shop -c "INSERT INTO orders DEFAULT VALUES" >/dev/null 2>&1 \
        && echo "ok $(date +%s.%N)" || echo "failed $(date +%s.%N)"
      sleep 0.2
    done
"""


@dataclass
class Team:
    """The compose project, and the inventory with which it goes over to Slipway."""

    home: Path
    image: str
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        """As ``docker compose up`` does."""
        docker(
            "run", "--detach", "--name", SERVER, f"--network={NETWORK}", "--network-alias=postgres",
            f"--volume={VOLUME}:/var/lib/postgresql/data", "--env=POSTGRES_USER=shop", "--env=POSTGRES_DB=shop",
            f"--env=POSTGRES_PASSWORD={PASSWORD}", self.image,
        )  # fmt: skip
        self.until(lambda: self.sql(SERVER, "SELECT 1") == "1")

    def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def sql(self, container: str, text: str) -> str:
        """The answer to a statement as the role of compose, over the socket; '' while there is none."""
        command = [
            "docker",
            "exec",
            "-i",
            f"--env=PGPASSWORD={PASSWORD}",
            container,
            "psql",
            "-qAt",
            "-U",
            "shop",
            "shop",
        ]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def from_the_network(self, text: str) -> str:
        """The answer to a statement as the role of compose, from another container; or why there is none."""
        done = subprocess.run(
            ["docker", "run", "--rm", f"--network={NETWORK}", f"--env=PGPASSWORD={PASSWORD}", "--entrypoint=psql",
             self.image, "-qAt", "-h", "postgres", "-U", "shop", "shop", "-c", text],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return (done.stdout + done.stderr).strip()

    def state(self, container: str) -> tuple[str, str]:
        """The history, row for row, and the schema of the team's own tables."""
        history = self.sql(container, "SELECT h FROM _prisma_migrations h ORDER BY started_at")
        columns = (
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
        )
        return history, self.sql(container, f"{columns} ORDER BY 1, 2")

    def play(self, playbook: str, *flags: str) -> str:
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), playbook, "-i", self.home / "inventory", *flags],
            cwd=ROOT, env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, capture_output=True, text=True, timeout=900,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def failures(self) -> list[float]:
        """When the old backend could not write."""
        lines = [line.split() for line in docker("logs", CLIENT).splitlines()]
        return [float(at) for word, at in lines if word == "failed"]


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    prisma = tmp_path / "prisma" / "migrations"
    for name, sql in MIGRATIONS.items():
        (prisma / name).mkdir(parents=True)
        (prisma / name / "migration.sql").write_text(sql)
    (prisma / "migration_lock.toml").write_text('provider = "postgresql"\n')
    image = os.environ.get("SLIPWAY_POSTGRES_IMAGE", "slipway-standin/postgres:15")
    found = Team(tmp_path, image)
    bases = images()
    variables = {
        "environment_name": "test",
        "app_name": PROJECT,
        "app_runtime": "container",
        "app_source": str(APP),
        "app_base_image": bases["SLIPWAY_PYTHON_IMAGE"],
        "app_migrations": str(prisma),
        "app_ready_path": "/healthz",
        "app_healthcheck": ["CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000"],
        "app_healthcheck_timeout": "30s",
        "app_env": {"RELEASE": "new"},
        "app_port": found.port,
        "frontend_base_image": bases["SLIPWAY_NGINX_IMAGE"],
        "state_dir": str(tmp_path / "state"),
        "secrets_file": str(tmp_path / "secrets.json"),
        "database_runtime": "container",
        # What compose has said.
        "database_image": image,
        "database_volume": VOLUME,
        "database_name": "shop",
        "database_superuser": "shop",
        "database_superuser_password": PASSWORD,
        "database_networks": {NETWORK: ["postgres"]},
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
    }
    groups = {name: {"hosts": {"here": {}}} for name in ("database", "backend")}
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "hosts.json").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
    docker("network", "create", NETWORK)
    yield found
    listed = docker("ps", "--all", "--quiet", f"--filter=name=^/{PROJECT}")
    if listed:
        docker("rm", "--force", "--volumes", *listed.split())
    for network in docker("network", "ls", "--quiet", f"--filter=name=^{PROJECT}").split():
        docker("network", "rm", network)
    docker("volume", "rm", "--force", VOLUME)


@pytest.mark.soak
def test_over_and_back(team: Team) -> None:
    team.start()
    rows = "".join(
        f"INSERT INTO _prisma_migrations VALUES ('{number}', '{hashlib.sha256(sql.encode()).hexdigest()}', now(),"
        f" '{name}', NULL, NULL, clock_timestamp(), 1);\n"
        for number, (name, sql) in enumerate(MIGRATIONS.items())
    )
    team.sql(SERVER, "".join(MIGRATIONS.values()) + HISTORY + rows)
    before = team.state(SERVER)
    assert before[0].count("\n") == 1
    docker(
        "run", "--detach", "--name", CLIENT, f"--network={NETWORK}", f"--env=PGPASSWORD={PASSWORD}", "--entrypoint=sh",
        team.image, "-c", WRITES,
    )  # fmt: skip
    checked = team.play("deploy.yml", "--check")
    assert "nothing was written (check mode)" in checked
    assert team.state(SERVER) == before

    stopped = time.time()
    docker("stop", SERVER)
    deployed = team.play("deploy.yml")
    assert "migrations  none is pending" in deployed
    assert team.state(OURS) == before
    assert get(team.port, "/healthz")[0] == 200
    failures = team.failures()
    # From the stop until the server runs again, and not once more: the old backend writes through all of the deploy.
    outcomes = [line.split() for line in docker("logs", CLIENT).splitlines()]
    turns = [word for (word, _at), (former, _) in zip(outcomes[1:], outcomes, strict=False) if word != former]
    assert turns == ["failed", "ok"]
    assert failures[0] >= stopped - 1

    again = team.play("deploy.yml")  # the new release serves: the administrator comes over the socket alone
    assert "migrations  none is pending" in again
    team.until(lambda: "failed" in docker("logs", "--tail=1", CLIENT))
    docker("rm", "--force", CLIENT)
    assert "changed=0" in team.play("deploy.yml")

    # And back: the volume is compose's as before, with all rows that came since, and so is the way in.
    count = team.sql(OURS, "SELECT count(*) FROM orders")
    docker("stop", OURS)
    docker("start", SERVER)
    team.until(lambda: team.sql(SERVER, "SELECT 1") == "1")
    assert team.state(SERVER) == before
    assert team.sql(SERVER, "SELECT count(*) FROM orders") == count

    # Over the network, too, once the line is gone that the second deploy has put first.
    assert "rejects connection" in team.from_the_network("SELECT 1")
    docker(
        "exec", "-u", "postgres", SERVER, "sed", "-i", '/ "shop" all reject$/d', "/var/lib/postgresql/data/pg_hba.conf"
    )
    team.sql(SERVER, "SELECT pg_reload_conf()")
    team.until(lambda: team.from_the_network("SELECT count(*) FROM orders") == count)
