# SPDX-License-Identifier: GPL-3.0-or-later
"""What is changed in a server's pg_hba.conf, by what it says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_authentication import (
    Clients,
    Rule,
    plan,
    prepend,
)

FILE = "/var/lib/postgresql/data/pg_hba.conf"
SOCKET = Rule(1, "local", ["all"], ["all"], None, "scram-sha-256")
ANYONE = Rule(2, "host", ["all"], ["all"], "all", "scram-sha-256")
OURS = Rule(3, "host", ["all", "replication"], ["admin"], "all", "reject")
PREPENDED = f"Made {FILE} let admin in over the socket alone."
RELOADED = f"Had the server read {FILE} again."


@pytest.mark.parametrize(
    ("rules", "unread", "expected"),
    [
        ([SOCKET, ANYONE], False, [PREPENDED, RELOADED]),
        ([SOCKET, ANYONE, OURS], False, [PREPENDED, RELOADED]),
        ([SOCKET, OURS, ANYONE], False, []),
        ([OURS, SOCKET, ANYONE], False, []),
        ([OURS, SOCKET, ANYONE], True, [RELOADED]),
        ([SOCKET], False, []),
        ([SOCKET], True, [RELOADED]),
        ([Rule(1, "host", ["all"], ["admin"], "all", "reject"), ANYONE], False, [PREPENDED, RELOADED]),
        ([Rule(1, "host", ["all", "replication"], ["bob"], "all", "reject"), ANYONE], False, [PREPENDED, RELOADED]),
        ([Rule(1, "hostssl", ["all", "replication"], ["admin"], "all", "reject")], False, [PREPENDED, RELOADED]),
        ([Rule(1, "host", ["all", "replication"], ["admin"], "127.0.0.1", "reject")], False, [PREPENDED, RELOADED]),
    ],
)
def test_plan(rules: list[Rule], unread: bool, expected: list[str]) -> None:
    statements, remarks = plan(rules, "admin", FILE, own=True, unread=unread)
    assert ([statement.done for statement in statements], remarks) == (expected, [])


def test_a_file_of_the_operators_is_left_alone() -> None:
    assert plan([ANYONE], 'ad"min', "/etc/hba", own=False, unread=False) == (
        [],
        [
            "/etc/hba is not Slipway's: to keep ad\"min off the network, make this its first line: "
            'host all,replication "ad""min" all reject'
        ],
    )


def test_a_file_that_the_server_can_not_read() -> None:
    broken = Rule(7, "", None, None, None, None, 'invalid authentication method "scram"')
    with pytest.raises(SlipwayError) as error:
        plan([OURS, broken], "admin", FILE, own=True, unread=True)
    assert str(error.value) == (
        f'The server can\'t read line 7 of {FILE} (invalid authentication method "scram"), and would not start again: '
        "correct the line and run again."
    )


def test_prepend(tmp_path: Path) -> None:
    file = tmp_path / "it's %s" / "pg_hba.conf"
    file.parent.mkdir()
    file.write_text("local all all\thba\\ \n# end")
    sql = prepend(['host all "a\'b\\n%s$x" all'], str(file))
    command = sql.removeprefix("COPY (SELECT WHERE false) TO PROGRAM '").removesuffix("'").replace("''", "'")
    subprocess.run(["sh", "-c", command], check=True)
    assert file.read_text() == 'host all "a\'b\\n%s$x" all\nlocal all all\thba\\ \n# end'
    assert [path.name for path in file.parent.iterdir()] == ["pg_hba.conf"]


CLIENTS = Clients("app", ("10.0.0.7", "10.0.1.0/24"))
BLOCK = """# Slipway: begin, renewed by each deploy
host all,replication "admin" all reject
hostssl all +"app" 10.0.0.7/32 scram-sha-256
hostssl all +"app" 10.0.1.0/24 scram-sha-256
host all all samenet scram-sha-256
host all,replication all all reject
# Slipway: end
"""
LET_IN = f"Made {FILE} let admin in over the socket alone, and from other hosts app from 10.0.0.7, 10.0.1.0/24."


@pytest.mark.parametrize(
    ("text", "clients", "expected"),
    [
        ("host all all all scram-sha-256\n", CLIENTS, [LET_IN, RELOADED]),
        ('host all,replication "admin" all reject\n', CLIENTS, [LET_IN, RELOADED]),
        (BLOCK, CLIENTS, []),
        (f"# mine\n{BLOCK}", CLIENTS, [LET_IN, RELOADED]),
        (BLOCK, Clients("app", ("10.0.0.8",)), [LET_IN.replace("7, 10.0.1.0/24", "8"), RELOADED]),
        (BLOCK, None, [PREPENDED, RELOADED]),
    ],
)
def test_other_hosts(text: str, clients: Clients | None, expected: list[str]) -> None:
    statements, remarks = plan([OURS, ANYONE], "admin", FILE, own=True, unread=False, text=text, clients=clients)
    assert ([statement.done for statement in statements], remarks) == (expected, [])


def test_the_former_lines_go(tmp_path: Path) -> None:
    file = tmp_path / "pg_hba.conf"
    file.write_text(f"{BLOCK}local all all trust\n")
    sql = prepend(["host all bob all reject"], str(file))
    command = sql.removeprefix("COPY (SELECT WHERE false) TO PROGRAM '").removesuffix("'").replace("''", "'")
    subprocess.run(["sh", "-c", command], check=True)
    assert file.read_text() == "host all bob all reject\nlocal all all trust\n"


def test_a_name_is_no_address() -> None:
    with pytest.raises(SlipwayError) as error:
        Clients("app", ("web.example.com",)).lines("admin")
    assert str(error.value) == (
        "database_clients has 'web.example.com', which is no IP address or network: give those from which the backends "
        "reach the database, such as 10.0.0.7 or 10.0.1.0/24."
    )
