# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes from host to host, and what is said where the other one can't be reached. See test_throwaway_server.py."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import throwaway
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import Client
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.throwaway_remote import (
    KEY,
    Description,
    Remote,
    make_key,
)
from conftest import Postgres


def test_the_traits_come_over_as_they_are(postgres: Postgres) -> None:
    with closing(postgres.connect()) as opened, opened.cursor() as cursor:
        traits = throwaway.read(cursor, ["CREATE ROLE x"])
    shape = throwaway.Shape("postgres:17", "999:999", 1 << 28, 1 << 31, -1)
    for told in (Description(traits, 17, 5, "PEM"), Description(traits, 17, 5, "PEM", "box", shape)):
        assert Description.parse(told.text()) == told
        assert "postgres" not in told.text()
    assert dict(traits.creation)["ENCODING"] == "UTF8"


def test_a_key_stays_in_its_directory(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    certificate = make_key(home)
    assert certificate.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in certificate
    assert (home / KEY).read_text().count("-----BEGIN") == 2
    assert (home.stat().st_mode & 0o777, (home / KEY).stat().st_mode & 0o777) == (0o700, 0o600)
    assert make_key(home) != certificate


def test_another_host_that_does_not_answer(tmp_path: Path) -> None:
    certificate = make_key(tmp_path / throwaway.HOME)
    client = Client(Server("postgres", "shop", socket_dir="/nowhere"), 16, "/nowhere")
    remote = Remote(tmp_path, client, name="proving", host="127.0.0.1", port=1, certificate=certificate)
    remote.check()
    with pytest.raises(SlipwayError) as told:
        remote.reach()
    assert str(told.value) == (
        "The server for the copy on proving can't be reached from this host at 127.0.0.1:1: [Errno 111] Connect call "
        "failed ('127.0.0.1', 1); let this host through to there, or name another address or port of it."
    )
    assert throwaway.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []
