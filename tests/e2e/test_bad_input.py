# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: one sentence that names the value and the remedy, before anything is written."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from e2e.conftest import Deployed
from support.environment import Environment, free_port


@dataclass(frozen=True)
class Bad:
    """What is told, and what the message must say. {directory} and {port} stand for the environment's own."""

    says: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)


CASES = {
    "unknown environment": Bad(
        ("There is no environment at ", "/nowhere: choose one with -i, such as -i local, -i test or -i prod."),
        arguments=("-i", "nowhere"),
    ),
    "wrong type": Bad(
        ("Variable app_port is 'abc' and must be of type int: correct it in the inventory's group_vars or with -e.",),
        variables={"app_port": "abc"},
    ),
    "wrong choice": Bad(
        ("Variable database_runtime is 'mysql' and must be one of container, embedded, external: correct it in ",),
        variables={"database_runtime": "mysql"},
    ),
    "a name that can't be one": Bad(
        ("Variable app_name is MyApp and may hold lower-case letters, digits, - and _ only",),
        variables={"app_name": "MyApp"},
    ),
    "a name that leaves no room": Bad(
        (
            f"The database would be called {'ä' * 28}, but PostgreSQL cuts names at 63 bytes, and roles and copies "
            "have up to 9 more in theirs (_readonly): set database_name to one of at most 54 bytes.",
        ),
        variables={"database_name": "ä" * 28},
    ),
    "external without a host": Bad(
        (
            "Variable database_host is not set and is required, since database_runtime is external: set it",
            "Variable database_superuser_password is not set and is required, since database_runtime is external: set ",
        ),
        variables={"database_runtime": "external"},
    ),
    "an image that hides its version": Bad(
        ("database_image registry.example.com:5000/postgres@sha256:90 does not show its major version: set database_",),
        arguments=("-i", "test"),
        variables={
            "database_image": "registry.example.com:5000/postgres@sha256:90",
            "secrets_file": "{directory}/state/secrets.json",
        },
    ),
    "a process on a container's network": Bad(
        ("app_runtime is process but database_runtime is container, whose network a process is not on: set both to ",),
        variables={"database_runtime": "container", "database_image": "postgres:17"},
    ),
    "no migrations directory": Bad(
        ("There is no directory of migrations '{directory}/none' on the controller: correct the path or create it",),
        variables={"app_migrations": "{directory}/none"},
    ),
    "empty migrations directory": Bad(
        (
            "The directory of migrations '{directory}/empty' holds no migration: put each in a directory of its own, "
            "such as {directory}/empty/20250101120000_init/migration.sql.",
        ),
        variables={"app_migrations": "{directory}/empty"},
    ),
    "directory without migration.sql": Bad(
        (
            "The migration '20250101120000_init' has no file {directory}/hollow/20250101120000_init/migration.sql: "
            "restore it from version control, or delete the directory.",
        ),
        variables={"app_migrations": "{directory}/hollow"},
    ),
    "a file that is not SQL": Bad(
        (
            '{directory}/prose/20250101120000_init/migration.sql:2:1: syntax error at or near "Dear"',
            "2 | Dear colleagues, please add a column.\n  | ^",
        ),
        variables={"app_migrations": "{directory}/prose"},
    ),
    "placeholder secret": Bad(
        (
            "Secret app_secret_key still holds a placeholder: "
            "set it with `ansible-vault edit` in the inventory's vault.yml.",
        ),
        variables={"app_secret_key": "CHANGE_ME"},
    ),
    "port in use": Bad(
        ("Port {port} on 127.0.0.1 is in use by another process (pid ", "): end that one, or set another port."),
        variables={"app_port": "{port}"},
    ),
    "unreachable database": Bad(
        ("The database server at 127.0.0.1:{closed} rejects role postgres (", "): start it, or correct "),
        variables={
            "database_runtime": "external",
            "database_host": "127.0.0.1",
            "database_port": "{closed}",
            "database_superuser_password": "of-no-server-at-all",
        },
    ),
    "no Docker engine": Bad(
        ("No Docker engine answers on this host (", "unix:///nonexistent.sock", "): start it, let this user reach it"),
        arguments=("-i", "test"),
        variables={"secrets_file": "{directory}/state/secrets.json"},
        environ={"DOCKER_HOST": "unix:///nonexistent.sock"},
    ),
}


