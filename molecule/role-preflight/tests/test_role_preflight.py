# SPDX-License-Identifier: GPL-3.0-or-later
"""Role preflight alone: it writes nothing, and stops where a run must not go on."""

from __future__ import annotations

import socket

import pytest
from support.role import STATE, files, refused, sql

OWNER = {"login_unix_socket": str(STATE / "run"), "login_user": "shop_owner", "login_db": "shop"}


def seen() -> tuple[object, ...]:
    """All that a look must leave as it was."""
    databases = sql("SELECT datname, datallowconn, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY 1")
    return [name for name in files() if not name.startswith("postgres/data/")], databases


def test_nothing_was_written() -> None:
    assert sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []
    assert not (STATE / "lock.json").exists()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"preflight_environment": "prod", "preflight_confirm": "prod"}, "belongs to environment"),
        ({"preflight_confirm": "yes"}, "The shop's data will be deleted. It was not confirmed, so nothing was changed"),
        ({"preflight_free_megabytes": 10**9}, " MB free, a deploy needs 1000000000 MB: free some space"),
        (
            {"preflight_files": {"database_ca_cert": "/no/such.pem"}},
            "/no/such.pem, which database_ca_cert names, is no file on",
        ),
        ({"preflight_server": {**OWNER, "login_password": "x"}}, "password"),
        ({"preflight_database": {**OWNER, "login_password": "x"}}, "password"),
    ],
)
def test_bad_input_is_refused(variables: dict[str, object], said: str) -> None:
    before = seen()
    assert said in refused(**variables)
    assert seen() == before


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert str(taken.getsockname()[1]) in refused(preflight_port=taken.getsockname()[1])
