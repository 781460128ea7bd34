# SPDX-License-Identifier: GPL-3.0-or-later
"""Which workers run beside a release, and that none is lost where a new one does not start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._release.workers import (
    Change,
    Process,
    Worker,
    changes,
    make,
    parse,
    problems,
)

MAILER = Process("mailer", ["python", "-m", "mailer"], count=2)
CLOCK = Process("clock", ["clock"], exclusive=True)
COMMAND = ["python", "-m", "shop.worker"]
ONCE = "but a scheduled command runs once at a time"
NO_TIME = (
    "is no time that cron can be told: write it as *-*-* HH:MM, *-*-1 HH:MM or Sun HH:MM, or as hourly, daily, weekly "
    "or monthly"
)


def there(process: Process, like: str, *, running: bool = True) -> list[Worker]:
    return [Worker(name, process.name, running) for name in process.names(like)]


def test_a_worker_is_named_after_all_that_it_is_made_from() -> None:
    one, two = MAILER.names("release-1")
    assert (one[:7], one[-2:], two) == ("mailer-", "-1", f"{one[:-1]}2")
    others = [
        MAILER.names("release-2"),
        Process("mailer", ["python", "-m", "mailer", "-v"]).names("release-1"),
        Process("mailer", ["python", "-m", "mailer"], stop_timeout=9).names("release-1"),
    ]
    assert one not in [name for names in others for name in names]
    assert Process("mailer", ["python", "-m", "mailer"], exclusive=True).names("release-1") == [one]


@pytest.mark.parametrize(
    ("wanted", "found", "start", "stop"),
    [
        ([], [], [], []),
        ([MAILER], [], MAILER.names("2"), []),
        ([MAILER], there(MAILER, "2"), [], []),
        ([MAILER], there(MAILER, "1"), MAILER.names("2"), MAILER.names("1")),
        ([MAILER], there(MAILER, "2", running=False), MAILER.names("2"), []),
        ([MAILER], [*there(MAILER, "2")[:1], *there(MAILER, "1")[1:]], MAILER.names("2")[1:], MAILER.names("1")[1:]),
        ([Process("mailer", MAILER.argv)], there(MAILER, "2"), [], MAILER.names("2")[1:]),
        ([CLOCK], there(CLOCK, "1", running=False), CLOCK.names("2"), CLOCK.names("1")),
        ([], there(MAILER, "2"), [], MAILER.names("2")),
    ],
)
def test_what_has_to_change(wanted: list[Process], found: list[Worker], start: list[str], stop: list[str]) -> None:
    changed = changes(wanted, "2", found)
    assert [name for change in changed for name in change.start] == start
    assert [name for change in changed for name in change.stop] == stop


class Told:
    """A runner that notes what it is told, and starts nothing that is called ``broken``."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[str]]] = []

    def there(self) -> list[Worker]:
        return []

    def start(self, process: Process, names: Sequence[str]) -> None:
        self.told.append(("start", list(names)))
        if "broken" in process.argv:
            raise SlipwayError("It does not start.")

    def stop(self, names: Sequence[str]) -> None:
        self.told.append(("stop", list(names)))

    def restart(self, names: Sequence[str]) -> None:
        self.told.append(("restart", list(names)))

    def remove(self, names: Sequence[str]) -> None:
        self.told.append(("remove", list(names)))


@pytest.mark.parametrize(
    ("exclusive", "steps"),
    [
        (False, ["start new", "stop old", "remove old"]),
        (True, ["stop old", "start new", "remove old"]),
    ],
)
def test_the_old_one_ends_after_the_new_one_has_begun_or_before(exclusive: bool, steps: list[str]) -> None:
    runner = Told()
    make(Change(Process("p", ["good"], exclusive=exclusive), ["new"], ["old"]), runner)
    assert [f"{what} {names[0]}" for what, names in runner.told] == steps


@pytest.mark.parametrize(
    ("exclusive", "steps"),
    [
        (False, ["start new", "stop new", "remove new"]),
        (True, ["stop old", "start new", "stop new", "remove new", "restart old"]),
    ],
)
def test_the_old_one_runs_on_where_the_new_one_does_not(exclusive: bool, steps: list[str]) -> None:
    runner = Told()
    with pytest.raises(SlipwayError, match="It does not start"):
        make(Change(Process("p", ["broken"], exclusive=exclusive), ["new"], ["old"]), runner)
    assert [f"{what} {names[0]}" for what, names in runner.told] == steps


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"command": COMMAND}, ""),
        ({"command": COMMAND, "count": 3, "stop_timeout": 0, "exclusive": False}, ""),
        ({}, "has no command"),
        (COMMAND, "has no command"),
        ({"command": "worker"}, "has the command 'worker', which must be a list of words, such as [python, -m, "
                                "shop.worker]"),
        ({"command": []}, "has the command [], which must be a list of words, such as [python, -m, shop.worker]"),
        ({"command": COMMAND, "replicas": 2}, "has replicas, which there is not: use command, count, exclusive, "
                                              "schedule or stop_timeout"),
        ({"command": COMMAND, "count": 0}, "has count 0, which must be a number from 1 on"),
        ({"command": COMMAND, "count": True}, "has count True, which must be a number from 1 on"),
        ({"command": COMMAND, "stop_timeout": "1m"}, "has stop_timeout '1m', which must be a number from 0 on"),
        ({"command": COMMAND, "exclusive": "yes"}, "has exclusive 'yes', which must be true or false"),
        ({"command": COMMAND, "exclusive": True, "count": 2}, "is exclusive, but of it 2 are to run at a time"),
        ({"command": COMMAND, "schedule": "*-*-* 03:00", "stop_timeout": 9}, ""),
        ({"command": COMMAND, "schedule": "daily", "count": 1}, f"has a schedule and count, {ONCE}: leave count out"),
        ({"command": COMMAND, "schedule": "daily", "exclusive": True}, f"has a schedule and exclusive, {ONCE}: leave "
                                                                      "exclusive out"),
        ({"command": COMMAND, "schedule": "0 3 * * *"}, f"has a schedule that does not work ('0 3 * * *' {NO_TIME})"),
        ({"command": COMMAND, "schedule": 3}, f"has a schedule that does not work ('3' {NO_TIME})"),
        ({"command": COMMAND, "schedule": "*-2-30"}, "has a schedule that does not work ('*-2-30' never comes: name a "
                                                     "day that there is in that month)"),
    ],
)  # fmt: skip
def test_what_a_process_may_be(given: Any, wrong: str) -> None:
    expected = [f"Process mailer of app_processes {wrong}: correct it in the inventory."] if wrong else []
    assert problems({"mailer": given}) == expected


@pytest.mark.parametrize("name", ["web", "Mailer", "a_b", "1st", "a--b", ""])
def test_how_a_process_may_be_called(name: str) -> None:
    assert problems({name: {"command": COMMAND}})[0].startswith(f"Process {name} of app_processes must be named")


def test_what_is_not_said_has_its_default() -> None:
    given = {"a": {"command": ["a"]}, "b": {"command": ["b"], "count": 2, "exclusive": False, "stop_timeout": 3}}
    assert parse(given, 9) == [Process("a", ["a"], 1, False, 9), Process("b", ["b"], 2, False, 3)]
    assert parse({"c": {"command": ["c"], "schedule": "daily"}}, 9) == [Process("c", ["c"], 1, False, 9, "daily")]
