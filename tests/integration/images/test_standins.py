# SPDX-License-Identifier: GPL-3.0-or-later
"""The PostgreSQL stand-in keeps the official image's contract, on a real Docker engine.

The tests share one container, started with a password file and two first-start scripts, and only read it; a test that
stops or changes a server starts its own.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.container

IMAGE = os.environ.get("SLIPWAY_POSTGRES_IMAGE", "slipway-standin/postgres:15")
PASSWORD = "correct horse 'battery' staple"
READY_WITHIN = 30.0  # seconds
SCRAM = "--auth-host=scram-sha-256 --auth-local=scram-sha-256 --data-checksums"

Start = Callable[..., str]


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60)
    if check and done.returncode:
        pytest.fail(f"docker {arguments[0]} ended with {done.returncode}: {done.stderr}")
    return done


def logs(container: str) -> str:
    done = docker("logs", container)
    return done.stdout + done.stderr


def wait_until_ready(container: str) -> None:
    """Ready is what answers over TCP: the first start's temporary server has only the socket."""
    deadline = time.monotonic() + READY_WITHIN
    while docker("exec", container, "pg_isready", "-q", "-h", "127.0.0.1", check=False).returncode:
        running = docker("inspect", "--format", "{{.State.Running}}", container).stdout.strip()
        if running != "true" or time.monotonic() > deadline:
            pytest.fail(f"{container} did not become ready within {READY_WITHIN} s:\n{logs(container)}")
        time.sleep(0.1)


def query(container: str, sql: str, *, user: str = "owner", database: str = "shop", password: str = PASSWORD) -> str:
    done = docker(
        "exec", "--env", f"PGPASSWORD={password}", container,
        "psql", "-h", "127.0.0.1", "-U", user, "-d", database, "-AtXc", sql,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """A function that starts a container and returns its id; all are removed with their volumes at the end."""
    started: list[str] = []

    def start_container(*options: str, command: tuple[str, ...] = ()) -> str:
        started.append(docker("run", "--detach", *options, IMAGE, *command).stdout.strip())
        return started[-1]

    yield start_container
    for container in started:
        docker("rm", "--force", "--volumes", container, check=False)


@pytest.fixture(scope="module")
def server(start: Start, tmp_path_factory: pytest.TempPathFactory) -> str:
    scripts = tmp_path_factory.mktemp("scripts")
    (scripts / "1.sql").write_text("CREATE TABLE ran (step text); INSERT INTO ran VALUES ('sql');")
    (scripts / "2.sql.gz").write_bytes(gzip.compress(b"INSERT INTO ran VALUES ('sql.gz');"))
    (scripts / "3.sh").write_text(
        'psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "INSERT INTO ran VALUES (\'sh\')"\n'
        "pg_isready -q -h 127.0.0.1 && touch /tmp/temporary-server-answers-over-tcp || true\n"
    )
    (scripts / "4.txt").write_text("not a script")
    secret = tmp_path_factory.mktemp("secret") / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)  # the official image reads it as root too
    scripts.chmod(0o755)
    name = start(
        "--env", "POSTGRES_USER=owner", "--env", "POSTGRES_DB=shop",
        "--env", "POSTGRES_PASSWORD_FILE=/run/secrets/password",
        "--env", f"POSTGRES_INITDB_ARGS={SCRAM}",
        "--volume", f"{secret}:/run/secrets/password:ro",
        "--volume", f"{scripts}:/docker-entrypoint-initdb.d:ro",
    )  # fmt: skip
    wait_until_ready(name)
    return name


