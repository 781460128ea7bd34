# SPDX-License-Identifier: GPL-3.0-or-later
"""Two releases in containers on a copy of their database: each in a network that leads nowhere else."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import MARK
from conftest import Postgres, start
from support.modules import run_module
from support.release import ROOT, docker, images

pytestmark = [pytest.mark.once, pytest.mark.container]
NAME = "slipway-test-probe"
APP = ROOT / "tests" / "integration" / "roles" / "probed_container"
SECRET = "hunter2-secret"
ENVIRONMENT = {"DATABASE_HOST": "shop-postgres", "DATABASE_USER": "shop_app", "DATABASE_NAME": "shop", "SALT": SECRET}


@dataclass
class Shop:
    postgres: Postgres
    home: Path
    image: str

    def call(self, state: str, **more: object) -> dict[str, Any]:
        return run_module(
            "release_probe",
            {
                "state": state, "directory": str(self.home), "label": NAME, "sought_host": "shop-postgres",
                "role": "shop_app", "requests": ["/orders"], "ready_path": "/readyz", "release": "two",
                "image": self.image, "env": {**ENVIRONMENT, "WORDS": "of\nthe new one"},
                **self.postgres.login("shop_scratch"), **more,
            },
        )  # fmt: skip

    def left(self) -> list[str]:
        mine = f"--filter=label=slipway.trial={NAME}"
        return [*docker("ps", "--all", mine, "--quiet").split(), *docker("network", "ls", mine, "--quiet").split()]


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    rules = directory / "rules"
    rules.write_text("local all shop_app trust\nlocal all all scram-sha-256\n")
    postgres = start(16, directory, f"-c hba_file={rules}")
    postgres.execute("CREATE ROLE shop_app LOGIN")
    for database in ("shop", "shop_scratch"):
        postgres.execute(f"CREATE DATABASE {database}")
        postgres.execute("CREATE TABLE orders (reference text); GRANT SELECT ON orders TO shop_app", database)
    postgres.execute(f"COMMENT ON DATABASE shop_scratch IS '{MARK}'; REVOKE ALL ON DATABASE shop_scratch FROM PUBLIC")
    docker("build", "--tag", NAME, "--build-arg", f"BASE_IMAGE={images()['SLIPWAY_PYTHON_IMAGE']}", str(APP))
    docker("network", "create", NAME)
    yield Shop(postgres, directory, NAME)
    docker("network", "rm", NAME)
    docker("image", "rm", NAME)
    postgres.run("pg_ctl", "-D", str(directory / "data"), "-m", "immediate", "-w", "stop")
    shutil.rmtree(directory)


@pytest.fixture
def serving(shop: Shop, request: pytest.FixtureRequest) -> Iterator[str]:
    """The container of the release that serves; its address."""
    more = getattr(request, "param", {})
    docker(
        "run", "--detach", f"--name={NAME}-one", f"--label=slipway.backend={NAME}", "--label=slipway.release=one",
        f"--network={NAME}", "--memory=64m", "--read-only", f"--volume={NAME}-files:/files",
        *(f"--env={name}={value}" for name, value in {**ENVIRONMENT, **more}.items()), shop.image,
    )  # fmt: skip
    yield docker("inspect", f'--format={{{{(index .NetworkSettings.Networks "{NAME}").IPAddress}}}}', f"{NAME}-one")
    docker("rm", "--force", f"{NAME}-one")
    docker("volume", "rm", f"{NAME}-files")
    assert shop.left() == []


def test_both_are_tried(shop: Shop, serving: str) -> None:
    assert "probe" not in shop.call("started")
    [trial] = docker("ps", f"--filter=label=slipway.trial={NAME}", "--format={{.Names}}").split()
    found = json.loads(docker("inspect", trial))[0]
    assert found["State"]["Paused"]
    assert list(found["NetworkSettings"]["Networks"]) == [f"{NAME}-trial-serving"]
    assert found["HostConfig"]["Binds"] == [f"{NAME}-files:/files:ro"]
    shop.postgres.execute("ALTER TABLE orders RENAME reference TO number", "shop_scratch")
    answer = shop.call("finished")
    shop.postgres.execute("ALTER TABLE orders RENAME number TO reference", "shop_scratch")
    assert (
        'GET /orders was answered 200 before and 500 after them, since the database said: column "reference" does not'
        in (answer["msg"])
    )
    assert answer["probe"]["requests"][1]["new"] == 500
    assert SECRET not in json.dumps(answer)
    assert answer["probe"]["seconds"] < 15


def test_a_change_that_fits_both(shop: Shop, serving: str) -> None:
    shop.call("started")
    shop.postgres.execute("ALTER TABLE orders ADD IF NOT EXISTS note text", "shop_scratch")
    assert shop.call("finished")["probe"]["shown"] == "both releases answer 2 requests as before"


def test_nothing_leads_out_of_it(shop: Shop, serving: str) -> None:
    """One that needs the one that serves is not ready, which it is in the network of that."""
    away = {**ENVIRONMENT, "AWAY": f"{serving}:8000"}
    shop.call("started")
    found = shop.call("finished", env=away, patience=8)
    assert "The new release two fails" in found["msg"]
    assert "GET /readyz was answered 200 before and nothing after them, where its log ends with" in found["msg"]
    docker("run", "--rm", f"--network={NAME}", "--entrypoint=python", shop.image, "-c",
           f"import socket; socket.create_connection(('{serving}', 8000), 5)")  # fmt: skip


def test_what_a_killed_run_left_is_ended(shop: Shop, serving: str) -> None:
    shop.call("started")
    assert len(shop.left()) == 2
    assert shop.call("absent")["changed"]


@pytest.fixture
def authority(shop: Shop) -> Iterator[Path]:
    """That of the database, which a container has mounted; and nginx, whose image holds a network."""
    directory = shop.home / "authority"
    directory.mkdir()
    (directory / "ca.pem").write_text("that of the database")
    docker("run", "--detach", f"--name={NAME}-nginx", images()["SLIPWAY_NGINX_IMAGE"])
    yield directory / "ca.pem"
    docker("rm", "--force", "--volumes", f"{NAME}-nginx")
    assert (directory / "ca.pem").read_text() == "that of the database"
    shutil.rmtree(directory)


@pytest.mark.parametrize("host", ["10.77.0.5", "db.shop.invalid"])
def test_a_database_on_another_host_by_tls(shop: Shop, authority: Path, host: str) -> None:
    """It insists on TLS to that address, of which nothing on this host knows."""
    environment = {"DATABASE_HOST": host, "AUTHORITY": "/etc/shop/ca.pem"}
    told = {"sought_host": host, "sought_ssl_mode": "verify-full", "sought_ca": "/etc/shop/ca.pem",
            "frontend": f"{NAME}-nginx", "env": {**ENVIRONMENT, **environment, "WORDS": "of the new one"},
            "volumes": [f"{authority.parent}:/etc/shop:ro"]}  # fmt: skip
    docker(
        "run", "--detach", f"--name={NAME}-one", f"--label=slipway.backend={NAME}", "--label=slipway.release=one",
        f"--network={NAME}", "--memory=64m", "--read-only", f"--volume={authority.parent}:/etc/shop:ro",
        *(f"--env={name}={value}" for name, value in {**ENVIRONMENT, **environment}.items()), shop.image,
    )  # fmt: skip
    try:
        assert "probe" not in shop.call("started", **told)
        shop.postgres.execute("ALTER TABLE orders RENAME reference TO number", "shop_scratch")
        answer = shop.call("finished", **told)
        shop.postgres.execute("ALTER TABLE orders RENAME number TO reference", "shop_scratch")
    finally:
        docker("rm", "--force", f"{NAME}-one")
    assert 'since the database said: column "reference" does not' in answer["msg"]
    assert [answer["probe"]["requests"][1][which] for which in ("before", "serving", "new")] == [200, 500, 500]
    assert shop.left() == []
    assert host not in subprocess.run(["ip", "address"], capture_output=True, text=True, check=False).stdout
