# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator reaches for on the shared test host, where everything runs in containers and its name is typed."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar

import psycopg2
import pytest
from support.environment import DATABASE, Containers, free_port
from support.studio import running

pytestmark = [pytest.mark.once, pytest.mark.container]

MODELS = "backend/src/autotest/models.py"
UNCONFIRMED = "It was not confirmed, so nothing was changed: run again with -e confirm=test."


def test_a_command_in_the_release(shared: Containers) -> None:
    files, containers = shared.files(), shared.containers()
    checked = shared.play("playbooks/run.yml", "--check", command="ls -l").succeeded().output
    assert "Would run ls -l in a container like slipway-test-commands-test-backend-" in " ".join(checked.split())
    assert (shared.files(), shared.containers()) == (files, containers)
    text = """sh -c 'echo "$DATABASE_URL"; exit 42'"""
    done = shared.play("playbooks/run.yml", output="raw", command=text)
    assert (done.code, done.output.split(":")[:2]) == (42, ["postgresql", "//autotest_app"])
    assert shared.containers() == containers
    assert (shared.records()[-1]["verb"], shared.records()[-1]["facts"]["command"]) == ("run", text)


def test_the_logs_of_all_three(shared: Containers) -> None:
    with contextlib.suppress(urllib.error.HTTPError):
        shared.get("/logged-here")
    found = json.loads(shared.play("playbooks/logs.yml", output="json", lines=2000).output)
    assert [line["time"] for line in found] == sorted(line["time"] for line in found)
    assert {line["source"] for line in found} == {"backend", "nginx", "database"}
    assert any("/logged-here" in line["text"] for line in found if line["source"] == "nginx")
    assert any("ready to accept connections" in line["text"] for line in found if line["source"] == "database")


def test_a_session_that_only_reads(shared: Containers) -> None:
    shown = shared.play("playbooks/psql.yml", sql="'SELECT count(*) FROM teams'", stdout=True).succeeded()
    assert str(shared.rows()["teams"]) in shown.output.split()
    refused = shared.play("playbooks/psql.yml", sql="'DELETE FROM teams'")
    assert refused.code != 0
    assert "permission denied for table teams" in refused.output or "read-only transaction" in refused.output


def test_what_only_looks(shared: Containers) -> None:
    before = shared.files()
    for verb in ("status", "health", "history", "drift", "backups"):
        found = json.loads(shared.play(f"playbooks/{verb}.yml", output="json", stdout=True).succeeded().output)
        assert bool(found) == (verb not in ("drift", "backups")), verb  # a first deploy has nothing to back up
    assert "teams" in shared.play("playbooks/verify.yml").succeeded().output
    assert shared.files() == before


