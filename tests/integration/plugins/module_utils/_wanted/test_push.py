# SPDX-License-Identifier: GPL-3.0-or-later
"""A change is put into a database as a whole or not at all, and what it loses is seen."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import no_context
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.push import push
from conftest import Postgres


class Target:
    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self.database = postgres.database()
        postgres.execute("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, NULL)", self.database)

    def push(self, *statements: str, accept: bool = False, wait: float = 5) -> list[str]:
        server = Server("postgres", self.database, self.postgres.password, socket_dir=str(self.postgres.socket_dir))
        return push(server, "public", statements, accept, no_context, wait, lock_timeout="100ms")

    def columns(self) -> list[object]:
        found = self.postgres.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attnum",
            self.database,
        )
        return [row[0] for row in found]


@pytest.fixture
def target(postgres: Postgres) -> Target:
    return Target(postgres)


def test_what_is_lost_must_be_accepted(target: Target) -> None:
    assert target.push("ALTER TABLE t ADD c int") == []
    with pytest.raises(SlipwayError) as caught:
        target.push("ALTER TABLE t ADD d int", "ALTER TABLE t DROP b")
    assert str(caught.value) == (
        "This loses the column b of the table public.t, which held a value in 1 row, which was not accepted, so that "
        "nothing was changed."
    )
    assert target.columns() == ["a", "b", "c"]
    assert target.push("ALTER TABLE t DROP c") == []  # in which there was nothing
    assert len(target.push("ALTER TABLE t DROP b", accept=True)) == 1
    assert target.columns() == ["a"]


def test_one_statement_that_fails_takes_all_back(target: Target) -> None:
    with pytest.raises(SlipwayError) as caught:
        target.push("ALTER TABLE t ADD c int", "ALTER TABLE t\n  ALTER b SET NOT NULL")
    assert str(caught.value) == (
        'Nothing was changed, since a statement fails here: column "b" of relation "t" contains null values, in: ALTER '
        "TABLE t ALTER b SET NOT NULL; correct the rows or the wanted schema, and run again."
    )
    assert target.columns() == ["a", "b"]


def test_it_waits_for_who_is_in_the_way(target: Target) -> None:
    with closing(target.postgres.connect(target.database)) as other, other.cursor() as cursor:
        cursor.execute("BEGIN; SELECT * FROM t")
        with pytest.raises(SlipwayError, match="lock timeout"):
            target.push("ALTER TABLE t ADD c int", wait=0)
        timer = threading.Timer(1, other.cancel)
        timer.start()
        threading.Timer(1.5, other.close).start()
        assert target.push("ALTER TABLE t ADD c int", wait=30) == []
        timer.join()
    assert target.columns() == ["a", "b", "c"]
