# SPDX-License-Identifier: GPL-3.0-or-later
"""Two releases on a copy of their database: what breaks the one that serves is found there, and nothing is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import MARK
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, State
from ansible_collections.slipway.deploy.plugins.module_utils._release.service import answers, started
from conftest import Postgres
from support.modules import run_module
from support.probes import BREAKING, COMPATIBLE, SCHEMA
from support.release import ROOT, free_port

pytestmark = pytest.mark.once

APP = ROOT / "tests" / "integration" / "roles" / "probed_app"
PASSWORD = "hunter2-secret"
REQUESTS = ["/orders", "/totals", "/open", "/held", "/nothing-there", 'POST /orders {"reference": "{unique}"}']


@dataclass
class Shop:
    """A release that serves, with its database, and what the module is told of both."""

    postgres: Postgres
    home: Path
    database: str
    role: str
    serving: Process

    @property
    def copy(self) -> str:
        return f"{self.database}_scratch"

    def call(self, state: str, **more: object) -> dict[str, Any]:
        return run_module(
            "release_probe",
            {
                "state": state, "directory": str(self.home), "sought_socket": str(self.postgres.socket_dir),
                "role": self.role, "requests": REQUESTS, "ready_path": "/readyz", "serving_release": "one",
                "release": "one", "trees": str(self.home / "trees"), **self.postgres.login(self.copy), **more,
            },
        )  # fmt: skip

    def change(self, sql: str) -> None:
        self.postgres.execute(sql.replace("{role}", self.role), self.copy)

    def fresh_copy(self) -> None:
        self.postgres.execute(f"DROP DATABASE IF EXISTS {self.copy} WITH (FORCE)")
        self.postgres.execute(f"CREATE DATABASE {self.copy} TEMPLATE {self.database}")
        self.postgres.execute(f"COMMENT ON DATABASE {self.copy} IS '{MARK}'")
        self.postgres.execute(f"REVOKE ALL ON DATABASE {self.copy} FROM PUBLIC")

    def live_rows(self) -> object:
        return self.postgres.execute("SELECT count(*) FROM orders", self.database)[0][0]

    def left(self) -> list[str]:
        """Processes and databases that the trials have left."""
        found = subprocess.run(
            ["pgrep", "-fl", "trial_gate.py|copy_relay.py"], capture_output=True, text=True, check=False
        )
        names = self.postgres.execute(f"SELECT datname FROM pg_database WHERE datname LIKE '{self.copy}_%'")
        directory = [str(path) for path in Path("/tmp").glob("slipway-trial-*")]
        return [*found.stdout.splitlines(), *(str(name) for (name,) in names), *directory]


@pytest.fixture(scope="module")
def shop(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("shop")
    (home / "backend").mkdir()
    shutil.copytree(APP, home / "app")
    database = postgres.database()
    role = f"{database}_app"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    postgres.execute(SCHEMA.format(role=role), database)
    postgres.execute("INSERT INTO orders (reference, cents) VALUES ('first', 100)", database)
    url = f"postgresql://{role}:{PASSWORD}@localhost/{database}?host={postgres.socket_dir}"
    port = free_port()
    command = [sys.executable, "serve.py", "127.0.0.1", str(port)]
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": url}
    with subprocess.Popen(command, env=environment, cwd=home / "app") as process:
        assert wait_until(lambda: answers("127.0.0.1", port), 10)
        serving = Process(process.pid, started(process.pid) or "", port)
        (home / "backend" / "state.json").write_text(State(app=serving).dump())
        yield Shop(postgres, home, database, role, serving)
        process.kill()


@pytest.mark.parametrize(("change", "request_", "said"), BREAKING.values(), ids=BREAKING)
def test_a_change_that_breaks_the_release_that_serves(shop: Shop, change: str, request_: str, said: str) -> None:
    shop.fresh_copy()
    before = shop.live_rows()
    assert "probe" not in shop.call("started")
    shop.change(change)
    found = shop.call("finished")
    assert "The release one, which serves, breaks on the schema that the pending migrations make: " in found["msg"]
    assert f"{request_} was answered 200 before and " in found["msg"]
    assert f"the database said: {said}" in found["msg"]
    assert "the database itself was not touched" in found["msg"]
    assert found["probe"]["tried"]
    assert found["probe"]["seconds"] < 15
    assert shop.live_rows() == before
    assert shop.left() == []


@pytest.mark.parametrize("change", COMPATIBLE.values(), ids=COMPATIBLE)
def test_a_change_that_fits_both(shop: Shop, change: str) -> None:
    shop.fresh_copy()
    before = shop.live_rows()
    shop.call("started")
    shop.change(change)
    found = shop.call("finished")
    assert "msg" not in found
    assert [each["serving"] for each in found["probe"]["requests"]] == [200, 200, 200, 200, 200, 404, 200]
    assert shop.live_rows() == before
    assert shop.left() == []
