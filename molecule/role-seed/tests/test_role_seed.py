# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty database that role seed alone has filled: seen by SQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.role import refused, sql, use


def test_the_command_ran_once() -> None:
    assert sql("SELECT number FROM builds ORDER BY 1") == [(1,), (2,), (3,)]


def test_a_database_with_rows_is_not_seeded_again() -> None:
    assert "Nothing was seeded, since" in refused(seed_insist=True)
    assert sql("SELECT count(*) FROM builds") == [(3,)]


@pytest.fixture
def empty() -> Iterator[None]:
    sql("DELETE FROM builds")
    yield
    sql("DELETE FROM builds")
    status, said = use()
    assert not status, said


@pytest.mark.usefixtures("empty")
def test_bad_input_is_refused_and_nothing_is_written() -> None:
    for variables, expected in (
        (
            {"seed_allowed": False},
            "This environment must not be seeded (its variable seeding is false), so nothing was written",
        ),
        ({"seed_runtime": "cloud"}, "value of seed_runtime must be one of: container, process, got: cloud"),
        ({"seed_command": ["/no/such/program"]}, "The seed command /no/such/program can't be started"),
        ({"seed_command": ["psql", "--command", "INSERT INTO builds (number) VALUES (1), ('x')"]}, "ended with 1"),
        ({"seed_command": [], "seed_insist": True}, "Nothing was seeded, since there is no seed command"),
        ({"seed_command": ["/bin/true"], "seed_insist": True}, "no table has another number of rows than before"),
    ):
        assert expected in refused(**variables)
        assert sql("SELECT count(*) FROM builds") == [(0,)], variables