@pytest.fixture(scope="module")
def places(fresh: Environment) -> Iterator[dict[str, str]]:
    """The directories and ports that the cases name."""
    (fresh.directory / "empty").mkdir()
    (fresh.directory / "hollow/20250101120000_init").mkdir(parents=True)
    prose = fresh.directory / "prose/20250101120000_init/migration.sql"
    prose.parent.mkdir(parents=True)
    prose.write_text("-- a letter\nDear colleagues, please add a column.\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield {
            "directory": str(fresh.directory),
            "port": str(taken.getsockname()[1]),
            "closed": str(free_port()),
        }


def tree(directory: Path) -> set[Path]:
    return {path for path in directory.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.parametrize("bad", CASES.values(), ids=CASES.keys())
def test_one_sentence_and_nothing_written(fresh: Environment, places: dict[str, str], bad: Bad) -> None:
    before = tree(fresh.directory)
    variables = {name: value.format(**places) for name, value in bad.variables.items()}
    outcome = fresh.play("deploy.yml", *bad.arguments, environ=bad.environ, **variables).failed()

    assert len(outcome.messages) == 1, outcome.output
    message = outcome.messages[0]
    for part in bad.says:
        assert part.format(**places) in message
        assert message.count(part.format(**places)) == 1
    assert outcome.recap["changed"] == 0
    assert not fresh.state.exists()
    assert tree(fresh.directory) == before


def test_a_check_of_a_new_environment_succeeds_and_writes_nothing(fresh: Environment) -> None:
    before = tree(fresh.directory)
    outcome = fresh.deploy("--check", "--diff").succeeded()

    assert "deploy succeeded, nothing was written (check mode)" in outcome.output
    assert not fresh.state.exists()
    assert tree(fresh.directory) == before
    assert fresh.processes() == {}


def test_the_database_of_another_environment_is_left_alone(deployed: Deployed) -> None:
    deployed.first.succeeded()
    deployed.sql("COMMENT ON DATABASE autotest IS 'slipway.environment=prod'")
    try:
        before = deployed.dump(), deployed.processes(), deployed.backups()
        outcome = deployed.deploy().failed()
        after = deployed.dump(), deployed.processes(), deployed.backups()
    finally:
        deployed.sql("COMMENT ON DATABASE autotest IS 'slipway.environment=local'")

    assert outcome.messages[0] == (
        "Database 'autotest' belongs to environment 'prod' but this inventory is 'local': nothing was changed; "
        "use the right inventory, or the right server in this one."
    )
    assert outcome.recap["changed"] == 0
    assert after == before


@pytest.mark.parametrize("verb", ["migrate", "seed", "backup", "restore"])
def test_every_verb_that_writes_asks_whose_database_it_is(deployed: Deployed, verb: str) -> None:
    deployed.first.succeeded()
    before = deployed.dump(), deployed.backups()
    outcome = deployed.play(f"playbooks/{verb}.yml", environment_name="staging").failed()

    assert outcome.messages[0] == (
        "Database autotest belongs to environment local but this inventory is staging: nothing was changed; "
        "use the right inventory, or the right server in this one."
    )
    assert (deployed.dump(), deployed.backups()) == before


def test_a_second_controller_generates_no_passwords_for_a_database_that_has_them(deployed: Deployed) -> None:
    deployed.first.succeeded()
    elsewhere = deployed.directory / "other" / "secrets.json"
    for playbook, sentence in (
        (
            "deploy.yml",
            f"but {deployed.state} on this host belongs to a database that has them: they are in that file on ",
        ),
        ("playbooks/migrate.yml", "deploy first or, where another controller has deployed, copy the file from there "),
    ):
        outcome = deployed.play(playbook, secrets_file=elsewhere).failed()
        assert sentence in outcome.messages[0]
        assert f"{elsewhere} " in outcome.messages[0]
        assert outcome.recap["changed"] == 0
    deployed.play("playbooks/status.yml", secrets_file=elsewhere).failed()
    assert not elsewhere.parent.exists()


def test_the_operators_environment_changes_no_deploy(deployed: Deployed) -> None:
    deployed.first.succeeded()
    surroundings = {
        "PGHOST": "192.0.2.1", "PGPORT": "54915", "PGSERVICE": "nowhere", "PGOPTIONS": "-c nothing=1",
        "PGSSLMODE": "verify-full", "PGUSER": "nobody", "DOCKER_HOST": "tcp://192.0.2.1:1",
    }  # fmt: skip
    outcome = deployed.play("deploy.yml", environ=surroundings).succeeded()
    assert outcome.recap["changed"] == 0, outcome.output
