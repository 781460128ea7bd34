# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
from typing import Any

import hypothesis
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.prune import UNTOUCHED, Keep, to_prune
from hypothesis import given
from hypothesis import strategies as st
from support.manifest import MOMENT, manifest


def test_only_the_newest_of_the_same_database_are_kept() -> None:
    mine = [manifest(number) for number in (1, 2, 3, 4)]
    others = [manifest(5, environment="prod"), manifest(6, application="x"), manifest(7, database="y")]
    kept = "the newest 2 are kept"
    assert to_prune([*mine, *others], mine[-1], Keep(2)) == [(mine[1], kept), (mine[0], kept)]
    assert to_prune([*mine, *others], mine[-1], Keep(0)) == []
    assert to_prune(mine, mine[-1], Keep(9)) == []


def test_retries_push_nothing_out() -> None:
    """The same content and release five times is one backup; of another release it is another."""
    older = [manifest(1, content="a"), manifest(2, content="b"), manifest(3, content="c", release="0.9")]
    retries = [manifest(number, content="c") for number in (4, 5, 6, 7, 8)]
    removed = to_prune([*older, *retries], retries[-1], Keep(4))
    assert removed == [(each, "n8 holds the same") for each in reversed(retries[:-1])]
    assert to_prune([manifest(1), manifest(2)], manifest(2), Keep(2)) == []  # of format 1, which knew no content


SETS = st.lists(
    st.tuples(
        st.floats(0, 60), st.sampled_from(["", "a", "b", "c"]), st.sampled_from(["1", "2"]),
        st.sampled_from(["test", "prod"]),
    ),
    min_size=1,
    max_size=40,
)  # fmt: skip


@given(SETS, st.integers(0, 10), st.integers(0, 30))
def test_what_is_needed_stays(found: list[tuple[float, str, str, str]], keep: int, keep_days: int) -> None:
    def moment(each: Manifest) -> datetime.datetime:
        return datetime.datetime.fromisoformat(each.started)

    def held(each: Manifest) -> tuple[str, str]:
        return (each.content or each.name, each.release)

    known = [
        manifest(
            number,
            started=(MOMENT - datetime.timedelta(days=days)).isoformat(),
            content=content,
            release=release,
            environment=environment,
        )
        for number, (days, content, release, environment) in enumerate(found, 1)
    ]
    newest = max(known, key=moment)
    removed = [each for each, _ in to_prune(known, newest, Keep(keep, keep_days))]
    left = sorted((each for each in known if each not in removed), key=moment, reverse=True)
    assert newest in left
    assert {each.environment for each in removed} <= {newest.environment}
    if keep == 0:
        assert removed == []
        return
    own = sorted((each for each in known if each.environment == newest.environment), key=moment, reverse=True)
    different = list(dict.fromkeys(map(held, own)))  # the newest first
    assert set(different[:keep]) <= set(map(held, left))
    for each in removed:
        newer = [other for other in left if held(other) == held(each) and moment(other) >= moment(each)]
        young = moment(each) > moment(newest) - datetime.timedelta(days=keep_days)
        assert newer or not young, each


def at(number: int, started: str, **more: Any) -> Manifest:
    return manifest(number, started=f"{started}+00:00", **more)


def left(known: list[Manifest], keep: Keep) -> list[str]:
    removed = [each for each, _why in to_prune(known, known[-1], keep)]
    return [each.name for each in known if each not in removed]


HISTORY = [
    at(1, "2025-05-31T10:00:00"), at(2, "2025-06-01T10:00:00"), at(3, "2025-06-29T10:00:00"),
    at(4, "2025-06-30T09:00:00"), at(5, "2025-06-30T10:00:00"), at(6, "2025-07-01T10:05:00"),
    at(7, "2025-07-01T10:55:00"), at(8, "2025-07-01T11:00:00"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("keep", "names"),
    [
        (Keep(1), ["n8"]),
        (Keep(1, hourly=3), ["n5", "n7", "n8"]),
        (Keep(1, daily=3), ["n3", "n5", "n8"]),
        # 2025-06-30 is a Monday, so that 29 June is of the week before, and 1 June of the one that ends then.
        (Keep(1, weekly=9), ["n2", "n3", "n8"]),
        (Keep(1, monthly=2), ["n5", "n8"]),
        (Keep(1, monthly=9, hourly=2), ["n1", "n5", "n7", "n8"]),
        (Keep(2, days=1), ["n6", "n7", "n8"]),
    ],
)
def test_generations(keep: Keep, names: list[str]) -> None:
    assert left(HISTORY, keep) == names


def test_the_last_of_each_release_stays() -> None:
    known = [at(number, f"2025-07-0{number}T10:00:00", release=name) for number, name in enumerate("aabbc", 1)]
    assert left(known, Keep(1, releases=3)) == ["n2", "n4", "n5"]


def test_the_size_takes_the_oldest_but_never_the_last_three() -> None:
    known = [at(number, f"2025-07-0{number}T10:00:00", size=10) for number in range(1, 7)]
    assert left(known, Keep(9, size=45)) == ["n3", "n4", "n5", "n6"]
    assert left(known, Keep(9, size=1)) == ["n4", "n5", "n6"]
    assert to_prune(known, known[-1], Keep(9, size=1))[0][1] == "all together may have 1 bytes"


RULES = st.builds(Keep, *[st.integers(low, 5) for low in (1, 0, 0, 0, 0, 0, 0)], st.integers(0, 60))


@hypothesis.settings(max_examples=1000)
@given(SETS, RULES)
def test_random_histories(found: list[tuple[float, str, str, str]], keep: Keep) -> None:
    known = [
        manifest(
            number, started=(MOMENT - datetime.timedelta(days=days)).isoformat(), content=f"{content}{number}",
            release=release, size=7,
        )
        for number, (days, content, release, _environment) in enumerate(found, 1)
    ]  # fmt: skip
    newest_first = sorted(known, key=lambda each: datetime.datetime.fromisoformat(each.started), reverse=True)
    removed = {each.name for each, _why in to_prune(known, newest_first[0], keep)}
    stayed = [each for each in newest_first if each.name not in removed]
    assert stayed[: min(UNTOUCHED, keep.newest)] == newest_first[: min(UNTOUCHED, keep.newest)]
    if keep.size:
        assert sum(each.size for each in stayed) <= max(keep.size, 7 * UNTOUCHED)
        return
    for rule, form in (("daily", "%Y-%m-%d"), ("weekly", "%G-%V"), ("monthly", "%Y-%m"), ("hourly", "%Y-%m-%d %H")):
        days = [f"{datetime.datetime.fromisoformat(each.started):{form}}" for each in newest_first]
        kept = {f"{datetime.datetime.fromisoformat(each.started):{form}}" for each in stayed}
        assert set(list(dict.fromkeys(days))[: getattr(keep, rule)]) <= kept
    assert set(list(dict.fromkeys(each.release for each in newest_first))[: keep.releases]) <= {
        each.release for each in stayed
    }
