# SPDX-License-Identifier: GPL-3.0-or-later
"""A server in a container, made by role postgres alone: seen by the engine and by SQL."""

from __future__ import annotations

import psycopg2
import pytest
from support.role import NAME, PASSWORDS, STATE, containers, docker, files, refused, sql
from testinfra.host import Host

testinfra_hosts = ["local://"]


def seen() -> tuple[object, ...]:
    """What a run that is refused leaves as it was."""
    started = docker("inspect", "--format", "{{.State.StartedAt}}", NAME)
    roles = sql("SELECT rolname, rolpassword, rolcanlogin FROM pg_authid ORDER BY 1")
    databases = sql("SELECT datname, datdba, datacl::text FROM pg_database ORDER BY 1")
    volumes = docker("volume", "ls", "--quiet", f"--filter=name={NAME}")
    return containers(), started, roles, databases, volumes, list(files())


def test_the_server_is_as_its_variables_say(host: Host) -> None:
    assert [state for _, state in containers().values()] == ["running"]
    assert sql("SHOW max_connections") == [("30",)]
    assert sql("SHOW data_checksums") == [("on",)]
    assert host.file(str(STATE / "postgres-secrets")).mode == 0o700
    assert PASSWORDS["postgres"] not in docker("inspect", NAME)


def test_nothing_is_published(host: Host) -> None:
    assert docker("port", NAME) == ""
    assert not host.socket("tcp://5432").is_listening


def test_the_database_is_marked_and_its_owners() -> None:
    comment = (
        "SELECT shobj_description(oid, 'pg_database'), datdba::regrole::text FROM pg_database WHERE datname = 'shop'"
    )
    assert sql(comment) == [("slipway.environment=molecule", "shop_owner")]


def test_the_roles_can_what_they_should() -> None:
    assert sql("SELECT has_schema_privilege('public', 'CREATE')", "shop_owner") == [(True,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        sql("CREATE TABLE intruder (x int)", "shop_app")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"postgres_runtime": "cloud"},
            "value of postgres_runtime must be one of: container, embedded, external, got: cloud",
        ),
        ({"postgres_version": 99}, "but 99 is wanted: nothing was changed; go back to"),
        ({"postgres_environment": "prod"}, "belongs to environment 'molecule' but this inventory is 'prod'"),
        ({"postgres_superuser_password": "x"}, "refuses the password of the administrator 'postgres'"),
        ({"postgres_application": "shop_owner"}, "Role 'shop_owner' is to be both owner and application: nothing was"),
        ({"postgres_extensions": ["no_such"]}, "no_such"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(variables: dict[str, object], said: str) -> None:
    before = seen()
    assert said in refused(**variables)
    assert seen() == before


def test_an_image_that_is_not_there_leaves_nothing_behind() -> None:
    other = {"postgres_state_dir": str(STATE.parent / "other"), "postgres_container": f"{NAME}-other"}
    before = seen()
    assert "does not run" in refused(postgres_image="localhost/no-such:1", postgres_version=16, **other)
    assert seen() == before
