# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter that role monitoring alone runs on a host: seen over SSH, by HTTP there, and by SQL."""

from __future__ import annotations

import pytest
from support.bed import host
from support.role import refused

HOST = host("one")
SERVICE = "shop-postgres-exporter"


def sql(query: str) -> str:
    return HOST.check_output("PGPASSWORD=%s psql --username postgres --dbname shop -Atc %s", "the-superuser's", query)


def seen() -> tuple[str, ...]:
    """What a run that is refused leaves as it was."""
    roles = sql("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1")
    files = HOST.check_output("find /var/lib/slipway /etc/systemd/system -type f -printf '%p %T@ %s\n' | sort")
    return roles, files, HOST.check_output("systemctl show --property=MainPID %s", SERVICE)


def metrics() -> str:
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9187/metrics').read().decode())"
    return HOST.check_output("python3 -c %s", ask)


def test_it_serves_the_databases_statistics_on_loopback() -> None:
    assert "pg_up 1" in metrics()
    assert HOST.service(SERVICE).is_running
    assert HOST.service(SERVICE).is_enabled
    tables = HOST.check_output("cat /proc/net/tcp /proc/net/tcp6").splitlines()
    addresses = {fields[1] for fields in map(str.split, tables) if fields[3] == "0A"}  # of those that listen
    assert {address for address in addresses if address.endswith(f":{9187:X}")} == {f"0100007F:{9187:X}"}


def test_its_role_only_monitors() -> None:
    query = "SELECT pg_has_role(oid, 'pg_monitor', 'MEMBER'), rolsuper FROM pg_roles WHERE rolname = 'shop_monitor'"
    assert sql(query) == "t|f"


def test_its_password_is_for_root_alone() -> None:
    assert HOST.file("/var/lib/slipway/shop/monitoring").mode == 0o700
    assert "the-monitor" not in HOST.check_output("ps -eo args")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"monitoring_user": None}, "Making role ''"),
        ({"monitoring_port": "many"}, "many"),
        ({"monitoring_port": 5432}, "5432"),
        ({"monitoring_user": "postgres"}, "postgres"),
        (
            {"monitoring_login": {"login_unix_socket": "/no/such", "login_user": "postgres", "login_db": "shop"}},
            "/no/such",
        ),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(variables: dict[str, object], said: str) -> None:
    before = seen()
    assert said in refused(**variables)
    assert seen() == before
    assert "pg_up 1" in metrics()
