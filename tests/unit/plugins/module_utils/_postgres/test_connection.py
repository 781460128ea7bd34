# SPDX-License-Identifier: GPL-3.0-or-later
"""What is between a module and the server, as far as it can be told without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import connection as connections
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    BATCH,
    CONNECTION_SPEC,
    Server,
    batches,
    check_version,
    connect,
    sql_errors,
)


def test_an_old_server_is_refused() -> None:
    with pytest.raises(
        SlipwayError, match=r"^The server is PostgreSQL 11: Slipway needs 12 or newer, upgrade the server\.$"
    ):
        check_version(110022)


@pytest.mark.parametrize("version", [120000, 160014, 180004])
def test_a_newer_one_is_not(version: int) -> None:
    check_version(version)


SERVER = Server("ada", "shop", "secret", "db.example", 5433)


@pytest.mark.parametrize(
    ("server", "address"),
    [
        (SERVER, "db.example:5433"),
        (Server("ada", "shop"), "localhost:5432"),
        (replace(SERVER, socket_dir="/run/pg"), "/run/pg"),
    ],
)
def test_an_address_as_a_person_would_name_it(server: Server, address: str) -> None:
    assert server.address == address


def test_the_same_server_otherwise() -> None:
    assert SERVER.on("other") == replace(SERVER, database="other")
    assert SERVER.by(None) is SERVER
    found = SERVER.by({"login_user": "bob", "login_password": "x"})
    assert found == replace(SERVER, user="bob", password="x")


def test_the_same_role_elsewhere() -> None:
    other = Server("bob", "shop_scratch", "other", socket_dir="/run/pg", ssl_mode="disable")
    assert SERVER.at(other.location) == replace(other, user="ada", password="secret")
    assert SERVER.at(SERVER.location) == SERVER
    assert SERVER.at({}) is SERVER


def test_the_options_of_a_module() -> None:
    options = {name: option.get("default") for name, option in CONNECTION_SPEC.items()}
    assert Server.from_params({**options, "login_user": "ada", "login_db": "shop"}) == Server("ada", "shop")
    given = {"login_host": "h", "login_port": 1, "login_password": "p", "ssl_mode": "verify-full", "ca_cert": "/ca"}
    found = Server.from_params({**options, "login_user": "ada", "login_db": "shop", **given})
    assert found == Server("ada", "shop", "p", "h", 1, ssl_mode="verify-full", ca_cert="/ca")


def test_batches() -> None:
    names = [str(number) for number in range(2 * BATCH + 1)]
    assert [len(batch) for batch in batches(names)] == [BATCH, BATCH, 1]
    assert [name for batch in batches(names) for name in batch] == names
    assert list(batches([])) == []


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError) as caught:
        connect(Server("ada", "shop", socket_dir=str(tmp_path)))
    said = str(caught.value)
    assert said.startswith(f"Can't connect to database 'shop' at {tmp_path} as role 'ada': connection to server on ")
    assert said.endswith("; check that the server runs and is the one that is meant.")


def test_a_host_without_psycopg2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "psycopg2", None)
    with pytest.raises(
        SlipwayError, match=r"^Python's psycopg2 is missing on the host: install the package python3-ps"
    ):
        connect(SERVER)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (psycopg2.OperationalError("server closed\nthe connection"), "Work failed: server closed; see that the server "
         "runs, and in its log why it ended the session, and run again."),
        (psycopg2.InterfaceError(" "), "Work failed: the connection was lost; see that the server runs, and in its "
         "log why it ended the session, and run again."),
        (psycopg2.ProgrammingError("no such thing"), "Work failed: no such thing."),
    ],
)  # fmt: skip
def test_an_error_says_what_was_being_done(error: psycopg2.Error, said: str) -> None:
    with pytest.raises(SlipwayError) as caught, sql_errors("Work"):
        raise error
    assert str(caught.value) == said
    assert caught.value.__cause__ is error


def test_an_error_of_ours_stays_as_it_is() -> None:
    with pytest.raises(SlipwayError, match=r"^as it is$"), sql_errors("Work"):
        raise SlipwayError("as it is")
