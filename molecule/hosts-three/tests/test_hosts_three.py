# SPDX-License-Identifier: GPL-3.0-or-later
"""A database, two backends and the host in front: seen over SSH as the user who deploys, over HTTPS from outside."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from support.bed import PROJECT, SITE, address, host, root
from support.hosts import ENTRY, FRONT, LABEL, STATE, command, sql, surroundings
from support.release import load


def play(playbook: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(PROJECT / playbook, *more), env=surroundings(), capture_output=True, text=True, timeout=900, check=False
    )


def deploy(*more: str) -> subprocess.CompletedProcess[str]:
    return play("deploy.yml", *more)


def another() -> str:
    """The name of a release that was not deployed before."""
    return f"r{time.time():.0f}"


def listens(name: str, port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(10)
        return client.connect_ex((address(name), port)) == 0


def test_each_host_runs_its_part() -> None:
    for name, parts in {"db": ["postgres"], "web1": ["backend", "frontend"], "web2": ["backend", "frontend"]}.items():
        running = host(name).check_output("docker ps --format '{{.Names}}'").split()
        assert sorted(each.removeprefix(f"{LABEL}-").split("-")[0] for each in running) == parts
    assert host("front").check_output("docker ps --format '{{.Names}}'") == "slipway-entry"


@pytest.mark.parametrize(
    ("name", "ports"), [("db", [22, 5432]), ("web1", [22, 8080]), ("web2", [22, 8080]), ("front", [22, 80, 443])]
)
def test_what_a_host_listens_on(name: str, ports: list[int]) -> None:
    assert [port for port in range(1, 2**14) if listens(name, port)] == ports


def test_the_site_answers_with_pebbles_certificate_and_the_real_client() -> None:
    site = FRONT(root())
    site.request("GET", "/api/v1/teams", headers={"X-Forwarded-For": "203.0.113.7"})
    answer = site.getresponse()
    assert (answer.status, answer.headers["Strict-Transport-Security"]) == (200, "max-age=86400")
    assert json.loads(answer.read())["total"] > 0
    site.close()
    logs = "".join(host(name).run(f"docker logs --since 1m {LABEL}-frontend").stdout for name in ("web1", "web2"))
    asked = [json.loads(line) for line in logs.splitlines() if line.startswith("{") and '"/api/v1/teams"' in line]
    own = subprocess.run(["ip", "route", "get", address("front")], capture_output=True, text=True, check=True).stdout
    assert asked[-1]["client"] == own.split(" src ")[1].split()[0]


def test_the_database_lets_the_backends_in_over_tls_and_nobody_else() -> None:
    sessions = (
        "SELECT DISTINCT client_addr, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) "
        "WHERE usename IN ('autotest_app', 'autotest_app_b')"
    )
    for name in ("web1", "web2"):  # the application connects when it is asked
        asked = http.client.HTTPConnection(address(name), 8080, timeout=15)
        asked.request("GET", "/api/v1/teams", headers={"Host": SITE})
        assert asked.getresponse().status == 200
        asked.close()
    assert sorted(sql(sessions)) == sorted(f"{address(name)}|t" for name in ("web1", "web2"))


def test_the_image_was_built_once() -> None:
    ask = f"docker image ls --no-trunc --format '{{{{.ID}}}} {{{{.Tag}}}}' {LABEL}-backend"
    assert host("web1").check_output(ask) == host("web2").check_output(ask) != ""
    # The base image came from the registry for the build alone, and with the built one to the other host.
    assert "/python" in host("web1").check_output("docker image ls --format '{{.Repository}}'")
    assert "/python" not in host("web2").check_output("docker image ls --format '{{.Repository}}'")


def test_a_scheduled_command_runs_on_one_of_the_hosts_each_time() -> None:
    while not 10 < time.time() % 60 < 50:  # so that none is at work, of which a part would be before it is counted
        time.sleep(1)
    begun = int(time.time())
    rows: list[str] = []
    ask = f"SELECT extract(epoch FROM due)::int FROM slipway.command_runs WHERE started > to_timestamp({begun}) "
    while len(rows) < 2 and time.time() < begun + 200:
        time.sleep(2)
        rows = sql(f"{ask} AND exit_status = 0 ORDER BY due")
    assert int(rows[1]) - int(rows[0]) == 60
    ask = f"docker events --since {begun} --until $(($(date +%s) + 1)) --filter event=start "
    ask += f"--filter label=slipway.schedule={LABEL}"
    assert sum(len(host(name).check_output(ask).splitlines()) for name in ("web1", "web2")) == 2
    for name in ("web1", "web2"):
        unit = f"{LABEL}-command-tick"
        host(name).check_output(f"while test $(systemctl is-active {unit}) = activating; do sleep 0.1; done")
        journal = host(name).check_output(f"journalctl --unit {unit} --since @{begun} --output cat")
        assert journal.count("Finished") == 2, journal


def test_a_release_goes_through_both_without_a_failed_request() -> None:
    release = another()
    with load(FRONT, path="/api/v1/teams") as found:
        done = deploy("-e", f"app_release={release}")
    assert not done.returncode, done.stdout + done.stderr
    assert found.failures == []
    assert found.answers[release] > 0
    for name in ("web1", "web2"):
        assert f"slipway-entry leads requests no longer to {name}." in done.stdout
    assert " down" not in host("front").file(ENTRY).content_string


def test_the_release_of_before_comes_back_through_both_without_a_failed_request() -> None:
    with load(FRONT, path="/api/v1/teams") as found:
        done = play("playbooks/rollback.yml")
    assert not done.returncode, done.stdout + done.stderr
    assert found.failures == []
    assert len(found.answers) == 2
    for name in ("web1", "web2"):
        assert f"slipway-entry leads requests again to {name}." in done.stdout


def test_a_migration_that_breaks_the_release_that_serves_stops_before_the_database_is_touched(tmp_path: Path) -> None:
    """It is tried on a backend, where it insists on TLS to the database's address; the copy is on another host."""
    migrations, file = tmp_path / "migrations", "29990101000000_rename/migration.sql"
    shutil.copytree(PROJECT / "migrations", migrations)
    (migrations / file).parent.mkdir()
    (migrations / file).write_text("ALTER TABLE teams RENAME slug TO handle;\n")
    with load(FRONT, path="/api/v1/teams") as found:
        done = deploy("-e", f"app_release={another()}", "-e", f"app_migrations={migrations}")
    assert found.failures == []
    assert len(found.answers) == 1
    assert done.returncode
    assert "which serves, breaks on the schema that the pending migrations make: GET /api/v1/teams" in done.stdout
    assert "since the database said: column teams.slug does not exist (42703). This was on a copy" in done.stdout
    newest = json.loads(host("db").check_output(f"tail -n 1 {STATE}/deployments.jsonl"))
    assert newest["probe"]["tried"]
    assert sql("SELECT count(slug) = count(*) FROM teams") == ["t"]
    assert sql("SELECT count(*) FROM _prisma_migrations WHERE migration_name LIKE '2999%'") == ["0"]
    assert sql("SELECT datname FROM pg_database WHERE datname LIKE 'autotest_%'") == []
    for name in ("web1", "web2"):
        assert host(name).check_output("docker ps --all --quiet --filter label=slipway.trial") == ""


