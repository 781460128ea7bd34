# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._release import process
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, Spec, State

SALT = "00" * 16
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 20 4 30 10 -1
   3: 0100007F:1F90 0100007F:C352 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
   4: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4714 1 0 100 0 0 10 0
"""


def test_placeholders_are_filled_in_and_other_braces_kept() -> None:
    spec = Spec(["serve", "{host}:{port}", "{other}"], {"URL": "http://{host}:{port}/", "JSON": '{"a": 1}'}, "/srv")
    assert spec.at("127.0.0.1", 81) == Spec(
        ["serve", "127.0.0.1:81", "{other}"], {"URL": "http://127.0.0.1:81/", "JSON": '{"a": 1}'}, "/srv"
    )


def test_digest_sees_everything_and_the_salt() -> None:
    spec = Spec(["serve"], {"KEY": "secret"}, "/srv")
    digests = {
        spec.digest(SALT),
        spec.digest("11" * 16),
        Spec(["serve", "x"], {"KEY": "secret"}, "/srv").digest(SALT),
        Spec(["serve"], {"KEY": "other"}, "/srv").digest(SALT),
        Spec(["serve"], {"KEY": "secret"}, "/").digest(SALT),
        Spec(["serve"], {"KEY": "secret"}, "/srv", "another").digest(SALT),
    }
    assert len(digests) == 6
    assert Spec(("serve",), {"KEY": "secret"}, "/srv").digest(SALT) == spec.digest(SALT)


@pytest.mark.parametrize(
    "state",
    [
        State(),
        State(SALT, "d", "127.0.0.1:80", Process(1, "b/2", 3), Process(4, "b/5", 80), (Process(6, "b/7", 8),)),
    ],
)
def test_state_round_trip(state: State) -> None:
    assert State.load(state.dump(), "state.json") == state
    assert State.load(state.dump().replace('"relay"', '"door"'), "state.json") == state  # as it was written once


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "app": {"pid": 1}}'])
def test_a_file_that_is_no_record(text: str) -> None:
    with pytest.raises(SlipwayError, match=r"^state.json is not a record of a running service \(") as error:
        State.load(text, "state.json")
    assert str(error.value).endswith("stop what it started and remove the file.")


@pytest.mark.parametrize(
    ("stat", "start"),
    [
        ("7 (python) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 163454 9 9", "boot/163454"),
        ("7 (a) b (c) R 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12 9 9", "boot/12"),
        ("7 (python) Z 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 163454 9 9", None),
    ],
)
def test_start_time(stat: str, start: str | None) -> None:
    assert process.start_time(stat, "boot\n") == start


def test_open_connections_counts_established_and_waiting() -> None:
    assert process.open_connections(TABLE, 8080) == 3
    assert process.open_connections(TABLE, 80) == 0


def test_listener_inodes() -> None:
    assert process.listener_inodes(TABLE, 8080) == {"4711"}
    assert process.listener_inodes(TABLE, 50000) == set()


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80")])
def test_address(host: str, address: str) -> None:
    assert process.address_of(host, 80) == address
