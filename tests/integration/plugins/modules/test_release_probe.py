# SPDX-License-Identifier: GPL-3.0-or-later
"""Two releases on a copy of their database: what breaks the one that serves is found there, and nothing is left."""

from __future__ import annotations

import contextlib
import json
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
from ansible_collections.slipway.deploy.plugins.module_utils._release.trial import Place, Trials
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
    url: str
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
            ["pgrep", "-fl", Trials.of(str(self.home), "", Place()).directory],
            capture_output=True,
            text=True,
            check=False,
        )
        names = self.postgres.execute(f"SELECT datname FROM pg_database WHERE datname LIKE '{self.copy}_%'")
        return [*found.stdout.splitlines(), *(str(name) for (name,) in names)]


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
    with serving(home, {"PATH": os.environ["PATH"], "DATABASE_URL": url}) as process:
        yield Shop(postgres, home, database, role, url, process)


@contextlib.contextmanager
def serving(home: Path, environment: dict[str, str]) -> Iterator[Process]:
    """A process that serves, as the state says."""
    port = free_port()
    command = [sys.executable, "serve.py", "127.0.0.1", str(port)]
    with subprocess.Popen(command, env=environment, cwd=home / "app") as child:
        assert wait_until(lambda: answers("127.0.0.1", port), 10)
        process = Process(child.pid, started(child.pid) or "", port)
        state = home / "backend" / "state.json"
        before = state.read_text() if state.exists() else ""
        state.write_text(State(app=process).dump())
        yield process
        child.kill()
        state.write_text(before)


@pytest.mark.parametrize(("change", "request_", "said"), BREAKING.values(), ids=BREAKING)
def test_a_change_that_breaks_the_release_that_serves(shop: Shop, change: str, request_: str, said: str) -> None:
    shop.fresh_copy()
    before = shop.live_rows()
    assert "probe" not in shop.call("started")
    shop.change(change)
    found = shop.call("finished")
    assert found["msg"].startswith(
        "The release one, which serves, breaks on the schema that the pending migrations make: "
    )
    assert f"since the database said: {said}" in found["msg"]
    [broken] = [each for each in found["probe"]["requests"] if each["request"] == request_]
    assert broken["before"] == 200
    assert broken["serving"] in (409, 500)
    assert said in broken["serving_errors"]
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


def new(shop: Shop, **env: str) -> dict[str, object]:
    """The options of a new release, which runs from the same directory."""
    return {
        "release": "two", "argv": [sys.executable, "serve.py", "{host}", "{port}"], "cwd": str(shop.home / "app"),
        "env": {"DATABASE_URL": shop.url, "PATH": os.environ["PATH"], **env},
    }  # fmt: skip


@pytest.fixture
def kept(shop: Shop) -> Iterator[Shop]:
    """The release that serves runs from what was kept, since its files are others by now."""
    shop.fresh_copy()
    shutil.copytree(APP, shop.home / "trees" / "one")
    (shop.home / "trees" / "one" / "reads.json").write_text("{}")
    reads = shop.home / "app" / "reads.json"
    reads.write_text(json.dumps({"/notes": "SELECT note FROM orders"}))
    yield shop
    reads.unlink()
    shutil.rmtree(shop.home / "trees")
    assert shop.left() == []


def test_both_are_tried_each_with_its_own_files(kept: Shop) -> None:
    """The new one needs a column that the migrations make, which they do not, and the old one has no such page."""
    requests = ["/orders", "/notes"]
    kept.call("started", requests=requests, **new(kept, WRITES="1"))
    kept.change("ALTER TABLE unused ADD note text")
    found = kept.call("finished", requests=requests, **new(kept, WRITES="1"))
    assert found["msg"].startswith(
        "The new release two fails on the schema that the pending migrations make: GET /notes"
    )
    assert (
        'was answered 404 before and 500 after them, since the database said: column "note" does not exist'
        in found["msg"]
    )
    assert found["probe"]["shown"] == "1 request of 3 breaks"
    assert not (kept.home / "app" / "written").exists()


def test_a_new_release_that_fails_says_why_without_its_secrets(kept: Shop) -> None:
    kept.call("started", **new(kept, FAILS="1"))
    found = kept.call("finished", **new(kept, FAILS="1"))
    assert "where its log ends with 'it failed at postgresql://" in found["msg"]
    assert "the cellar is flooded" in found["msg"]
    assert PASSWORD not in json.dumps(found)


def test_nothing_leads_out_of_it(kept: Shop) -> None:
    """Not even to the release that serves; and what can't be ready without that is told, and fails nothing."""
    away = {"AWAY": f"127.0.0.1:{kept.serving.port}"}
    with serving(kept.home, {"PATH": os.environ["PATH"], "DATABASE_URL": kept.url, **away}):
        found = kept.call("started", **new(kept))
        assert found["probe"]["reason"].startswith(
            "before any change it did not get ready on the copy: GET /readyz was"
        )
        assert "ConnectionRefusedError" in found["probe"]["reason"]
        assert (
            "can't be tried on the migrated copy: before any" in kept.call("started", required=True, **new(kept))["msg"]
        )


@pytest.fixture
def elsewhere(shop: Shop, request: pytest.FixtureRequest) -> Iterator[dict[str, object]]:
    """The release that serves looks for its database at another host, by TLS; the options that say so."""
    shop.fresh_copy()
    host = request.param
    authority = shop.home / "authority.pem"
    authority.write_text("that of the database, which the trial has no key of")
    place = f"[{host}]" if ":" in host else host
    url = f"{shop.url.partition('localhost')[0]}{place}:6543/x?sslmode=verify-full&sslrootcert={authority}"
    with serving(shop.home, {"PATH": os.environ["PATH"], "DATABASE_URL": url}):
        yield {"sought_socket": "", "sought_host": host, "sought_port": 6543, "sought_ssl_mode": "verify-full",
               "sought_ca": str(authority)}  # fmt: skip
    assert authority.read_text().startswith("that of the database")
    assert shop.left() == []


@pytest.mark.parametrize("elsewhere", ["10.77.0.5", "fd00::77:5", "::1", "db.shop.invalid", "localhost"], indirect=True)
def test_a_database_that_is_looked_for_at_another_host(shop: Shop, elsewhere: dict[str, object]) -> None:
    before = shop.live_rows()
    assert "probe" not in shop.call("started", **elsewhere)
    shop.change("ALTER TABLE orders RENAME cents TO amount")
    found = shop.call("finished", **elsewhere)
    assert 'since the database said: column "cents"' in found["msg"]
    assert shop.live_rows() == before


@pytest.mark.parametrize("elsewhere", ["10.77.0.5"], indirect=True)
def test_a_copy_on_another_host_is_made_ready_there(shop: Shop, elsewhere: dict[str, object]) -> None:
    """Where it is tried only the release's own login is used."""
    at = {"login_unix_socket": str(shop.postgres.socket_dir), "login_db": shop.copy}
    tried = {**elsewhere, "copy_at": at, "login_unix_socket": "", "login_password": "", "login_user": "nobody"}
    assert "probe" not in shop.call("prepared", copy_at=at)
    assert "probe" not in shop.call("started", **tried)
    assert len([name for name in shop.left() if name == f"{shop.copy}_again"]) == 1
    assert "probe" not in shop.call("settled", copy_at=at)
    shop.change("DROP VIEW open_orders")
    assert 'the database said: relation "open_orders" does not exist' in shop.call("finished", **tried)["msg"]


def test_a_copy_that_can_not_be_made_ready_is_told(shop: Shop) -> None:
    shop.fresh_copy()
    with shop.postgres.connect(shop.copy):  # which nobody may be in while it is copied
        found = shop.call("prepared")
    assert "is being accessed by other users" in found["probe"]["reason"]


def test_what_was_waived_is_in_the_record(shop: Shop) -> None:
    shop.fresh_copy()
    shop.call("started")
    shop.change("DROP VIEW open_orders")
    found = shop.call("finished", waived=True)
    assert "msg" not in found
    assert found["probe"]["broken"].startswith("The release one, which serves, breaks on the schema")
    assert shop.left() == []


def test_what_was_kept_of_no_release_can_not_be_tried(shop: Shop) -> None:
    shop.fresh_copy()
    found = shop.call("started", release="two")
    assert (
        found["probe"]["shown"] == f"not tried, since what release one runs from was not kept in {shop.home}/trees/one"
    )


def test_migrations_that_could_not_all_be_kept_on_the_copy(shop: Shop) -> None:
    shop.fresh_copy()
    shop.call("started")
    found = shop.call("finished", incomplete=True)
    assert found["probe"]["reason"] == "not all that the migrations change could be kept on the copy"
    assert shop.left() == []


def test_a_request_that_is_none_is_told_before_anything(shop: Shop) -> None:
    shop.fresh_copy()
    assert "'orders' is not a request: say it as /path" in shop.call("started", requests=["orders"])["msg"]
    assert shop.left() == []


def test_what_a_killed_run_left_is_ended_by_the_next(shop: Shop) -> None:
    shop.fresh_copy()
    shop.call("started")
    assert len(shop.left()) >= 2
    assert os.stat(Trials.of(str(shop.home), "", Place()).directory).st_mode & 0o777 == 0o700
    assert shop.call("absent")["changed"]
    assert shop.left() == []
    shop.call("started")
    shop.fresh_copy()
    shop.call("started")
    assert "msg" not in shop.call("finished")
    assert shop.left() == []
    assert not shop.call("absent")["changed"]


def test_check_mode_does_nothing(shop: Shop) -> None:
    arguments = {"state": "started", "directory": str(shop.home), **shop.postgres.login(shop.copy)}
    assert not run_module("release_probe", arguments, check=True)["changed"]
    assert shop.left() == []