def test_a_password_is_changed_on_both_without_a_failed_request() -> None:
    logins = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname IN ('autotest_app', 'autotest_app_b')"
    before = sql(logins)
    with load(FRONT, path="/api/v1/teams") as found:
        done = play("playbooks/rotate.yml")
    assert not done.returncode, done.stdout + done.stderr
    assert found.failures == []
    assert (len(before), len(sql(logins))) == (1, 1)
    assert sql(logins) != before


def test_until_when_the_certificate_of_the_host_in_front_is_valid_and_what_its_log_says() -> None:
    done = play("playbooks/health.yml", "-e", "output=json")
    [found] = [each for each in json.loads(done.stdout) if each["check"] == "certificate"]
    assert (found["state"], found["objects"][0]["object"]) == ("ok", "on host front")
    done = play("playbooks/logs.yml", "-e", "output=json", "-e", "lines=300")
    lines = [each for each in json.loads(done.stdout) if each["source"] == "entry"]
    assert {each["host"] for each in lines} == {"front"}
    assert {json.loads(each["text"])["site"] for each in lines if each["text"].startswith("{")} == {SITE}


def test_a_host_that_dies_stops_the_roll_and_the_rest_serve() -> None:
    """The second backend is lost when it is out of use."""
    front, lost, release = host("front"), threading.Event(), another()

    def lose() -> None:
        left = False
        while not lost.is_set():
            site = front.file(ENTRY).content_string
            left = left or "down; # web2" in site
            if left:
                subprocess.run(["docker", "kill", "slipway-molecule-web2"], check=True, capture_output=True)
                lost.set()

    watching = threading.Thread(target=lose)
    watching.start()
    try:
        with load(FRONT, path="/api/v1/teams") as found:
            done = deploy("-e", f"app_release={release}")
        assert lost.is_set(), done.stdout
        assert done.returncode
        assert found.failures == []
        assert found.answers[release] > 0
        newest = host("db").check_output(f"tail -n 1 {STATE}/deployments.jsonl")
        assert (json.loads(newest)["status"], "web2" in json.loads(newest)["error"]) == ("failed", True)
    finally:
        lost.set()
        watching.join()
        subprocess.run(["docker", "start", "slipway-molecule-web2"], check=True, capture_output=True)
    up = f"until docker exec slipway-molecule-web2 docker inspect --format . {LABEL}-frontend; do sleep 1; done"
    subprocess.run(["bash", "-c", up], check=True, capture_output=True, timeout=120)
    again = deploy()
    assert not again.returncode, again.stdout + again.stderr
    assert " down" not in front.file(ENTRY).content_string
