# SPDX-License-Identifier: GPL-3.0-or-later
"""What the exporter is started with, by the server, its version and the program's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring.exporter import (
    Exporter,
    environment_file,
    known_options,
    reaches_server,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server

SERVER = Server("shop_monitor", "shop", "secret", socket_dir="/var/lib/slipway/shop/test/run")
REMOTE = Server(
    "m", "shop", "secret", host="db.example.com", port=6432, ssl_mode="verify-full", ca_cert="/etc/db ca.pem"
)
DEBIAN_12 = frozenset(("collector.database", "collector.bgwriter", "extend.query-path"))
DEBIAN_13 = frozenset(("collector.stat_bgwriter", "collector.stat_user_tables"))
EXPORTER = Exporter("shop-test-postgres-exporter", "/state 100%/monitoring", 9187, SERVER, 150000, False, DEBIAN_12)


@pytest.mark.parametrize(
    ("version", "options", "more"),
    [
        (150000, DEBIAN_12, ["--extend.query-path=/run/shop-test-postgres-exporter/queries.yaml"]),
        (
            170000,
            DEBIAN_12,
            ["--extend.query-path=/run/shop-test-postgres-exporter/queries.yaml", "--no-collector.bgwriter"],
        ),
        (170000, DEBIAN_13, []),
    ],
)
def test_arguments(version: int, options: frozenset[str], more: list[str]) -> None:
    found = replace(EXPORTER, server_version=version, options=options)
    assert found.arguments == ["--web.listen-address=127.0.0.1:9187", *more]
    assert bool(found.queries) is (options == DEBIAN_12)


def test_tables_are_measured_by_the_names_of_later_versions() -> None:
    [(name, query)] = json.loads(EXPORTER.queries).items()
    assert name == "pg_stat_user_tables"
    usages = {metric: about["usage"] for each in query["metrics"] for metric, about in each.items()}
    assert [metric for metric, usage in usages.items() if usage == "LABEL"] == ["datname", "schemaname", "relname"]
    assert (usages["seq_scan"], usages["n_live_tup"], usages["last_autovacuum"]) == ("COUNTER", "GAUGE", "GAUGE")


def test_unit() -> None:
    unit = EXPORTER.unit.splitlines()
    place = "/run/shop-test-postgres-exporter"
    assert "EnvironmentFile=/state 100%%/monitoring/environment" in unit
    assert [line for line in unit if line.startswith("Bind")] == [
        f'BindReadOnlyPaths="/var/lib/slipway/shop/test/run":{place}/socket',
        f'BindReadOnlyPaths="/state 100%%/monitoring/queries.yaml":{place}/queries.yaml',
    ]
    assert "secret" not in EXPORTER.unit
    remote = replace(EXPORTER, server=REMOTE, encrypted=True, options=DEBIAN_13)
    assert "Bind" not in remote.unit


@pytest.mark.parametrize(
    ("server", "encrypted", "expected"),
    [
        (SERVER, False, {"host": "/run/shop-test-postgres-exporter/socket", "port": "5432", "sslmode": "disable"}),
        (replace(SERVER, port=5433), False, {"port": "5433"}),
        (REMOTE, True, {"host": "db.example.com", "port": "6432", "sslmode": "verify-full"}),
        (replace(REMOTE, ssl_mode="prefer"), True, {"sslmode": "require"}),
        (replace(REMOTE, ssl_mode="prefer"), False, {"sslmode": "disable"}),
        (replace(REMOTE, host=""), True, {"host": "localhost"}),
    ],
)
def test_address(server: Server, encrypted: bool, expected: dict[str, str]) -> None:
    named = replace(server, database="my shop/1", user="my@user")
    found = urlsplit(replace(EXPORTER, server=named, encrypted=encrypted).address)
    assert (found.scheme, unquote(found.netloc), unquote(found.path)) == ("postgresql", "my@user@", "/my shop/1")
    options = {name: value for name, [value] in parse_qs(found.query).items()}
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("server", "encrypted", "certificate"),
    [(SERVER, False, None), (REMOTE, False, None), (REMOTE, True, "/etc/db ca.pem")],
)
def test_what_only_the_driver_reads(server: Server, encrypted: bool, certificate: str | None) -> None:
    found = replace(EXPORTER, server=server, encrypted=encrypted).environment
    assert (found["PGPASSWORD"], found.get("PGSSLROOTCERT")) == ("secret", certificate)
    assert "secret" not in found["DATA_SOURCE_NAME"]


@pytest.mark.parametrize(
    "change",
    [
        {"port": 9188},
        {"directory": "/elsewhere"},
        {"server_version": 170000},
        {"options": DEBIAN_13},
        {"server": replace(SERVER, password="another")},
        {"server": replace(SERVER, database="another")},
    ],
)
def test_every_change_is_one_of_the_environment(change: dict[str, Any]) -> None:
    assert replace(EXPORTER, **change).environment != EXPORTER.environment


def test_environment_file() -> None:
    assert environment_file({"A": "plain", "B": 'a "quoted" $word `and` \\ more'}) == (
        'A="plain"\nB="a \\"quoted\\" \\$word \\`and\\` \\\\ more"\n'
    )


def test_known_options() -> None:
    found = known_options(
        "  -h, --help  Show (also try --help-long)\n  --[no-]collector.stat_user_tables\n  --web.x=:9187"
    )
    assert found == {"help", "help-long", "collector.stat_user_tables", "web.x"}


@pytest.mark.parametrize(
    ("metrics", "reaches"),
    [
        ("# TYPE pg_up gauge\npg_up 1\n", True),
        ('pg_up{a="b"} 1\n', True),
        ("pg_up 0\n", False),
        ("not_pg_up 1", False),
        ("", False),
    ],
)
def test_reaches_server(metrics: str, reaches: bool) -> None:
    assert reaches_server(metrics) is reaches
