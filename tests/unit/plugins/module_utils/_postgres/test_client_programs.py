# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import (
    Client,
    Failure,
    ProgramError,
    conninfo,
    reason,
    unrestored,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server

SERVER = Server(user="u", database="d", password="s3cret", socket_dir="/run/db", port=5433)


def test_in_a_container_only_names_are_arguments() -> None:
    client = Client(SERVER, 16, container="db")
    command = client.command("pg_dump", "--format=custom")
    assert command[:3] == ["docker", "exec", "-i"]
    assert command[-3:] == ["db", "pg_dump", "--format=custom"]
    forwarded = [value for option, value in itertools.pairwise(command) if option == "-e"]
    assert set(forwarded) == {"LC_ALL", *client.settings}
    assert "s3cret" not in " ".join(command)
    assert client.settings["PGHOST"] == "/var/run/postgresql"
    assert "PGSSLMODE" not in client.settings


def test_on_the_host_the_programs_come_from_the_directory(tmp_path: Path) -> None:
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    client = Client(SERVER, 16, bindir=str(tmp_path))
    assert client.command("pg_dump") == [str(program)]
    assert client.settings["PGHOST"] == "/run/db"
    with pytest.raises(SlipwayError) as raised:
        client.command("pg_restore")
    assert str(raised.value) == (
        f"The program pg_restore is not in {tmp_path}: install the package postgresql-client-16, or name the directory "
        "of the server's own programs as 'bindir' or its container as 'container'."
    )


def test_the_callers_settings_do_not_get_through() -> None:
    found = Client(SERVER, 16).environment({"PGSERVICE": "x", "PGHOST": "y", "HOME": "/h", "LC_ALL": "de_DE"})
    assert (found["PGHOST"], found["HOME"], found["LC_ALL"]) == ("/run/db", "/h", "C")
    assert "PGSERVICE" not in found


@pytest.mark.parametrize(
    ("database", "expected"),
    [("plain", "dbname='plain'"), ("a b=c", "dbname='a b=c'"), (r"it's\\", r"dbname='it\'s\\\\'")],
)
def test_conninfo(database: str, expected: str) -> None:
    assert conninfo(database) == expected


def test_reason_leaves_rows_out() -> None:
    stderr = (
        'pg_restore: error: COPY failed for table "users": ERROR:  value too long\n'
        'CONTEXT:  COPY users, line 1, column email: "ada@example.com"\n'
    )
    assert reason(stderr) == 'pg_restore: error: COPY failed for table "users": ERROR:  value too long'
    assert reason("") == "it gave no reason"


def test_reason_keeps_the_hint() -> None:
    stderr = (
        "pg_dump: error: query failed: ERROR:  out of shared memory\n"
        'HINT:  You might need to increase "max_locks_per_transaction".\n'
        "pg_dump: detail: Query was: LOCK TABLE public.shop_1 IN ACCESS SHARE MODE\n"
    )
    assert reason(stderr) == (
        "pg_dump: error: query failed: ERROR:  out of shared memory; "
        'HINT:  You might need to increase "max_locks_per_transaction".'
    )


def test_failures() -> None:
    stderr = (
        'pg_restore: creating INDEX "public.product_tidy_idx"\n'
        "pg_restore: while PROCESSING TOC:\n"
        "pg_restore: from TOC entry 2437; 1259 16395 INDEX product_tidy_idx owner\n"
        "pg_restore: error: could not execute query: ERROR:  function squeeze(text) does not exist\n"
        "LINE 1: t = squeeze(t)\n"
        "HINT:  No function matches the given name and argument types.\n"
        "Command was: CREATE INDEX product_tidy_idx ON public.product\n    USING btree (public.tidy(name));\n"
        "\n\n"
        "pg_restore: from TOC entry 2594; 0 16397 TABLE DATA B owner\n"
        'pg_restore: error: COPY failed for table "B": ERROR:  division by zero\n'
        "CONTEXT:  COPY b, line 1\n"
        "pg_restore: warning: errors ignored on restore: 2\n"
    )
    assert unrestored(stderr) == [
        Failure(
            "INDEX product_tidy_idx owner",
            "function squeeze(text) does not exist",
            "CREATE INDEX product_tidy_idx ON public.product\n    USING btree (public.tidy(name));",
        ),
        Failure("TABLE DATA B owner", 'COPY failed for table "B": ERROR:  division by zero', ""),
    ]
    assert unrestored("pg_restore: error: could not open input file\n") == []


def test_the_space_of_a_server_that_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory is none of the container whose programs reach it."""

    def run(_client: Client, *command: str) -> str:
        if command[-1] == "/there":
            raise ProgramError("df", 1, "df: /there: No such file or directory")
        return "Filesystem 1024-blocks Used Available Capacity Mounted on\noverlay 100 40 60 40% /\n"

    monkeypatch.setattr(Client, "run", run)
    client = Client(SERVER, 16, container="db")
    assert (client.space("/here"), client.space("/there")) == ((40 * 1024, 60 * 1024), None)
