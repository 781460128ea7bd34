# SPDX-License-Identifier: GPL-3.0-or-later
"""A database's health as the module tells it; what needs Debian's server is asked of one in a container."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._health.rules import RULES
from conftest import Postgres
from prometheus_client.parser import text_string_to_metric_families
from support.access import PASSWORD, Site, make_site
from support.modules import run_module

IMAGE = os.environ.get("SLIPWAY_POSTGRES_IMAGE", "slipway-standin/postgres:15")


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    made = make_site(postgres, tmp_path)
    made.access()
    return made


def health(site: Site, *, check: bool = False, **more: object) -> dict[str, Any]:
    admin = {"login_user": site.postgres.user, "login_password": site.postgres.password}
    own = {
        "login_user": site.roles.owner, "login_password": PASSWORD, "admin_login": admin,
        "application_name": "autotest", "environment_name": "test",
        "directory": str(site.home), "backup_directory": str(site.home / "backups"),
    }  # fmt: skip
    return run_module("health_info", {**site.names, **own, **more}, check=check)


def test_what_is_worst_comes_first(site: Site) -> None:
    site.execute_as(site.roles.owner, "CREATE TABLE bare (id serial); SELECT setval('bare_id_seq', 2147483647)")
    before = site.rights
    found = health(site)
    assert found == {**health(site, check=True), "findings": found["findings"], "prometheus": found["prometheus"]}
    assert (found["changed"], found["state"]) == (False, "critical")
    assert [each["check"] for each in found["findings"][:2]] == ["sequences", "tables_without_primary_key"]
    assert {each["check"] for each in found["findings"]} == {rule.name for rule in RULES}
    states = {each["check"]: each["state"] for each in found["findings"]}
    severity = next(
        family
        for family in text_string_to_metric_families(found["prometheus"])
        if family.name == "slipway_health_severity"
    )
    told = {sample.labels["check"]: sample.value for sample in severity.samples}
    assert told == {
        name: ("ok", "warning", "critical").index(state) for name, state in states.items() if state != "unknown"
    }
    assert site.rights == before
    never = {"sequences": {"critical": None, "warning": None}, "tables_without_primary_key": {"warning": 2}}
    assert health(site, thresholds=never)["state"] == "ok"


def test_bad_input(site: Site) -> None:
    found = health(site, thresholds={"sequences": {"wraning": 1}})
    assert (found["failed"], found["msg"]) == (True, "The check sequences has no 'wraning': it has warning, critical.")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def contained() -> Iterator[dict[str, Any]]:
    """A server with the extension that counts statements: its login and its container."""
    name = f"slipway-test-health-{uuid.uuid4().hex[:8]}"
    docker(
        "run", "--detach", "--name", name, "--stop-signal", "SIGINT", "--env", "POSTGRES_PASSWORD=test-superuser",
        IMAGE, "-c", "shared_preload_libraries=pg_stat_statements",
    )  # fmt: skip
    try:
        address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
        login = {"login_host": address, "login_user": "postgres", "login_password": "test-superuser"}
        deadline = time.monotonic() + 60
        while True:
            try:
                execute(login, "SELECT 1")
                break
            except psycopg2.OperationalError:
                assert time.monotonic() < deadline, docker("logs", name)
                time.sleep(0.1)
        yield {**login, "login_db": "postgres", "container": name}
    finally:
        docker("rm", "--force", "--volumes", name)


def execute(login: dict[str, Any], *statements: str, user: str = "postgres") -> None:
    opened = psycopg2.connect(host=login["login_host"], user=user, password=login["login_password"], dbname="postgres")
    opened.autocommit = True
    try:
        with opened.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        opened.close()


@pytest.mark.container
def test_a_server_in_a_container(contained: dict[str, Any], tmp_path: Path) -> None:
    names = ("shop_owner", "shop_app", "shop_readonly")
    roles = [f"CREATE ROLE {name} LOGIN PASSWORD 'test-superuser'" for name in names]
    execute(contained, "CREATE EXTENSION pg_stat_statements", *roles)
    own = {
        "owner": "shop_owner", "application": "shop_app", "readonly": "shop_readonly", "application_name": "shop",
        "environment_name": "test", "directory": str(tmp_path), "backup_directory": str(tmp_path / "backups"),
    }  # fmt: skip
    thresholds = {"slow_statements": {"warning": 0.2, "calls": 2}, "disk": {"warning": 0}}

    def found() -> dict[str, dict[str, Any]]:
        result = run_module("health_info", {**contained, **own, "thresholds": thresholds})
        return {each["check"]: each for each in result["findings"]}

    execute(contained, *["SELECT pg_sleep(0.3)"] * 2)  # the administrator's own do not count
    at_first = found()
    assert at_first["slow_statements"]["state"] == "ok"
    places = {each["object"]: each["value"] for each in at_first["disk"]["objects"]}
    assert places.keys() == {f"state directory {tmp_path}", "data directory /var/lib/postgresql/data"}
    assert 0 < places["data directory /var/lib/postgresql/data"] < 1
    execute(contained, *["SELECT pg_sleep(0.3)"] * 2, user="shop_app")
    slow = found()["slow_statements"]
    assert (slow["state"], slow["unit"]) == ("warning", "seconds")
    assert slow["sentence"].startswith("Mean time of a statement, by pg_stat_statements: statement ")
    assert slow["sentence"].endswith(
        "0.3 s (2 calls of SELECT pg_sleep($1)); see its plan with EXPLAIN (ANALYZE, BUFFERS)."
    )
