# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy to containers leaves, seen by the engine, by SQL and by HTTP."""

from __future__ import annotations

import json
import os
import stat
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from testinfra.host import Host

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
LABEL = "autotest-molecule"
ADDRESS = "http://127.0.0.1:18091"
STATE = Path("/var/lib/slipway/autotest/molecule")
MIGRATIONS = sorted(path.parent.name for path in PROJECT.glob("migrations/*/migration.sql"))
TABLES = {
    "builds", "github_tokens", "releases", "scheduled_tests", "team_members", "team_settings", "teams",
    "test_runs", "users",
}  # fmt: skip

testinfra_hosts = ["local://"]


def secrets() -> dict[str, str]:
    kept: dict[str, str] = json.loads((PROJECT / ".slipway/molecule/secrets.json").read_text())
    return kept


def sql(query: str, role: str = "autotest_owner", secret: str = "database_owner") -> list[tuple[Any, ...]]:
    """Ask the server over its socket as one of the application's roles."""
    connection = psycopg2.connect(
        host=str(STATE / "run"), dbname="autotest", user=role, password=secrets()[secret], connect_timeout=5
    )
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def get(path: str) -> tuple[Any, Any]:
    """Body and headers of an answer."""
    with urllib.request.urlopen(ADDRESS + path, timeout=5) as answer:
        body = answer.read().decode()
        return json.loads(body) if "json" in answer.headers["Content-Type"] else body, answer.headers


def containers(host: Host) -> list[dict[str, Any]]:
    """What the engine says of the environment's running containers."""
    names = host.check_output(f"docker ps --filter name={LABEL} --format '{{{{.Names}}}}'").split()
    found: list[dict[str, Any]] = json.loads(host.check_output("docker inspect " + " ".join(names)))
    return found


def test_three_containers_run(host: Host) -> None:
    kinds = sorted(container["Name"].removeprefix(f"/{LABEL}-").split("-")[0] for container in containers(host))
    assert kinds == ["backend", "frontend", "postgres"]
    assert all(container["State"]["Running"] for container in containers(host))


def test_only_nginx_is_published_and_only_on_loopback(host: Host) -> None:
    published = {
        container["Name"]: [
            binding for bindings in container["HostConfig"]["PortBindings"].values() for binding in bindings
        ]
        for container in containers(host)
        if container["HostConfig"]["PortBindings"]
    }
    assert published == {f"/{LABEL}-frontend": [{"HostIp": "127.0.0.1", "HostPort": "18091"}]}
    assert host.socket("tcp://127.0.0.1:18091").is_listening
    assert not host.socket("tcp://5432").is_listening


def test_containers_are_confined(host: Host) -> None:
    for container in containers(host):
        about = container["HostConfig"]
        assert (about["ReadonlyRootfs"], about["CapDrop"]) == (True, ["ALL"])
        assert about["SecurityOpt"] == ["no-new-privileges"]
        assert min(about["Memory"], about["PidsLimit"]) > 0


def test_backend_is_not_root(host: Host) -> None:
    backend = next(container for container in containers(host) if "backend" in container["Name"])
    assert backend["Config"]["User"].split(":")[0] not in ("", "0", "root")


def test_no_container_shows_a_secret(host: Host) -> None:
    shown = {name for name, value in secrets().items() if value in json.dumps(containers(host))}
    assert shown == set()
    [kept] = (STATE / "backend-secrets").iterdir()
    modes = {path.name: (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) for path in kept.iterdir()}
    assert modes == {"DATABASE_URL": (0o600, 10001), "AUTOTEST_SECRET_KEY": (0o600, 10001)}


def test_history_is_prismas(host: Host) -> None:
    rows = sql(
        "SELECT migration_name, applied_steps_count FROM _prisma_migrations WHERE finished_at IS NOT NULL ORDER BY 1"
    )
    assert rows == [(name, 1) for name in MIGRATIONS]
    for name, checksum in sql("SELECT migration_name, checksum FROM _prisma_migrations"):
        assert host.file(str(PROJECT / "migrations" / name / "migration.sql")).sha256sum == checksum


def test_tables_are_there_and_seeded() -> None:
    found = {name for (name,) in sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    assert found == TABLES | {"_prisma_migrations"}
    assert sql("SELECT count(*) > 0 FROM users") == [(True,)]
    assert sql("SELECT count(*) > 0 FROM builds") == [(True,)]


def test_environment_is_stamped() -> None:
    comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'autotest'"
    assert sql(comment) == [("slipway.environment=molecule",)]


@pytest.mark.parametrize(
    ("role", "secret", "statement"),
    [
        ("autotest_app", "database_application", "CREATE TABLE public.intruder (x int)"),
        ("autotest_app", "database_application", "DROP TABLE builds"),
        ("autotest_app", "database_application", "DELETE FROM _prisma_migrations"),
        ("autotest_readonly", "database_readonly", "DELETE FROM builds"),
    ],
)
def test_a_role_can_do_no_more_than_it_should(role: str, secret: str, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        sql(statement, role, secret)


@pytest.mark.parametrize("login", ["-U postgres", "-h 127.0.0.1 -U autotest_app autotest"])
def test_passwords_count_inside_the_container_too(host: Host, login: str) -> None:
    refused = host.run(f"docker exec -e PGPASSWORD=wrong {LABEL}-postgres psql -c 'SELECT 1' {login}")
    assert refused.failed
    assert "password authentication failed" in refused.stderr


def test_the_superuser_comes_over_the_socket_alone(host: Host) -> None:
    assert sql("SELECT rolsuper FROM pg_roles WHERE rolname = current_user", "postgres", "database_superuser") == [
        (True,)
    ]
    networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    address = host.check_output(f"docker inspect --format '{networks}' {LABEL}-postgres")
    own = {"host": address, "dbname": "autotest", "connect_timeout": 5}
    with pytest.raises(psycopg2.OperationalError, match="rejects connection for host"):
        psycopg2.connect(user="postgres", password=secrets()["database_superuser"], **own)
    psycopg2.connect(user="autotest_app", password=secrets()["database_application"], **own).close()


def test_server_settings() -> None:
    assert sql("SHOW data_checksums") == [("on",)]
    assert sql("SHOW password_encryption") == [("scram-sha-256",)]


def test_page_and_api_answer() -> None:
    page, _headers = get("/")
    assert "<title>autotest</title>" in page
    teams, headers = get("/api/v1/teams")
    assert teams["total"] == sql("SELECT count(*) FROM teams")[0][0]
    health, _headers = get("/healthz")
    assert headers["X-Release"] == health["release"]


def test_sign_in_works_with_the_generated_password() -> None:
    body = json.dumps({"email": "admin@autotest.example", "password": secrets()["app_admin"]}).encode()
    request = urllib.request.Request(
        f"{ADDRESS}/api/v1/sessions", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status in (200, 201)


def test_state_is_for_its_owner_alone() -> None:
    assert stat.S_IMODE(STATE.stat().st_mode) == 0o700
    assert stat.S_IMODE((PROJECT / ".slipway/molecule/secrets.json").stat().st_mode) == 0o600
    assert not (STATE / "lock.json").exists()
    newest = json.loads((STATE / "deployments.jsonl").read_text().splitlines()[-1])
    assert (newest["verb"], newest["status"], newest["facts"]["drift"]) == ("deploy", "succeeded", "none")
