# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoing migrations: what, in which order, after which backup; and that a failure leaves everything as it was."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from e2e.conftest import Deployed
from support.environment import Outcome
from support.modules import run_ansible

INIT = "20250728210351_init"
FIRST, SECOND = "29990101000000_shelves", "29990102000000_books"
UNDO = "playbooks/undo.yml"


@dataclass
class Shelves:
    """The shared environment with two more migrations, the second of which builds on the first."""

    deployed: Deployed

    def __post_init__(self) -> None:
        self.down = self.deployed.migrations / SECOND / "down.sql"

    def migrate(self) -> None:
        self.deployed.add_migration(FIRST, "CREATE TABLE shelves (id int PRIMARY KEY);\n")
        self.deployed.add_migration(SECOND, "CREATE TABLE books (shelf int REFERENCES shelves);\n")
        (self.deployed.migrations / FIRST / "down.sql").write_text("DROP TABLE shelves;\n")
        self.down.write_text("DROP TABLE books;\n")
        done = run_ansible("slipway.deploy.migrations", self.module, self.deployed.directory)
        assert done["changed"], done["msg"]
        assert self.tables() == {"books", "shelves"}

    @property
    def module(self) -> dict[str, object]:
        """What makes the module `migrations` apply them as the owner, without the phases around it."""
        secrets = json.loads((self.deployed.state / "secrets.json").read_text())
        return {
            "path": str(self.deployed.migrations),
            "snapshot": True,
            "login_unix_socket": str(self.deployed.state / "run"),
            "login_db": "autotest",
            "login_user": "autotest_owner",
            "login_password": secrets["database_owner"],
        }

    def tables(self) -> set[str]:
        return {"books", "shelves"} & self.deployed.rows().keys()

    def all_of_it(self) -> tuple[object, ...]:
        """What is in the database, but for when its schema was last recorded, and what databases there are."""
        recorded = self.deployed.sql("SELECT migrations, catalogue FROM slipway.schema_snapshot")
        dump = self.deployed.dump("--exclude-table-data=slipway.schema_snapshot")
        return dump, recorded, self.deployed.databases()

    def undo(self, *arguments: str, **variables: object) -> Outcome:
        return self.deployed.play(UNDO, *arguments, **variables)

    def remove(self) -> None:
        """Leave the environment as it was, whatever a test did."""
        self.deployed.sql("DROP TABLE IF EXISTS books, shelves")
        self.deployed.sql("DELETE FROM _prisma_migrations WHERE migration_name IN (%s, %s)", FIRST, SECOND)
        for name in (FIRST, SECOND):
            shutil.rmtree(self.deployed.migrations / name)


@pytest.fixture
def shelves(deployed: Deployed) -> Iterator[Shelves]:
    deployed.first.succeeded()
    added = Shelves(deployed)
    try:
        added.migrate()
        yield added
    finally:
        added.remove()


def test_four_runs(deployed: Deployed, shelves: Shelves) -> None:
    names = f"{FIRST},{SECOND}"
    before, backups, known = deployed.dump(), deployed.backups(), deployed.databases()

    check = shelves.undo("--check", names=names).succeeded()
    assert f"Would undo {SECOND}. Would undo {FIRST}." in check.output
    assert (deployed.dump(), deployed.backups()) == (before, backups)

    shelves.undo(names=names).succeeded()
    assert shelves.tables() == set()
    assert deployed.sql(
        "SELECT migration_name, finished_at IS NOT NULL, rolled_back_at IS NOT NULL, applied_steps_count"
        " FROM _prisma_migrations WHERE migration_name > '2999' ORDER BY 1"
    ) == [(FIRST, False, True, 1), (SECOND, False, True, 1)]
    *former, taken = deployed.backups()
    assert former == backups
    assert taken["tables"].keys() >= {"public.books", "public.shelves"}
    assert deployed.databases() == known
    facts = deployed.records()[-1]["facts"]
    assert facts["backup"] == taken["name"]
    assert re.fullmatch(rf"Undid {SECOND} in \S+ s\. Undid {FIRST} in \S+ s\.", facts["undone"])
    deployed.play("playbooks/drift.yml").succeeded()

    after = deployed.dump()
    for flags in (["--check"], []):
        again = shelves.undo(*flags, names=names).succeeded()
        assert "nothing, since none of them is applied" in again.output
        assert again.recap["changed"] == 0
    assert (deployed.dump(), deployed.backups()) == (after, [*former, taken])

    status = deployed.play("playbooks/status.yml").failed()
    assert FIRST in status.output
    assert SECOND in status.output


