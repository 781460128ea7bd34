# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release a rollback puts back, what came since then, and the ways to it."""

from __future__ import annotations

import datetime
import json

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import Row
from ansible_collections.slipway.deploy.plugins.module_utils._release import rollback
from ansible_collections.slipway.deploy.plugins.module_utils._release.rollback import Release
from support.manifest import manifest

ONE = Release("shop-1", "one", False, "2026-01-01T10:00:00.123456789Z", "2026-01-02T10:00:00.5Z", True)
TWO = Release("shop-2", "two", False, "2026-01-02T10:00:00Z", "2026-01-03T10:00:00Z", True)
THREE = Release("shop-3", "three", True, "2026-01-03T10:00:00Z", "0001-01-01T00:00:00Z")
ALL = [THREE, ONE, TWO]


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def row(name: str, started: str, *, failed: bool = False, undone: bool = False) -> Row:
    moment = at(started)
    return Row(name, "", None if failed else moment, name, None, moment if undone else None, moment, 1)


def test_a_container_as_the_engine_describes_it() -> None:
    inspected = {
        "Name": "/shop-1",
        "Created": "2026-01-01T10:00:00Z",
        "Config": {"Labels": {"slipway.release": "one"}},
        "State": {"FinishedAt": "2026-01-02T10:00:00Z"},
    }
    found = Release.parse(json.dumps(inspected), "leads to shop-2", {"shop-1"})
    assert found == Release("shop-1", "one", False, "2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z", True)
    inspected |= {"Config": {"Labels": None}, "State": {}}
    assert Release.parse(json.dumps(inspected), "leads to shop-1", ()) == Release(
        "shop-1", "", True, "2026-01-01T10:00:00Z", "", False
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456+00:00"),
        ("2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05.500000+00:00"),
        ("2026-01-02T03:04:05.123+00:00", "2026-01-02T03:04:05.123000+00:00"),
        ("2026-01-02T05:04:05+02:00", "2026-01-02T05:04:05+02:00"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05+00:00"),
    ],
)
def test_a_moment(text: str, expected: str) -> None:
    assert rollback.moment(text).isoformat() == expected


@pytest.mark.parametrize(("wanted", "found"), [("", TWO), ("one", ONE), ("shop-1", ONE), ("two", TWO)])
def test_the_release_that_is_put_back(wanted: str, found: Release) -> None:
    assert rollback.choose(ALL, wanted) == found


@pytest.mark.parametrize(
    ("releases", "wanted", "said"),
    [
        ([], "", "No earlier release is kept on this host"),
        ([THREE], "", "No earlier release is kept on this host"),
        (ALL, "three", "Release 'three' is not kept on this host; there is two (until 2026-01-03T10:00:00), one (until "
                       "2026-01-02T10:00:00): take one of them with -e to=RELEASE"),
        ([Release("shop-0", "zero", False, "", "")], "", "How requests were led to release zero was not kept, since"),
        ([*ALL, Release("shop-0", "zero", False, "", "")], "zero", "How requests were led to release zero was not"),
    ],
)  # fmt: skip
def test_what_can_not_be_put_back(releases: list[Release], wanted: str, said: str) -> None:
    with pytest.raises(SlipwayError) as caught:
        rollback.choose(releases, wanted)
    assert str(caught.value).startswith(said)


def test_what_was_migrated_since() -> None:
    records = [
        {"verb": "rollback", "release": "two", "finished": "2026-01-04T12:00:00+00:00"},
        {"verb": "deploy", "release": "two", "finished": "2026-01-02T12:00:00+00:00"},
        {"verb": "deploy", "release": "one", "finished": "later"},
    ]
    assert rollback.deployed(TWO, records) == at("2026-01-02T12:00:00")
    assert rollback.deployed(TWO, []) == at("2026-01-02T10:00:00")
    rows = [
        row("before", "2026-01-02T11:00:00"),
        row("failed", "2026-01-02T13:00:00", failed=True),
        row("undone", "2026-01-02T13:30:00", undone=True),
        row("a", "2026-01-02T14:00:00"),
        row("b", "2026-01-02T15:00:00"),
    ]
    assert [each.name for each in rollback.migrated_since(rows, at("2026-01-02T12:00:00"))] == ["a", "b"]


def test_the_backup_of_before() -> None:
    backups = [manifest(1), manifest(2), manifest(3), manifest(4, proved=False)]
    assert rollback.backup_before(backups, at("2025-08-06T09:30:03")) == "n2"
    assert rollback.backup_before(backups, at("2025-08-06T10:00:00")) == "n3"
    assert rollback.backup_before(backups, at("2025-08-06T09:30:01")) == ""


SINCE = [row("a", "2026-01-02T14:00:00"), row("b", "2026-01-02T15:00:00")]
NONE = "no migration was applied since then"


@pytest.mark.parametrize(
    ("rows", "with_down", "backup", "way", "ways", "barred"),
    [
        (SINCE, ["a", "b"], "n1", "", ("application", "undo", "backup"), {}),
        (SINCE, ["a"], "n1", "", ("application", "backup"), {"undo": "b has no down.sql"}),
        (SINCE, [], "n1", "", ("application", "backup"), {"undo": "a, b have no down.sql"}),
        (SINCE, ["a", "b"], "", "", ("application", "undo"), {"backup": "there is no proved backup of before"}),
        ([], [], "n1", "", ("application",), {"undo": NONE, "backup": NONE}),
        ([], [], "n1", "backup", ("backup",), {"undo": NONE}),
        (SINCE, ["a", "b"], "n1", "undo", ("undo",), {}),
        (SINCE, ["a", "b"], "n1", "application", ("application",), {}),
    ],
)
def test_the_ways(
    rows: list[Row], with_down: list[str], backup: str, way: str, ways: tuple[str, ...], barred: dict[str, str]
) -> None:
    found = rollback.plan(TWO, "three", rows, with_down, backup, way)
    assert (found.ways, found.barred) == (ways, barred)
    assert found.result() == {
        "container": "shop-2", "release": "two", "serving": "three", "since": [each.name for each in rows],
        "backup": backup, "ways": list(ways), "barred": barred,
    }  # fmt: skip


@pytest.mark.parametrize(("way", "why"), [("undo", "a, b have no down.sql"), ("backup", "there is no proved backup")])
def test_a_way_that_can_not_be_gone(way: str, why: str) -> None:
    with pytest.raises(SlipwayError) as caught:
        rollback.plan(TWO, "three", SINCE, [], "", way)
    assert str(caught.value).startswith(f"Way {way!r} can't be gone, since {why}")


def test_which_tables_differ() -> None:
    assert rollback.differing({"a": 1, "b": 2, "gone": 3}, {"a": 1, "b": 5, "new": 0}) == [
        {"table": "b", "then": 2, "now": 5},
        {"table": "gone", "then": 3, "now": None},
        {"table": "new", "then": None, "now": 0},
    ]
