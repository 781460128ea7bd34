# SPDX-License-Identifier: GPL-3.0-or-later
"""What a session is told, and how it connects."""

from __future__ import annotations

import dataclasses
import json

from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.plugin_utils._session.model import READ_ONLY, Session

SERVER = Server("shop_readonly", "shop", "geheim", host="db.example.com", ssl_mode="verify-full", ca_cert="/ca.crt")
SESSION = Session("shop-prod", READ_ONLY, SERVER, "web", ("ssh", "web", "a b"), ("ssh",), "PEM", {"sql": "SELECT 1"})


def test_it_goes_to_the_program_as_json() -> None:
    assert Session.from_dict(json.loads(json.dumps(dataclasses.asdict(SESSION)))) == SESSION


def test_a_session_that_reads_has_read_only_transactions() -> None:
    assert SESSION.settings() == {
        "host": "db.example.com", "port": "5432", "user": "shop_readonly", "password": "geheim", "dbname": "shop",
        "sslmode": "verify-full", "connect_timeout": "10", "application_name": "slipway read-only",
        "sslrootcert": "/ca.crt", "options": "-c default_transaction_read_only=on",
    }  # fmt: skip
    assert "options" not in dataclasses.replace(SESSION, access="owner").settings()


def test_a_direct_way_is_the_server_itself() -> None:
    socket = Session("shop-local", "owner", Server("o", "shop", socket_dir="/run/pg"))
    with socket.reach() as settings:
        assert settings["host"] == "/run/pg"
        assert "hostaddr" not in settings


def test_through_a_tunnel_the_name_of_the_server_stays_for_its_certificate() -> None:
    with dataclasses.replace(SESSION, tunnel=("true",), probe=("true",)).reach() as settings:
        assert (settings["host"], settings["hostaddr"]) == ("db.example.com", "127.0.0.1")
        assert settings["port"] != "5432"
        file = settings["sslrootcert"]
        with open(file) as opened:
            assert opened.read() == "PEM"