def test_the_password_file_is_the_superusers_password(server: str) -> None:
    assert query(server, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == "t"


def test_initdb_takes_the_arguments(server: str) -> None:
    assert query(server, "SHOW data_checksums") == "on"
    assert query(server, "SELECT DISTINCT auth_method FROM pg_hba_file_rules") == "scram-sha-256"


def test_first_start_scripts_ran_once_in_order(server: str) -> None:
    assert query(server, "SELECT string_agg(step, ',') FROM ran") == "sql,sql.gz,sh"
    assert "ignoring /docker-entrypoint-initdb.d/4.txt" in logs(server)


def test_the_temporary_server_listened_on_the_socket_only(server: str) -> None:
    assert docker("exec", server, "test", "-e", "/tmp/temporary-server-answers-over-tcp", check=False).returncode == 1


def test_the_server_runs_as_postgres_and_owns_its_directories(server: str) -> None:
    assert docker("exec", server, "stat", "-c", "%u", "/proc/1").stdout.strip() == "999"
    found = docker("exec", server, "stat", "-c", "%U %a", "/var/lib/postgresql/data", "/var/run/postgresql").stdout
    assert found.splitlines() == ["postgres 700", "postgres 3775"]


def test_the_client_programs_are_on_the_path(server: str) -> None:
    for program in ("pg_dump", "pg_restore", "psql", "pg_isready", "pg_amcheck"):
        assert docker("exec", server, program, "--version").stdout.startswith(program)


@pytest.mark.parametrize(
    ("password", "exit_status", "says"),
    [
        (PASSWORD, 0, "owner"),
        ("wrong", 2, 'password authentication failed for user "owner"'),
        ("", 2, "no password supplied"),
    ],
)
def test_another_container_needs_the_password(server: str, password: str, exit_status: int, says: str) -> None:
    address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", server).stdout.strip()
    done = docker(
        "run", "--rm", "--env", f"PGPASSWORD={password}", IMAGE,
        "psql", "-wAtX", "-h", address, "-U", "owner", "-d", "shop", "-c", "SELECT current_user",
        check=False,
    )  # fmt: skip
    assert done.returncode == exit_status
    assert says in done.stdout + done.stderr


def test_the_socket_needs_the_password_too(server: str) -> None:
    done = docker("exec", server, "psql", "-wX", "-U", "owner", "-d", "shop", "-c", "SELECT 1", check=False)
    assert done.returncode == 2
    assert "no password supplied" in done.stderr


def test_a_stop_is_clean_and_a_restart_keeps_the_data(start: Start, tmp_path: Path) -> None:
    (tmp_path / "1.sql").write_text("CREATE TABLE ran (step text); INSERT INTO ran VALUES ('sql');")
    tmp_path.chmod(0o755)
    name = start(
        "--env", "POSTGRES_PASSWORD=p", "--volume", f"{tmp_path}:/docker-entrypoint-initdb.d:ro",
        command=("-c", "work_mem=5MB"),
    )  # fmt: skip
    wait_until_ready(name)
    as_superuser = {"user": "postgres", "database": "postgres", "password": "p"}
    assert query(name, "SHOW work_mem", **as_superuser) == "5MB"
    identifier = "SELECT system_identifier FROM pg_control_system()"
    before = query(name, identifier, **as_superuser)
    # an open session holds up a SIGTERM until the container is killed
    docker("exec", "--detach", name, "psql", "-U", "postgres", "-c", "SELECT pg_sleep(60)")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
    deadline = time.monotonic() + 10
    while query(name, sleeping, **as_superuser) != "1":
        assert time.monotonic() < deadline, "the session that should hold up the stop did not open"

    stopped_at = time.monotonic()
    docker("stop", "--time", "20", name)
    assert time.monotonic() - stopped_at < 10
    assert docker("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip() == "0"
    docker("start", name)
    wait_until_ready(name)

    assert query(name, identifier, **as_superuser) == before
    assert query(name, "SELECT count(*) FROM ran", **as_superuser) == "1"
    assert "database system was shut down" in logs(name)
    assert "automatic recovery" not in logs(name)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "has no superuser password: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE"),
        (
            ("--env", "POSTGRES_PASSWORD=p", "--env", "POSTGRES_PASSWORD_FILE=/etc/hostname"),
            "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set",
        ),
        (("--env", "POSTGRES_PASSWORD_FILE=/nowhere"), "names /nowhere, which cannot be read"),
    ],
)
def test_wrong_use_is_a_clear_error(options: tuple[str, ...], says: str) -> None:
    done = docker("run", "--rm", *options, IMAGE, check=False)
    assert done.returncode == 1
    assert says in done.stderr


def test_a_first_start_script_that_fails_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "1.sql").write_text("SELECT nonsense;")
    tmp_path.chmod(0o755)
    mount = f"{tmp_path}:/docker-entrypoint-initdb.d:ro"
    done = docker("run", "--rm", "--env", "POSTGRES_PASSWORD=p", "--volume", mount, IMAGE, check=False)
    assert done.returncode == 3
    assert 'column "nonsense" does not exist' in done.stderr


def test_other_commands_run_as_they_are() -> None:
    assert docker("run", "--rm", IMAGE, "echo", "as it is").stdout == "as it is\n"
    assert docker("run", "--rm", IMAGE, "--version").stdout.startswith("postgres (PostgreSQL)")
