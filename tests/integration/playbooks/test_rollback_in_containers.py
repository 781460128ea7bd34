# SPDX-License-Identifier: GPL-3.0-or-later
"""A release, another one, and back again: alone, with its migrations undone, with its database; asked all along."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.environment import Containers, shared_host
from support.release import get, load

pytestmark = [pytest.mark.once, pytest.mark.container]

NEW = "20260101000000_add_motto"
SQL = "ALTER TABLE teams ADD COLUMN motto text NOT NULL DEFAULT 'none';\n"


@pytest.fixture(scope="module")
def site() -> Iterator[Containers]:
    with shared_host() as environment:
        yield environment


def release(site: Containers) -> str:
    """Who answers, by the header of the application itself."""
    return get(site.port)[1]


def page(site: Containers) -> str:
    return site.get("/")


def newer(site: Containers, *, down: bool) -> str:
    """Another release, with a page of its own and a migration that the one before does not know."""
    file = site.application / "backend/src/autotest/main.py"
    file.write_text(f"{file.read_text()}\n# another release\n")
    index = site.application / "frontend" / "index.html"
    index.write_text(index.read_text().replace("</title>", ", another</title>"))
    written = site.add_migration(NEW, SQL)
    if down:
        written.with_name("down.sql").write_text("ALTER TABLE teams DROP COLUMN motto;\n")
    site.deploy().succeeded()
    return release(site)


def has_motto(site: Containers) -> bool:
    return bool(site.sql("SELECT 1 FROM pg_attribute WHERE attname = 'motto' AND NOT attisdropped"))


def test_there_is_nothing_to_go_back_to(site: Containers) -> None:
    containers = site.containers()
    said = site.play("playbooks/rollback.yml", "--check").failed().messages[0]
    assert said.startswith("No earlier release is kept on this host")
    assert site.containers() == containers


def test_the_application_alone_and_forward_again(site: Containers) -> None:
    one, first = release(site), page(site)
    two = newer(site, down=True)
    assert one != two
    second, containers, history = page(site), site.containers(), site.history()
    checked = site.play("playbooks/rollback.yml", "--check").succeeded().output
    assert f"From release {two} back to {one}" in checked
    assert (release(site), site.containers(), page(site)) == (two, containers, second)

    with load(site.port) as found:
        site.play("playbooks/rollback.yml").succeeded()
    assert found.failures == []
    assert set(found.answers) == {one, two}
    assert (release(site), page(site)) == (one, first)
    assert (site.history(), has_motto(site)) == (history, True)
    record = site.records()[-1]
    assert (record["verb"], record["release"], record["facts"]["way"]) == ("rollback", one, "application")

    with load(site.port) as found:
        site.play("playbooks/rollback.yml").succeeded()  # the one that served before is the newer one
    assert (found.failures, release(site), page(site)) == ([], two, second)
    assert site.deploy().succeeded().recap["changed"] == 0


def test_its_migrations_are_undone_as_well(site: Containers) -> None:
    two = release(site)
    unconfirmed = site.play("playbooks/rollback.yml", way="undo").failed().messages[0]
    assert "run again with -e confirm=test." in " ".join(unconfirmed.split())
    assert (release(site), has_motto(site)) == (two, True)
    with load(site.port) as found:
        site.play("playbooks/rollback.yml", way="undo", confirm="test").succeeded()
    assert found.failures == []
    assert release(site) != two
    assert not has_motto(site)
    assert NEW not in site.history()
    assert site.records()[-1]["facts"]["way"] == "undo"
    site.deploy().succeeded()
    assert (release(site), has_motto(site), site.history()[-1]) == (two, True, NEW)


def test_the_database_is_put_back_as_well(site: Containers) -> None:
    two, rows = release(site), site.rows()
    site.sql("INSERT INTO teams (name, slug) VALUES ('Since', 'since')")
    done = site.play("playbooks/rollback.yml", way="backup", confirm="test").succeeded()
    assert (
        f"teams   {rows['teams']}  {rows['teams'] + 1}" in " ".join(done.output.split())
        or "public.teams" in done.output
    )
    assert release(site) != two
    assert not has_motto(site)
    assert site.rows() == rows
    former = site.records()[-1]["facts"]["former"]
    assert site.sql("SELECT slug FROM teams WHERE slug = 'since'", database=former) == [("since",)]
    assert site.backups()[-1]["tables"]["public.teams"] == rows["teams"] + 1
    assert site.json("/readyz")["status"] == "ready"


def test_a_release_that_does_not_fit_the_database_is_not_put_back_alone(site: Containers) -> None:
    """Its readiness says so: the migration that it needs is gone from the history."""
    one = release(site)
    site.deploy().succeeded()
    two = release(site)
    gone = sorted(path.name for path in site.migrations.iterdir() if path.is_dir())[-2]
    site.sql("UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name = %s", gone)
    try:
        failed = site.play("playbooks/rollback.yml", to=one, way="application", app_start_timeout=10).failed()
        assert "did not get healthy" in " ".join(failed.output.split())
        assert release(site) == two
    finally:
        site.sql("UPDATE _prisma_migrations SET rolled_back_at = NULL WHERE migration_name = %s", gone)
