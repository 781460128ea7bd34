# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime

from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.prune import to_prune
from hypothesis import given
from hypothesis import strategies as st
from support.manifest import MOMENT, manifest


def test_only_the_newest_of_the_same_database_are_kept() -> None:
    mine = [manifest(number) for number in (1, 2, 3, 4)]
    others = [manifest(5, environment="prod"), manifest(6, application="x"), manifest(7, database="y")]
    kept = "the newest 2 are kept"
    assert to_prune([*mine, *others], mine[-1], 2) == [(mine[1], kept), (mine[0], kept)]
    assert to_prune([*mine, *others], mine[-1], 0) == []
    assert to_prune(mine, mine[-1], 9) == []


def test_retries_push_nothing_out() -> None:
    """The same content and release five times is one backup; of another release it is another."""
    older = [manifest(1, content="a"), manifest(2, content="b"), manifest(3, content="c", release="0.9")]
    retries = [manifest(number, content="c") for number in (4, 5, 6, 7, 8)]
    removed = to_prune([*older, *retries], retries[-1], 4)
    assert removed == [(each, "n8 holds the same") for each in reversed(retries[:-1])]
    assert to_prune([manifest(1), manifest(2)], manifest(2), 2) == []  # of format 1, which knew no content


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
    removed = [each for each, _ in to_prune(known, newest, keep, keep_days)]
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