def page(shared: Containers) -> tuple[int, str]:
    """What a browser gets: status and body."""
    request = urllib.request.Request(shared.url, headers={"Accept": "text/html"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_not_available_until_somebody_says_so(shared: Containers) -> None:
    verb, before = "playbooks/maintenance.yml", page(shared)
    refused = shared.play(verb)
    assert refused.code != 0
    assert "Say which: -e state=on" in refused.output
    assert shared.play(verb, "--check", state="on").succeeded().recap["changed"] == 1
    assert page(shared) == before
    for changed in (1, 0):
        assert shared.play(verb, state="on").succeeded().recap["changed"] == changed
        assert (page(shared)[0], "is not available at the moment" in page(shared)[1]) == (503, True)
    record = shared.records()[-1]
    assert (record["verb"], record["facts"]["maintenance"][:3]) == ("maintenance", "on:")
    assert shared.play(verb, state="off").succeeded().recap["changed"] == 1
    assert page(shared) == before


SLOW = "ALTER TABLE teams ADD COLUMN maintained int; SELECT pg_sleep(3);"


@contextlib.contextmanager
def watched(shared: Containers) -> Iterator[list[tuple[int, str]]]:
    """What nginx answers all along: status, and body where it is none of the application's."""
    seen: list[tuple[int, str]] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            try:
                with urllib.request.urlopen(f"{shared.url}/healthz", timeout=30) as answer:
                    found = (answer.status, "")
            except urllib.error.HTTPError as error:
                found = (error.code, error.read().decode())
            if found not in seen[-1:]:
                seen.append(found)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@pytest.mark.soak
def test_a_page_says_so_while_the_release_that_serves_may_not_work(shared: Containers) -> None:
    page = (503, '{"detail": "The application is not available at the moment."}\n')
    (shared.application / "backend/src/autotest/main.py").open("a").write("\n# for another database\n")
    file = shared.add_migration("29990101000000_slow", SLOW)
    with watched(shared) as seen, contextlib.closing(psycopg2.connect(dbname=DATABASE, **shared.login)) as other:
        other.cursor().execute("LOCK TABLE teams IN ACCESS SHARE MODE")
        failed = shared.play("deploy.yml", maintenance=True, app_lock_timeout="100ms", app_lock_wait=1).failed()
    assert "Migration '29990101000000_slow'" in failed.output
    assert seen == [(200, ""), page, (200, "")]  # nothing was migrated, so that the release that serves works on
    assert "not available, until" not in failed.output
    with watched(shared) as seen:
        shared.play("deploy.yml", maintenance=True).succeeded()
    assert seen == [(200, ""), page, (200, "")]
    assert shared.sql("SELECT 1 FROM pg_attribute WHERE attname = 'maintained'") == [(1,)]
    shutil.rmtree(file.parent)
    shared.sql("ALTER TABLE teams DROP COLUMN maintained")
    shared.sql("DELETE FROM _prisma_migrations WHERE migration_name = '29990101000000_slow'")


@pytest.fixture
def another_wish(shared: Containers) -> Iterator[None]:
    models = shared.application / MODELS
    text = models.read_text()
    added = "    password_hash: Mapped[str]\n"
    models.write_text(text.replace(added, f"{added}    motto: Mapped[str | None]\n", 1))
    yield
    models.write_text(text)


@pytest.mark.soak
@pytest.mark.usefixtures("another_wish")
def test_the_schema_is_pushed(shared: Containers) -> None:
    statement = "ALTER TABLE public.users ADD COLUMN motto text;"
    before, backups = shared.sql("SELECT h FROM _prisma_migrations h ORDER BY id"), shared.backups()
    assert statement in shared.play("playbooks/db_push.yml", "--check").succeeded().output
    assert UNCONFIRMED in " ".join(shared.play("playbooks/db_push.yml").failed().messages[0].split())
    assert shared.backups() == backups
    assert not shared.sql("SELECT 1 FROM pg_attribute WHERE attname = 'motto'")
    shared.play("playbooks/db_push.yml", confirm="test").succeeded()
    assert shared.sql("SELECT motto FROM users LIMIT 1") == [(None,)]
    assert shared.sql("SELECT h FROM _prisma_migrations h ORDER BY id") == before
    assert shared.backups()[-1]["proved"]
    assert shared.play("playbooks/db_push.yml", confirm="test").succeeded().recap["changed"] == 0


@pytest.mark.soak
def test_the_database_anew(shared: Containers) -> None:
    rows = shared.rows()
    shared.sql("INSERT INTO teams (name, slug) VALUES ('By hand', 'by-hand')")
    backups = len(shared.backups())
    checked = shared.play("playbooks/reset_db.yml", "--check").succeeded().output
    assert re.search(rf"^  public +teams +{rows['teams'] + 1}$", checked, re.MULTILINE)
    refused = shared.play("playbooks/reset_db.yml", confirm="prod").failed()
    assert UNCONFIRMED in " ".join(refused.messages[0].split())
    assert (shared.rows()["teams"], len(shared.backups())) == (rows["teams"] + 1, backups)
    shared.play("playbooks/reset_db.yml", confirm="test").succeeded()
    assert (shared.rows(), len(shared.backups())) == (rows, backups + 1)
    assert not shared.sql("SELECT 1 FROM pg_attribute WHERE attname = 'motto' AND NOT attisdropped")
    assert shared.json("/readyz")["status"] == "ready"
    again = shared.play("playbooks/init_db.yml", confirm="test").succeeded()
    assert again.recap["changed"] == 0, again.output


def test_the_studio(shared: Containers) -> None:
    browser = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
    )
    with running(shared, port=free_port()) as studio:
        with browser.open(studio.url, timeout=20) as answer:
            assert "read-only, as autotest_readonly" in answer.read().decode()
        with browser.open(f"{studio.origin}/teams/list", timeout=20) as answer:
            assert f"of {shared.rows()['teams']} rows" in answer.read().decode()


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("reset_db", "reset_db deletes all data of database autotest, which is never done in prod: to put an earlier"),
        ("refresh", "refresh fills an environment with rows of another one, which is never done in prod: to put an"),
        ("init_db", "init_db is for environments whose database may be seeded: in prod the first deploy makes the"),
        ("db_push", "db_push changes a database without a migration, which nobody could repeat or undo, so that it is"),
        ("new_migration", "Migrations are made in local and deployed elsewhere, so that nothing was done in prod: run"),
        ("studio", "The studio only reads in prod: run it without -e write=true, and change data by a migration, or"),
    ],
)
def test_the_inventory_prod_refuses_before_it_asks_for_anything(
    shared: Containers, verb: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "inventory", "prod")
    refused = shared.play(f"playbooks/{verb}.yml", name="x", write="true", confirm="prod").failed()
    assert " ".join(refused.messages[0].split()).startswith(said)
