# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the role of a Molecule scenario once more, with variables it has to refuse, and asks database and engine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
STATE = EPHEMERAL / "state"
NAME = f"slipway-{os.environ['MOLECULE_SCENARIO_NAME']}"
PASSWORDS = {"postgres": "the-superuser's", "shop_owner": "the-owner's", "shop_app": "the-application's"}


def use(*flags: str, **variables: object) -> tuple[int, str]:
    """Status and output, in one line, of the scenario's converge with these variables in place of its own."""
    done = subprocess.run(
        ["ansible-playbook", "-i", str(EPHEMERAL / "inventory"), "-e", json.dumps(variables), *flags,
         str(SCENARIO / "converge.yml")],
        env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "COLUMNS": "2000"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def refused(**variables: object) -> str:
    """What the role says of variables with which it has to fail."""
    status, said = use(**variables)
    assert status, said
    return said


def sql(query: str, user: str = "postgres", database: str = "shop") -> list[tuple[Any, ...]]:
    """Ask the scenario's server over its socket."""
    own = {"host": str(STATE / "run"), "dbname": database, "user": user, "password": PASSWORDS[user]}
    with closing(psycopg2.connect(connect_timeout=5, **own)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall() if cursor.description else []


def schema() -> list[tuple[str, str]]:
    """Tables of the schema public with their columns, in order."""
    query = "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = 'public'"
    return [(table, column) for table, column in sql(f"{query} ORDER BY table_name, ordinal_position")]


def databases() -> list[str]:
    """Names of all databases of the server."""
    return [name for (name,) in sql("SELECT datname FROM pg_database ORDER BY 1")]


def docker(*arguments: str) -> str:
    """What the engine answers."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def containers() -> dict[str, tuple[str, str]]:
    """The scenario's containers, with identifier and state."""
    listing = docker("ps", "--all", "--no-trunc", f"--filter=name={NAME}", "--format={{.Names}} {{.ID}} {{.State}}")
    return {name: (identifier, state) for name, identifier, state in map(str.split, listing.splitlines())}


def files(directory: Path = STATE) -> dict[str, tuple[int, int]]:
    """Each file below a directory, with its time of change in ns and its size in bytes."""

    def found() -> Iterator[tuple[str, tuple[int, int]]]:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                about = path.stat()
                yield str(path.relative_to(directory)), (about.st_mtime_ns, about.st_size)

    return dict(found())