def test_no_variable_stands_for_a_backup(deployed: Deployed, shelves: Shelves) -> None:
    """Nor for a rehearsal; tests/unit/playbooks/test_taken.py goes through all of them."""
    before, backups = shelves.all_of_it(), deployed.backups()
    told = ("-e", json.dumps({"backup_needed": False, "migrations_rehearsal_database": "", "migrations_proved": True}))
    outcome = shelves.undo(*told, last=1).failed()
    refused = [
        "Variable backup_needed can't be set with -e, since Slipway finds it itself: leave it out.",
        "Variable migrations_rehearsal_database can't be set with -e, since Slipway derives it from database_name, "
        "app_name: set that instead.",
    ]
    assert outcome.messages[0].splitlines() == refused
    deployed.add_migration("29990103000000_pages", "CREATE TABLE pages ();")
    try:
        assert deployed.play("deploy.yml", *told).failed().messages[0].splitlines() == refused
    finally:
        shutil.rmtree(deployed.migrations / "29990103000000_pages")
    assert (shelves.all_of_it(), deployed.backups()) == (before, backups)


FAILING = """\
DROP TABLE books;
DO $$ BEGIN IF current_database() {where} 'autotest' THEN RAISE division_by_zero; END IF; END $$;
"""


@pytest.mark.parametrize("where", ["<>", "="], ids=["on the copy", "in the database"])
def test_a_failing_down_leaves_everything_as_it_was(deployed: Deployed, shelves: Shelves, where: str) -> None:
    before, backups = shelves.all_of_it(), deployed.backups()
    shelves.down.write_text(FAILING.format(where=where))
    outcome = shelves.undo(last=1).failed()

    assert f"Undoing '{SECOND}' failed at {shelves.down}:2:1: division_by_zero (SQLSTATE 22012)" in outcome.messages[0]
    assert shelves.all_of_it() == before
    assert len(deployed.backups()) == len(backups) + 1
    assert (deployed.records()[-1]["verb"], deployed.records()[-1]["failed_phase"]) == ("undo", "undo")
    shelves.down.write_text("DROP TABLE books;")
    shelves.undo(last=1).succeeded()
    assert shelves.tables() == {"shelves"}


def test_the_environments_name_is_asked_for_outside_local(deployed: Deployed, shelves: Shelves) -> None:
    remembered = deployed.state / "database.json"
    facts = remembered.read_text()
    remembered.write_text(json.dumps({**json.loads(facts), "environment": "staging"}))
    ledger = deployed.state / "deployments.jsonl"
    records = ledger.read_text()
    ledger.unlink()
    deployed.sql("COMMENT ON DATABASE autotest IS 'slipway.environment=staging'")
    try:
        before, backups = deployed.dump(), deployed.backups()
        for typed in ({}, {"confirm": "local"}):
            outcome = shelves.undo(last=1, environment_name="staging", **typed).failed()
            assert (
                f"This undoes {SECOND} in database autotest of staging. It was not confirmed, so nothing was changed: "
                "run again with -e confirm=staging."
            ) in outcome.messages[0]
        assert "Would undo" in shelves.undo("--check", last=1, environment_name="staging").succeeded().output
        assert (deployed.dump(), deployed.backups()) == (before, backups)
        shelves.undo(last=1, environment_name="staging", confirm="staging").succeeded()
        assert shelves.tables() == {"shelves"}

        # A backup of another environment is told as that, with its time.
        manifest = max((deployed.state / "backups").glob("*.json"))
        manifest.write_text(manifest.read_text().replace('"staging"', '"local"'))
        another = {"environment_name": "staging", "from_environment": "local"}
        taken, asked = deployed.backups()[-1], deployed.play("playbooks/restore.yml", **another).failed().messages[0]
        assert (
            f"This puts backup {taken['name']} of local, {taken['started']} ({sum(taken['tables'].values())} rows), in "
            "the place of database autotest of staging. It was not confirmed"
        ) in asked
    finally:
        deployed.sql("COMMENT ON DATABASE autotest IS 'slipway.environment=local'")
        remembered.write_text(facts)
        ledger.write_text(records)


WHICH = (
    "Say what to undo by one of the two: -e names=NAME,NAME for these migrations, -e last=1 for the last one that is "
    "applied; nothing was changed."
)
REFUSED = {
    "nothing named": ({}, WHICH),
    "no down.sql": (
        {"names": INIT},
        f"The migration '{INIT}' has no down.sql in its directory: write one, or a new migration instead.",
    ),
    "another environment": (
        {"last": 1, "environment_name": "staging"},
        "Database autotest belongs to environment local but this inventory is staging: nothing was changed; "
        "use the right inventory, or the right server in this one.",
    ),
}


@pytest.mark.parametrize(("variables", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_it_stops_before_the_backup(deployed: Deployed, variables: dict[str, object], message: str) -> None:
    deployed.first.succeeded()
    before, backups = deployed.dump(), deployed.backups()
    outcome = deployed.play(UNDO, **variables).failed()
    assert message in outcome.messages[0]
    assert outcome.recap["changed"] == 0
    assert (deployed.dump(), deployed.backups()) == (before, backups)
    assert not (deployed.state / "lock.json").exists()
